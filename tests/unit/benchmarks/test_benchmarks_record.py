"""The record of all benchmarks: what an entry says, what stays, what fails; and the page made of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from benchmarks import record as records
from benchmarks.record import BenchmarkRecord, chosen, measure, read_record, run_apart
from benchmarks.record_page import record_page
from benchmarks.registry import DESCRIPTIONS, BenchmarkOptions
from swt_cli.main import app
from swt_core.clock import ManualClock
from swt_core.errors import ConfigError
from swt_core.state import write_json

DOCS = Path(__file__).resolve().parents[3] / "docs"


class Fakes:
    """Benchmarks that return what they were asked, except those that fail; each takes ten seconds."""

    def __init__(self, *failing: str) -> None:
        self.clock, self.asked, self._failing = ManualClock(1_700_000_000.0), list[str](), failing
        self.told: dict[str, dict[str, str]] = {}

    def __call__(
        self, name: str, quick: bool, seed: int, settings: Mapping[str, str]
    ) -> tuple[dict[str, Any] | None, str]:
        self.asked.append(name)
        self.told[name] = dict(settings)
        self.clock.advance(10.0)
        if name in self._failing:
            return None, "exit code 2: no bars"
        return {"name": name, "quick": quick, "seed": seed, "curve_png": "somewhere/curve.png"}, ""


def take(fakes: Fakes, only: str = "", quick: bool = False, **given: Any) -> BenchmarkRecord:
    settings = {"only": only} if only else {}
    options = BenchmarkOptions(quick=quick, seed=3, settings=settings)
    return measure(options, run=fakes, clock=fakes.clock, busy=lambda: 0.125, **given)


def test_all_means_every_benchmark_that_is_listed() -> None:
    fakes = Fakes()
    record = take(fakes)
    assert fakes.asked == list(DESCRIPTIONS)
    assert set(record.benchmarks) == set(DESCRIPTIONS)


def test_an_entry_says_when_how_and_on_what_it_was_measured() -> None:
    entry = take(Fakes(), "wst", quick=True).benchmarks["wst"]
    assert (entry.measured_utc, entry.seconds, entry.quick, entry.seed) == ("2023-11-14 22:13", 10.0, True, 3)
    assert entry.machine.cores >= 1
    assert entry.busy_before == 0.125
    assert set(entry.machine.libraries) == {"numpy", "numba", "torch"}
    assert entry.result == {"name": "wst", "quick": True, "seed": 3}  # no path of this machine


def test_a_setting_of_one_benchmark_reaches_that_one_and_is_on_record() -> None:
    fakes = Fakes()
    told = {"only": "learning,wst", "learning:minutes": "2", "learning:output": "here"}
    record = measure(BenchmarkOptions(settings=told), run=fakes, clock=fakes.clock, busy=lambda: 0.0)
    assert fakes.told == {"learning": {"minutes": "2", "output": "here"}, "wst": {}}
    # Where its picture went is told, but not on record.
    assert record.benchmarks["learning"].settings == {"minutes": "2"}
    assert "`minutes=2`" in record_page(record)


def test_a_benchmark_may_stand_there_more_than_once_with_settings_of_its_own() -> None:
    fakes = Fakes()
    told = {"only": "learning@faint,learning@calm", "learning@faint:market": "faint"}
    record = measure(BenchmarkOptions(settings=told), run=fakes, clock=fakes.clock, busy=lambda: 0.0)
    assert fakes.asked == ["learning", "learning"]
    assert record.benchmarks["learning@faint"].settings == {"market": "faint"}
    assert record.benchmarks["learning@calm"].settings == {}
    page = record_page(record)
    assert "## learning@faint" in page
    missing = [name for name in DESCRIPTIONS if name != "learning"]
    assert f"Not in this record: {', '.join(missing)}." in page


def test_measuring_again_renews_what_was_asked_for_and_keeps_the_rest() -> None:
    before = take(Fakes(), "wst,search")
    fakes = Fakes()
    fakes.clock.advance(86_400.0)
    after = take(fakes, "search", before=before)
    assert fakes.asked == ["search"]
    assert after.benchmarks["wst"] == before.benchmarks["wst"]
    assert after.benchmarks["search"].measured_utc == "2023-11-15 22:13"


def test_what_failed_is_recorded_and_the_others_are_measured_all_the_same() -> None:
    kept: list[BenchmarkRecord] = []
    record = take(Fakes("data"), "data,wst", done=kept.append)
    assert record.benchmarks["data"].result is None
    assert records.failed(record, ["data", "wst"]) == ["data"]
    assert [sorted(one.benchmarks) for one in kept] == [["data"], ["data", "wst"]]
    assert "**Failed**: `exit code 2: no bars`" in record_page(record)


@pytest.mark.parametrize(
    "settings",
    [
        {"only": "wst,flight"},
        {"onyl": "wst"},
        {"flight:minutes": "2"},
        {"only": "flight@faint"},
        {"only": "learning@"},
        {"only": "learning@a:b"},
        {"only": "learning@faint", "learning@fiant:market": "faint"},
        {"only": "learning@faint", "learning:market": "faint"},
        {"only": "wst", "learning:minutes": "2"},
    ],
)
def test_a_misspelt_choice_is_refused_before_anything_is_measured(settings: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="no benchmark"):
        chosen(BenchmarkOptions(settings=settings))


def test_a_benchmark_that_prints_no_figures_is_a_failure_with_its_last_words() -> None:
    result, error = run_apart("flight", True, 1, {"sessions": "5"})
    assert result is None
    assert "exit code 2: error: no benchmark 'flight'" in error


def test_a_record_survives_its_file_and_a_missing_one_names_the_command(tmp_path: Path) -> None:
    record = take(Fakes(), "wst")
    write_json(tmp_path / "record.json", record)
    assert read_record(tmp_path / "record.json") == record
    with pytest.raises(ConfigError, match="swt bench all --output"):
        read_record(tmp_path / "none.json")


def test_the_page_marks_quick_figures_and_those_of_a_busy_machine() -> None:
    entry = take(Fakes(), "wst").benchmarks["wst"]
    updates: tuple[dict[str, Any], ...] = (
        {},
        {"busy_before": 0.5},
        {"busy_before": None, "load_before": 3.0 * entry.machine.cores, "quick": True},
    )
    entries = [entry.model_copy(update=update) for update in updates]
    pages = [record_page(BenchmarkRecord(schema_version=1, benchmarks={"wst": one})) for one in entries]
    assert ["**quick**" in page for page in pages] == [False, False, True]
    assert ["**The machine was busy" in page for page in pages] == [False, True, False]
    assert "12% of the cores in use before it" in pages[0]
    assert "load average before it" in pages[2]


def test_runs_within_a_benchmark_stand_side_by_side() -> None:
    entry = take(Fakes(), "learning").benchmarks["learning"]
    result = {"pips": 1234.5, "none": None, "seeds": [{"seed": 1, "pips": 0.5}, {"seed": 2, "pips": None}]}
    entry = entry.model_copy(update={"result": result})
    page = record_page(BenchmarkRecord(schema_version=1, benchmarks={"learning": entry}))
    assert "| `pips` | 1,234 |" in page
    assert "| `none` | null |" in page
    assert "| `seed` | 1 | 2 |\n| `pips` | 0.5 | null |" in page


def test_the_command_writes_record_and_page_and_ends_with_1_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(records, "run_apart", Fakes("search"))
    target = tmp_path / "record.json"
    fine = CliRunner().invoke(
        app, ["bench", "all", "--option", "only=wst", "--output", str(target), "--json"]
    )
    assert fine.exit_code == 0
    assert list(json.loads(fine.stdout)["benchmarks"]) == ["wst"]
    failing = CliRunner().invoke(app, ["bench", "all", "--option", "only=search", "--output", str(target)])
    assert failing.exit_code == 1
    page = CliRunner().invoke(app, ["bench", "page", "--record", str(target)])
    assert page.stdout == record_page(read_record(target))
    assert set(read_record(target).benchmarks) == {"wst", "search"}


def test_the_page_of_the_committed_record_is_up_to_date() -> None:
    page = (DOCS / "benchmark_results.md").read_text()
    expected = record_page(read_record(DOCS / "benchmark_results.json"))
    assert page == expected, "run: swt bench page > docs/benchmark_results.md"
