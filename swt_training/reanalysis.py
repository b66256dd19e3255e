"""Reanalysis: replayed sessions searched again with the newest weights, so that old ones teach new thoughts.

Backwards is ReZero's view: the next bar has been searched a moment ago, so its value stands in for the
subtree below the move that really came. Three limits keep the realised future out of the policy target:

1. the value stands under the realised chance code only, and search weighs codes by the model's σ;
2. the reward on that edge is the *model's* for that code. The realised one knows where within the code
   the move fell (with three codes, half of the noise), and would colour the action that was taken;
3. nothing realised reaches any other edge.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from swt_core.config import SWTConfig
from swt_core.position import SIDE
from swt_core.shared_arrays import SharedArrays
from swt_core.trading_rules import action_mask
from swt_environments.chance import chance_outcomes
from swt_environments.market import Market
from swt_inference.agents import create_search
from swt_inference.evaluator import Evaluator
from swt_inference.search.base import SearchResult
from swt_inference.search.rezero import Trajectories, reanalyse
from swt_inference.search.standard import StandardSearch
from swt_training.recorded import visited_positions
from swt_training.selfplay import actor_dataset, frozen_evaluator, search_of

Int64 = NDArray[np.int64]
Float32 = NDArray[np.float32]
Number = TypeVar("Number", bound=np.generic)


@dataclass(frozen=True)
class ReanalysisTask:
    """Sessions for one worker: numbers, first rows ``[R]`` and actions ``[R, T]``."""

    config: SWTConfig
    boundaries_s: tuple[int, int]
    bars_sha256: str
    weights: SharedArrays
    episodes: Int64
    first_rows: Int64
    actions: NDArray[np.int8]
    last_bar_s: int | None = None


@dataclass(frozen=True)
class Reanalysis:
    """New search results: policy targets ``[R, T, 4]`` and root values ``[R, T]``, pips; how many
    simulations needed no evaluation, of how many."""

    episodes: Int64
    policies: Float32
    root_values: Float32
    reused_simulations: int
    simulations: int


def is_finite(result: Reanalysis) -> bool:
    """Whether a worker's searches may be learned from."""
    return bool(np.isfinite(result.policies).all() and np.isfinite(result.root_values).all())


def reanalyse_sessions(task: ReanalysisTask) -> Reanalysis:
    """Search the task's sessions again, without noise; runs in a worker."""
    config = task.config
    market = actor_dataset(
        config.model_dump_json(), task.boundaries_s, task.bars_sha256, task.last_bar_s
    ).market
    processor = market.processor
    evaluator = frozen_evaluator(task.weights.load(), config, processor.market_size, processor.position_size)
    search = create_search(search_of(config))
    played = recorded(market, evaluator, task.first_rows, task.actions)
    if config.training.reanalyse_backwards and isinstance(search, StandardSearch):
        found = reanalyse(search, evaluator, played)
    else:
        pairs = zip(played.observations, played.masks, strict=True)
        found = [search(evaluator, observations, masks) for observations, masks in pairs]
    return Reanalysis(
        episodes=task.episodes,
        policies=_by_session([result.policy for result in found]),
        root_values=_by_session([result.root_values for result in found]),
        reused_simulations=sum(int(result.reused.sum()) for result in found),
        simulations=sum(_visits(result) for result in found),
    )


def recorded(
    market: Market, evaluator: Evaluator, first_rows: Int64, actions: NDArray[np.int8]
) -> Trajectories:
    """What was played, as the backward view reads it: rewards are the model's, `expected_rewards`."""
    sessions, steps = actions.shape
    rows = first_rows[:, None] + np.arange(steps)
    positions, _ = visited_positions(market, first_rows, actions)
    flat, every = positions.reshape(-1, positions.shape[-1]), rows.ravel()
    observed = market.processor.observe(market.market_rows(every), flat, market.bars.close_hp[every])
    masks = action_mask(flat[:, SIDE], market.may_enter[every], market.flat_required[every])
    observations = _by_time(observed.reshape(sessions, steps, -1))
    codes = _by_time(chance_outcomes(market.bars, rows, evaluator.codes))
    taken = _by_time(actions.astype(np.int64))
    return Trajectories(
        observations=observations,
        masks=_by_time(masks.reshape(sessions, steps, -1)),
        actions=taken,
        codes=codes,
        rewards=expected_rewards(evaluator, observations, taken, codes),
    )


def expected_rewards(evaluator: Evaluator, observations: Float32, actions: Int64, codes: Int64) -> Float32:
    """``[T, B]`` the model's reward of each action under each realised code, pips."""
    rewards = np.empty(actions.shape, np.float32)
    for t in range(len(actions)):
        latents = evaluator.root(observations[t]).embeddings.copy()
        afterstates = evaluator.afterstates(latents, actions[t].astype(np.int32)).embeddings.copy()
        rewards[t] = evaluator.states(afterstates, codes[t].astype(np.int32)).rewards
    return rewards


def _by_time(array: NDArray[Number]) -> NDArray[Number]:
    return np.ascontiguousarray(np.swapaxes(array, 0, 1))


def _by_session(results: list[Float32]) -> Float32:
    return np.stack(results, axis=1).astype(np.float32)


def _visits(result: SearchResult) -> int:
    return int(result.visit_counts.sum())
