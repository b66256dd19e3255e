"""Trader and practice server in one process, in virtual time: one seed decides a whole bad day."""
