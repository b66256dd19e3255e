"""The validator: watches `checkpoints/`, judges what is due, survives whatever it finds there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Protocol, Self

from swt_core.checkpoints import CheckpointRef, CheckpointStore
from swt_core.clock import Clock
from swt_core.config import SWTConfig, ValidationConfig
from swt_core.errors import SWTError
from swt_core.logs import get_logger
from swt_core.metrics import Health
from swt_core.pool import WorkerPool
from swt_core.process import ManagedProcess
from swt_core.protected import QUEUE_FILE, ValidationQueue
from swt_core.state import StateDirectory
from swt_core.verdict import VERDICT_FILE
from swt_validation.checkpoint_validation import MarketSource, Progress, Validation, validate_checkpoint
from swt_validation.ledger import read_ledger
from swt_validation.levels import LEVELS, Level
from swt_validation.metrics import ValidatorMetrics
from swt_validation.players import CheckpointPlayer, Interrupted
from swt_validation.triggers import Due, History, due, waiting

_log = get_logger(__name__)


def _ignore(_: str) -> None:
    pass


class Judge(Protocol):
    """Validates one checkpoint at one level."""

    def __call__(self, checkpoint: CheckpointRef, level: Level, progress: Progress) -> Validation:
        """Judge it, telling ``progress`` each stage; raises `SWTError` when that cannot be done."""
        ...


class Validator:
    """One look after the other at the checkpoint store.

    A checkpoint that vanished or is corrupt is noted and left alone until its hash changes; the next one
    is judged all the same.

    Args:
        store: the trainer's checkpoints, read only.
        state: the validator's own directory.
        config: validation settings.
        clock: injected time.
        judge: does the work; `judge_with` makes the real one.
        metrics: counters and gauges.
    """

    def __init__(
        self,
        store: CheckpointStore,
        state: StateDirectory,
        config: SWTConfig,
        clock: Clock,
        judge: Judge,
        metrics: ValidatorMetrics,
    ) -> None:
        self._store = store
        self._state = state
        self._config = config.validation
        self._clock = clock
        self._judge = judge
        self._metrics = metrics
        metrics.restore(state.path)
        self.on_status: Callable[[str], None] = _ignore
        self._refused: set[tuple[str, Level]] = set()
        self._last: tuple[float, int, float | None] | None = None
        self.status = "starting"

    def history(self) -> History:
        """From the ledger, so that a restart judges nothing twice.

        A trial whose verdict is not there (killed in between, or judged on other bars) was not judged.
        """
        # Comparisons by hand are trials too, but no verdicts.
        trials = [trial for trial in read_ledger(self._state.path) if trial.level in LEVELS]
        judged = {
            (trial.checkpoint_sha256, level)
            for trial in trials
            for level in LEVELS
            if trial.level == level
            and (self._state.path / trial.checkpoint_sha256 / level / VERDICT_FILE).exists()
        }
        last_s = trials[-1].created_s if trials else None
        episode, expectancy = None, None
        if self._last is not None:
            last_s = max(self._last[0], last_s or 0.0)
            episode, expectancy = self._last[1], self._last[2]
        elif trials:
            known = {ref.sha256: ref for ref in self._store.list()}
            ref = known.get(trials[-1].checkpoint_sha256)
            episode = ref.metadata.episode if ref else 0
            expectancy = ref.metadata.expectancy_pips if ref else None
        return History(judged | self._refused, last_s, episode, expectancy)

    def look(self) -> Validation | None:
        """Look once, and judge what is due; None when nothing was, or when it failed."""
        try:
            checkpoints, best = self._store.list(), self._best()
            history = self.history()
        except SWTError as error:
            self.status = f"cannot read: {error.message}"
            self._metrics.unreadable.inc()
            _log.warning("checkpoints or ledger cannot be read", error=error.message)
            return None
        queue = waiting(checkpoints, best, history, self._config)
        self._metrics.queue.set(len(queue))
        ages_s = [self._clock.time_s() - entry.checkpoint.metadata.created_s for entry in queue]
        self._metrics.queue_age_s.set(max(ages_s, default=0.0))
        chosen = due(checkpoints, best, history, self._config, self._clock.time_s())
        if chosen is None:
            self._write_queue(None, queue)
            self.status = "waiting" if not queue else "waiting for the interval between runs"
            return None
        return self._run(chosen, queue)

    def _best(self) -> CheckpointRef | None:
        try:
            return self._store.best()
        except SWTError as error:
            _log.warning("the best checkpoint cannot be read", error=error.message)
            self._metrics.unreadable.inc()
            return None

    def _run(self, chosen: Due, queue: list[Due]) -> Validation | None:
        ref = chosen.checkpoint
        self._write_queue(ref.sha256, queue)
        self._say(f"validating {ref.name} at level {chosen.level}")
        _log.info("validation starts", checkpoint=ref.name, level=chosen.level, reason=chosen.reason)
        start_s = self._clock.monotonic_s()
        self._metrics.runs.labels(chosen.level).inc()
        self._metrics.running.set(1.0)
        self._last = (self._clock.time_s(), ref.metadata.episode, ref.metadata.expectancy_pips)
        try:
            result = self._judge(ref, chosen.level, lambda stage: self._say(f"{ref.name}: {stage}"))
        except Interrupted:
            self.status = f"{ref.name}: stopped half-way"
            return None
        except SWTError as error:
            self._refused.add((ref.sha256, chosen.level))
            self._metrics.failures.inc()
            self.status = f"{ref.name} cannot be judged: {error.message}"
            _log.warning("validation failed", checkpoint=ref.name, level=chosen.level, error=error.message)
            return None
        finally:
            self._metrics.running.set(0.0)
            self._write_queue(None, [other for other in queue if other.checkpoint.sha256 != ref.sha256])
        verdict = result.verdict
        self._metrics.verdicts.labels(verdict.level, verdict.decision.value).inc()
        self._metrics.show(verdict)
        self._metrics.duration.observe(self._clock.monotonic_s() - start_s)
        self.status = f"{ref.name}: {verdict.decision.value}, score {verdict.score:.1f}"
        _log.info(
            "validation done",
            checkpoint=ref.name,
            level=verdict.level,
            decision=verdict.decision.value,
            score=round(verdict.score, 1),
        )
        return result

    def _say(self, status: str) -> None:
        self.status = status
        self.on_status(status)

    def _write_queue(self, running: str | None, queue: list[Due]) -> None:
        queued = tuple(entry.checkpoint.sha256 for entry in queue if entry.checkpoint.sha256 != running)
        self._state.write(
            QUEUE_FILE,
            ValidationQueue(schema_version=1, running=running, queued=queued, updated_s=self._clock.time_s()),
        )

    def health(self) -> Health:
        """Healthy as long as it runs: a broken checkpoint is the trainer's fault."""
        return Health(True, self.status)


