"""Does it learn, how much, and how fast: from scratch, beside the best known rule, PPO and DQN.

Each seed has a market and a training of its own. The trainer runs as under ``swt train``; PPO and DQN
get the same range, observations, reward, wall time and cores. Afterwards all are judged, greedily, on the
same held-out sessions, and their weights along the way on some of them for the learning curve.
Settings: ``market`` (regimes), ``minutes`` (5), ``seeds`` (3), ``sessions`` (500), ``curve_sessions`` (150),
``peers`` (ppo,dqn; or none), ``ablations`` (none; or plain: also the plain algorithm), ``base`` (market that
`shuffled-future` shuffles), ``profile``, ``output`` (directory of the picture), and any ``section.key`` of
the configuration. See ``docs/benchmarks.md``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks import learning_peer
from benchmarks.heldout import HeldOut, Kind, held_out, held_out_rows
from benchmarks.learning_figures import Curve, SeedFigures, goal_pips, pooled_figures, seed_figures
from benchmarks.learning_markets import learning_config, reference
from benchmarks.learning_picture import save_curves
from benchmarks.learning_run import BEST_FILE, RUN_FILE, SNAPSHOTS, RunRecord
from benchmarks.registry import BenchmarkOptions, BenchmarkValue, Scalar
from benchmarks.snapshots import read_snapshots
from swt_core.config import SWTConfig
from swt_core.config.loading import load_config
from swt_core.cores import available_cores
from swt_core.errors import ConfigError, SWTError
from swt_core.local_pool import LocalPool
from swt_core.logs import get_logger
from swt_core.pool import WorkerPool
from swt_core.state import read_json
from swt_environments.dataset import load_dataset

NAME: Final = "learning"
SETTINGS: Final = (
    "market",
    "minutes",
    "seeds",
    "sessions",
    "curve_sessions",
    "peers",
    "ablations",
    "base",
    "profile",
    "output",
)
# Beyond the goal, and where there is none, every third snapshot of the first half is enough for a picture.
COARSE: Final = 3
Int64 = NDArray[np.int64]
_log = get_logger(__name__)


@dataclass(frozen=True)
class _Plan:
    market: str
    minutes: float
    seeds: tuple[int, ...]
    sessions: int
    curve_sessions: int
    peers: tuple[str, ...]
    plain: bool
    base: str
    profile: str | None
    output: Path
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class _Agent:
    """A trained agent: what kind of weights it has, and where its run lies."""

    kind: Kind
    directory: Path
    record: RunRecord


def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """Train and judge; pooled figures, then those of each seed under ``seeds``."""
    plan = _plan(options)
    notes: dict[str, Scalar] = {}
    peers_missing = learning_peer.unavailable() if plan.peers else "not asked for"
    if peers_missing:
        notes["peers_note"] = peers_missing
        plan = replace(plan, peers=())
    figures: list[SeedFigures] = []
    with tempfile.TemporaryDirectory(prefix="swt-learning-") as name:
        directory = Path(name)
        _warm_up(plan, directory / "warm")
        for seed in plan.seeds:
            found, note = _seed(plan, seed, directory / str(seed))
            figures.append(found)
            if note:
                notes["plain_note"] = note
    plan.output.mkdir(parents=True, exist_ok=True)
    picture = save_curves(plan.output / f"learning_{plan.market}", plan.market, figures)
    result: dict[str, BenchmarkValue] = {
        "market": plan.market,
        "minutes": plan.minutes,
        "cores": available_cores(),
        "simulations": _simulations(plan),
        **pooled_figures(figures, 60.0 * plan.minutes),
        **notes,
        "learning_curve_png": str(picture),
    }
    result["seeds"] = [seed_figures(found, 60.0 * plan.minutes) for found in figures]
    return result


def _plan(options: BenchmarkOptions) -> _Plan:
    quick, settings = options.quick, options.settings
    peers = settings.get("peers", ",".join(learning_peer.PEERS))
    names = () if peers == "none" else tuple(peers.split(","))
    if unknown := set(names) - set(learning_peer.PEERS):
        raise ConfigError(f"no peer {min(unknown)!r}", remedy=f"use {', '.join(learning_peer.PEERS)} or none")
    ablations = settings.get("ablations", "none")
    if ablations not in ("plain", "none"):
        raise ConfigError(f"no ablation {ablations!r}", remedy="use plain or none")
    count = int(options.number("seeds", 1 if quick else 3))
    return _Plan(
        market=settings.get("market", "regimes"),
        minutes=options.number("minutes", 0.5 if quick else 5.0),
        seeds=tuple(range(options.seed, options.seed + count)),
        sessions=int(options.number("sessions", 100 if quick else 500)),
        curve_sessions=int(options.number("curve_sessions", 40 if quick else 150)),
        peers=names,
        plain=ablations == "plain",
        base=settings.get("base", "regimes"),
        profile=settings.get("profile"),
        output=Path(settings.get("output", ".")),
        overrides=tuple(options.overrides(*SETTINGS)),
    )


def _simulations(plan: _Plan) -> int:
    """Simulations of each search, as configured."""
    return load_config(None, plan.profile, {}, plan.overrides).config.trading.search.simulations


def _warm_up(plan: _Plan, directory: Path) -> None:
    """One small run, so that no measured one pays for compiling kernels."""
    directory.mkdir()
    small = ("data.market_days=60", "training.selection_sessions=10", "training.episodes_per_actor=2")
    steps = ("training.steps_per_round=1", "training.head_start_steps=1")
    overrides = (*plan.overrides, *small, *steps)
    config = learning_config("regimes", 1, 0.01, directory, overrides=overrides, profile=plan.profile)
    _train("benchmarks.learning_run", config, directory)


def _seed(plan: _Plan, seed: int, directory: Path) -> tuple[SeedFigures, str | None]:
    directory.mkdir()
    config = learning_config(
        plan.market,
        seed,
        plan.minutes,
        directory,
        base=plan.base,
        overrides=plan.overrides,
        profile=plan.profile,
    )
    ours = _Agent("search", directory / "ours", _train("benchmarks.learning_run", config, directory / "ours"))
    if ours.record.unavailable:
        raise ConfigError(ours.record.unavailable)
    agents, note = {"search": ours, "prior": replace(ours, kind="prior")}, None
    # Our run ends with a whole round, beyond the limit: a peer gets the same time, not less.
    same_time = _updated(config, maximum_minutes=ours.record.elapsed_s / 60.0)
    for peer in plan.peers:
        record = _train("benchmarks.learning_peer", same_time, directory / peer, peer)
        agents[peer] = _Agent("perceptron", directory / peer, record)
    if plan.plain:
        record = _train("benchmarks.learning_run", _updated(config, algorithm="plain"), directory / "plain")
        note = record.unavailable
        if note is None:
            agents["plain"] = _Agent("search", directory / "plain", record)
    return _judged(plan, seed, config, agents), note


def _updated(config: SWTConfig, **training: object) -> SWTConfig:
    return config.model_copy(update={"training": config.training.model_copy(update=training)})


def _judged(plan: _Plan, seed: int, config: SWTConfig, agents: Mapping[str, _Agent]) -> SeedFigures:
    """All agents on the same held-out sessions, on all cores, off every agent's clock."""
    dataset = load_dataset(config)
    rows, disjoint = held_out_rows(
        dataset.splits.test.starts, config.data.session_bars, plan.sessions, config.training.seed
    )
    yardstick, name = reference(config, plan.market, dataset, rows)
    _log.info("judging", seed=seed, sessions=len(rows), reference=name)
    pool = LocalPool(available_cores())
    try:
        results: dict[str, HeldOut] = {}
        curves: dict[str, Curve] = {}
        for key, agent in agents.items():
            snapshots = read_snapshots(agent.directory / SNAPSHOTS)
            results[key] = held_out(pool, config, agent.kind, snapshots[-1].path, rows)
            if key != "prior":
                judged = rows[: plan.curve_sessions]
                goal = None if yardstick is None else goal_pips(yardstick, len(judged))
                curves[key] = _curve(pool, config, agent, judged, goal)
        best = agents["search"].directory / BEST_FILE
        if best.exists():
            results["best"] = held_out(pool, config, "search", best, rows)
    finally:
        pool.close()
    return SeedFigures(
        seed=seed,
        reference=yardstick,
        reference_name=name,
        disjoint=disjoint,
        curve_sessions=len(rows[: plan.curve_sessions]),
        results=results,
        curves=curves,
        episodes=agents["search"].record.episodes,
        learner_sessions=agents["search"].record.learner_sessions,
        training_s=agents["search"].record.elapsed_s,
    )


