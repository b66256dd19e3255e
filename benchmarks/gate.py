"""Does the gate work? Agents without an edge must not be deployed, agents with a known edge should be.

Each agent is judged on one year of synthetic weeks, in a ledger of its own, by the very functions that
judge a checkpoint (`benchmarks.gate_agents` says who they are). Three kinds have no edge: random
policies, rules that were the best of 100 by SQN on other weeks, and networks trained on other weeks. A
fourth, counted apart, is the hardest: the best of 100 rules *on the very weeks it is judged on*, its 99
rivals in the ledger; there nothing but the deflated Sharpe ratio stands between luck and money.

True figures of an edge (CAR25, profit factor) come from ten years. The planted edges are those a person
would want deployed: in truth they meet the rules, from just so to clearly. ``true_deploy`` is over all of
them whose true CAR25 is at least 30 %. Beside them stand agents whose edge is thin: it may compound to a
high CAR25 by trading often, but its true profit factor is below the 1.5 that the rules ask for, so the
gate is there to refuse it (``thin_deploy``).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.gate_agents import (
    YEAR_DAYS,
    Edge,
    TrainedTrader,
    World,
    best_of,
    draw_signal,
    foresight,
    make_world,
    move_scores,
    random_rule,
    wanted_positions,
)
from benchmarks.registry import BenchmarkOptions, BenchmarkValue
from swt_core.config import SWTConfig
from swt_core.local_pool import LocalPool
from swt_core.pool import SerialPool
from swt_core.statistics import trade_statistics
from swt_core.verdict import Decision
from swt_validation.analysis import AgentRun, analyse, sharpe_inference, significance
from swt_validation.assembly import judge, score_of
from swt_validation.decision import DEPLOY_TRADES, MINIMUM_PROFIT_FACTOR, MINIMUM_WIN_RATE
from swt_validation.evaluation import Evaluation
from swt_validation.ledger import TrialMatrix
from swt_validation.levels import plan
from swt_validation.nav import daily_nav, weekly_returns
from swt_validation.performance import DAYS_PER_YEAR, sharpe
from swt_validation.safe_f import risk_normalise
from swt_validation.sharpe_inference import effective_trials

NAME = "gate"
TRUTH_DAYS = 10 * 261
DEPLOYABLE_CAR25 = 0.30
# Agents judged on one market before the next is made.
BLOCK = 20
# The same, where each agent plays 100 rules on it.
SEARCHED_BLOCK = 5
KINDS = ("random", "best_of_100", "trained")
EDGES = tuple(Edge(p, 120, pause) for pause in (480, 1000) for p in (0.70, 0.72, 0.74, 0.76, 0.78))
THIN_EDGES = (
    *(Edge(p, 120, pause) for pause in (480, 1000) for p in (0.62, 0.66)),
    Edge(0.66, 60, 60),
    Edge(0.68, 60, 60),
    Edge(0.64, 120, 120),
)


@dataclass(frozen=True)
class _Block:
    """Agents that share a market: ``count`` of them from number ``first`` on; or one edge's truth."""

    kind: str
    first: int
    count: int
    seed: int
    config: SWTConfig


@dataclass(frozen=True)
class _Found:
    """A group of agents, or an edge, and whether each was deployed; or an edge's true figures."""

    name: str
    deployed: bool = False
    car25: float | None = None
    profit_factor: float | None = None


def hopeless(evaluation: Evaluation) -> bool:
    """Whether the trades alone already rule out DEPLOY: then nothing else need be computed."""
    found = trade_statistics(evaluation.trades.pnl_pips)
    return (
        found.trades < DEPLOY_TRADES
        or (found.expectancy_pips or 0.0) <= 0
        or (found.profit_factor or 0.0) < MINIMUM_PROFIT_FACTOR
        or (found.win_rate or 0.0) < MINIMUM_WIN_RATE
    )


