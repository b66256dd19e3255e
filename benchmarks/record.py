"""What was measured, when, and on what: the record that `swt bench all` writes and a page is made of.

Each benchmark runs in a process of its own, one after the other, so that none finds the threads, memory or
compiled kernels of another. An entry carries its machine, time, mode and load, so that a record may be
completed or renewed benchmark by benchmark (``--option only=wst,search``) and still says what each figure is.
A benchmark may stand there more than once: ``learning@faint`` is `learning` with settings of its own.
"""

from __future__ import annotations

import json
import platform
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import psutil
from pydantic import BaseModel, ConfigDict, Field

from benchmarks.registry import DESCRIPTIONS, BenchmarkOptions
from swt_core.clock import Clock, SystemClock
from swt_core.cores import available_cores
from swt_core.errors import ConfigError
from swt_core.state import StateRecord, read_json
from swt_training.metadata import git_commit

_LIBRARIES: Final = ("numpy", "numba", "torch")
_GB: Final = 2**30
_LABEL: Final = re.compile(r"[A-Za-z0-9_-]+")
# Where something lies on this machine changes no figure and is nobody else's business.
_PLACES: Final = frozenset({"output"})
Runner = Callable[[str, bool, int, Mapping[str, str]], tuple[dict[str, Any] | None, str]]
Progress = Callable[[str], None]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Machine(_Record):
    """What the figures of an entry depend on and no code decides."""

    processor: str
    cores: int
    memory_gb: float
    system: str
    python: str
    libraries: dict[str, str]


class Entry(_Record):
    """One benchmark's run.

    Attributes:
        settings: what it was told beside mode and seed.
        result: what the benchmark printed; None when it failed.
        error: the end of what it said when it failed.
        busy_before: share of all cores that was in use in the seconds before it began; a quiet machine has
            nearly 0. None in older entries, which know the load average of the minute before.
    """

    measured_utc: str
    quick: bool
    seed: int
    settings: dict[str, str] = Field(default_factory=dict)
    seconds: float = Field(ge=0)
    busy_before: float | None = Field(None, ge=0, le=1)
    load_before: float | None = None
    commit: str | None
    machine: Machine
    result: dict[str, Any] | None = None
    error: str | None = None


class BenchmarkRecord(StateRecord):
    """Every entry by the benchmark's name, or NAME@LABEL."""

    benchmarks: dict[str, Entry] = Field(default_factory=dict)


def describe_machine() -> Machine:
    """The machine this runs on, without anything that names it."""
    return Machine(
        processor=_processor(),
        cores=available_cores(),
        memory_gb=round(psutil.virtual_memory().total / _GB, 1),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        libraries={name: found for name in _LIBRARIES if (found := _version(name))},
    )


def chosen(options: BenchmarkOptions) -> list[str]:
    """The benchmarks to run: all, or those of the setting ``only``, with their labels.

    Raises:
        ConfigError: a name is none of a benchmark, a label is no word, or a setting is neither ``only`` nor
            ``NAME:key`` of a benchmark that is to run.
    """
    names = [name for name in options.settings.get("only", "").split(",") if name] or list(DESCRIPTIONS)
    if unknown := [name for name in names if benchmark_of(name) not in DESCRIPTIONS]:
        raise ConfigError(
            f"no benchmark {unknown[0]!r}", remedy=f"use some of {', '.join(sorted(DESCRIPTIONS))}"
        )
    if wordless := [name for name in names if "@" in name and not _LABEL.fullmatch(name.partition("@")[2])]:
        raise ConfigError(
            f"no benchmark label in {wordless[0]!r}", remedy="use NAME@LABEL of letters, digits, - and _"
        )
    own = {key for key in options.settings if ":" in key and key.partition(":")[0] in names}
    if unknown := sorted(set(options.settings) - {"only", *own}):
        raise ConfigError(
            f"no benchmark setting {unknown[0]!r} of those that are to run",
            remedy="use only=NAME,NAME, or NAME:key=value for one of them, as learning:minutes=2",
        )
    return names


