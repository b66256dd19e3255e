"""What a checkpoint says about itself."""

from __future__ import annotations

import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Final

from swt_core.checkpoints import CheckpointData, CheckpointMetadata
from swt_core.config import SWTConfig
from swt_core.config.loading import config_hash
from swt_core.ranking import CONTEST, PIPS_PER_SESSION
from swt_environments.dataset import Dataset
from swt_models.architecture import architecture_name, describe
from swt_models.networks import StochasticMuZeroNetwork
from swt_training.fine_tune import seen_by
from swt_training.resume import RunCounters
from swt_training.selection import Selection

# Which of its run's checkpoints one is: the limit of checkpoints holds even if the counter is lost.
CHECKPOINT_NUMBER: Final = "checkpoint_number"
RUN: Final = "run"


def checkpoint_metadata(
    config: SWTConfig,
    dataset: Dataset,
    network: StochasticMuZeroNetwork,
    counters: RunCounters,
    selection: Selection,
    created_s: float,
    number: int,
    contest: str,
) -> CheckpointMetadata:
    """Provenance and selection figures of the weights at ``counters``.

    Args:
        number: of the run's checkpoints this is, from 1 on.
        contest: which sessions it played by which rules; see `swt_training.selection.contest`.
    """
    splits, found, parent = dataset.splits, selection.statistics, counters.parent
    own = CheckpointData(
        source=dataset.source,
        sha256=dataset.bars.sha256,
        instrument=dataset.bars.instrument.name,
        synthetic=dataset.synthetic,
        train_start_s=splits.train.start_s,
        train_end_s=splits.train.end_s,
        validation_start_s=splits.validation.start_s,
        validation_end_s=splits.validation.end_s,
        test_start_s=splits.test.start_s,
        test_end_s=splits.test.end_s,
    )
    return CheckpointMetadata(
        architecture=architecture_name(network.model, network.observation),
        feature_profile=config.features.profile,
        feature_version=dataset.market.processor.version,
        episode=counters.episodes,
        version="1.0.0",
        config_hash=config_hash(config),
        git_commit=git_commit(),
        data=seen_by(own, parent),
        sqn=found.sqn.value,
        expectancy_pips=found.expectancy_pips,
        trades=found.trades,
        model_settings=describe(network.model, network.observation),
        extra={
            PIPS_PER_SESSION: selection.pips_per_session,
            "selection_confidence": selection.mean_confidence,
            CHECKPOINT_NUMBER: number,
            CONTEST: contest,
            RUN: counters.run,
            "learner_sessions": counters.learner_sessions,
            "search": config.trading.search.model_dump(mode="json"),
            "reward": config.training.reward,
            "split_boundaries_s": list(counters.boundaries_s),
            **({"parent": parent.name, "parent_sha256": parent.sha256} if parent is not None else {}),
        },
        created_s=created_s,
    )


@lru_cache(maxsize=1)
def git_commit() -> str | None:
    """The commit of the source tree this runs from; None outside a checkout."""
    try:
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
