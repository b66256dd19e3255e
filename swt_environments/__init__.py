"""Vectorised market simulation and the Gymnasium environment on top of it."""

import gymnasium

if "SWT/Forex-v0" not in gymnasium.registry:
    gymnasium.register(id="SWT/Forex-v0", entry_point="swt_environments.forex_env:ForexEnv")
