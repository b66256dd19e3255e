"""The five Stochastic MuZero networks and their parts."""
