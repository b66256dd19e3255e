"""The model in use: looked for regularly, swapped only when flat."""

from __future__ import annotations

import math
from collections.abc import Callable

from swt_core.errors import CheckpointError
from swt_live.models import LoadedModel, ModelSource

MODEL_CHECK_S = 60.0


class ModelKeeper:
    """Holds the model that decides.

    Attributes:
        model: the model in use; None while none may trade.
        refusals: why the other checkpoints may not.
        orphaned: a position is open and no model may manage it.
    """

    def __init__(self, source: ModelSource, note: Callable[[str, str], None]) -> None:
        self._source = source
        self._note = note
        self._next_s = -math.inf
        self.model: LoadedModel | None = None
        self.refusals: tuple[str, ...] = ()
        self.orphaned = False

    @property
    def authorised_until_s(self) -> float:
        """Until when the model may open positions; −∞ without one."""
        return -math.inf if self.model is None else self.model.choice.authorised_until_s

    def refresh(self, now_s: float, *, in_position: bool) -> None:
        """Look for a newer authorised model. One that manages a position stays until it is closed."""
        if (in_position and self.model is not None) or now_s < self._next_s:
            return
        self._next_s = now_s + MODEL_CHECK_S
        self._look(now_s)
        self.orphaned = self.model is None and in_position

    def _look(self, now_s: float) -> None:
        selection = self._source.select(now_s)
        self.refusals = selection.refusals
        choice = selection.choice
        if choice is None:
            if self.model is not None:
                self._note("model_withdrawn", "; ".join(selection.refusals) or "no checkpoint")
            self.model = None
            return
        if self.model is not None and self.model.model_hash == choice.ref.sha256:
            self.model = LoadedModel(self.model.engine, choice, self.model.model_hash)
            return
        try:
            self.model = self._source.load(choice)
        except CheckpointError as error:
            self._note("model_refused", error.message)
            return
        except Exception as error:  # noqa: BLE001 - whatever a file does to its loader, duties are served
            self._note("model_refused", f"{type(error).__name__}: {error}")
            return
        self._note("model_loaded", f"{choice.ref.name} {choice.ref.sha256}")
