"""`swt features`: compute, store, compare with the definition, draw."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from swt_cli.main import app

MARKET = ["--set", "data.market_days=4", "--set", "data.market=regimes"]


def features(*words: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["features", *words, *MARKET], env={"COLUMNS": "200"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("features") / "features.h5"
    code, text = features("build", "--store", str(path), "--threads", "1", "--json")
    assert code == 0
    built = json.loads(text)
    assert built["path"] == str(path)
    assert built["market_size"] == 128
    return path


def test_a_store_that_is_built_again_is_the_same_file(store: Path) -> None:
    before = store.read_bytes()
    code, text = features("build", "--store", str(store))
    assert code == 0
    assert "rows of 128 values" in text
    assert store.read_bytes() == before


def test_stored_windows_equal_their_definition(store: Path) -> None:
    code, text = features("verify", "--store", str(store), "--sample", "20", "--json")
    assert code == 0
    found = json.loads(text)
    assert (found["passed"], found["windows"], found["from_store"]) == (True, 20, True)
    code, text = features("verify", "--store", str(store.with_name("none.h5")), "--sample", "5")
    assert code == 0
    assert "5 computed windows" in text


def test_a_store_that_was_tampered_with_is_not_equal(store: Path, tmp_path: Path) -> None:
    import h5py

    damaged = tmp_path / "damaged.h5"
    damaged.write_bytes(store.read_bytes())
    with h5py.File(damaged, "r+") as file:
        (name,) = [key for key in file if file[key].ndim == 2]
        file[name][:] = file[name][:] + 1e-3
    code, text = features("verify", "--store", str(damaged), "--sample", "20")
    assert code == 1
    assert "NOT equal" in text


def test_a_day_is_drawn(tmp_path: Path) -> None:
    out = tmp_path / "day.png"
    code, text = features("plot", "--out", str(out), "--json")
    assert code == 0
    assert json.loads(text)["path"] == str(out)
    assert out.read_bytes()[:4] == b"\x89PNG"