def benchmark_of(name: str) -> str:
    """The benchmark of an entry: what stands before the label."""
    return name.partition("@")[0]


def busy_share(seconds: float = 2.0) -> float:
    """Share of all cores that is in use now; unlike the load average it does not know what ran before."""
    return float(psutil.cpu_percent(interval=seconds)) / 100.0


def measure(
    options: BenchmarkOptions,
    *,
    before: BenchmarkRecord | None = None,
    run: Runner | None = None,
    clock: Clock | None = None,
    busy: Callable[[], float] = busy_share,
    progress: Progress = lambda _: None,
    done: Callable[[BenchmarkRecord], None] = lambda _: None,
) -> BenchmarkRecord:
    """Run the chosen benchmarks one after the other.

    Args:
        options: mode, seed, ``only``, and settings of single benchmarks, ``NAME:key``.
        before: a record whose other entries are kept.
        run: runs one benchmark; by default in a process of its own.
        clock: what entries are dated by.
        busy: how busy the machine is before each one.
        progress: told what begins.
        done: told the record after each benchmark, so that hours of measuring survive an interruption.
    """
    clock, run = clock or SystemClock(), run or run_apart
    entries = dict(before.benchmarks) if before else {}
    names, machine = chosen(options), describe_machine()
    for number, name in enumerate(names, 1):
        progress(f"measuring {name} ({number} of {len(names)}) …")
        before_it = busy()
        begun_s, started_s = clock.monotonic_s(), clock.time_s()
        settings = {
            key.partition(":")[2]: value
            for key, value in options.settings.items()
            if key.startswith(f"{name}:")
        }
        result, error = run(benchmark_of(name), options.quick, options.seed, settings)
        entries[name] = Entry(
            measured_utc=datetime.fromtimestamp(started_s, UTC).strftime("%Y-%m-%d %H:%M"),
            quick=options.quick,
            seed=options.seed,
            settings={key: value for key, value in settings.items() if key not in _PLACES},
            seconds=round(clock.monotonic_s() - begun_s, 1),
            busy_before=round(before_it, 3),
            commit=git_commit(),
            machine=machine,
            result=None if result is None else {k: v for k, v in result.items() if not k.endswith("_png")},
            error=error or None,
        )
        done(BenchmarkRecord(schema_version=1, benchmarks=dict(sorted(entries.items()))))
    return BenchmarkRecord(schema_version=1, benchmarks=dict(sorted(entries.items())))


def run_apart(
    name: str, quick: bool, seed: int, settings: Mapping[str, str]
) -> tuple[dict[str, Any] | None, str]:
    """A benchmark in a process of its own; its result, or None and the end of what it said."""
    command = [sys.executable, "-m", "swt_cli.main", "bench", name, "--json", "--seed", str(seed)]
    command += ["--quick"] if quick else []
    for key, value in settings.items():
        command += ["--option", f"{key}={value}"]
    with tempfile.TemporaryDirectory(prefix="swt_bench_") as directory:  # pictures end here
        finished = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)  # noqa: S603
    try:
        result: dict[str, Any] = json.loads(finished.stdout)
    except ValueError:
        said = " ".join(" ".join(finished.stderr.strip().splitlines()[-2:]).split()) or "nothing was said"
        return None, f"exit code {finished.returncode}: {said[-300:]}"
    return result, ""


def read_record(path: Path) -> BenchmarkRecord:
    """A record from its file.

    Raises:
        ConfigError: there is none.
        StateError: the file is not a record.
    """
    found = read_json(path, BenchmarkRecord)
    if found is None:
        raise ConfigError(f"{path} does not exist", remedy=f"measure it: `swt bench all --output {path}`")
    return found


def failed(record: BenchmarkRecord, names: Sequence[str]) -> list[str]:
    """Those of the benchmarks that gave no result."""
    return [name for name in names if record.benchmarks[name].result is None]


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    try:
        lines = cpuinfo.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()
