"""Measured claims, one importable file each, run by swt bench."""
