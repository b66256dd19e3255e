"""What fixes the weights' shapes: chance codes, a short name, the description in a checkpoint.

Nothing here needs torch: actors and the live trader read checkpoints without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import ValidationError

from swt_core.config.models import ModelConfig
from swt_core.errors import IncompatibleModelError
from swt_models.observation import ObservationShape

# The micro profile's convolutions over time.
TCN_CHANNELS = 48
TCN_DILATIONS = (1, 2, 4, 8)
TCN_TAPS = 3


def chance_codes(model: ModelConfig) -> int:
    """Number of chance codes C."""
    return model.chance_outcomes if model.chance == "outcomes" else model.codebook_size


def architecture_name(model: ModelConfig, observation: ObservationShape) -> str:
    """A short name of everything that fixes the weights' shapes, for checkpoint file names."""
    chance = "o" if model.chance == "outcomes" else "c"
    return (
        f"{observation.kind}{observation.size}-h{model.hidden_dim}b{model.residual_blocks}"
        f"-s{model.support_bins}-{chance}{chance_codes(model)}"
    )


def describe(model: ModelConfig, observation: ObservationShape) -> dict[str, Any]:
    """What a checkpoint's metadata must hold to rebuild the network (``model_config``)."""
    return {"model": model.model_dump(mode="json"), "observation": asdict(observation)}


def parse_description(description: Mapping[str, Any]) -> tuple[ModelConfig, ObservationShape]:
    """The inverse of `describe`.

    Raises:
        IncompatibleModelError: the description is of another format.
    """
    try:
        return ModelConfig(**description["model"]), ObservationShape(**description["observation"])
    except (KeyError, TypeError, ValidationError) as error:
        raise IncompatibleModelError(
            f"the checkpoint's model_config is not one of this version: {error}",
            remedy="retrain, or use the version of SWT that wrote the checkpoint",
        ) from error
