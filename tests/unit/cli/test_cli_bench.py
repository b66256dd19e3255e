"""`swt bench`: its flags become the settings of the benchmark."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from benchmarks import learning
from benchmarks.registry import BenchmarkOptions, BenchmarkValue
from swt_cli.main import app


@pytest.mark.parametrize(
    ("flags", "seeds", "plain"),
    [
        ("--market faint --minutes 0.1 --seeds 2", (1, 2), False),
        ("--market faint --minutes 0.1 --seeds 3 --seed 201 --ablations", (201, 202, 203), True),
    ],
)
def test_the_flags_of_the_learning_benchmark_become_its_settings(
    monkeypatch: pytest.MonkeyPatch, flags: str, seeds: tuple[int, ...], plain: bool
) -> None:
    asked: list[BenchmarkOptions] = []

    def run(options: BenchmarkOptions) -> dict[str, BenchmarkValue]:
        asked.append(options)
        return {"pips_per_episode": 1.5, "ppo_pips": None, "seeds": [{"seed": 1}]}

    monkeypatch.setattr(learning, "run", run)
    done = CliRunner().invoke(app, ["bench", "learning", *flags.split(), "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"pips_per_episode": 1.5, "ppo_pips": None, "seeds": [{"seed": 1}]}
    (options,) = asked
    assert options.settings == {"market": "faint", "minutes": "0.1", "seeds": str(len(seeds))} | (
        {"ablations": "plain"} if plain else {}
    )
    plan = learning._plan(options)
    assert (plan.market, plan.minutes, plan.seeds, plan.plain) == ("faint", 0.1, seeds, plain)
