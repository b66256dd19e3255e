"""`swt data`: what a person and a program get to see of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from swt_cli.data import app
from swt_core.errors import DataError
from swt_core.instruments import instrument
from swt_data.files import write_bars
from swt_data.synthetic import synthetic_bars

runner = CliRunner()


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "bars.parquet"
    write_bars(synthetic_bars("realistic", 30, 1, instrument("GBP_JPY")), path)
    return path


def test_check_prints_figures_and_writes_picture_and_page(file: Path, tmp_path: Path) -> None:
    png, html = tmp_path / "report.png", tmp_path / "report.html"
    result = runner.invoke(app, ["check", str(file), "--png", str(png), "--html", str(html)])
    assert result.exit_code == 0, result.output
    assert "coverage of open minutes" in result.output
    assert "accepted" in result.output
    assert png.read_bytes().startswith(b"\x89PNG")
    page = html.read_text()
    assert "<strong class=accepted>" in page
    assert "data:image/png;base64," in page


def test_check_as_json_is_the_same_verdict(file: Path) -> None:
    result = runner.invoke(app, ["check", str(file), "--json"])
    document = json.loads(result.output)
    assert (document["verdict"], document["source"]) == ("accept", "bars.parquet")


def test_refused_bars_exit_with_two_and_say_why(fx_dir: Path) -> None:
    hourly = fx_dir / "GBPJPY_H1_2016-2021_oanda_mba.parquet"
    result = runner.invoke(app, ["check", str(hourly)])
    assert result.exit_code == 2
    assert "bars are 60 minutes apart" in result.output


def test_index_counts_sessions_by_reason_and_split(file: Path) -> None:
    document = json.loads(runner.invoke(app, ["index", str(file), "--json"]).output)
    assert document["starts"] > 10_000
    assert document["rejected"]["too_little_history"] == 255
    assert list(document["splits"]) == ["train", "validation", "test"]
    assert "left out: gap in session" in runner.invoke(app, ["index", str(file)]).output


def test_import_settles_checks_and_stores(fx_dir: Path, tmp_path: Path) -> None:
    sample = fx_dir / "formats" / "mt4_csv" / "GBPJPY1_weekend_2016-06-17_to_20.csv"
    arguments = ["import", str(sample), "--data-dir", str(tmp_path)]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 0, result.output
    assert "America/New_York+7h" in result.output
    assert "241 new bars" in result.output
    again = json.loads(runner.invoke(app, [*arguments, "--json"]).stdout)
    assert again["kept"].startswith("0 new bars, 241 known")
    assert (tmp_path / "GBP_JPY" / "current.json").is_file()


def test_import_to_one_file_gives_what_check_reads(fx_dir: Path, tmp_path: Path) -> None:
    sample = fx_dir / "formats" / "mt4_csv" / "GBPJPY1_head.csv"
    output = tmp_path / "bars.parquet"
    assert runner.invoke(app, ["import", str(sample), "-o", str(output)]).exit_code == 0
    assert runner.invoke(app, ["check", str(output)]).exit_code == 0


def test_a_broken_file_stores_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text("20240102 170000;180.1;180.3;180.0;180.2;0\n20240102 170100;180.1;x;180.0;180.2;0\n")
    result = runner.invoke(app, ["import", str(broken), "--timezone", "UTC", "--data-dir", str(tmp_path)])
    assert isinstance(result.exception, DataError)
    assert "line 2" in result.exception.message
    assert not (tmp_path / "GBP_JPY").exists()
