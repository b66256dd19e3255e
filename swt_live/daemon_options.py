"""Where the daemon's files are, and what tests, benchmarks and demos change about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from swt_core.checkpoints import CheckpointRef
from swt_live.decider import DecisionPoint
from swt_live.ports import Engine


@dataclass(frozen=True)
class LiveDirectories:
    """The state directories the trader writes (``live_state``) and reads."""

    live_state: Path
    checkpoints: Path
    validation_state: Path


@dataclass(frozen=True)
class LiveOptions:
    """What tests, benchmarks and demos change about the daemon.

    Attributes:
        transport: an httpx transport to a practice server in this process.
        load_engine: how a checkpoint becomes an engine; None: `InferenceEngine.from_checkpoint`.
        on_decision: sees every decision.
        health_server: whether /health and /metrics are served.
    """

    transport: httpx.AsyncBaseTransport | None = None
    load_engine: Callable[[CheckpointRef], Engine] | None = None
    on_decision: Callable[[DecisionPoint], None] = lambda _: None
    health_server: bool = True
