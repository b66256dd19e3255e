"""What a simulated trader decides with: a seeded script instead of a model, prices instead of features.

The order rules do not care who decides; a search in each minute of thousands of days would take hours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from swt_core.calendar import MINUTE_S, is_open
from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef
from swt_core.instruments import Instrument
from swt_core.position import HOLD
from swt_core.records import TradingDecision
from swt_data.bars import Bars
from swt_live.models import LoadedModel, ModelChoice, Selection

_HASH = "f" * 64


class ScriptedPolicy:
    """An engine that plays ``actions`` in turn, where legal; HOLD, or the only legal action, elsewhere."""

    def __init__(self, actions: NDArray[np.int64]) -> None:
        self._actions = actions
        self._next = 0

    def decide(
        self,
        observation: NDArray[np.float32],  # noqa: ARG002 - the script does not look
        mask: NDArray[np.bool_],
        *,
        minimum_confidence: float = 0.0,  # noqa: ARG002
    ) -> TradingDecision:
        action = int(self._actions[self._next % len(self._actions)])
        self._next += 1
        if not mask[action]:
            action = HOLD if mask[HOLD] else int(np.argmax(mask))
        visits = tuple(int(i == action) for i in range(4))
        return TradingDecision(action, 1.0, 0.0, visits, (0.25,) * 4, (0.0,) * 4, action, _HASH)


class PlainFeatures:
    """Close, spread and position row: enough to tell observations apart."""

    version = "plain"

    def market_rows(self, bars: Bars, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return np.stack([bars.close_hp[rows], bars.spread_close[rows]], axis=1).astype(np.float32)

    def observe(
        self,
        market: NDArray[np.float32],
        positions: NDArray[np.float64],
        close_hp: NDArray[np.int64],  # noqa: ARG002
    ) -> NDArray[np.float32]:
        return np.concatenate([market, positions.astype(np.float32)], axis=1)


class ScriptedModel:
    """A model source that always offers one policy."""

    def __init__(self, policy: ScriptedPolicy, instrument: Instrument) -> None:
        self._policy = policy
        data = CheckpointData(
            source="none", sha256="0" * 64, instrument=instrument.name, synthetic=True,
            train_start_s=0, train_end_s=1, validation_start_s=2, validation_end_s=3,
            test_start_s=4, test_end_s=5,
        )  # fmt: skip
        metadata = CheckpointMetadata(
            architecture="swt", feature_profile="swt", feature_version=PlainFeatures.version, episode=0,
            version="1.0.0", config_hash="none", data=data, created_s=0.0,
        )  # fmt: skip
        self._choice = ModelChoice(
            CheckpointRef(Path(metadata.file_name), _HASH, metadata), None, float("inf")
        )

    def select(self, now_s: float) -> Selection:  # noqa: ARG002
        return Selection(self._choice, ())

    def load(self, choice: ModelChoice) -> LoadedModel:
        return LoadedModel(self._policy, choice, choice.ref.sha256)


def random_walk(
    instrument: Instrument, start_s: int, history: int, minutes: int, rng: np.random.Generator
) -> Bars:
    """A bar in each open minute: ``history`` of them before ``start_s``, and ``minutes`` of clock time."""
    before = np.arange(start_s - 4 * 86_400, start_s, MINUTE_S, dtype=np.int64)
    before = before[is_open(before)][-history:]
    after = np.arange(start_s, start_s + minutes * MINUTE_S, MINUTE_S, dtype=np.int64)
    time_s = np.concatenate([before, after[is_open(after)]])
    count = len(time_s)
    closes = 2 * (186_000 + np.cumsum(rng.integers(-30, 31, count)))
    opens = np.concatenate([[closes[0]], closes[:-1]]) + 2 * rng.integers(-4, 5, count)
    spread = 2 * rng.integers(8, 17, count)
    return Bars(
        instrument,
        time_s,
        opens.astype(np.int64),
        (np.maximum(opens, closes) + 2 * rng.integers(0, 9, count)).astype(np.int64),
        (np.minimum(opens, closes) - 2 * rng.integers(0, 9, count)).astype(np.int64),
        closes.astype(np.int64),
        spread.astype(np.int64),
        spread.astype(np.int64),
        np.full(count, 4, np.int64),
        spread_recorded=True,
    )
