"""The eye on a run: rolling figures, alarms, and the way back to the last good state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from swt_core.clock import Clock
from swt_core.config.models import TrainerAlarmsConfig
from swt_core.process import ManagedProcess
from swt_core.state import StateDirectory
from swt_inference.rollout import RolloutResult
from swt_training.alarms import AlarmBoard, AlarmName, judge_alarms
from swt_training.diagnostics import NetworkProbe
from swt_training.learner import Learner, LossParts
from swt_training.recovery import Recovery
from swt_training.rolling import RollingStatistics, rolling_figures


class RunWatch:
    """One run's rolling figures, alarms and recovery.

    Attributes:
        recovery: goes back to the last good state.
        state_well: whether the resume state and the checkpoints could be written last time.
        without_weights: who could be given none to play with, for want of room.
    """

    def __init__(
        self,
        config: TrainerAlarmsConfig,
        state: StateDirectory,
        clock: Clock,
        process: ManagedProcess,
        learner: Learner,
        probe: NetworkProbe,
        rollbacks: int,
    ) -> None:
        self._config, self._process, self._learner = config, process, learner
        self._probe = probe
        self._rolling = RollingStatistics(config.window_sessions)
        self._board = AlarmBoard(state, clock)
        self.recovery = Recovery(config, learner, rollbacks)
        self._rolled_back = False
        self.state_well = True
        self.without_weights: set[str] = set()
        self._skipped = learner.skipped_steps

    def check_steps(self, losses: Sequence[LossParts]) -> None:
        """After a round's steps, before anything uses the weights.

        Raises:
            TrainingDiverged: the run cannot be kept among the finite numbers.
        """
        if self.recovery.check(losses):
            self._rolled_back = True

    def look(self, results: Sequence[RolloutResult]) -> dict[str, float]:
        """Take in a round; returns its rolling, network and alarm figures."""
        self._rolling.add(results)
        rolling = self._rolling.figures()
        network = self._probe.look(self._learner.network)
        found = judge_alarms(self._config, rolling, network)
        # Of a batch that serves several gradient steps the later ones are in no record of losses.
        skipped, self._skipped = self._learner.skipped_steps - self._skipped, self._learner.skipped_steps
        if skipped:
            found[AlarmName.NOT_FINITE] = f"{skipped} gradient steps of the last round were dropped"
        if self._rolled_back:
            found[AlarmName.ROLLED_BACK] = f"back to the last good state {self.recovery.rollbacks} times"
        if self.without_weights or not (self.state_well and self._process.disk_well):
            found[AlarmName.DISK] = (
                "resume state, checkpoint, counters or weights for actors cannot be written"
            )
        self._board.show(found)
        return {
            **rolling_figures(rolling),
            **network.as_figures(),
            **self._board.as_figures(),
            "Training/rollbacks": float(self.recovery.rollbacks),
        }

    def as_counters(self) -> dict[str, float]:
        """For the heartbeat."""
        return self._board.as_counters()

    def arrays(self) -> dict[str, NDArray[Any]]:
        """For the resume state."""
        return self._rolling.arrays()

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """The inverse of `arrays`."""
        self._rolling.restore(arrays)
