"""The live daemon before it can trade: no broker answers yet."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest

from swt_core.clock import ManualClock
from swt_core.config import LiveConfig, ProcessLimitsConfig, SWTConfig
from swt_core.process import ManagedProcess
from swt_core.state import StateDirectory
from swt_live.daemon import LiveDaemon, LiveDirectories, LiveOptions


@pytest.mark.parametrize("environment", ["embedded", "practice"])
async def test_a_stop_while_the_broker_is_away_ends_at_once(tmp_path: Path, environment: str) -> None:
    state = StateDirectory(tmp_path / "live")
    with ManagedProcess("live", ProcessLimitsConfig(), state, ManualClock(1000.0)) as process:

        def away(request: httpx.Request) -> httpx.Response:
            process.request_stop("SIGTERM")
            raise httpx.ConnectError("refused", request=request)

        daemon = LiveDaemon(
            SWTConfig(
                live=LiveConfig.model_validate({"environment": environment, "account_id": "101-004-1-001"})
            ),
            LiveDirectories(state.path, tmp_path / "checkpoints", tmp_path / "validation"),
            {"SWT_BROKER_TOKEN": "token"},
            LiveOptions(transport=httpx.MockTransport(away), health_server=False),
        )
        await asyncio.wait_for(daemon.run(process), 3.0)
        assert daemon.trader is None