def verdict(
    world: World, evaluation: Evaluation, config: SWTConfig, rivals: Sequence[Evaluation] = ()
) -> Decision:
    """What the gate says of an agent, whose ledger holds ``rivals`` too."""
    run = AgentRun(evaluation, world.weeks.first_rows, world.weeks.last_rows, {})
    analysis = analyse(run, world.market, config, plan("FULL", config.validation), compare=False)
    weekly = np.array([weekly_returns(each).returns for each in (evaluation, *rivals)])
    ratios = [sharpe(daily_nav(each).returns) for each in rivals and (evaluation, *rivals)]
    trials = TrialMatrix(
        weekly,
        np.array([ratio / DAYS_PER_YEAR**0.5 for ratio in ratios if ratio is not None]),
        len(weekly),
        max(1, effective_trials(weekly)),
    )
    luck = significance(
        analysis.permutation, sharpe_inference(analysis.nav, trials), trials, np.random.default_rng(0)
    )
    score = score_of(analysis, config.validation.initial_risk_pips)
    return judge(analysis, luck, score, "FULL").decision


def _deployed(world: World, evaluation: Evaluation, config: SWTConfig) -> bool:
    return not hopeless(evaluation) and verdict(world, evaluation, config) is Decision.DEPLOY


def _without_edge(block: _Block) -> list[_Found]:
    """Random, best of 100 and trained in turn, on a market of their own after practising on another."""
    rng = np.random.default_rng(block.seed)
    practice = make_world(YEAR_DAYS, block.seed, 0.0, block.config)
    world = make_world(YEAR_DAYS, block.seed + 1, 0.0, block.config)
    kinds = [KINDS[number % len(KINDS)] for number in range(block.first, block.first + block.count)]
    practised, scores = move_scores(practice.market), move_scores(world.market)
    traders = [TrainedTrader(practice, rng) for _ in range(kinds.count("trained"))]
    wanted = iter(zip(traders, wanted_positions(traders, world), strict=True))
    found = []
    for kind in kinds:
        if kind == "random":
            rule = random_rule(len(world.market.bars), rng)
        elif kind == "best_of_100":
            rule = best_of(100, practice, practised, rng).rule(scores)
        else:
            trader, positions = next(wanted)
            rule = trader.rule(positions, rng)
        found.append(_Found(kind, _deployed(world, world.play(rule), block.config)))
    return found


def _searched(block: _Block) -> list[_Found]:
    """The best of 100 rules on the very weeks it is judged on, in a ledger that knows all 100."""
    rng = np.random.default_rng(block.seed)
    world = make_world(YEAR_DAYS, block.seed, 0.0, block.config)
    scores = move_scores(world.market)
    found = []
    for _ in range(block.count):
        tried = [world.play(draw_signal(rng).rule(scores)) for _ in range(100)]
        best = max(tried, key=lambda each: trade_statistics(each.trades.pnl_pips).sqn.value or -np.inf)
        rivals = [each for each in tried if each is not best]
        deploys = not hopeless(best) and verdict(world, best, block.config, rivals) is Decision.DEPLOY
        found.append(_Found("searched", deploys))
    return found


def _with_edge(block: _Block) -> list[_Found]:
    edges = THIN_EDGES if block.kind == "thin" else EDGES
    world = make_world(YEAR_DAYS, block.seed, 4.0, block.config)
    rng = np.random.default_rng(block.seed)
    found = []
    for number in range(block.first, block.first + block.count):
        edge = edges[number % len(edges)]
        evaluation = world.play(foresight(world.market, edge, rng))
        found.append(_Found(edge.name, _deployed(world, evaluation, block.config)))
    return found


def _truth(block: _Block) -> list[_Found]:
    """CAR25 and profit factor of an edge from ten years of its trading."""
    edge = (*EDGES, *THIN_EDGES)[block.first]
    world = make_world(TRUTH_DAYS, block.seed, 4.0, block.config)
    evaluation = world.play(foresight(world.market, edge, np.random.default_rng(block.seed)))
    returns = daily_nav(evaluation).returns
    car25 = risk_normalise(returns, runs=10_000, block=1, seeds=(block.seed, block.seed + 1)).car25
    factor = trade_statistics(evaluation.trades.pnl_pips).profit_factor
    return [_Found(edge.name, car25=car25, profit_factor=factor)]


