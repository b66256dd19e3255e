"""The worker pool on a Ray cluster of this machine: the same results, whatever happens to its nodes."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swt_core.errors import ConfigError
from swt_core.pool import PoolCounts, WorkerError
from swt_core.ray_pool import RayPool
from swt_core.shared_arrays import SharedArrays

ray = pytest.importorskip("ray", reason="Ray is not installed: make test-ray")
# Ray's workers cannot import a test module.
ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = [pytest.mark.ray, pytest.mark.timeout(300)]


def square(x: int) -> int:
    return x * x


def threads(_: int) -> tuple[str | None, str | None]:
    return os.environ.get("OPENBLAS_NUM_THREADS"), os.environ.get("NUMBA_NUM_THREADS")


def first_waits_for_second(task: tuple[int, Path]) -> int:
    number, marker = task
    if number == 0:
        while not marker.exists():
            threading.Event().wait(0.01)
    else:
        marker.write_text("")
    return number


def fail_on_three(x: int) -> int:
    if x == 3:
        raise ValueError("three is not allowed")
    return x


def once(marker: Path, what: str) -> str:
    """Something terrible, the first time it is called."""
    if not marker.exists():
        marker.write_text(what)
        if what == "hang":
            threading.Event().wait()
        os.kill(os.getpid(), signal.SIGSTOP if what == "freeze" else signal.SIGKILL)
    return "survived"


def terrible(task: tuple[Path, str]) -> str:
    return once(*task)


def nan_once(marker: Path) -> float:
    if not marker.exists():
        marker.write_text("nan")
        return math.nan
    return 1.0


def load_sum(shared: SharedArrays) -> float:
    return float(sum(value.sum() for value in shared.load().values()))


def wait_for_ever(marker: Path) -> None:
    marker.write_text("")
    threading.Event().wait()


def wait_on_node(task: tuple[int, Path]) -> int:
    """Says on which node it runs, then waits for the word to go on."""
    number, directory = task
    node = ray.get_runtime_context().get_node_id()
    (directory / f"{node}-{number}").touch()
    while not (directory / "go").exists():
        threading.Event().wait(0.01)
    return number * number


@pytest.fixture(scope="module")
def one_node() -> Iterator[None]:
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield
    ray.shutdown()


@pytest.fixture
def two_nodes() -> Iterator[Any]:
    from ray.cluster_utils import Cluster

    ray.shutdown()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    second = cluster.add_node(num_cpus=1)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
    cluster.wait_for_nodes()
    yield cluster, second
    ray.shutdown()
    cluster.shutdown()


def test_a_killed_node_loses_nothing_but_what_ran_on_it(two_nodes: Any, tmp_path: Path) -> None:
    cluster, second = two_nodes
    tasks = [(number, tmp_path) for number in range(6)]
    with RayPool(2, heartbeat_s=0.2) as pool, ThreadPoolExecutor(1) as thread:
        running = thread.submit(lambda: list(pool.map(wait_on_node, tasks)))
        while len(list(tmp_path.iterdir())) < 2:
            assert not running.done(), running.exception()
            threading.Event().wait(0.05)
        nodes = {path.name.split("-")[0] for path in tmp_path.iterdir()}
        assert len(nodes) == 2  # one worker on each
        cluster.remove_node(second, allow_graceful=False)
        while not pool.counts.dead:
            assert not running.done(), running.exception()
            threading.Event().wait(0.05)
        (tmp_path / "go").touch()
        assert running.result(timeout=120) == [0, 1, 4, 9, 16, 25]
        assert pool.counts == PoolCounts(done=6, retried=1, dead=1)
        assert list(pool.map(square, range(4))) == [0, 1, 4, 9]


def test_results_come_in_the_order_of_the_tasks_or_as_they_are_ready(one_node: None, tmp_path: Path) -> None:
    with RayPool(2, heartbeat_s=0.2) as pool:
        assert list(pool.map(square, range(20))) == [x * x for x in range(20)]
        tasks = [(0, tmp_path / "go"), (1, tmp_path / "go")]
        assert list(pool.map(first_waits_for_second, tasks)) == [0, 1]
        assert sorted(pool.map(square, range(7), ordered=False)) == [0, 1, 4, 9, 16, 25, 36]
        assert list(pool.map(square, [])) == []
        assert list(pool.map(threads, [0])) == [("1", "1")]
        arrays = {"a": np.arange(4, dtype=np.float32), "b": np.ones((2, 3), np.float32)}
        assert list(pool.map(load_sum, [pool.share(arrays)] * 3)) == [12.0] * 3
        assert pool.counts == PoolCounts(done=33)
    with pytest.raises(WorkerError, match="closed"):
        pool.map(square, [1])


def test_a_task_that_fails_with_several_workers_is_given_up_and_the_pool_lives_on(one_node: None) -> None:
    with RayPool(1, heartbeat_s=0.2, attempts=2) as pool:
        with pytest.raises(WorkerError, match="three is not allowed"):
            list(pool.map(fail_on_three, range(6)))
        assert list(pool.map(square, range(4))) == [0, 1, 4, 9]
        assert pool.counts.poisoned == 2


@pytest.mark.parametrize(("what", "fault"), [("kill", "dead"), ("freeze", "silent"), ("hang", "hung")])
def test_a_lost_worker_is_replaced_and_counted(what: str, fault: str, one_node: None, tmp_path: Path) -> None:
    with RayPool(1, heartbeat_s=0.1, silence_s=2.0, task_timeout_s=10.0, attempts=3) as pool:
        assert list(pool.map(square, [1])) == [1]
        assert list(pool.map(terrible, [(tmp_path / "x", what)])) == ["survived"]
        assert getattr(pool.counts, fault) == pool.counts.replaced == pool.counts.retried == 1


def test_a_worker_whose_result_is_refused_is_replaced_and_counted(one_node: None, tmp_path: Path) -> None:
    with RayPool(1, heartbeat_s=0.2) as pool:
        assert list(pool.map(nan_once, [tmp_path / "x"], accept=math.isfinite)) == [1.0]
        assert pool.counts == PoolCounts(done=1, retried=1, poisoned=1)


def test_results_of_an_abandoned_run_do_not_leak_into_the_next(one_node: None) -> None:
    with RayPool(1, heartbeat_s=0.2) as pool:
        for result in pool.map(square, range(20)):
            if result > 0:
                break
        assert list(pool.map(fail_on_three, [10, 11, 12])) == [10, 11, 12]


def test_a_cluster_without_room_is_an_error(one_node: None) -> None:
    with RayPool(2, heartbeat_s=0.2) as full:
        assert list(full.map(square, range(2))) == [0, 1]
        with RayPool(1, heartbeat_s=0.2, start_s=1.0) as pool, pytest.raises(WorkerError, match="no worker"):
            list(pool.map(square, [1]))


def test_a_pool_of_its_own_leaves_signals_alone_and_ends_its_cluster() -> None:
    ray.shutdown()
    before = signal.getsignal(signal.SIGTERM)
    with RayPool(1, heartbeat_s=0.2) as pool:
        assert signal.getsignal(signal.SIGTERM) is before
        assert list(pool.map(square, [2])) == [4]
        pool.close()
    assert not ray.is_initialized()


def test_a_cluster_that_does_not_answer_is_named() -> None:
    ray.shutdown()
    with pytest.raises(ConfigError, match=r"the Ray cluster at 127\.0\.0\.1:1 does not answer"):
        RayPool(1, address="127.0.0.1:1")


def test_who_waits_for_a_ray_pool_that_is_closed_learns_of_it(one_node: None, tmp_path: Path) -> None:
    pool = RayPool(1, heartbeat_s=0.05)
    marker, failures = tmp_path / "begun", []

    def work() -> None:
        try:
            list(pool.map(wait_for_ever, [marker]))
        except WorkerError as error:
            failures.append(str(error))

    waiting = threading.Thread(target=work)
    waiting.start()
    while not marker.exists():
        threading.Event().wait(0.01)
    pool.close()
    waiting.join(timeout=30)
    assert not waiting.is_alive()
    assert failures == ["the pool was closed while it worked"]
