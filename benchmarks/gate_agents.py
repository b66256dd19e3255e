"""The agents that the gate is tried on: some without an edge, some with one that is known.

The market is a martingale. Agents without an edge trade it free of costs, where their expectation is
exactly zero: any spread would only make them easier to tell. Agents with an edge pay 4 pips and foresee
the sign of a trade's move with a given probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from swt_core.config import SWTConfig
from swt_core.instruments import instrument
from swt_core.statistics import sqn
from swt_data.quality import check_quality
from swt_data.sessions import build_session_index
from swt_data.synthetic import synthetic_bars
from swt_environments.market import Market
from swt_environments.reference import SignalRule
from swt_features.processor import LOOKBACK, FeatureProcessor
from swt_validation.baselines import play_rule
from swt_validation.evaluation import Evaluation
from swt_validation.held_out import Episodes

Float64 = NDArray[np.float64]

YEAR_DAYS: Final = 265
WINDOWS: Final = (5, 10, 20, 40, 60, 120, 240, 480)
_CHUNK_ROWS: Final = 16_384


@dataclass(frozen=True)
class World:
    """A market and its whole weeks."""

    market: Market
    weeks: Episodes

    def play(self, rule: SignalRule) -> Evaluation:
        """The rule over all weeks."""
        return play_rule(self.market, rule, self.weeks.first_rows, self.weeks.last_rows, "weeks")


def make_world(days: int, seed: int, spread_pips: float, config: SWTConfig) -> World:
    """A martingale of so many days."""
    bars = synthetic_bars("martingale", days, seed, instrument("GBP_JPY"), spread_pips)
    index = build_session_index(bars, check_quality(bars))
    market = Market(bars, FeatureProcessor(config.features, bars.instrument), config.trading)
    return World(market, Episodes("weeks", index.weeks[:, 0].copy(), index.weeks[:, 1] - 2))


def random_rule(size: int, rng: np.random.Generator) -> SignalRule:
    """Enters, leaves and chooses sides at random, at rates of its own: from ten trades an hour to two a week.

    Rare traders are the dangerous ones: luck is largest in a small sample.
    """
    enter = 1 / np.exp(rng.uniform(np.log(3), np.log(3000)))
    leave = 1 / np.exp(rng.uniform(np.log(5), np.log(1500)))
    entries, side = rng.random(size) < enter, rng.random(size) < rng.uniform(0.2, 0.8)
    out = rng.random(size) < leave
    return SignalRule(entries & side, entries & ~side, out, out)


@dataclass(frozen=True)
class Signal:
    """A rule by its parameters, so that it can be carried from one market to another."""

    window: int
    threshold: float
    direction: int

    def rule(self, scores: dict[int, Float64]) -> SignalRule:
        """Its signals on a market's `move_scores`."""
        score = self.direction * scores[self.window]
        return SignalRule(score > self.threshold, score < -self.threshold, score < 0, score > 0)


def move_scores(market: Market) -> dict[int, Float64]:
    """Moves of several lengths, in their own standard deviations."""
    close = market.bars.close_hp / market.bars.instrument.half_points_per_pip
    found = {}
    for window in WINDOWS:
        move = np.zeros(len(close))
        move[window:] = close[window:] - close[:-window]
        found[window] = move / max(float(move.std()), 1e-9)
    return found


def draw_signal(rng: np.random.Generator) -> Signal:
    """A rule at random; thresholds reach far out, where trades are few."""
    return Signal(int(rng.choice(WINDOWS)), float(rng.uniform(0.2, 3.0)), int(rng.choice([-1, 1])))


