"""The benchmarks by name; each is a module here that is imported only when it runs.

A benchmark module has ``NAME`` and ``run(options) -> dict[str, BenchmarkValue]``: flat measured values
with the unit in the key. To add one: the module, and a line below.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

from swt_core.errors import ConfigError

Scalar = float | int | str | bool | None
# A benchmark of several runs may list each run's figures beside the pooled ones.
BenchmarkValue = Scalar | list[dict[str, Scalar]]

DESCRIPTIONS: dict[str, str] = {
    "buffer": "an empty replay buffer: sessions a second at random, guided, and by search",
    "chaos": "seeded bad days of the live trader: faults, foreign hands, sudden deaths; which rule broke",
    "data": "market data: check, index, store, master database, whether a cache of windows pays",
    "gate": "validation: how often agents without an edge, and with a known one, are deployed",
    "int8": "int8 search on a trained network: decisions kept, profit and speed beside float32",
    "learning": "training from scratch on a known market, beside its best rule, PPO and DQN",
    "live": "the live trader: bar close to order, decisions, a trading week in lock-step, memory, gaps",
    "search": "planning: decisions a second beside a plain Python tree and mctx, live latency",
    "selfplay": "self-play: searched episodes a second of all cores, storage included",
    "train": "the trainer: learner steps and samples a second, replay ratio, where the time goes",
    "validation": "validation: seconds by level, resampled curves a second beside NumPy and quantstats",
    "wst": "wavelet scattering: windows a second, error against Kymatio, live latency, precompute",
}


@dataclass(frozen=True)
class BenchmarkOptions:
    """What a benchmark may be told.

    Attributes:
        quick: seconds instead of minutes; the figures are rougher.
        seed: root of every random draw.
        settings: the benchmark's own settings, ``KEY=VALUE``.
    """

    quick: bool = False
    seed: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)

    def number(self, key: str, default: float) -> float:
        """A numeric setting.

        Raises:
            ConfigError: it is not a number.
        """
        text = self.settings.get(key)
        if text is None:
            return default
        try:
            return float(text)
        except ValueError:
            raise ConfigError(f"benchmark setting {key}={text!r} is not a number") from None

    def overrides(self, *known: str) -> list[str]:
        """The settings with a dot in their key: values of the configuration, ``section.key=value``.

        Raises:
            ConfigError: another setting is none of ``known``.
        """
        unknown = sorted(key for key in self.settings if "." not in key and key not in known)
        if unknown:
            raise ConfigError(
                f"no benchmark setting {unknown[0]!r}",
                remedy=f"use {', '.join(known)}, or a section.key of the configuration",
            )
        return [f"{key}={value}" for key, value in self.settings.items() if "." in key]


class Benchmark(Protocol):
    """What a benchmark module provides."""

    NAME: str

    def run(self, options: BenchmarkOptions) -> dict[str, BenchmarkValue]: ...


def load_benchmark(name: str) -> Benchmark:
    """Import a benchmark.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in DESCRIPTIONS:
        raise ConfigError(f"no benchmark {name!r}", remedy=f"use one of {', '.join(sorted(DESCRIPTIONS))}")
    return cast(Benchmark, importlib.import_module(f"benchmarks.{name.replace('-', '_')}"))
