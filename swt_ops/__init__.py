"""Supervisor, doctor, status: reads state directories only."""