def best_of(count: int, practice: World, scores: dict[int, Float64], rng: np.random.Generator) -> Signal:
    """The best of ``count`` rules by SQN on a random quarter of the practice weeks."""
    world = replace(practice, weeks=practice.weeks.thinned(len(practice.weeks) // 4, rng))

    def quality(signal: Signal) -> float:
        return sqn(world.play(signal.rule(scores)).trades.pnl_pips).value or -np.inf

    return max((draw_signal(rng) for _ in range(count)), key=quality)


class TrainedTrader:
    """A small network trained by gradient ascent on what its position would have earned.

    It reads the product's own market features, is trained on a martingale (so there is nothing to learn
    but noise) and trades where its conviction exceeds what it had in a given share of training.
    """

    def __init__(self, practice: World, rng: np.random.Generator) -> None:
        self._hold = int(np.exp(rng.uniform(np.log(15), np.log(480))))
        self._net = torch.nn.Sequential(
            torch.nn.Linear(practice.market.processor.market_size, 32),
            torch.nn.ReLU(),
            torch.nn.Linear(32, 1),
            torch.nn.Tanh(),
        )
        generator = torch.Generator().manual_seed(int(rng.integers(1 << 31)))
        with torch.no_grad():
            for parameter in self._net.parameters():
                parameter.normal_(0.0, 0.1, generator=generator)
        bars = practice.market.bars
        rows = np.sort(rng.choice(np.arange(LOOKBACK, len(bars) - self._hold - 1), 8192, replace=False))
        inputs = torch.from_numpy(practice.market.market_rows(rows))
        earned = (bars.open_hp[rows + 1 + self._hold] - bars.open_hp[rows + 1]).astype(np.float32)
        target = torch.from_numpy(earned / earned.std())
        self._mean, self._scale = inputs.mean(0), inputs.std(0) + 1e-6
        self.before, self.after = self._train(inputs, target, generator)
        with torch.no_grad():
            conviction = self.position(inputs).abs().numpy()
        self._threshold = float(np.quantile(conviction, rng.uniform(0.3, 0.995)))

    def _train(
        self, inputs: torch.Tensor, target: torch.Tensor, generator: torch.Generator
    ) -> tuple[float, float]:
        """What it earned on its training sample before and after, in deviations of a move."""
        optimiser = torch.optim.Adam(self._net.parameters(), lr=3e-3)

        def earned() -> float:
            with torch.no_grad():
                return float((self.position(inputs) * target).mean())

        before = earned()
        for _ in range(200):
            batch = torch.randint(len(inputs), (512,), generator=generator)
            loss = -(self.position(inputs[batch]) * target[batch]).mean()
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        return before, earned()

    def position(self, features: torch.Tensor) -> torch.Tensor:
        """The position it would like, −1 … 1, ``[n]`` from features ``[n, M]``."""
        wanted: torch.Tensor = self._net((features - self._mean) / self._scale)[:, 0]
        return wanted

    def rule(self, wanted: Float64, rng: np.random.Generator) -> SignalRule:
        """Its signals from the positions it wants at each bar."""
        out = rng.random(len(wanted)) < 1 / self._hold
        long, short = wanted > self._threshold, wanted < -self._threshold
        return SignalRule(long, short, short | out, long | out)


def wanted_positions(traders: Sequence[TrainedTrader], world: World) -> Float64:
    """What each trader wants at each bar, ``[traders, bars]``; 0 where there is no whole lookback yet."""
    size = len(world.market.bars)
    wanted = np.zeros((len(traders), size))
    with torch.no_grad():
        for low in range(LOOKBACK, size, _CHUNK_ROWS):
            rows = np.arange(low, min(low + _CHUNK_ROWS, size))
            features = torch.from_numpy(world.market.market_rows(rows))
            for number, trader in enumerate(traders):
                wanted[number, rows] = trader.position(features).numpy()
    return wanted


@dataclass(frozen=True)
class Edge:
    """Probability of foreseeing the sign of a move; mean bars in a trade and between trades."""

    probability: float
    hold: int
    pause: int

    @property
    def name(self) -> str:
        """In keys of the result."""
        return f"p{self.probability:.2f}_hold{self.hold}_pause{self.pause}"


def foresight(market: Market, edge: Edge, rng: np.random.Generator) -> SignalRule:
    """Enters and leaves at random times, on the right side of the move in between with its probability."""
    size = len(market.bars)
    out, entries = rng.random(size) < 1 / edge.hold, rng.random(size) < 1 / edge.pause
    exits = np.flatnonzero(out)
    following = exits[np.minimum(np.searchsorted(exits, np.arange(size), side="right"), len(exits) - 1)]
    fill = np.minimum(following + 1, size - 1)
    rises = market.bars.open_hp[fill] > market.bars.close_hp
    right = rng.random(size) < edge.probability
    up = rises == right
    return SignalRule(entries & up, entries & ~up, out, out)
