"""The worker pool: results in order, dead and hung workers replaced, one thread each."""

from __future__ import annotations

import gc
import math
import os
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import psutil
import pytest

from swt_core.local_pool import LocalPool
from swt_core.pool import PoolCounts, SerialPool, WorkerError, WorkerPool, default_workers
from swt_core.shared_arrays import FileArrays, SharedArrays, sweep


def square(x: int) -> int:
    return x * x


def process_id(_: int) -> int:
    return os.getpid()


def threads(_: int) -> tuple[str | None, int]:
    import numba

    return os.environ.get("OPENBLAS_NUM_THREADS"), numba.config.NUMBA_NUM_THREADS


def fail_on_three(x: int) -> int:
    if x == 3:
        raise ValueError("three is not allowed")
    return x


def die_once(marker: Path) -> str:
    if not marker.exists():
        marker.write_text("died")
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def die(_: int) -> None:
    os._exit(3)


def hang_once(marker: Path) -> str:
    if not marker.exists():
        marker.write_text("hung")
        threading.Event().wait()
    return "survived"


def freeze_once(marker: Path) -> str:
    if not marker.exists():
        marker.write_text("frozen")
        os.kill(os.getpid(), signal.SIGSTOP)
    return "survived"


def first_waits_for_second(task: tuple[int, Path]) -> int:
    number, marker = task
    if number == 0:
        while not marker.exists():
            threading.Event().wait(0.01)
    else:
        marker.write_text("")
    return number


GREETING: list[str] = []


def greet(name: str, number: int) -> None:
    GREETING.append(f"{name} {number >= 0}")


def greeting(_: int) -> list[str]:
    return GREETING


def refuse(_number: int) -> None:
    raise RuntimeError("no initializer today")


@pytest.fixture(scope="module")
def pool() -> Iterator[LocalPool]:
    with LocalPool(2, heartbeat_s=0.1) as pool:
        yield pool


def test_results_come_in_the_order_of_the_tasks(pool: LocalPool) -> None:
    assert list(pool.map(square, range(20))) == [x * x for x in range(20)]
    assert list(pool.map(square, [])) == []


def test_results_may_come_as_they_are_ready(pool: LocalPool, tmp_path: Path) -> None:
    tasks = [(0, tmp_path / "go"), (1, tmp_path / "go")]
    assert sorted(pool.map(first_waits_for_second, tasks, ordered=False)) == [0, 1]
    assert sorted(pool.map(square, range(7), ordered=False)) == [0, 1, 4, 9, 16, 25, 36]


def test_an_early_result_waits_for_its_turn(pool: LocalPool, tmp_path: Path) -> None:
    assert list(pool.map(first_waits_for_second, [(0, tmp_path / "go"), (1, tmp_path / "go")])) == [0, 1]


def test_work_happens_in_other_processes(pool: LocalPool) -> None:
    pids = set(pool.map(process_id, range(8)))
    assert os.getpid() not in pids
    assert len(pids) <= pool.workers == 2


def test_a_worker_computes_with_one_thread_and_the_parent_keeps_its_own(pool: LocalPool) -> None:
    assert "NUMBA_NUM_THREADS" not in os.environ
    assert next(pool.map(threads, [0])) == ("1", 1)


def test_an_exception_comes_back_with_its_traceback_and_the_pool_lives_on(pool: LocalPool) -> None:
    with pytest.raises(WorkerError, match="three is not allowed"):
        list(pool.map(fail_on_three, range(6)))
    assert list(pool.map(square, range(6))) == [0, 1, 4, 9, 16, 25]


def test_results_of_an_abandoned_run_do_not_leak_into_the_next(pool: LocalPool) -> None:
    for result in pool.map(square, range(100)):
        if result > 0:
            break
    assert list(pool.map(fail_on_three, [10, 11, 12])) == [10, 11, 12]


def test_a_dead_worker_is_replaced_and_its_task_done_by_another(pool: LocalPool, tmp_path: Path) -> None:
    before = pool.counts
    tasks = [tmp_path / "a", tmp_path / "b"]
    assert list(pool.map(die_once, tasks)) == ["survived"] * 2
    assert pool.counts == replace(
        before, done=before.done + 2, dead=before.dead + 2, retried=before.retried + 2
    )
    assert pool.workers == 2


