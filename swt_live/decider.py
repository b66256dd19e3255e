"""Bars and position in, decision out: the same functions in the same order as in the environment."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from swt_core.config import TradingConfig
from swt_core.errors import DataError
from swt_core.position import SIDE
from swt_core.records import MarketState, TradingDecision
from swt_core.trading_rules import action_mask, entry_allowed, must_be_flat
from swt_data.bars import Bars
from swt_environments.market import entry_rules
from swt_live.journal_records import DecisionRecord
from swt_live.ports import Engine, Features


@dataclass(frozen=True)
class DecisionPoint:
    """One decision with everything it rests on; what observers are shown.

    Attributes:
        bars: the window, the decided bar last.
        position: ``[POSITION_FIELDS]`` the kernel's row.
        observation: float32 ``[O]``. mask: bool ``[4]``.
    """

    market: MarketState
    bars: Bars
    position: NDArray[np.float64]
    observation: NDArray[np.float32]
    mask: NDArray[np.bool_]
    decision: TradingDecision

    @property
    def observation_sha256(self) -> str:
        return hashlib.sha256(np.ascontiguousarray(self.observation, np.float32).tobytes()).hexdigest()


def decide(
    bars: Bars, position: NDArray[np.float64], features: Features, engine: Engine, trading: TradingConfig
) -> DecisionPoint:
    """The decision at the close of the last of ``bars``.

    Raises:
        DataError: too few bars, or an observation that is not finite.
    """
    rules, last = entry_rules(trading), len(bars) - 1
    if last < 0:
        raise DataError("no bars to decide on")
    row = np.array([last], np.int64)
    spread_pips = float(bars.spread_close_pips[last])
    market = MarketState(
        bar_time_s=int(bars.time_s[last]),
        bid_close_points=int(bars.bid_close[last]),
        ask_close_points=int(bars.ask_close[last]),
        spread_pips=spread_pips,
        may_enter=bool(entry_allowed(bars.time_s[last], spread_pips, rules)),
        must_be_flat=bool(must_be_flat(bars.time_s[last], rules)),
    )
    mask = action_mask(position[SIDE], market.may_enter, market.must_be_flat)
    observation = features.observe(features.market_rows(bars, row), position[None], bars.close_hp[row])[0]
    decision = engine.decide(observation, mask, minimum_confidence=trading.minimum_confidence)
    return DecisionPoint(market, bars, position.copy(), observation, mask, decision)


def decision_record(
    point: DecisionPoint, *, decided_s: float, bars_id: int, feature_version: str, model_hash: str
) -> DecisionRecord:
    """A decision as it is journaled before anything is done about it."""
    decision, market = point.decision, point.market
    return DecisionRecord(
        bar_time_s=market.bar_time_s,
        decided_s=decided_s,
        bars_id=bars_id,
        bars_sha256=point.bars.sha256,
        observation_sha256=point.observation_sha256,
        feature_version=feature_version,
        model_hash=model_hash,
        position=tuple(float(x) for x in point.position),
        mask=tuple(bool(x) for x in point.mask),
        action=decision.action,
        searched_action=decision.searched_action,
        confidence=decision.confidence,
        root_value=decision.root_value,
        visit_counts=decision.visit_counts,
        bid_close=market.bid_close_points,
        ask_close=market.ask_close_points,
        latency_ms=decision.latency_ms,
        outcome="decided",
    )
