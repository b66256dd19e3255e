"""Steps that are not finite: dropped and counted by the learner; repeated, the last good state returns.

The state that returns is the one of the last resume file (or the run's start): its weights, with an
optimizer without memory, since the moments that led there may be what is wrong. Counters, schedules and
random streams go on, so the batch that broke the run is not drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from swt_core.config.models import TrainerAlarmsConfig
from swt_core.errors import SWTError
from swt_core.logs import get_logger
from swt_models.export import Weights, export_weights, load_weights
from swt_training.learner import Learner, LossParts

_log = get_logger(__name__)


class TrainingDiverged(SWTError):
    """The run leaves the finite numbers again and again, whatever state it starts from.

    A restart begins at the same saved state with the same batches: the exit code says that none cures it.
    """

    exit_code = 2


class Recovery:
    """Remembers the last good weights of one run and returns to them.

    Args:
        config: how many steps in a row, how many returns in a row.
        learner: the run's learner; its weights of now are the first good ones.
        rollbacks: how often the run has gone back before this start.
    """

    def __init__(self, config: TrainerAlarmsConfig, learner: Learner, rollbacks: int = 0) -> None:
        self._config, self._learner = config, learner
        self.rollbacks = rollbacks
        self.streak = 0
        self._in_a_row = 0
        self._progressed = True
        self._good: Weights = export_weights(learner.network)

    @property
    def well(self) -> bool:
        """Whether the last step was finite."""
        return self.streak == 0

    def keep(self, weights: Weights) -> None:
        """These weights were saved: they are the last good ones, if steps are finite."""
        if self.well and _finite(weights):
            self._good = weights
            if self._progressed:  # not the very weights that a return has just brought back
                self._in_a_row = 0

    def check(self, losses: Sequence[LossParts]) -> bool:
        """After a round's steps: go back where that is due; returns whether it was.

        Raises:
            TrainingDiverged: that has been done too often without progress.
        """
        longest = 0
        for loss in losses:
            self.streak = self.streak + 1 if loss.skipped else 0
            longest = max(longest, self.streak)
            self._progressed |= not loss.skipped
        broken = not weights_finite(self._learner.network)
        if longest < self._config.nonfinite_steps and not broken:
            return False
        why = "weights are not finite" if broken else f"{longest} steps in a row were not finite"
        if self._in_a_row >= self._config.maximum_rollbacks:
            raise TrainingDiverged(
                f"{why}, after {self._in_a_row} returns to the last good state",
                remedy="lower training.learning_rate, or training.early_rate_factor, and look at the bars",
            )
        load_weights(self._learner.network, self._good)
        self._learner.average.restart()
        self._learner.optimizer.forget()
        self.streak, self._progressed = 0, False
        self._in_a_row += 1
        self.rollbacks += 1
        _log.error("back to the last good state", why=why, rollbacks=self.rollbacks)
        return True


def weights_finite(network: torch.nn.Module) -> bool:
    """Whether every parameter and buffer is a finite number."""
    return all(bool(torch.isfinite(value).all()) for value in network.state_dict().values())


def _finite(weights: Weights) -> bool:
    return all(bool(np.isfinite(array).all()) for array in weights.values())
