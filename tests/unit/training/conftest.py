"""A training run small enough for a test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from swt_core.clock import ManualClock
from swt_core.config import (
    DataConfig,
    ModelConfig,
    ProcessLimitsConfig,
    SearchConfig,
    SWTConfig,
    TradingConfig,
    TrainingConfig,
)
from swt_core.pool import SerialPool
from swt_core.process import ManagedProcess
from swt_core.state import StateDirectory
from swt_core.workspace import Workspace
from swt_training.trainer import Trainer

TrainerFactory = Callable[..., Trainer]


@pytest.fixture
def small() -> SWTConfig:
    """Tiny networks on a tiny market: rounds of a fraction of a second."""
    return SWTConfig(
        data=DataConfig(market="regimes", market_days=30, session_bars=60),
        model=ModelConfig(hidden_dim=32, support_bins=61),
        training=TrainingConfig(
            device="cpu",  # the only one that repeats itself bit for bit
            sessions_per_step=3,
            replayed_sessions_per_step=1,
            steps_per_round=2,
            head_start_steps=0,
            early_sessions=0,
            episodes_per_actor=2,
            unroll_batch=16,
            action_value_roots=8,
            selection_sessions=10,
            checkpoint_minimum_seconds=0.0,
            checkpoint_every_episodes=4,
            replay_capacity_steps=60 * 6,
        ),
        trading=TradingConfig(search=SearchConfig(simulations=3)),
    )


@pytest.fixture
def trainer_of() -> Iterator[TrainerFactory]:
    """Makes a trainer in a workspace that stops after a number of episodes; its threads end with the test."""
    made = ExitStack()

    def make(config: SWTConfig, root: Path, episodes: int, clock: ManualClock | None = None) -> Trainer:
        workspace = Workspace(root)
        limits = ProcessLimitsConfig(maximum_episodes=episodes)
        clock = clock or ManualClock(1_700_000_000.0)
        process = ManagedProcess("trainer", limits, StateDirectory(workspace.training_state), clock)
        made.enter_context(process)
        trainer = Trainer(
            config,
            workspace,
            clock,
            process,
            actors=SerialPool(),
            selector=SerialPool(),
            registry=CollectorRegistry(),
        )
        made.callback(trainer.metrics.close)
        return trainer

    with made:
        yield make
