"""The markets of the learning benchmark and the best known rule on each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.heldout import HeldOut, disjoint_starts
from swt_core.config import SWTConfig
from swt_core.config.loading import load_config
from swt_core.errors import ConfigError
from swt_data.bars import Bars
from swt_data.files import write_bars
from swt_data.shuffled import shuffled_bars
from swt_data.synthetic import MARKETS, REGIMES
from swt_environments.dataset import Dataset, load_bars
from swt_environments.market import Market
from swt_environments.reference import SignalRule, fade_rule, regime_filter
from swt_inference.rollout import RulePolicy, play

Float32 = NDArray[np.float32]
Int64 = NDArray[np.int64]

SHUFFLED: Final = "shuffled-future"
# No rule on the past earns anything on these, and staying out costs nothing.
WORTHLESS: Final = ("martingale", SHUFFLED)
TUNING_SESSIONS: Final = 600


def market_names() -> tuple[str, ...]:
    """Every market the benchmark knows."""
    return (*MARKETS, SHUFFLED)


def learning_config(
    market: str,
    seed: int,
    minutes: float,
    directory: Path,
    *,
    base: str = "regimes",
    overrides: Sequence[str] = (),
    profile: str | None = None,
) -> SWTConfig:
    """The default configuration on one market; market and training both follow the seed.

    Args:
        directory: where the bars of `shuffled-future` are written.
        base: the market whose bars `shuffled-future` puts in random order.
        overrides: ``section.key=value``, as on the command line.

    Raises:
        ConfigError: there is no such market, or an override does not fit.
    """
    if market not in market_names():
        raise ConfigError(f"no market {market!r}", remedy=f"use one of {', '.join(market_names())}")
    settings = [
        f"data.market={base if market == SHUFFLED else market}",
        f"data.market_seed={seed}",
        f"training.seed={seed}",
        f"training.maximum_minutes={minutes}",
        *overrides,
    ]
    config = load_config(None, profile, {}, settings).config
    if market != SHUFFLED:
        return config
    bars, _, _ = load_bars(config.data)
    path = directory / f"shuffled_{base}_{seed}.parquet"
    write_bars(shuffled_bars(bars, np.random.default_rng([seed, 1])), path)
    return load_config(None, profile, {}, [*settings, f"data.bars_file={path}"]).config


class _BlindMarket(Market):
    """A market without features: a rule on prices needs none, and they take most of the time."""

    def market_rows(self, rows: Int64) -> Float32:
        return np.zeros((len(rows), 0), np.float32)


def play_rule(dataset: Dataset, rule: SignalRule, first_rows: Int64, session_bars: int) -> HeldOut:
    """A rule on sessions, with the same fills, costs and entry rules as any agent."""
    market = _BlindMarket(dataset.bars, dataset.market.processor, dataset.market.trading)
    result = play(RulePolicy(rule), market, first_rows, first_rows + session_bars - 1, batch=len(first_rows))
    trades = np.bincount([t.episode for t in result.trades], minlength=len(first_rows))
    return HeldOut(result.episode_pips, trades.astype(np.int64))


def reference(
    config: SWTConfig, market: str, dataset: Dataset, first_rows: Int64
) -> tuple[HeldOut | None, str]:
    """What the best known rule earns on the same sessions, and its name; None where none is known.

    On the regime markets the Bayes filter, which knows the parameters; on `reversion` the threshold rule
    that earned most on the training range; where nothing can be earned, staying out.
    """
    if market in WORTHLESS:
        nothing = np.zeros(len(first_rows))
        return HeldOut(nothing, nothing.astype(np.int64)), "stay out"
    session_bars = config.data.session_bars
    if market in REGIMES:
        known = REGIMES[market]
        rule = regime_filter(
            dataset.bars,
            drift_pips=known.drift_pips,
            sigma_pips=known.sigma_pips,
            switch_probability=known.turn_probability,
        )
        return play_rule(dataset, rule, first_rows, session_bars), "Bayes filter, 0.7"
    if market == "reversion":
        found = tuned_fade_rule(dataset, session_bars)
        return play_rule(dataset, found.rule(dataset.bars), first_rows, session_bars), str(found)
    return None, "unknown"


@dataclass(frozen=True)
class FadeParameters:
    """One point of the grid; see `fade_rule`."""

    window_bars: int
    enter_pips: float
    exit_pips: float

    def rule(self, bars: Bars) -> SignalRule:
        return fade_rule(
            bars, window_bars=self.window_bars, enter_pips=self.enter_pips, exit_pips=self.exit_pips
        )

    def __str__(self) -> str:
        return (
            f"fade {self.enter_pips:g} pips from the {self.window_bars}-bar mean, out at {self.exit_pips:g}"
        )


def tuned_fade_rule(
    dataset: Dataset, session_bars: int, sessions: int = TUNING_SESSIONS, rounds: int = 2
) -> FadeParameters:
    """The threshold rule that earns most on training sessions: a grid, then finer ones around the best."""
    starts = disjoint_starts(dataset.splits.train.starts, session_bars)
    rows = starts[np.linspace(0, len(starts) - 1, min(sessions, len(starts))).astype(np.int64)]

    def earned(point: FadeParameters) -> float:
        return float(play_rule(dataset, point.rule(dataset.bars), rows, session_bars).pips.mean())

    def best_of(points: Iterable[FadeParameters]) -> FadeParameters:
        return max(points, key=earned)

    found = best_of(
        FadeParameters(*point)
        for point in product((120, 200, 280, 360, 450), (4.0, 6.0, 8.0, 11.0), (-10.0, -7.0, -4.0, -1.0))
    )
    window_step, pips_step = 40, 1.5
    for _ in range(rounds):
        near = (-1, 0, 1)
        found = best_of(
            FadeParameters(
                max(20, found.window_bars + i * window_step),
                max(0.5, found.enter_pips + j * pips_step),
                found.exit_pips + k * pips_step,
            )
            for i, j, k in product(near, near, near)
        )
        window_step, pips_step = window_step // 2, pips_step / 2
    return found
