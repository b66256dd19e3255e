"""Shadow mode: a candidate trades on paper beside the trader, on the same bars, by the same functions.

It decides with `swt_live.decider.decide` and keeps its position in a `PositionBook`; what it wants is
filled at the next bar's open, at the recorded bid or ask, as in the environment: no slippage, no vetoes.
It is given journal, features and models, and no broker: it has no way to send an order. A candidate needs
no verdict, so it may do anything: what it raises ends its paper trading until the next start, and nothing
else. Everything of one bar is one journal transaction, so a crash repeats a bar or has done it whole.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Concatenate, ParamSpec

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from swt_core.calendar import DAY_S, MINUTE_S, seconds_to_week_close
from swt_core.config import TradingConfig
from swt_core.errors import CheckpointError, DataError, StateError
from swt_core.instruments import Instrument
from swt_core.position import BUY, CLOSE, EQUITY, SELL, SIDE
from swt_data.bars import Bars
from swt_live.book import BookState, PositionBook
from swt_live.decider import DecisionPoint, decide
from swt_live.duties import WEEK_CLOSE_GRACE_S
from swt_live.journal import Journal
from swt_live.journal_records import BarRecord
from swt_live.models import Candidates, LoadedModel
from swt_live.ports import Features
from swt_live.shadow_journal import ShadowDecision, ShadowJournal
from swt_live.window import bar_mark, executable_closes

SHADOW_KEY = "shadow"
CHECK_S = 60.0
_Given = ParamSpec("_Given")


class ShadowMemory(BaseModel):
    """What survives a crash; profits in pips a unit.

    Attributes:
        pending: the action to be filled at the next bar's open.
        last_bar_s: the last bar that was taken up.
        drawdown_pips: distance from the highest equity now, the open position included.
        compared, disagreed: decisions of both, and those in which the actions differ.
    """

    model_config = ConfigDict(frozen=True)

    model_hash: str = ""
    model_name: str = ""
    book: BookState = BookState()
    pending: int | None = None
    pending_forced: bool = False
    last_bar_s: int = 0
    started_s: float = 0.0
    trades: int = 0
    realised_pips: float = 0.0
    peak_pips: float = 0.0
    drawdown_pips: float = 0.0
    decisions: int = 0
    compared: int = 0
    disagreed: int = 0


@dataclass(frozen=True)
class Champion:
    """What the trader itself did at this bar; ``decided`` None: it took no decision."""

    position: NDArray[np.float64]
    decided: DecisionPoint | None
    model_hash: str | None


def _contained(
    method: Callable[Concatenate[Shadow, _Given], None],
) -> Callable[Concatenate[Shadow, _Given], None]:
    """Nothing that the candidate does may stop the trader; a broken journal is the trader's own concern."""

    @wraps(method)
    def call(self: Shadow, /, *args: _Given.args, **named: _Given.kwargs) -> None:
        if self.failed:
            return
        try:
            method(self, *args, **named)
        except sqlite3.Error:
            raise
        except Exception as error:  # noqa: BLE001 - an unvalidated model may raise anything
            self.give_up(error)

    return call


