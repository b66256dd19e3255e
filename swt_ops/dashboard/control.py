"""What the dashboard may do to the trader: raise and lower its two flags, as `swt live` does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from swt_core.clock import Clock
from swt_core.state import StateDirectory
from swt_core.workspace import Workspace
from swt_live.trader_parts import EMERGENCY_FLAG, START_FLAG
from swt_ops.status import DaemonState, read_daemon


def start(workspace: Workspace, clock: Clock) -> str:
    """Allow trading.

    Raises:
        StateError: the flag cannot be written.
    """
    StateDirectory(workspace.live_state).raise_flag(START_FLAG, "dashboard\n")
    return "START_TRADING is set: trading is allowed." + _unheard(workspace, clock)


def stop(workspace: Workspace, clock: Clock) -> str:
    """No more entries; the position is closed or held as ``live.stop_flattens`` says.

    Raises:
        StateError: the flag cannot be removed.
    """
    StateDirectory(workspace.live_state).lower_flag(START_FLAG)
    return "START_TRADING is removed: no more entries." + _unheard(workspace, clock)


def emergency(workspace: Workspace, clock: Clock) -> str:
    """Close at once and halt.

    Raises:
        StateError: the flag cannot be written; `swt emergency-close` needs no flag.
    """
    StateDirectory(workspace.live_state).raise_flag(EMERGENCY_FLAG, "dashboard\n")
    return "EMERGENCY_STOP is set." + _unheard(workspace, clock)


COMMANDS: Final[Mapping[str, Callable[[Workspace, Clock], str]]] = {
    "start": start,
    "stop": stop,
    "emergency": emergency,
}


def _unheard(workspace: Workspace, clock: Clock) -> str:
    """A flag is only as good as the trader that reads it."""
    if read_daemon(workspace, "live", clock, stale_after_s=180.0).state is DaemonState.RUNNING:
        return ""
    return " But no trader is running to obey it. To close a position without one: swt emergency-close"
