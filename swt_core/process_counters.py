"""The counters of a managed process on disk: they outlive a restart, and a full disk does not end the run."""

from __future__ import annotations

from typing import Any, Final

from swt_core.clock import Clock
from swt_core.errors import StateError
from swt_core.limits import ProcessCounters
from swt_core.logs import get_logger
from swt_core.state import StateDirectory, no_room

COUNTERS_FILE: Final = "process.json"

_log = get_logger(__name__)


class CounterFile:
    """What a run has used up, over all its starts.

    Args:
        name: the process's name, for logs.
        state: its state directory.
        clock: injected time.
    """

    def __init__(self, name: str, state: StateDirectory, clock: Clock) -> None:
        self._name, self._state, self._clock = name, state, clock
        self._kept = ProcessCounters(schema_version=1)
        self._running_since_s: float | None = None
        self._well = True

    @property
    def current(self) -> ProcessCounters:
        """The counters, the hours of this start included."""
        if self._running_since_s is None:
            return self._kept
        running_h = (self._clock.monotonic_s() - self._running_since_s) / 3600
        return self._kept.model_copy(update={"hours": self._kept.hours + running_h})

    @property
    def well(self) -> bool:
        """Whether they could be written last time."""
        return self._well

    def begin(self) -> None:
        """Read what earlier starts counted, and count this one.

        Raises:
            StateError: the directory cannot be written for another reason than a full disk, or the file is
                broken.
        """
        kept = self._read() or self._kept
        self._kept = kept.model_copy(update={"starts": kept.starts + 1})
        self._running_since_s = self._clock.monotonic_s()
        try:
            self._state.write(COUNTERS_FILE, self.current)
        except StateError as error:
            # A start on a full disk goes on as a run does whose disk fills up: somebody will make room.
            if not no_room(error):
                raise
            _log.error("counters not written", process=self._name, error=str(error))
            self._well = False

    def end(self) -> None:
        """Count no more hours."""
        self._kept, self._running_since_s = self.current, None
        self.change()

    def change(self, **counters: Any) -> None:
        """Set counters; on disk before this returns, else in memory until the disk is well."""
        self._kept = self._kept.model_copy(update=counters)
        try:
            self._state.write(COUNTERS_FILE, self.current)
        except StateError as error:
            if self._well:
                _log.error("counters not written", process=self._name, error=str(error))
            self._well = False
        else:
            self._well = True

    def _read(self) -> ProcessCounters | None:
        try:
            return self._state.read(COUNTERS_FILE, ProcessCounters)
        except StateError as error:
            if isinstance(error.__cause__, OSError):
                raise
            # The one who would replace it is refused here: zero would be a fresh budget that nobody gave.
            raise StateError(
                error.message,
                remedy=f"delete {self._state.file(COUNTERS_FILE)}: a trainer takes its counters from its "
                "saved state and its checkpoints again, another daemon begins to count anew",
            ) from error
