"""``SWT/Forex-v0`` as a batch for stable-baselines3: the same episodes, many at once.

Stepping separate Gymnasium environments costs a peer most of its time in Python; here the batch
simulation that is under the Gymnasium environment steps all of them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import VecEnv

from benchmarks.heldout import legalised
from swt_core.position import ACTIONS
from swt_environments.market import Market
from swt_environments.simulation import BatchSimulation

Int64 = NDArray[np.int64]


class BatchForexEnv(VecEnv):  # type: ignore[misc]
    """Episodes in lock-step, random starts, dense reward in pips.

    Args:
        market: where to trade.
        starts: ``[k]`` rows at which a session may start.
        session_bars: decisions per session.
        envs: episodes at once.
        rng: draws the starts.
    """

    render_mode: str | None = None

    def __init__(
        self, market: Market, starts: Int64, session_bars: int, envs: int, rng: np.random.Generator
    ) -> None:
        size = market.processor.observation_size
        observations = gymnasium.spaces.Box(-np.inf, np.inf, (size,), np.float32)
        super().__init__(envs, observations, gymnasium.spaces.Discrete(ACTIONS))
        self.market, self.starts, self.session_bars = market, starts, session_bars
        self._rng = rng
        self._actions = np.zeros(envs, np.int64)
        self._simulation = self._begin()

    def reset(self) -> NDArray[np.float32]:
        self._simulation = self._begin()
        return self._simulation.observe()

    def step_async(self, actions: Int64) -> None:
        self._actions = np.asarray(actions, np.int64)

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.bool_], list[dict[str, Any]]]:
        simulation = self._simulation
        rewards = simulation.step(legalised(self._actions, simulation)).astype(np.float32)
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        observations = simulation.observe()
        done = ~simulation.active
        if done.all():  # lock-step: all sessions end together
            infos = [{"terminal_observation": row, "TimeLimit.truncated": True} for row in observations]
            self._simulation = self._begin()
            observations = self._simulation.observe()
        return observations, rewards, done, infos

    def close(self) -> None:
        pass

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        return [getattr(self, attr_name)] * len(self._chosen(indices))

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        raise NotImplementedError(f"{attr_name} of a batch cannot be set")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        raise NotImplementedError(f"a batch has no {method_name}")

    def env_is_wrapped(self, wrapper_class: Any, indices: Any = None) -> list[bool]:
        del wrapper_class
        return [False] * len(self._chosen(indices))

    def _chosen(self, indices: Any) -> Sequence[int]:
        if indices is None:
            return range(self.num_envs)
        return list(indices) if isinstance(indices, Iterable) else [int(indices)]

    def _begin(self) -> BatchSimulation:
        rows = self._rng.choice(self.starts, self.num_envs).astype(np.int64)
        return BatchSimulation(self.market, rows, rows + self.session_bars - 1)