_WORK = {
    "without_edge": _without_edge,
    "searched": _searched,
    "with_edge": _with_edge,
    "truth": _truth,
    "thin": _with_edge,
}


def _play_block(block: _Block) -> list[_Found]:
    return _WORK[block.kind](block)


def _blocks(kind: str, total: int, size: int, config: SWTConfig, seed: int) -> list[_Block]:
    firsts = range(0, total, size)
    seeds = np.random.SeedSequence([seed, list(_WORK).index(kind)]).generate_state(len(firsts)).tolist()
    return [
        _Block(kind, first, min(size, total - first), int(s), config)
        for first, s in zip(firsts, seeds, strict=True)
    ]


def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """Judge many agents; settings ``no_edge``, ``edge``, ``thin`` and ``searched`` are their numbers.

    Returns:
        ``false_deploy`` and ``true_deploy`` rates, by kind too, with their numbers.
    """
    options.overrides("no_edge", "edge", "thin", "searched", "workers")
    quick = options.quick
    config = SWTConfig.model_validate({"validation": {"permutations": 199 if quick else 1000}})
    without = int(options.number("no_edge", 60 if quick else 1000))
    with_edge = int(options.number("edge", 40 if quick else 500))
    thin = int(options.number("thin", 14 if quick else 140))
    searched = int(options.number("searched", 5 if quick else 50))
    workers = int(options.number("workers", 2))
    blocks = [
        *_blocks("truth", len(EDGES) + len(THIN_EDGES), 1, config, options.seed),
        *_blocks("without_edge", without, BLOCK, config, options.seed),
        *_blocks("with_edge", with_edge, BLOCK, config, options.seed),
        *_blocks("thin", thin, BLOCK, config, options.seed),
        *_blocks("searched", searched, SEARCHED_BLOCK, config, options.seed),
    ]
    started = time.perf_counter()
    pool = LocalPool(workers) if workers > 1 else SerialPool()
    try:
        results = list(zip(blocks, pool.map(_play_block, blocks), strict=True))
    finally:
        pool.close()
    result = _summary(results)
    result["seconds"] = time.perf_counter() - started
    return result


def _summary(results: Sequence[tuple[_Block, list[_Found]]]) -> dict[str, BenchmarkValue]:
    def of(kind: str) -> list[_Found]:
        return [found for block, group in results if block.kind == kind for found in group]

    without, judged, thin = of("without_edge"), of("with_edge"), of("thin")
    truth = {found.name: found for found in of("truth")}
    deserving = [f for f in judged if (truth[f.name].car25 or 0.0) >= DEPLOYABLE_CAR25]
    result: dict[str, BenchmarkValue] = {
        "false_deploy": _share(without),
        "true_deploy": _share(deserving),
        "thin_deploy": _share(thin),
        "false_deploy_searched": _share(of("searched")),
        "agents_without_edge": len(without),
        "agents_without_edge_deployed": sum(found.deployed for found in without),
        "agents_with_edge": len(judged),
        "agents_with_true_car25_above_30_percent": len(deserving),
        "agents_thin": len(thin),
        "agents_searched": len(of("searched")),
    }
    for kind, count in Counter(found.name for found in without).items():
        result[f"false_deploy_{kind}"] = _share([f for f in without if f.name == kind])
        result[f"agents_{kind}"] = count
    for name, true in truth.items():
        result[f"true_car25_{name}"] = true.car25
        result[f"true_profit_factor_{name}"] = true.profit_factor
        result[f"deploy_{name}"] = _share([f for f in (*judged, *thin) if f.name == name])
    return result


def _share(group: Sequence[_Found]) -> float | None:
    return float(np.mean([found.deployed for found in group])) if group else None