def judge_with(
    load: Callable[[], MarketSource],
    config: SWTConfig,
    state: Path,
    clock: Clock,
    pool: WorkerPool,
    should_stop: Callable[[], bool],
) -> Judge:
    """The real judge; bars are loaded anew for each run, since more may have been appended."""

    def judge(checkpoint: CheckpointRef, level: Level, progress: Progress) -> Validation:
        return validate_checkpoint(
            checkpoint,
            source=load(),
            config=config,
            level=level,
            state=state,
            clock=clock,
            pool=pool,
            player=CheckpointPlayer(checkpoint, pool, should_stop),
            progress=progress,
        )

    return judge


def run(validator: Validator, process: ManagedProcess, config: ValidationConfig) -> None:
    """Look until asked to stop; the process's heartbeat says what it is doing."""
    # A run stops itself at its time limit: twice that without a word, and it hangs.
    with _Pulse(process, config.time_limit_minutes * 120.0) as pulse:
        validator.on_status = pulse.beat
        while process.should_run():
            result = validator.look()
            pulse.beat(validator.status)
            if result is None:
                process.stop_event.wait(config.poll_seconds)
    if process.limit_lasts:
        process.idle_at_limit()
    process.raise_for_restart()


class _Pulse:
    """Keeps heartbeat and limits alive from a thread: one stage of a validation may take minutes.

    Args:
        longest_s: without a word from the main loop for so long it stops beating, so that whoever watches
            the heartbeat ends what hangs.
    """

    def __init__(self, process: ManagedProcess, longest_s: float) -> None:
        self._process, self._longest_s = process, longest_s
        self._lock, self._done = Lock(), Event()
        self._silent_s = 0.0
        self._thread = Thread(target=self._keep_alive, name="heartbeat", daemon=True)

    def beat(self, status: str) -> None:
        """Say what the daemon does."""
        with self._lock:
            self._silent_s = 0.0
            self._process.beat(status)

    def _keep_alive(self) -> None:
        while not self._done.wait(self._process.heartbeat_seconds):
            with self._lock:
                self._silent_s += self._process.heartbeat_seconds
                if self._silent_s <= self._longest_s:
                    self._process.keep_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
