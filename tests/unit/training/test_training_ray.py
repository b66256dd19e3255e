"""Training on a Ray cluster: the same sessions and weights as here, and as if no node had died."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from swt_core.clock import ManualClock
from swt_core.config import ProcessLimitsConfig, SWTConfig
from swt_core.local_pool import LocalPool
from swt_core.pool import SerialPool, WorkerPool
from swt_core.process import ManagedProcess
from swt_core.ray_pool import RayPool
from swt_core.state import StateDirectory
from swt_core.workspace import Workspace
from swt_models.export import export_weights
from swt_training.trainer import Trainer

ray = pytest.importorskip("ray", reason="Ray is not installed: make test-ray")
pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]


@pytest.fixture
def cluster() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    cluster.second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    cluster.wait_for_nodes()
    yield cluster
    ray.shutdown()
    cluster.shutdown()


def trained(config: SWTConfig, root: Path, actors: WorkerPool, episodes: int) -> Trainer:
    workspace, clock = Workspace(root), ManualClock(1_700_000_000.0)
    limits = ProcessLimitsConfig(maximum_episodes=episodes)
    process = ManagedProcess("trainer", limits, StateDirectory(workspace.training_state), clock)
    with process:
        trainer = Trainer(
            config,
            workspace,
            clock,
            process,
            actors=actors,
            selector=SerialPool(),
            registry=CollectorRegistry(),
        )
        trainer.run()
    return trainer


def assert_same(one: Trainer, other: Trainer) -> None:
    assert one.counters == other.counters
    for name, array in export_weights(one.network).items():
        np.testing.assert_array_equal(array, export_weights(other.network)[name], err_msg=name)
    ours, theirs = one.replay.arrays(), other.replay.arrays()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


def test_one_actor_of_either_kind_leads_to_the_same_weights_and_replay(
    small: SWTConfig, tmp_path: Path
) -> None:
    config = small.model_copy(update={"training": small.training.model_copy(update={"actors": 1})})
    here = trained(config, tmp_path / "here", LocalPool(1), 12)
    there = trained(config, tmp_path / "there", RayPool(1), 12)
    assert here.counters.episodes == 12
    assert_same(here, there)


def test_a_node_killed_in_mid_run_changes_nothing_that_is_learned(
    small: SWTConfig, tmp_path: Path, cluster: Any
) -> None:
    training = small.training.model_copy(update={"actors": 4, "checkpoint_every_episodes": 1_000})
    config = small.model_copy(update={"training": training})
    undisturbed = trained(config, tmp_path / "undisturbed", SerialPool(), 160)
    pool = RayPool(2, heartbeat_s=0.1)
    with ThreadPoolExecutor(1) as thread:
        running = thread.submit(trained, config, tmp_path / "disturbed", pool, 160)
        while pool.counts.done < 8:
            assert not running.done(), running.exception()
            threading.Event().wait(0.02)
        cluster.remove_node(cluster.second, allow_graceful=False)
        disturbed = running.result()
    assert pool.counts.dead == 1
    assert disturbed.counters.episodes == 160
    assert_same(undisturbed, disturbed)
