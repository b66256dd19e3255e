"""Live against replay, all the time: a decision is computed again from the journal a little after it fell.

One of every `live.replay_every_decisions` is taken, between two decisions, when the trader has nothing to
do. It must come out the same from the bars, the position and the model that the journal names; what does
not is counted, noted in the audit trail, and told to a person. `swt live replay` does it for a whole day.
"""

from __future__ import annotations

import sqlite3

from pydantic import BaseModel, ConfigDict

from swt_core.clock import Clock
from swt_core.config import SWTConfig
from swt_core.errors import DataError
from swt_core.instruments import Instrument
from swt_live.journal import Journal
from swt_live.models import LoadedModel
from swt_live.ports import Alerts, Features
from swt_live.replay import differences

REPLAY_KEY = "replay_check"
DISAGREEMENT = "replay_disagreement"


class ReplayCounts(BaseModel):
    """How many decisions were computed again, and how many came out otherwise, in this journal."""

    model_config = ConfigDict(frozen=True)

    checked: int = 0
    disagreed: int = 0


class SelfCheck:
    """Recomputes journaled decisions; see the module's text."""

    def __init__(
        self,
        config: SWTConfig,
        instrument: Instrument,
        journal: Journal,
        features: Features,
        clock: Clock,
        alerts: Alerts,
        *,
        lookback: int,
    ) -> None:
        self._config = config
        self._instrument = instrument
        self._journal = journal
        self._features = features
        self._clock = clock
        self._alerts = alerts
        self._lookback = lookback
        self._due: tuple[int, LoadedModel] | None = None
        self.counts = journal.load(REPLAY_KEY, ReplayCounts) or ReplayCounts()

    def decided(self, number: int, model: LoadedModel) -> None:
        """A decision was journaled under ``number``; every so many one is put aside."""
        every = self._config.live.replay_every_decisions
        if every and number % every == 0:
            self._due = (number, model)

    def run(self) -> None:
        """Compute the decision that was put aside again."""
        if self._due is None:
            return
        (number, model), self._due = self._due, None
        known = self._journal.decision(number)
        if known is None:
            differing, bar_s = [f"decision {number} is gone"], 0
        else:
            bar_s = known.bar_time_s
            try:
                differing = differences(
                    self._journal,
                    known,
                    self._instrument,
                    self._features,
                    model.engine,
                    self._config.trading,
                    self._lookback,
                )
            except DataError as error:
                differing = [error.message]
            except sqlite3.Error:
                raise
            except Exception as error:  # noqa: BLE001 - a check of the past never stops the present
                differing = [f"{type(error).__name__}: {error}"]
        with self._journal.transaction():
            self.counts = ReplayCounts(
                checked=self.counts.checked + 1, disagreed=self.counts.disagreed + bool(differing)
            )
            self._journal.save(REPLAY_KEY, self.counts)
            if differing:
                detail = f"bar {bar_s}: {', '.join(differing)} differ"
                self._journal.audit(self._clock.time_s(), DISAGREEMENT, detail, action="reported")
                self._alerts.alert(DISAGREEMENT, detail)
