"""Which checkpoint may trade: the newest one with a verdict that authorises it, and no other.

Without such a verdict nothing trades, except that ``allow_unvalidated`` lets the best checkpoint trade on
the embedded server or a practice account. Real money never trades unvalidated, nor on synthetic data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from swt_core.checkpoints import CheckpointRef, CheckpointStore, require_compatible
from swt_core.config import SWTConfig
from swt_core.errors import CheckpointError, ConfigError, StateError
from swt_core.state import read_json
from swt_core.verdict import Verdict, judged_config_hash, verdict_path
from swt_live.ports import Engine


@dataclass(frozen=True)
class ModelChoice:
    """A checkpoint that may trade, and on whose word."""

    ref: CheckpointRef
    verdict: Verdict | None
    authorised_until_s: float


@dataclass(frozen=True)
class Selection:
    """The choice, if any, and why every other candidate was refused."""

    choice: ModelChoice | None
    refusals: tuple[str, ...]


@dataclass(frozen=True)
class LoadedModel:
    """A model ready to decide."""

    engine: Engine
    choice: ModelChoice
    model_hash: str


class Candidates(Protocol):
    """Where the shadow gets its model from."""

    def candidate(self, sha256: str | None = None) -> tuple[ModelChoice | None, str]: ...

    def load(self, choice: ModelChoice) -> LoadedModel: ...


class ModelSource:
    """Looks at ``checkpoints/`` and ``validation_state/``; loads what may trade.

    Raises:
        ConfigError: unvalidated trading is asked for on a real-money account.
    """

    def __init__(
        self,
        config: SWTConfig,
        store: CheckpointStore,
        validation_state: Path,
        feature_version: str,
        load_engine: Callable[[CheckpointRef], Engine],
    ) -> None:
        self._config = config
        self._store = store
        self._validation_state = validation_state
        self._feature_version = feature_version
        self._load_engine = load_engine
        self._config_hash = judged_config_hash(config)
        self._real_money = config.live.environment == "live"
        if self._real_money and config.live.allow_unvalidated:
            raise ConfigError(
                "live.allow_unvalidated does not go with real money",
                remedy="validate the model, or trade on a practice account",
            )

    def select(self, now_s: float) -> Selection:
        """The checkpoint whose authorising verdict is the newest; else the best, where that is allowed."""
        authorised: list[ModelChoice] = []
        refusals: list[str] = []
        refs = self._refs(refusals)
        for ref in refs:
            try:
                verdict = read_json(verdict_path(self._validation_state, ref.sha256), Verdict)
            except StateError as error:
                refusals.append(f"{ref.name}: {error.message}")
                continue
            if verdict is None:
                refusals.append(f"{ref.name}: no verdict yet")
                continue
            why = verdict.refusals(
                checkpoint_sha256=ref.sha256,
                config_hash=self._config_hash,
                now_s=now_s,
                real_money=self._real_money,
            )
            why += self._incompatibility(ref)
            if self._real_money and ref.metadata.data.synthetic:
                why += ("it was trained on synthetic data, which never trades real money",)
            if why:
                refusals.append(f"{ref.name}: {'; '.join(why)}")
            else:
                authorised.append(ModelChoice(ref, verdict, verdict.expires_s))
        if authorised:
            newest = max(authorised, key=lambda choice: choice.verdict.created_s if choice.verdict else 0.0)
            return Selection(newest, tuple(refusals))
        return Selection(self._unvalidated(refs, refusals), tuple(refusals))

    def candidate(self, sha256: str | None = None) -> tuple[ModelChoice | None, str]:
        """What trades on paper: ``sha256``, else what ``live.shadow_checkpoint`` names; and why none does.

        It needs no verdict and authorises nothing: no order can come of it.
        """
        wanted, refusals = sha256 or self._config.live.shadow_checkpoint, list[str]()
        refs = self._refs(refusals)
        try:
            best = self._store.best() if wanted == "best" else None
        except CheckpointError as error:
            return None, error.message
        found = {
            "best": [] if best is None else [best],
            "newest": refs[-1:],
        }.get(wanted, [ref for ref in refs if wanted in (ref.name,) or ref.sha256.startswith(wanted)])
        if len(found) != 1:
            what = "no checkpoint" if not found else f"{len(found)} checkpoints"
            return None, "; ".join([*refusals, f"live.shadow_checkpoint {wanted!r} names {what}"])
        why = self._incompatibility(found[0])
        if why:
            return None, f"{found[0].name}: {'; '.join(why)}"
        return ModelChoice(found[0], None, float("-inf")), ""

    def load(self, choice: ModelChoice) -> LoadedModel:
        """The engine of a chosen checkpoint.

        Raises:
            CheckpointError: its bytes are not what was judged, or it does not fit.
        """
        return LoadedModel(self._load_engine(choice.ref), choice, choice.ref.sha256)

    def _refs(self, refusals: list[str]) -> list[CheckpointRef]:
        try:
            return self._store.list()
        except CheckpointError as error:
            refusals.append(error.message)
            return []

    def _unvalidated(self, refs: list[CheckpointRef], refusals: list[str]) -> ModelChoice | None:
        if not self._config.live.allow_unvalidated or self._real_money:
            return None
        try:
            best = self._store.best()
        except CheckpointError as error:
            refusals.append(error.message)
            best = None
        candidates = [*reversed(refs)] if best is None else [best, *reversed(refs)]
        for ref in candidates:
            if not self._incompatibility(ref):
                return ModelChoice(ref, None, float("inf"))
        return None

    def _incompatibility(self, ref: CheckpointRef) -> tuple[str, ...]:
        try:
            require_compatible(
                ref.metadata,
                feature_profile=self._config.features.profile,
                feature_version=self._feature_version,
                instrument=self._config.data.instrument,
            )
        except CheckpointError as error:
            return (error.message,)
        return ()