def test_a_worker_killed_while_idle_is_replaced(pool: LocalPool) -> None:
    victim = next(pool.map(process_id, [0]))
    os.kill(victim, signal.SIGKILL)
    assert list(pool.map(square, range(4))) == [0, 1, 4, 9]


def test_a_task_that_kills_every_worker_is_given_up(pool: LocalPool) -> None:
    with pytest.raises(WorkerError, match="task 0 was given up after 2 workers: the last one died"):
        list(pool.map(die, [0]))
    assert list(pool.map(square, [3])) == [9]


def test_a_hung_task_is_given_to_another_worker(tmp_path: Path) -> None:
    # A new worker's first task imports this module too: on a starved machine that takes seconds.
    with LocalPool(1, heartbeat_s=0.05, task_timeout_s=4.0, attempts=20) as pool:
        list(pool.map(square, [1]))
        assert list(pool.map(hang_once, [tmp_path / "x"])) == ["survived"]
        assert pool.counts.hung == pool.counts.replaced >= 1


def test_a_frozen_worker_is_noticed_by_its_silence(tmp_path: Path) -> None:
    with LocalPool(1, heartbeat_s=0.05, silence_s=1.0, attempts=20) as pool:
        list(pool.map(square, [1]))
        assert list(pool.map(freeze_once, [tmp_path / "x"])) == ["survived"]
        assert pool.counts.silent == pool.counts.replaced >= 1


def freeze_in_mid_sentence(marker: Path) -> str:
    """Its first worker says how long its next message is, and stops."""
    if not marker.exists():
        marker.write_text("frozen")
        pipe = next(o for o in gc.get_objects() if isinstance(o, Connection) and not o.closed)
        os.write(pipe.fileno(), struct.pack("!i", 1000))
        os.kill(os.getpid(), signal.SIGSTOP)
    return "survived"


def test_a_worker_that_freezes_in_mid_sentence_is_not_waited_for(tmp_path: Path) -> None:
    with LocalPool(2, silence_s=4.0, attempts=2) as pool:
        list(pool.map(square, [1, 2]))
        assert list(pool.map(freeze_in_mid_sentence, [tmp_path / "x"])) == ["survived"]
        # The other one, to whom nobody could listen meanwhile, is none the worse for it.
        assert pool.counts == PoolCounts(done=3, retried=1, dead=1)


def test_who_waits_for_a_pool_that_is_closed_learns_of_it(tmp_path: Path) -> None:
    pool = LocalPool(1, heartbeat_s=0.05)
    marker, failures = tmp_path / "begun", []

    def wait_for_ever() -> None:
        try:
            list(pool.map(hang_once, [marker]))
        except WorkerError as error:
            failures.append(error)

    waiting = threading.Thread(target=wait_for_ever)
    waiting.start()
    pause = threading.Event()
    while not marker.exists():
        pause.wait(0.01)
    pool.close()
    waiting.join(timeout=30)
    assert not waiting.is_alive()
    assert len(failures) == 1


def poisoned_once(marker: Path) -> str:
    """Its first worker raises at everything; the next is sound."""
    if not marker.exists():
        marker.write_text(str(os.getpid()))
    if marker.read_text() == str(os.getpid()):
        raise FloatingPointError("this worker is poisoned")
    return "sound"


def nan_once(marker: Path) -> float:
    if not marker.exists():
        marker.write_text("nan")
        return math.nan
    return 1.0


def test_a_worker_that_raises_is_replaced_and_counted(tmp_path: Path) -> None:
    with LocalPool(1, heartbeat_s=0.1) as pool:
        assert list(pool.map(poisoned_once, [tmp_path / "x"] * 3)) == ["sound"] * 3
        assert pool.counts == PoolCounts(done=3, retried=1, poisoned=1)


