"""The rollout loop: environments × decisions. Self-play, selection and validation all run this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from swt_core.position import ACTIONS
from swt_core.rewards import RewardPreset
from swt_environments.market import Market
from swt_environments.reference import SignalRule
from swt_environments.simulation import BatchSimulation, EpisodeTrade
from swt_inference.engine import InferenceEngine

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
Int64 = NDArray[np.int64]


@dataclass(frozen=True)
class Choices:
    """Actions ``[B]`` of one step and, where a search chose them, what it saw."""

    actions: Int64
    confidence: Float64 | None = None
    visit_shares: Float32 | None = None  # [B, 4]
    root_values: Float32 | None = None


class Policy(Protocol):
    """Anything that chooses a legal action for every episode of a simulation."""

    def choose(self, simulation: BatchSimulation) -> Choices:
        """The actions of this step; those of finished episodes are ignored."""
        ...


class SearchPolicy:
    """Decides through the inference engine, greedily or exploring.

    Args:
        engine: the frozen model and its search.
        minimum_confidence: visit share below which an entry becomes HOLD.
        temperature: visit temperature; 0 is greedy.
        rng: needed with a temperature; with it, root noise is added too.
    """

    def __init__(
        self,
        engine: InferenceEngine,
        *,
        minimum_confidence: float = 0.0,
        temperature: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> None:
        self.engine = engine
        self.minimum_confidence = minimum_confidence
        self.temperature = temperature
        self.rng = rng

    def choose(self, simulation: BatchSimulation) -> Choices:
        live = np.flatnonzero(simulation.active)
        found = self.engine.decide_batch(
            simulation.observe()[live],
            simulation.masks()[live],
            noise_rng=self.rng,
            temperature=self.temperature,
            minimum_confidence=self.minimum_confidence,
        )
        batch = simulation.batch
        actions = np.zeros(batch, np.int64)
        confidence = np.zeros(batch)
        shares = np.zeros((batch, ACTIONS), np.float32)
        values = np.zeros(batch, np.float32)
        actions[live], confidence[live], values[live] = found.actions, found.confidence, found.root_values
        shares[live] = found.policy
        return Choices(actions, confidence, shares, values)


class RulePolicy:
    """A signal rule as a policy."""

    def __init__(self, rule: SignalRule) -> None:
        self.rule = rule

    def choose(self, simulation: BatchSimulation) -> Choices:
        return Choices(self.rule.actions(simulation))


class RandomPolicy:
    """Enters and leaves at random: ``rate`` is the chance of an action other than HOLD per bar."""

    def __init__(self, rate: float, rng: np.random.Generator) -> None:
        self.rate = rate
        self.rng = rng

    def choose(self, simulation: BatchSimulation) -> Choices:
        masks = simulation.masks().astype(np.float64)
        others = masks.copy()
        others[:, 0] = 0.0
        weights = others * self.rate / np.maximum(others.sum(1, keepdims=True), 1.0)
        weights[:, 0] = np.where(masks[:, 0] > 0, 1.0 - weights.sum(1), 0.0)
        weights /= weights.sum(1, keepdims=True)
        draws = self.rng.random((len(weights), 1))
        return Choices(np.minimum((weights.cumsum(1) <= draws).sum(1), ACTIONS - 1))


@dataclass(frozen=True)
class Trajectories:
    """What self-play keeps of E episodes of T decisions; positions and observations are recomputed.

    Attributes:
        first_rows: ``[E]`` first decision row.
        actions: ``[E, T]`` int8.
        visit_shares: ``[E, T, 4]`` float32, the search's policy.
        root_values: ``[E, T]`` float32, pips.
    """

    first_rows: Int64
    actions: NDArray[np.int8]
    visit_shares: Float32
    root_values: Float32


@dataclass(frozen=True)
class RolloutResult:
    """Results of E episodes.

    Attributes:
        episode_pips: ``[E]`` profit after all costs.
        trades: every closed trade, with its episode.
        action_counts: ``[4]`` decisions by action.
        mean_confidence: mean visit share of the chosen action; NaN for policies without search.
        equity_pips: per episode, the equity after each decision (realised plus open), if kept.
        trajectories: what search saw, if recorded (episodes of equal length only).
    """

    episode_pips: Float64
    trades: tuple[EpisodeTrade, ...]
    action_counts: Int64
    mean_confidence: float
    equity_pips: tuple[Float64, ...] = ()
    trajectories: Trajectories | None = None

    @property
    def trade_pips(self) -> Float64:
        """``[N]`` profit of each closed trade, pips."""
        return np.array([t.trade.pnl_pips for t in self.trades])


def play(
    policy: Policy,
    market: Market,
    first_rows: Int64,
    last_rows: Int64,
    *,
    batch: int = 64,
    reward: RewardPreset = RewardPreset.DENSE,
    keep_equity: bool = False,
    record: bool = False,
    progress: Callable[[int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> RolloutResult:
    """Play every episode, ``batch`` of them in lock-step.

    Args:
        policy: who decides.
        market: where.
        first_rows, last_rows: ``[E]`` first and last decision row of each episode.
        keep_equity: keep the equity after each decision.
        record: keep trajectories (all episodes must have one length).
        progress: called with the number of decisions since the last call.
        should_stop: asked every step; True ends the rollout early with the finished batches only.
    """
    first_rows, last_rows = np.asarray(first_rows, np.int64), np.asarray(last_rows, np.int64)
    pips: list[Float64] = []
    trades: list[EpisodeTrade] = []
    equity: list[Float64] = []
    recorded: list[Trajectories] = []
    counts = np.zeros(ACTIONS, np.int64)
    confidence_sum, decisions = 0.0, 0
    for low in range(0, len(first_rows), batch):
        chunk = slice(low, low + batch)
        simulation = BatchSimulation(market, first_rows[chunk], last_rows[chunk], reward)
        steps: list[Choices] = []
        marks: list[Float64] = []
        while simulation.active.any():
            if should_stop is not None and should_stop():
                break
            active = simulation.active.copy()
            choices = policy.choose(simulation)
            simulation.step(choices.actions)
            counts += np.bincount(choices.actions[active], minlength=ACTIONS)
            decisions += int(active.sum())
            if choices.confidence is not None:
                confidence_sum += float(choices.confidence[active].sum())
            else:
                confidence_sum = np.nan
            if record:
                steps.append(choices)
            if keep_equity:
                marks.append(simulation.equity_pips())
            if progress is not None:
                progress(int(active.sum()))
        if simulation.active.any():
            break
        pips.append(simulation.realised_pips.copy())
        trades += [
            EpisodeTrade(low + t.episode, t.entry_row, t.exit_row, t.trade) for t in simulation.trades()
        ]
        if keep_equity:
            table = np.array(marks)
            lengths = simulation.last_rows - simulation.first_rows + 1
            equity += [table[: lengths[i], i] for i in range(simulation.batch)]
        if record:
            recorded.append(_trajectories(simulation.first_rows, steps))
    return RolloutResult(
        episode_pips=np.concatenate(pips) if pips else np.zeros(0),
        trades=tuple(trades),
        action_counts=counts,
        mean_confidence=confidence_sum / max(decisions, 1),
        equity_pips=tuple(equity),
        trajectories=_joined(recorded) if recorded else None,
    )


def _trajectories(first_rows: Int64, steps: list[Choices]) -> Trajectories:
    episodes, length = len(first_rows), len(steps)
    shares = np.zeros((episodes, length, ACTIONS), np.float32)
    values = np.zeros((episodes, length), np.float32)
    actions = np.zeros((episodes, length), np.int8)
    for t, choices in enumerate(steps):
        actions[:, t] = choices.actions
        if choices.visit_shares is not None and choices.root_values is not None:
            shares[:, t], values[:, t] = choices.visit_shares, choices.root_values
        else:
            shares[np.arange(episodes), t, choices.actions] = 1.0
    return Trajectories(first_rows.copy(), actions, shares, values)


def _joined(parts: list[Trajectories]) -> Trajectories:
    return Trajectories(
        np.concatenate([p.first_rows for p in parts]),
        np.concatenate([p.actions for p in parts]),
        np.concatenate([p.visit_shares for p in parts]),
        np.concatenate([p.root_values for p in parts]),
    )
