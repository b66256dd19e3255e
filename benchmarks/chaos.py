"""Seeded bad days: the trader and the practice server, faults, foreign hands, sudden deaths; who broke what.

Each day is one seed (see `swt_live.simulation.bad_day`); a seed that breaks an invariant breaks it again.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, fields
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

from swt_core.cores import available_cores
from swt_core.errors import ConfigError

if TYPE_CHECKING:
    from benchmarks.registry import BenchmarkOptions, BenchmarkValue, Scalar

NAME = "chaos"
_QUICK, _FULL = 50, 1000
_CHUNK = 25
_COUNTS = ("deaths", "orders", "fills", "decisions", "faults", "foreign_trades", "emergencies_in_flight")


def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
    """``schedules`` days from ``seed`` on, in ``workers`` processes."""
    options.overrides("schedules", "workers", "plant", "real", "rounds", "minutes", "log")
    if options.settings.get("real", "").lower() in ("1", "true", "yes"):
        from benchmarks.chaos_real import run_rounds

        return run_rounds(int(options.number("rounds", 50)), options.seed)
    schedules = int(options.number("schedules", _QUICK if options.quick else _FULL))
    workers = int(options.number("workers", available_cores()))
    plant = options.settings.get("plant", "")
    minutes = int(options.number("minutes", 12))
    _known(plant)
    started_s = time.perf_counter()
    log = options.settings.get("log")
    days: list[dict[str, Scalar]] = []
    for chunk in _chunks(range(options.seed, options.seed + schedules), workers, plant, minutes):
        days += chunk
        if log:
            with Path(log).open("a") as file:
                file.writelines(json.dumps(day) + "\n" for day in chunk)
    return _summary(days, time.perf_counter() - started_s)


def one_day(seed: int, plant: str = "", minutes: int = 12) -> dict[str, Scalar]:
    """The day of one seed: what was broken, and what happened.

    Raises:
        ConfigError: there is no such bug to plant.
    """
    from swt_live.simulation.bad_day import BadDay, DaySettings, live_through
    from swt_live.simulation.exposure import excused_share
    from swt_live.simulation.invariants import violations
    from swt_live.simulation.planted import PLANTS

    def judge(day: BadDay) -> dict[str, Scalar]:
        assert day.journal is not None
        broken = asdict(violations(day))
        return {
            **broken,
            "deaths": day.record.deaths,
            "orders": len(day.record.posted),
            "fills": len(day.journal.fills()),
            "decisions": day.record.decisions,
            "faults": len(day.faults.struck),
            "foreign_trades": day.record.foreign_trades,
            "emergencies_in_flight": day.record.emergencies_in_flight,
            "excused_share": excused_share(day),
            "fault_kinds": ",".join(sorted({kind for _, kind, _ in day.faults.struck})),
            "failures": "; ".join(day.record.failures),
        }

    memory = Path("/dev/shm")  # noqa: S108 - a disk would only make the same thing slower
    where = str(memory) if memory.is_dir() else None
    with ExitStack() as stack:
        if plant:
            stack.enter_context(PLANTS[_known(plant)][0]())
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=where, prefix="swt-day-")))
        begun_s = time.process_time()
        result: dict[str, Scalar] = live_through(seed, directory, DaySettings(minutes=minutes), judge)
        return {"seed": seed, **result, "cpu_s": time.process_time() - begun_s}


def _known(plant: str) -> str:
    from swt_live.simulation.planted import PLANTS

    if plant and plant not in PLANTS:
        raise ConfigError(f"no planted bug {plant!r}", remedy=f"use {', '.join(PLANTS)}")
    return plant


def _chunks(seeds: range, workers: int, plant: str, minutes: int) -> Iterator[list[dict[str, Scalar]]]:
    chunks = [seeds[i : i + _CHUNK] for i in range(0, len(seeds), _CHUNK)]
    if workers <= 1:
        yield from (_days(chunk, plant, minutes) for chunk in chunks)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = [pool.submit(_days, chunk, plant, minutes) for chunk in chunks]
        for future in futures:
            yield future.result()


def _days(seeds: range, plant: str, minutes: int) -> list[dict[str, Scalar]]:
    from swt_core.numba_cache import configure_numba_cache

    configure_numba_cache()
    return [one_day(seed, plant, minutes) for seed in seeds]


def _summary(days: list[dict[str, Scalar]], wall_s: float) -> dict[str, BenchmarkValue]:
    from swt_live.simulation.invariants import Violations

    def total(key: str) -> int:
        return sum(int(day[key] or 0) for day in days)

    rules = [field.name for field in fields(Violations)]
    failing = [int(day["seed"] or 0) for day in days if any(day[rule] for rule in rules)]
    kinds = {kind for day in days for kind in str(day["fault_kinds"]).split(",") if kind}
    result: dict[str, BenchmarkValue] = {"schedules": len(days)}
    result |= {rule: total(rule) for rule in rules}
    result |= {
        "failing_seeds": ",".join(map(str, failing[:50])),
        "reproduce": f"swt bench chaos --schedules 1 --seed {failing[0]}" if failing else "",
    }
    result |= {key: total(key) for key in _COUNTS}
    result |= {
        "excused_share": sum(float(day["excused_share"] or 0.0) for day in days) / max(len(days), 1),
        "fault_kinds": ",".join(sorted(kinds)),
        "wall_s": wall_s,
        "cpu_s_per_schedule": sum(float(day["cpu_s"] or 0.0) for day in days) / max(len(days), 1),
    }
    return result