def test_a_worker_whose_result_is_refused_is_replaced_and_counted(tmp_path: Path) -> None:
    with LocalPool(1, heartbeat_s=0.1) as pool:
        assert list(pool.map(nan_once, [tmp_path / "x"], accept=math.isfinite)) == [1.0]
        assert pool.counts == PoolCounts(done=1, retried=1, poisoned=1)


def test_a_task_whose_every_result_is_refused_is_given_up(pool: LocalPool) -> None:
    with pytest.raises(WorkerError, match="given up after 2 workers: the last one gave a result"):
        list(pool.map(square, [2], accept=lambda result: False))
    with pytest.raises(WorkerError, match="the result of task 0 was refused"):
        list(SerialPool().map(square, [2], accept=lambda result: False))


def load_sum(shared: SharedArrays) -> float:
    return float(sum(value.sum() for value in shared.load().values()))


def test_what_was_shared_is_read_by_every_worker_and_forgotten_with_the_pool(pool: LocalPool) -> None:
    arrays = {"a": np.arange(4, dtype=np.float32), "b": np.ones((2, 3), np.float32)}
    assert list(pool.map(load_sum, [pool.share(arrays)] * 3)) == [12.0] * 3
    with LocalPool(1, at_once=False) as other:
        shared = other.share(arrays)
        assert isinstance(shared, FileArrays)
        assert shared.path.exists()
    assert not shared.path.parent.exists()
    assert load_sum(SerialPool().share(arrays)) == 12.0


def test_a_pool_may_wait_with_its_workers_until_there_is_something_to_do() -> None:
    with LocalPool(2, at_once=False) as pool:
        assert pool.workers == 2
        assert pool._team == []
        assert list(pool.map(square, [3])) == [9]
        assert len(pool._team) == 2


@pytest.mark.parametrize("frozen", [False, True], ids=["at work", "frozen"])
def test_workers_do_not_outlive_a_killed_parent(frozen: bool, tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import threading\n"
        "from swt_core.local_pool import LocalPool\n"
        "if __name__ == '__main__':\n"
        "    pool = LocalPool(2)\n"
        "    list(pool.map(abs, [1, 2, 3]))\n"
        "    pool.share({})\n"
        "    print(*[w.process.pid for w in pool._team], pool._files.path, flush=True)\n"
        "    threading.Event().wait()\n"
    )
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    first, second, left = parent.stdout.readline().split()
    workers = [psutil.Process(int(first)), psutil.Process(int(second))]
    if frozen:
        for worker in workers:
            worker.suspend()
    parent.kill()
    parent.wait()
    parent.stdout.close()
    _, alive = psutil.wait_procs(workers, timeout=30)
    assert not alive
    assert Path(left).is_dir()  # nobody could tidy up
    assert Path(left) in sweep(Path(left).parent)
    assert not Path(left).exists()


def test_an_initializer_prepares_each_worker() -> None:
    with LocalPool(1, initializer=partial(greet, "hello")) as pool:
        assert next(pool.map(greeting, [0])) == ["hello True"]


def test_a_failing_initializer_is_told_with_the_first_task() -> None:
    with LocalPool(1, initializer=refuse) as pool, pytest.raises(WorkerError, match="no initializer today"):
        list(pool.map(square, [1]))


def test_a_closed_pool_has_no_processes_and_takes_no_tasks() -> None:
    pool = LocalPool(1)
    worker = next(pool.map(process_id, [0]))
    pool.close()
    pool.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    with pytest.raises(WorkerError, match="closed"):
        pool.map(square, [1])


def test_a_pool_without_workers_makes_no_sense() -> None:
    with pytest.raises(ValueError, match="at least one"):
        LocalPool(0)
    with pytest.raises(ValueError, match="at least one"):
        LocalPool(1, attempts=0)


def test_the_serial_pool_is_the_same_interface_in_this_process() -> None:
    pool: WorkerPool = SerialPool()
    assert list(pool.map(square, range(3))) == [0, 1, 4]
    assert next(pool.map(process_id, [0])) == os.getpid()
    assert pool.workers == 1
    pool.close()


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (8, 6), (64, 54), (None, 1)])
def test_by_default_some_cores_are_left_to_others(
    cores: int | None, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    assert default_workers() == workers
