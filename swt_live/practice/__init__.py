"""A broker of our own: an account on recorded or synthetic bars, behind OANDA's v20 interface."""
