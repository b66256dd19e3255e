"""The page of a benchmark record: `swt bench page > docs/benchmark_results.md`; a test keeps it so."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from benchmarks.record import BenchmarkRecord, Entry, Machine, benchmark_of
from benchmarks.registry import DESCRIPTIONS

_OPENING: Final = """\
# What was measured

Written by `swt bench page` from `docs/benchmark_results.json`, the record of `swt bench all`: measure again,
do not edit. What each key means, and how it is measured, is in [benchmarks](benchmarks.md); null: not asked
for, never reached, or what it needs (a peer, a GPU, data) is not installed; the benchmark's page says which.
"""
# Share of the cores in use from which speeds are no longer the machine's own.
_QUIET: Final = 0.25
_ROUGH: Final = (
    "**quick**: seconds in place of the real measurement; rough, good for nothing but showing that it runs."
)


def record_page(record: BenchmarkRecord) -> str:
    """Markdown: where and when, then a table for each benchmark."""
    machines = _machines(record)
    lines = [_OPENING, *_head(record, machines)]
    for name, entry in record.benchmarks.items():
        lines += ["", f"## {name}", "", _sentence(DESCRIPTIONS.get(benchmark_of(name), "")), ""]
        lines += _entry(entry, machines.index(entry.machine) + 1)
    return "\n".join(lines).rstrip() + "\n"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _machines(record: BenchmarkRecord) -> list[Machine]:
    found: list[Machine] = []
    for entry in record.benchmarks.values():
        if entry.machine not in found:
            found.append(entry.machine)
    return found


def _head(record: BenchmarkRecord, machines: list[Machine]) -> Iterator[str]:
    yield "| machine | processor | cores | memory, GB | system | Python | libraries |"
    yield "|---|---|---|---|---|---|---|"
    for number, machine in enumerate(machines, 1):
        libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
        yield (
            f"| {number} | {machine.processor} | {machine.cores} | {machine.memory_gb:g} | {machine.system} "
            f"| {machine.python} | {libraries} |"
        )
    known = {benchmark_of(name) for name in record.benchmarks}
    if missing := [name for name in DESCRIPTIONS if name not in known]:
        yield f"\nNot in this record: {', '.join(missing)}."


def _entry(entry: Entry, machine: int) -> Iterator[str]:
    yield (
        f"{entry.measured_utc} UTC, machine {machine}, {'quick' if entry.quick else 'full'}, "
        f"seed {entry.seed},{_settings(entry)} commit {(entry.commit or 'unknown')[:10]}, "
        f"{entry.seconds:,.0f} s, {_load(entry)}."
    )
    if entry.quick:
        yield f"\n{_ROUGH}"
    if (entry.busy_before or 0.0) > _QUIET:
        yield "\n**The machine was busy with something else**: speeds and times are not its own."
    if entry.result is None:
        yield f"\n**Failed**: `{entry.error}`"
        return
    yield from ("", "| key | value |", "|---|---|")
    yield from (
        f"| `{key}` | {_text(value)} |" for key, value in entry.result.items() if not isinstance(value, list)
    )
    for key, value in entry.result.items():
        if isinstance(value, list) and value:
            yield from _runs(key, value)


def _load(entry: Entry) -> str:
    if entry.busy_before is not None:
        return f"{entry.busy_before:.0%} of the cores in use before it"
    if entry.load_before is None:
        return "load before it unknown"
    # The minute before it is mostly that of the benchmark before it: it says nothing about other work.
    return f"load average before it {entry.load_before:g}, the benchmark before it included"


def _settings(entry: Entry) -> str:
    return "".join(f" `{key}={value}`," for key, value in entry.settings.items())


def _runs(title: str, runs: list[dict[str, Any]]) -> Iterator[str]:
    yield f"\n`{title}`:\n"
    yield "| key |" + "".join(f" {number} |" for number in range(1, len(runs) + 1))
    yield "|---|" + "---|" * len(runs)
    for key in runs[0]:
        yield f"| `{key}` |" + "".join(f" {_text(run.get(key))} |" for run in runs)


def _text(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value).replace("|", "\\|")
