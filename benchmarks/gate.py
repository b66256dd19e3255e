"""Does the gate work? Agents without an edge must not be deployed, agents with a known edge should be.

Each agent is judged on one year of synthetic weeks, in a ledger of its own, by the very functions that
judge a checkpoint. The market is a martingale. Agents without an edge trade it free of costs, where their
expectation is exactly zero (any spread would only make them easier to tell): random policies, rules that
were the best of 100 by SQN on other weeks, and rules tuned on other weeks. Agents with an edge pay 4 pips
and foresee the sign of a trade's move with a given probability; their true CAR25 comes from ten years.

``true_deploy`` counts selective agents, who trade a few times a day. A thin edge taken very often can have
the same CAR25 at a profit factor below 1.5: the rules ask for 1.5 (a wider spread would eat such an edge),
so those agents are reported apart, as ``deploy_thin``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from benchmarks.registry import BenchmarkOptions, BenchmarkValue
from swt_core.config import SWTConfig
from swt_core.instruments import instrument
from swt_core.statistics import sqn
from swt_core.verdict import Decision
from swt_data.quality import check_quality
from swt_data.sessions import build_session_index
from swt_data.synthetic import synthetic_bars
from swt_environments.market import Market
from swt_environments.reference import SignalRule
from swt_features.processor import FeatureProcessor
from swt_validation.analysis import AgentRun, analyse, sharpe_inference, significance
from swt_validation.assembly import judge, score_of
from swt_validation.baselines import play_rule
from swt_validation.evaluation import Evaluation
from swt_validation.held_out import Episodes
from swt_validation.ledger import TrialMatrix
from swt_validation.levels import plan
from swt_validation.nav import daily_nav, weekly_returns
from swt_validation.safe_f import risk_normalise

NAME = "gate"
YEAR_DAYS = 265
TRUTH_DAYS = 10 * 261
DEPLOYABLE_CAR25 = 0.30
WINDOWS = (5, 10, 20, 40, 60, 120, 240, 480)


@dataclass(frozen=True)
class Edge:
    """Probability of foreseeing the sign of a move; mean bars in a trade and between trades."""

    probability: float
    hold: int
    pause: int

    @property
    def name(self) -> str:
        return f"p{self.probability:.2f}_hold{self.hold}_pause{self.pause}"


SELECTIVE = tuple(Edge(p, 120, pause) for pause in (480, 1000) for p in (0.62, 0.66, 0.70, 0.74, 0.78))
THIN = (Edge(0.66, 60, 60), Edge(0.68, 60, 60), Edge(0.64, 120, 120))

Bool = NDArray[np.bool_]


@dataclass(frozen=True)
class _World:
    """A market and its whole weeks."""

    market: Market
    weeks: Episodes

    def play(self, rule: SignalRule) -> Evaluation:
        return play_rule(self.market, rule, self.weeks.first_rows, self.weeks.last_rows, "weeks")


def _world(days: int, seed: int, spread_pips: float, config: SWTConfig) -> _World:
    bars = synthetic_bars("martingale", days, seed, instrument("GBP_JPY"), spread_pips)
    index = build_session_index(bars, check_quality(bars))
    market = Market(bars, FeatureProcessor(config.features, bars.instrument), config.trading)
    return _World(market, Episodes("weeks", index.weeks[:, 0].copy(), index.weeks[:, 1] - 2))


def deployed(world: _World, rule: SignalRule, config: SWTConfig) -> bool:
    """Whether the gate lets this agent through."""
    evaluation = world.play(rule)
    run = AgentRun(evaluation, world.weeks.first_rows, world.weeks.last_rows, {})
    analysis = analyse(run, world.market, config, plan("FULL", config.validation))
    trials = TrialMatrix(weekly_returns(evaluation).returns[None, :], np.zeros(0), 1, 1)
    luck = significance(
        analysis.permutation, sharpe_inference(analysis.nav, trials), trials, np.random.default_rng(0)
    )
    score = score_of(analysis, config.validation.initial_risk_pips)
    return judge(analysis, luck, score, "FULL").decision is Decision.DEPLOY


def _random_rule(size: int, rng: np.random.Generator) -> SignalRule:
    """Enters, leaves and chooses sides at random, at rates of its own."""
    enter, leave = 1 / rng.uniform(5, 300), 1 / rng.uniform(10, 300)
    entries, side = rng.random(size) < enter, rng.random(size) < rng.uniform(0.2, 0.8)
    out = rng.random(size) < leave
    return SignalRule(entries & side, entries & ~side, out, out)


@dataclass(frozen=True)
class _Signal:
    """A rule by its parameters, so that it can be carried from one market to another."""

    window: int
    threshold: float
    direction: int

    def rule(self, scores: dict[int, NDArray[np.float64]]) -> SignalRule:
        score = self.direction * scores[self.window]
        return SignalRule(score > self.threshold, score < -self.threshold, score < 0, score > 0)


def _scores(market: Market) -> dict[int, NDArray[np.float64]]:
    """Moves of several lengths, in their own standard deviations."""
    close = market.bars.close_hp / market.bars.instrument.half_points_per_pip
    found = {}
    for window in WINDOWS:
        move = np.zeros(len(close))
        move[window:] = close[window:] - close[:-window]
        found[window] = move / max(float(move.std()), 1e-9)
    return found


def _draw_signal(rng: np.random.Generator) -> _Signal:
    return _Signal(int(rng.choice(WINDOWS)), float(rng.uniform(0.2, 2.5)), int(rng.choice([-1, 1])))


def _quality(evaluation: Evaluation) -> float:
    return sqn(evaluation.trades.pnl_pips).value or -np.inf


def _total(evaluation: Evaluation) -> float:
    return float(evaluation.trades.pnl_pips.sum())


def _best_of(
    count: int, practice: _World, rng: np.random.Generator, value: Callable[[Evaluation], float]
) -> _Signal:
    """The best of ``count`` rules on a random quarter of the practice weeks."""
    scores = _scores(practice.market)
    chosen = practice.weeks.thinned(len(practice.weeks) // 4, rng)
    world = replace(practice, weeks=chosen)
    signals = [_draw_signal(rng) for _ in range(count)]
    return max(signals, key=lambda signal: value(world.play(signal.rule(scores))))


def _foresight(market: Market, edge: Edge, rng: np.random.Generator) -> SignalRule:
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


def _no_edge(count: int, config: SWTConfig, seeds: Iterator[int]) -> Iterator[tuple[str, bool]]:
    """Agents without an edge, in turn: random, best of 100, tuned; a new market every 20 agents."""
    practice = _world(YEAR_DAYS, next(seeds), 0.0, config)
    scores: dict[int, NDArray[np.float64]] = {}
    for number in range(count):
        if number % 20 == 0:
            world = _world(YEAR_DAYS, next(seeds), 0.0, config)
            scores = _scores(world.market)
        rng = np.random.default_rng(next(seeds))
        kind = ("random", "best_of_100", "tuned")[number % 3]
        if kind == "random":
            rule = _random_rule(len(world.market.bars), rng)
        else:
            found = _best_of(100, practice, rng, _quality if kind == "best_of_100" else _total)
            rule = found.rule(scores)
        yield kind, deployed(world, rule, config)


def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """Judge many agents; settings ``no_edge`` and ``edge`` are their numbers (1,000 and 500).

    Returns:
        ``false_deploy`` and ``true_deploy`` rates, by kind too.
    """
    config = SWTConfig.model_validate({"validation": {"permutations": 199 if options.quick else 1000}})
    without = int(options.number("no_edge", 60 if options.quick else 1000))
    with_edge = int(options.number("edge", 40 if options.quick else 500))
    seeds = iter(
        int(s) for s in np.random.SeedSequence(options.seed).generate_state(8 * (without + with_edge))
    )
    started = time.perf_counter()
    outcomes = list(_no_edge(without, config, seeds))
    edges = (*SELECTIVE, *THIN)
    truth = {edge: _true_car25(edge, config, next(seeds)) for edge in edges}
    passed: dict[Edge, list[bool]] = {edge: [] for edge in edges}
    for number in range(with_edge):
        if number % 20 == 0:
            world = _world(YEAR_DAYS, next(seeds), 4.0, config)
        edge = edges[number % len(edges)]
        rule = _foresight(world.market, edge, np.random.default_rng(next(seeds)))
        passed[edge].append(deployed(world, rule, config))
    deserving, thin = (
        [ok for edge in group if truth[edge] >= DEPLOYABLE_CAR25 for ok in passed[edge]]
        for group in (SELECTIVE, THIN)
    )
    result: dict[str, BenchmarkValue] = {
        "false_deploy": float(np.mean([ok for _, ok in outcomes])),
        "true_deploy": float(np.mean(deserving)) if deserving else None,
        "deploy_thin": float(np.mean(thin)) if thin else None,
        "agents_without_edge": without,
        "agents_with_edge": with_edge,
        "agents_with_true_car25_above_30_percent": len(deserving),
        "seconds": time.perf_counter() - started,
    }
    for kind in ("random", "best_of_100", "tuned"):
        result[f"false_deploy_{kind}"] = float(np.mean([ok for name, ok in outcomes if name == kind]))
    for edge, found in passed.items():
        result[f"true_car25_{edge.name}"] = truth[edge]
        result[f"deploy_{edge.name}"] = float(np.mean(found)) if found else None
    return result


def _true_car25(edge: Edge, config: SWTConfig, seed: int) -> float:
    """CAR25 of an edge from ten years of its trading."""
    world = _world(TRUTH_DAYS, seed, 4.0, config)
    rule = _foresight(world.market, edge, np.random.default_rng(seed))
    returns = daily_nav(world.play(rule)).returns
    return risk_normalise(returns, runs=10_000, block=1, seeds=(seed, seed + 1)).car25
