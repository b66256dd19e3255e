"""Candidate and trader side by side: what each made of the same bars, from the journal alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

from swt_core.calendar import MINUTE_S
from swt_core.errors import DataError
from swt_core.position import ACTION_NAMES
from swt_live.journal import JOURNAL_FILE, Journal
from swt_live.shadow import SHADOW_KEY, ShadowMemory
from swt_live.shadow_journal import ShadowDecision, ShadowJournal


class _Trade(Protocol):
    @property
    def entry_time_s(self) -> int: ...

    @property
    def exit_time_s(self) -> int: ...

    @property
    def pnl_pips(self) -> float: ...


@dataclass(frozen=True)
class Record:
    """One side of the comparison; pips a unit, costs included.

    Attributes:
        pips: of closed trades that were opened since the comparison began; ``open_pips`` comes on top.
        profit_factor: None without a loss. max_drawdown_pips: marked at every compared bar.
    """

    model_hash: str | None
    trades: int
    pips: float
    open_pips: float
    win_rate: float | None
    profit_factor: float | None
    max_drawdown_pips: float


@dataclass(frozen=True)
class Comparison:
    """Both sides since ``since_s``.

    Attributes:
        bars: on which the candidate decided; ``compared``: of these, where the trader decided too.
        disagreements: other actions; ``same_position…``: only where both held the same side before.
        actions: ``actions[trader's][candidate's]`` counts, by name.
    """

    candidate_name: str
    since_s: int
    until_s: int
    bars: int
    compared: int
    disagreements: int
    same_position: int
    same_position_disagreements: int
    champion: Record
    candidate: Record
    actions: dict[str, dict[str, int]]

    def document(self) -> dict[str, object]:
        """For a program."""
        return asdict(self)


def compare(live_state: Path, candidate: str = "") -> Comparison:
    """The comparison of the latest candidate, or of the one whose hash begins with ``candidate``.

    Raises:
        DataError: there is no journal, or no such candidate has decided yet.
    """
    path = live_state / JOURNAL_FILE
    if not path.exists():
        raise DataError(f"{path} does not exist", remedy="name the trader's state directory")
    journal = Journal(path, read_only=True)
    try:
        shadow = ShadowJournal(journal)
        found = [sha256 for sha256 in shadow.models() if sha256.startswith(candidate)]
        if not found:
            raise DataError(
                f"no candidate{f' {candidate}…' if candidate else ''} has traded on paper in {path}",
                remedy="set live.shadow_checkpoint, and let the trader run with START_TRADING",
            )
        memory = journal.load(SHADOW_KEY, ShadowMemory) or ShadowMemory()
        name = memory.model_name if memory.model_hash == found[-1] else found[-1][:12]
        return _compared(journal, shadow, found[-1], name)
    finally:
        journal.close()


def _compared(journal: Journal, shadow: ShadowJournal, sha256: str, name: str) -> Comparison:
    decisions = shadow.decisions(sha256)
    since_s, until_s = decisions[0].bar_time_s, decisions[-1].bar_time_s + MINUTE_S
    both = [item for item in decisions if item.champion_action is not None]
    alike = [item for item in both if item.side == item.champion_side]
    actions = {own: dict.fromkeys(ACTION_NAMES, 0) for own in ACTION_NAMES}
    for item in both:
        assert item.champion_action is not None
        actions[ACTION_NAMES[item.champion_action]][ACTION_NAMES[item.action]] += 1
    own_trades = [trade for trade in journal.trades(since_s) if trade.entry_time_s >= since_s]
    own_hashes = [item.champion_hash for item in decisions if item.champion_hash is not None]
    return Comparison(
        candidate_name=name,
        since_s=since_s,
        until_s=until_s,
        bars=len(decisions),
        compared=len(both),
        disagreements=sum(item.action != item.champion_action for item in both),
        same_position=len(alike),
        same_position_disagreements=sum(item.action != item.champion_action for item in alike),
        champion=_record(own_hashes[-1] if own_hashes else None, own_trades, _own_equity(decisions)),
        candidate=_record(
            sha256,
            shadow.trades(sha256),
            [(item.bar_time_s + MINUTE_S, item.equity_pips) for item in decisions],
        ),
        actions=actions,
    )


def _own_equity(decisions: Sequence[ShadowDecision]) -> list[tuple[int, float]]:
    """The trader's open profit bar by bar; a position older than the comparison counts for nothing."""
    marks, counts = [], False
    for item in decisions:
        counts = counts or item.champion_side == 0
        marks.append((item.bar_time_s + MINUTE_S, item.champion_equity_pips if counts else 0.0))
    return marks


def _record(sha256: str | None, trades: Sequence[_Trade], marks: Sequence[tuple[int, float]]) -> Record:
    results = [trade.pnl_pips for trade in trades]
    gains, losses = sum(p for p in results if p > 0), -sum(p for p in results if p < 0)
    return Record(
        model_hash=sha256,
        trades=len(results),
        pips=sum(results),
        open_pips=marks[-1][1],
        win_rate=sum(p > 0 for p in results) / len(results) if results else None,
        profit_factor=gains / losses if losses else None,
        max_drawdown_pips=_max_drawdown(trades, marks),
    )


def _max_drawdown(trades: Sequence[_Trade], marks: Sequence[tuple[int, float]]) -> float:
    """Largest distance below the highest equity so far, at closes of trades and at every mark."""
    events = [(trade.exit_time_s, 0, trade.pnl_pips) for trade in trades]
    events += [(time_s, 1, open_pips) for time_s, open_pips in marks]
    peak = realised = worst = 0.0
    for _, is_mark, pips in sorted(events):
        realised += 0.0 if is_mark else pips
        equity = realised + (pips if is_mark else 0.0)
        peak = max(peak, equity)
        worst = max(worst, peak - equity)
    return worst
