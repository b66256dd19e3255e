"""`swt doctor`: everything that has to be right before a daemon starts, each line with its remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

import httpx
from rich.console import RenderableType
from rich.markup import escape
from rich.table import Table

from swt_core.clock import Clock
from swt_core.config import SWTConfig
from swt_core.workspace import Workspace
from swt_ops.doctor_broker import check_account, check_broker, check_clock, look_at_broker
from swt_ops.doctor_installation import check_data, check_state_directories
from swt_ops.doctor_machine import (
    check_cores,
    check_disk,
    check_gpu,
    check_kernels,
    check_libraries,
    check_memory,
    check_python,
)
from swt_ops.findings import Examination, Level
from swt_ops.kernel_cache import read_kernel_cache

_COLOURS: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


def examine(
    config: SWTConfig,
    workspace: Workspace,
    environ: Mapping[str, str],
    clock: Clock,
    transport: httpx.AsyncBaseTransport | None = None,
) -> Examination:
    """Look at everything once; changes nothing and trades nothing.

    Args:
        transport: how the broker is asked; by default over HTTP.
    """
    account, settings = check_account(config.live, environ)
    sight = None if settings is None else asyncio.run(look_at_broker(settings, clock, transport))
    findings = (
        check_python(),
        check_libraries(),
        check_cores(),
        check_memory(config.process_limits.maximum_memory_gb),
        check_disk(workspace.root),
        check_gpu(),
        check_kernels(read_kernel_cache()),
        *check_state_directories(workspace),
        check_data(config.data, clock.time_s()),
        account,
        check_broker(config.live, sight),
        check_clock(config.live, sight),
    )
    return Examination(schema_version=1, findings=findings)


def examination_view(examination: Examination) -> RenderableType:
    """What `swt doctor` shows."""
    table = Table(box=None, pad_edge=False)
    for heading in ("check", "", "found"):
        table.add_column(heading, header_style="dim", overflow="fold")
    for finding in examination.findings:
        mark = f"[{_COLOURS[finding.level]}]{finding.level.value}[/]"
        text = escape(finding.text)
        if finding.remedy:
            text += f"\n[dim]remedy:[/] [bold]{escape(finding.remedy)}[/]"
        table.add_row(finding.name, mark, text)
    return table
