"""Alarms of a run: collapse of actions, of chance codes, of values; steps not finite; a full disk.

Judged from closed trades and counted decisions, never from rewards. HOLD is by far the most frequent
action of any agent that trades a few times a session (four trades in 360 bars hold 98 % of the time), so
its share alone says nothing: it counts only where next to nothing is traded.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from pydantic import Field

from swt_core.clock import Clock
from swt_core.config.models import TrainerAlarmsConfig
from swt_core.errors import StateError
from swt_core.logs import get_logger
from swt_core.position import ACTION_NAMES, HOLD
from swt_core.state import StateDirectory, StateRecord

if TYPE_CHECKING:
    # Who only reads alarms shall not wait for torch.
    from swt_training.diagnostics import NetworkFigures
    from swt_training.rolling import RollingFigures

_log = get_logger(__name__)

ALARMS_FILE: Final = "alarms.json"
# An entry's direction, or a share of actions, is judged once that many were seen.
_LEAST_ENTRIES: Final = 30


class AlarmName(StrEnum):
    """Every alarm a trainer can raise."""

    ACTION_COLLAPSE = "action_collapse"
    HOLD_ONLY = "hold_only"
    CHANCE_COLLAPSE = "chance_collapse"
    VALUE_EXPLOSION = "value_explosion"
    NOT_FINITE = "not_finite"
    ROLLED_BACK = "rolled_back"
    DISK = "disk"


class TrainerAlarm(StateRecord):
    """One alarm that is on."""

    name: str
    text: str
    since_s: float = Field(description="when it was first seen, UTC epoch seconds")


class TrainerAlarms(StateRecord):
    """Alarms that are on; the file is replaced whenever that changes."""

    alarms: tuple[TrainerAlarm, ...] = ()


def judge_alarms(
    config: TrainerAlarmsConfig, rolling: RollingFigures, network: NetworkFigures | None
) -> dict[AlarmName, str]:
    """The alarms that ``rolling`` and ``network`` give reason for, and why.

    Shares are judged once the window is full: a run's first sessions prove nothing.
    """
    found: dict[AlarmName, str] = {}
    if rolling.sessions >= config.window_sessions:
        collapsed = _action_collapse(config, rolling)
        if collapsed is not None:
            found[AlarmName.ACTION_COLLAPSE] = collapsed
        if rolling.trades.trades == 0:
            found[AlarmName.HOLD_ONLY] = f"no trade was closed in {rolling.sessions} sessions"
    if network is not None:
        if network.unused_codes_share >= config.unused_codes_share:
            found[AlarmName.CHANCE_COLLAPSE] = (
                f"{network.unused_codes_share:.0%} of the chance codes never occur or are not foretold "
                f"(perplexity {network.code_perplexity:.2f}, "
                f"foretold {network.predicted_code_perplexity:.2f})"
            )
        share = network.value_share_of_support
        if not math.isfinite(share) or share > config.value_share_of_support:
            found[AlarmName.VALUE_EXPLOSION] = (
                f"the mean |value| is {network.mean_absolute_value_pips:.0f} pips, {share:.0%} of the support"
            )
    return found


def _action_collapse(config: TrainerAlarmsConfig, rolling: RollingFigures) -> str | None:
    for action, share in enumerate(rolling.action_shares):
        idle = rolling.trades_per_session < config.least_trades_per_session
        if share > config.action_share and (action != HOLD or idle):
            return (
                f"{ACTION_NAMES[action]} is {share:.1%} of all decisions, with "
                f"{rolling.trades_per_session:.2f} trades a session"
            )
    buys = rolling.buys_share
    if buys is not None and rolling.trades.trades >= _LEAST_ENTRIES:
        side, share = ("BUY", buys) if buys >= 0.5 else ("SELL", 1.0 - buys)
        if share > config.action_share:
            return f"{side} is {share:.1%} of all entries"
    return None


class AlarmBoard:
    """Which alarms are on, since when; logged and written when one comes or goes."""

    def __init__(self, state: StateDirectory, clock: Clock) -> None:
        self._state, self._clock = state, clock
        self._on: dict[AlarmName, TrainerAlarm] = {}
        self._written = False

    @property
    def on(self) -> tuple[TrainerAlarm, ...]:
        return tuple(self._on.values())

    def show(self, found: Mapping[AlarmName, str]) -> None:
        """Replace what is on by ``found``; texts are kept fresh, times of first sight too."""
        before = set(self._on)
        now_s = self._clock.time_s()
        self._on = {
            name: TrainerAlarm(
                name=name.value,
                text=text,
                since_s=self._on[name].since_s if name in self._on else now_s,
            )
            for name, text in found.items()
        }
        for name in sorted(set(self._on) - before):
            _log.warning("alarm", alarm=name.value, why=found[name])
        for name in sorted(before - set(self._on)):
            _log.info("alarm is over", alarm=name.value)
        if before == set(self._on) and self._written:
            return
        try:
            self._state.write(ALARMS_FILE, TrainerAlarms(schema_version=1, alarms=self.on))
            self._written = True
        except StateError:
            self._written = False  # the next round tries again; the log and the metrics have it already

    def as_figures(self) -> dict[str, float]:
        """As metrics: ``Alarm/…``, 1 while it is on."""
        return {f"Alarm/{name.value}": float(name in self._on) for name in AlarmName}

    def as_counters(self) -> dict[str, float]:
        """For the heartbeat: only those that are on."""
        return {f"alarm_{name.value}": 1.0 for name in self._on}
