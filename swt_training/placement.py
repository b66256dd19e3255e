"""Where the learner computes: the CPU, or a CUDA GPU where torch has one.

Batches are NumPy arrays and path values are kernels of the CPU; networks, losses, optimizer and the average
of the weights live on the device. Whatever is exported or saved comes back as CPU arrays.
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from swt_core.errors import ConfigError


def learner_device(wanted: Literal["auto", "cpu", "cuda"]) -> torch.device:
    """The device of ``training.device``; ``auto`` is a GPU where torch has one.

    Raises:
        ConfigError: a GPU is asked for, and torch has none.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        why = "it finds no GPU" if torch.version.cuda else "it is built without CUDA"
        raise ConfigError(
            f"field training.device is cuda, but torch {torch.__version__} cannot use one: {why}",
            remedy="set training.device to auto or cpu, or install torch's CUDA build and the GPU's driver",
        )
    return torch.device("cuda" if wanted != "cpu" and available else "cpu")


def device_of(network: nn.Module) -> torch.device:
    """The device of a network's weights."""
    return next(network.parameters()).device


def placed(array: NDArray[Any], device: torch.device) -> Tensor:
    """``array`` as a tensor on ``device``; on the CPU it shares the array's memory."""
    return torch.from_numpy(array).to(device)


def bfloat16_autocast(device: torch.device, enabled: bool) -> torch.autocast:
    """bf16 arithmetic in the networks of ``device``; its exponents are float32's: no loss needs scaling."""
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
