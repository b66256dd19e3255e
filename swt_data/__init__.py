"""Bars: import, quality, store, session index, synthetic markets."""
