"""Starting a run from a checkpoint: its weights, where they come from, and what they must not have seen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from pydantic import Field

from swt_core.checkpoints import CheckpointData, CheckpointRef, CheckpointStore, require_compatible
from swt_core.clock import iso_utc
from swt_core.config import SWTConfig
from swt_core.errors import CheckpointError, ConfigError, IncompatibleModelError
from swt_core.state import StateDirectory, StateRecord
from swt_environments.dataset import Dataset
from swt_models.architecture import architecture_name, parse_description
from swt_models.export import Weights, load_weights
from swt_models.networks import StochasticMuZeroNetwork

# What a network's outputs mean, beyond its shape: pips of each atom of the value support.
SCALE: Final = ("support_min_pips", "support_max_pips", "value_transform")


class ParentRecord(StateRecord):
    """The checkpoint a run began from; part of the run's counters."""

    name: str
    sha256: str
    asked: str = Field("", description="how it was named when the run began: `--from`")
    data: CheckpointData = Field(description="what the parent and its own parents have read")


@dataclass(frozen=True)
class Parent:
    """A checkpoint to begin from, verified by its hash."""

    record: ParentRecord
    ref: CheckpointRef
    weights: Weights


def load_parent(store: CheckpointStore, wanted: str) -> Parent:
    """A path in any store, ``DIRECTORY/best`` or ``DIRECTORY/newest``, or a name in ``store``.

    Args:
        wanted: the directory is a run's (``--state-dir``), or that of its checkpoints.

    Raises:
        CheckpointError: there is none, or its bytes are not those the manifest vouches for.
    """
    path = Path(wanted)
    if path.name in ("best", "newest"):
        inside = path.parent / "checkpoints"
        asked = (
            store if path.parent == Path() else CheckpointStore(inside if inside.is_dir() else path.parent)
        )
        ref = asked.best() if path.name == "best" else asked.newest()
        if ref is None:
            raise CheckpointError(
                f"there is no {path.name} checkpoint in {asked.directory}",
                remedy=f"name another run's, as other_state/{path.name}, or the path of a checkpoint",
            )
    else:
        ref = store.find(wanted)
    weights, metadata = store.load(ref)
    record = ParentRecord(
        schema_version=1, name=ref.name, sha256=ref.sha256, asked=wanted, data=metadata.data
    )
    return Parent(record, ref, weights)


def chosen_parent(
    store: CheckpointStore, state: StateDirectory, wanted: str, began_from: ParentRecord | None
) -> Parent | None:
    """What a run is to begin from; None: the one in ``state`` began by this very call, and goes on.

    Its parent may be gone by then, and what ``best`` or ``newest`` means may be another.

    Raises:
        CheckpointError: as `load_parent`.
        ConfigError: as `require_fresh`.
    """
    if began_from is not None and began_from.asked == wanted:
        return None
    parent = load_parent(store, wanted)
    require_fresh(store, state)
    return parent


def require_fresh(store: CheckpointStore, state: StateDirectory) -> None:
    """Refuse a workspace that holds another run's checkpoints but no run to resume.

    Raises:
        ConfigError: naming the directory.
    """
    if not any(state.path.glob("resume_*.json")) and store.list():
        raise ConfigError(
            f"{store.directory} holds checkpoints of another run",
            remedy="name a fresh directory with --state-dir: a new run would compete with its best",
        )


class _Run(Protocol):
    @property
    def parent(self) -> ParentRecord | None: ...


def begin_from(state: StateDirectory, saved: _Run | None, parent: Parent | None) -> ParentRecord | None:
    """What the run in ``state`` began from, or begins from now.

    Raises:
        ConfigError: there is a run, and it did not begin from ``parent``: two runs are not mixed.
    """
    if saved is None:
        return None if parent is None else parent.record
    began_from = saved.parent
    if parent is None or (began_from is not None and began_from.sha256 == parent.record.sha256):
        return began_from
    began = "from scratch" if began_from is None else f"from {began_from.name}"
    raise ConfigError(
        f"{state.path} holds a run that began {began}, not from {parent.record.name}",
        remedy="name a fresh directory with --state-dir, or go on with that run by leaving --from out",
    )


def take_over(network: StochasticMuZeroNetwork, parent: Parent, config: SWTConfig, dataset: Dataset) -> None:
    """Copy the parent's weights into ``network``.

    Raises:
        IncompatibleModelError: naming both sides.
        ConfigError: the parent learned from bars of the new validation or test range.
    """
    require_compatible(
        parent.ref.metadata,
        architecture=architecture_name(network.model, network.observation),
        feature_profile=config.features.profile,
        feature_version=dataset.market.processor.version,
    )
    _require_same_scale(parent, network)
    seen, splits = parent.record.data, dataset.splits
    load_weights(network, parent.weights)
    # Two simulated markets, or a simulated and a recorded one, share no bars whatever their dates say.
    if (seen.synthetic or dataset.synthetic) and seen.sha256 != dataset.bars.sha256:
        return
    learned_late = seen.train_end_s > splits.validation.start_s
    if learned_late or seen.validation_end_s > splits.test.start_s:
        until = seen.train_end_s if learned_late else seen.validation_end_s
        held_out = splits.validation if learned_late else splits.test
        raise ConfigError(
            f"{parent.record.name} has read bars until {iso_utc(until)}, but "
            f"{'validation' if learned_late else 'test'} would begin at {iso_utc(held_out.start_s)}",
            remedy="raise data.train_share or data.validation_share, or append newer bars",
        )


def _require_same_scale(parent: Parent, network: StochasticMuZeroNetwork) -> None:
    theirs, _ = parse_description(parent.ref.metadata.model_settings)
    for key in SCALE:
        was, now = getattr(theirs, key), getattr(network.model, key)
        if was != now:
            raise IncompatibleModelError(
                f"model.{key} is {now}, {parent.record.name} was trained with {was}: its values would be "
                "read as others",
                remedy=f"set model.{key} to {was}, or train from scratch",
            )


def fine_tuning(config: SWTConfig) -> SWTConfig:
    """The configuration whose learning rate is that of fine-tuning; it never rises again at the end."""
    training = config.training
    rate = training.fine_tune_learning_rate
    rates: dict[str, object] = {
        "learning_rate": rate,
        "final_learning_rate": min(training.final_learning_rate, rate),
        "early_sessions": 0,  # a network that knows something needs no fast beginning
    }
    return config.model_copy(update={"training": training.model_copy(update=rates)})


def seen_by(own: CheckpointData, parent: ParentRecord | None) -> CheckpointData:
    """What a checkpoint of the run has read in all: its own bars and its parents'.

    A model that ever learned from a simulated market stays one that never trades real money.
    """
    if parent is None:
        return own
    before = parent.data
    changes: dict[str, object] = {"synthetic": own.synthetic or before.synthetic}
    if before.synthetic == own.synthetic and (not own.synthetic or before.sha256 == own.sha256):
        changes["train_start_s"] = min(own.train_start_s, before.train_start_s)
        changes["train_end_s"] = max(own.train_end_s, before.train_end_s)
    return own.model_copy(update=changes)