def _curve(pool: WorkerPool, config: SWTConfig, agent: _Agent, rows: Int64, goal: float | None) -> Curve:
    """Every snapshot until the goal is reached, which is what is timed, and in the second half of the time.

    Between them some are enough for a picture.
    """
    snapshots = read_snapshots(agent.directory / SNAPSHOTS)
    seconds, pips = [], []
    sought = goal is not None
    for number, snapshot in enumerate(snapshots):
        late = snapshot.elapsed_s >= snapshots[-1].elapsed_s / 2.0
        if sought or late or number % COARSE == 0:
            mean = float(held_out(pool, config, agent.kind, snapshot.path, rows).pips.mean())
            sought = sought and goal is not None and mean < goal
            seconds.append(snapshot.elapsed_s)
            pips.append(mean)
    return Curve(np.array(seconds), np.array(pips))


def _train(module: str, config: SWTConfig, directory: Path, *arguments: str) -> RunRecord:
    """Run a training in a process of its own, so that none inherits another's threads or memory."""
    directory.mkdir(exist_ok=True)
    file = directory / "config.json"
    file.write_text(config.model_dump_json())
    command = [sys.executable, "-m", module, *arguments, str(file), str(directory)]
    with (directory / "log.txt").open("w") as log:
        finished = subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False)  # noqa: S603
    record = read_json(directory / RUN_FILE, RunRecord)
    if finished.returncode or record is None:
        tail = "\n".join((directory / "log.txt").read_text().splitlines()[-15:])
        raise SWTError(f"{module} {' '.join(arguments)} ended with {finished.returncode}:\n{tail}")
    return record