class Shadow:
    """One candidate's paper ledger; ``failed``: it has ended until the next start."""

    def __init__(
        self,
        candidates: Candidates,
        journal: Journal,
        features: Features,
        instrument: Instrument,
        trading: TradingConfig,
        note: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self._candidates = candidates
        self._journal = journal
        self._ledger = ShadowJournal(journal)
        self._features = features
        self._trading = trading
        self._note = note
        self._units = trading.units
        self._next_s = float("-inf")
        self.book = PositionBook(instrument, trading)
        self.memory = ShadowMemory()
        self.model: LoadedModel | None = None
        self.refusal = ""
        self.failed = False
        try:
            self.memory = journal.load(SHADOW_KEY, ShadowMemory) or self.memory
        except StateError as error:
            self.give_up(error)
        self._restore()

    def give_up(self, error: Exception) -> None:
        """Paper trading ends until the next start."""
        self.failed, self.model = True, None
        self.refusal = f"paper trading ended: {type(error).__name__}: {error}"
        self._note("shadow_failed", self.refusal)

    @_contained
    def refresh(self, now_s: float) -> None:
        """Look for the configured candidate once a minute; another one begins a new ledger, when flat."""
        if now_s < self._next_s or (self.model is not None and self.book.units):
            return
        self._next_s = now_s + CHECK_S
        choice, self.refusal = self._candidates.candidate(self.memory.model_hash if self.book.units else None)
        if choice is None:
            self.model = None
            return
        if self.model is not None and self.model.model_hash == choice.ref.sha256:
            return
        try:
            self.model = self._candidates.load(choice)
        except CheckpointError as error:
            self.model, self.refusal = None, error.message
            return
        if self.memory.model_hash != choice.ref.sha256:
            self.book.restore(BookState(), [])
            self.memory = ShadowMemory(last_bar_s=self.memory.last_bar_s)
            self._remember(model_hash=choice.ref.sha256, model_name=choice.ref.name, started_s=now_s)
            self._note("shadow", f"{choice.ref.name} {choice.ref.sha256} trades on paper")

    @_contained
    def on_bars(self, bars: Iterable[BarRecord]) -> None:
        """Bars that have closed, oldest first: fill what was wanted at their open, then mark."""
        for bar in bars:
            if not self.memory.model_hash or bar.time_s <= self.memory.last_bar_s:
                continue
            with self._journal.transaction():
                self._fill(bar)
                self.book.mark(bar_mark(bar))
                # As the trader itself: what no decision has closed by the week's end is closed.
                limit_s = self._trading.flat_minutes_before_week_close * MINUTE_S - WEEK_CLOSE_GRACE_S
                ending = seconds_to_week_close(bar.time_s + MINUTE_S) <= limit_s
                forced = ending and self.book.units != 0
                equity = self.memory.realised_pips + self.book.equity_pips
                peak = max(self.memory.peak_pips, equity)
                self._remember(
                    peak_pips=peak,
                    drawdown_pips=peak - equity,
                    book=self.book.state(),
                    pending=CLOSE if forced else None,
                    pending_forced=forced,
                    last_bar_s=bar.time_s,
                )

    @_contained
    def decide(self, bars: Bars, champion: Champion) -> None:
        """The candidate's decision on the window the trader decided on, and what the trader did."""
        if self.model is None or self.memory.last_bar_s != int(bars.time_s[-1]):
            return
        try:
            point = decide(bars, self.book.row, self._features, self.model.engine, self._trading)
        except DataError as error:
            self.refusal = error.message
            return
        own, action = champion.decided, point.decision.action
        record = ShadowDecision(
            model_hash=self.model.model_hash,
            bar_time_s=point.market.bar_time_s,
            action=action,
            side=int(self.book.row[SIDE]),
            confidence=point.decision.confidence,
            equity_pips=self.book.equity_pips,
            observation_sha256=point.observation_sha256,
            champion_hash=champion.model_hash,
            champion_action=None if own is None else own.decision.action,
            champion_side=int(champion.position[SIDE]),
            champion_equity_pips=float(champion.position[EQUITY]),
        )
        with self._journal.transaction():
            if not self._ledger.record_decision(record):
                return
            self._remember(
                decisions=self.memory.decisions + 1,
                compared=self.memory.compared + (own is not None),
                disagreed=self.memory.disagreed + (own is not None and own.decision.action != action),
            )
            if action in (BUY, SELL, CLOSE) and self.memory.pending is None:
                self._remember(pending=action, pending_forced=False)

    def _fill(self, bar: BarRecord) -> None:
        """Fill the pending action at the bar's open."""
        pending = self.memory.pending
        if pending is None:
            return
        bid, ask = (bar.open_hp - bar.spread_open) // 2, (bar.open_hp + bar.spread_open) // 2
        units = {BUY: self._units, SELL: -self._units}.get(pending, -self.book.units)
        if units == 0:
            return
        price, opposite = (ask, bid) if units > 0 else (bid, ask)
        closed = self.book.apply_fill(
            units, price, opposite, float(bar.time_s), origin="shadow", forced=self.memory.pending_forced
        )
        for trade in closed:
            self._ledger.record_trade(self.memory.model_hash, trade.result)
            self._remember(
                trades=self.memory.trades + 1,
                realised_pips=self.memory.realised_pips + trade.result.pnl_pips,
            )

    @_contained
    def _restore(self) -> None:
        memory, holding = self.memory, self.memory.book.holding
        if holding is not None:
            known = self._journal.bars(int(holding.entry_time_s) - DAY_S, until_s=memory.last_bar_s)
            self.book.restore(memory.book, [bar_mark(bar) for bar in known])
        if memory.last_bar_s:
            # The trader may have died between taking up a bar itself and handing it on.
            self.on_bars(self._journal.bars(memory.last_bar_s + MINUTE_S))

    @_contained
    def correct(self, bar: BarRecord) -> None:
        """A candle corrected a bar, or brought one that the stream had missed."""
        if bar.time_s <= self.memory.last_bar_s:
            self.book.mark(bar_mark(bar))
            self.book.correct(bar.time_s, *executable_closes(bar))

    def _remember(self, **changes: object) -> None:
        self.memory = self.memory.model_copy(update=changes)
        self._journal.save(SHADOW_KEY, self.memory)
