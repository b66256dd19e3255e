"""Batched Stochastic MuZero search with array trees."""
