"""One peer's run in a process of its own: `python -m benchmarks.learning_peer NAME CONFIG.json DIRECTORY`.

PPO and DQN of stable-baselines3 (extra ``bench``) on the training range, with our observations, dense
reward, wall time and all cores. Rewards are scaled by their running variance, which both need; learning
rate and exploration follow the share of time that is left.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.learning_run import RUN_FILE, SNAPSHOTS, RunRecord
from benchmarks.snapshots import SnapshotWriter, Weights
from swt_core.clock import Clock, SystemClock
from swt_core.config import SWTConfig
from swt_core.cores import available_cores
from swt_core.errors import ConfigError
from swt_core.numba_cache import configure_numba_cache
from swt_core.state import write_json

PEERS: Final = ("ppo", "dqn")
LAYERS: Final = (256, 128)
ENVS: Final = 16
TRIAL_STEPS: Final = 7_000


def unavailable() -> str | None:
    """Why there are no peers; None when there are."""
    if find_spec("stable_baselines3") is None:
        return (
            "stable-baselines3 is not installed; in the clone: pip install -c requirements.lock -e '.[bench]'"
        )
    return None


def main(name: str, config: SWTConfig, directory: Path, clock: Clock) -> RunRecord:
    """Train a peer for ``training.maximum_minutes``; its snapshots and the record lie in the directory."""
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.vec_env import VecNormalize

    from benchmarks.peer_environment import BatchForexEnv
    from swt_environments.dataset import load_dataset

    assert config.training.maximum_minutes is not None
    limit_s = 60.0 * config.training.maximum_minutes
    dataset, seed = load_dataset(config), config.training.seed
    market, discount = dataset.market, config.trading.search.discount
    starts, session_bars = dataset.splits.train.starts, config.data.session_bars
    batch = BatchForexEnv(market, starts, session_bars, ENVS, np.random.default_rng([seed, 2]))
    threads = _fastest_threads(
        lambda: create_peer(name, VecNormalize(batch, norm_obs=False), discount, seed, lambda: 1.0), clock
    )
    environment = VecNormalize(batch, norm_obs=False, gamma=discount)
    snapshots = SnapshotWriter(directory / SNAPSHOTS)
    started_s = clock.monotonic_s()

    def elapsed_s() -> float:
        return clock.monotonic_s() - started_s

    model = create_peer(name, environment, discount, seed, lambda: 1.0 - elapsed_s() / limit_s)

    class Watch(BaseCallback):  # type: ignore[misc]
        """Ends the run with the time, and sets weights aside before each rollout."""

        def _on_rollout_start(self) -> None:
            snapshots.offer(elapsed_s(), lambda: greedy_weights(name, self.model))

        def _on_step(self) -> bool:
            return elapsed_s() < limit_s

    model.learn(total_timesteps=10**12, callback=Watch())
    last_s = elapsed_s()
    snapshots.offer(last_s, lambda: greedy_weights(name, model), force=True)
    sessions = int(model.num_timesteps) // session_bars
    record = RunRecord(elapsed_s=last_s, episodes=sessions, learner_sessions=sessions, threads=threads)
    write_json(directory / RUN_FILE, record)
    return record


def _fastest_threads(peer: Callable[[], Any], clock: Clock) -> int:
    """One thread or one a core, whichever trains faster here, before the clock starts.

    Small networks on a busy machine lose far more by waiting for a second thread than they gain.
    """
    import torch

    cores = available_cores()
    seconds: dict[int, float] = {}
    for threads in (1, 1, cores):  # the first run also compiles the kernels
        torch.set_num_threads(threads)
        model = peer()
        begun_s = clock.monotonic_s()
        model.learn(total_timesteps=TRIAL_STEPS)
        seconds[threads] = clock.monotonic_s() - begun_s
    fastest = min(seconds, key=lambda threads: seconds[threads])
    torch.set_num_threads(fastest)
    return fastest


def create_peer(
    name: str, environment: Any, discount: float, seed: int, time_left: Callable[[], float]
) -> Any:
    """A PPO or DQN of stable-baselines3.

    Args:
        time_left: share of the time that is left; schedules follow it, as there is no number of steps.

    Raises:
        ConfigError: there is no such peer.
    """
    from stable_baselines3 import DQN, PPO
    from torch import nn

    network = {"net_arch": list(LAYERS), "activation_fn": nn.ReLU}
    if name == "ppo":
        return _timed(PPO, time_left)(
            "MlpPolicy",
            environment,
            n_steps=180,
            batch_size=360,
            n_epochs=6,
            learning_rate=lambda left: 1e-4 + 9e-4 * left,
            gamma=discount,
            gae_lambda=0.8,
            ent_coef=0.01,
            policy_kwargs=network,
            seed=seed,
            device="cpu",
        )
    if name == "dqn":
        return _timed(DQN, time_left)(
            "MlpPolicy",
            environment,
            learning_rate=5e-4,
            buffer_size=200_000,
            learning_starts=5_000,
            batch_size=256,
            train_freq=4,
            gradient_steps=4,
            target_update_interval=2_000,
            gamma=discount,
            exploration_fraction=0.3,
            exploration_final_eps=0.02,
            policy_kwargs=network,
            seed=seed,
            device="cpu",
        )
    raise ConfigError(f"no peer {name!r}", remedy=f"use one of {', '.join(PEERS)}")


def _timed(algorithm: Any, time_left: Callable[[], float]) -> Any:
    """The algorithm with schedules that follow time instead of a number of steps."""

    class Timed(algorithm):  # type: ignore[misc]
        def _update_current_progress_remaining(self, num_timesteps: int, total_timesteps: int) -> None:
            del num_timesteps, total_timesteps
            self._current_progress_remaining = max(0.0, time_left())

    return Timed


def greedy_weights(name: str, model: Any) -> Weights:
    """The layers whose largest output is the greedy action, as `benchmarks.heldout.layers_of` reads them."""
    from torch import nn

    policy = model.policy
    if name == "ppo":
        layers = [*policy.mlp_extractor.policy_net, policy.action_net]
    else:
        layers = list(policy.q_net.q_net)
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    return {
        f"{i}.{part}": getattr(layer, part).detach().numpy().copy()
        for i, layer in enumerate(linear)
        for part in ("weight", "bias")
    }


if __name__ == "__main__":
    configure_numba_cache()
    main(
        sys.argv[1],
        SWTConfig.model_validate_json(Path(sys.argv[2]).read_text()),
        Path(sys.argv[3]),
        SystemClock(),
    )
