"""Vectorised market simulation and the Gymnasium environment on top of it."""
