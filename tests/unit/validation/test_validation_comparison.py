"""Two checkpoints on the same held-out weeks: the validation's own code, an honest conclusion."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from report_fakes import config, never, often
from typer.testing import CliRunner

from swt_cli.main import app
from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef
from swt_core.clock import ManualClock
from swt_core.errors import DataError, SWTError
from swt_core.instruments import instrument
from swt_core.json_text import to_json
from swt_core.pool import SerialPool
from swt_data.synthetic import synthetic_bars
from swt_validation.checkpoint_validation import MarketSource
from swt_validation.comparison import Comparison, compare_checkpoints
from swt_validation.comparison_pages import write_comparison_html, write_comparison_pdf
from swt_validation.ledger import read_ledger
from swt_validation.levels import LEVELS
from swt_validation.players import PolicyPlayer
from swt_validation.schemas import json_schema

BARS = synthetic_bars("regimes", 50, 5, instrument("GBP_JPY"))
START_S = int(BARS.time_s[0])


def checkpoint(episode: int, **changes: Any) -> CheckpointRef:
    """One that was trained long before the bars."""
    ranges: dict[str, Any] = {
        "train_start_s": START_S - 9_000_000,
        "train_end_s": START_S - 6_000_000,
        "validation_start_s": START_S - 5_000_000,
        "validation_end_s": START_S - 4_000_000,
        "test_start_s": START_S - 3_000_000,
        "test_end_s": START_S - 2_000_000,
    }
    data = CheckpointData(
        source="x", sha256="a" * 64, instrument="GBP_JPY", synthetic=True, **(ranges | changes)
    )
    metadata = CheckpointMetadata(
        architecture="a",
        feature_profile="swt",
        feature_version="f",
        episode=episode,
        version="1.0.0",
        config_hash="c" * 64,
        data=data,
        created_s=0.0,
    )
    return CheckpointRef(Path("/home/somebody/private") / metadata.file_name, f"{episode:064x}", metadata)


def compare(state: Path, first: object, second: object, **changes: Any) -> Comparison:
    settings: dict[str, Any] = {
        "source": MarketSource(BARS, "bars.parquet", synthetic=True),
        "config": config(),
        "mode": "weeks",
        "state": state,
        "clock": ManualClock(1_700_000_000.0),
        "pool": SerialPool(),
        "elsewhere": True,
        "players": (PolicyPlayer(first), PolicyPlayer(second)),  # type: ignore[arg-type]
    }
    refs = changes.pop("refs", (checkpoint(1), checkpoint(2)))
    return compare_checkpoints(*refs, **(settings | changes))


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("validation_state")


@pytest.fixture(scope="module")
def unlike(state: Path) -> Comparison:
    return compare(state, often, never)


def test_the_same_agent_twice_differs_by_exactly_nothing(tmp_path: Path) -> None:
    found = compare(tmp_path, often, often)
    assert found.first.result.trades == found.second.result.trades > 100
    assert {one.difference for one in found.differences.values()} == {0.0}
    assert {(one.low, one.high, one.p_value) for one in found.differences.values()} == {(0.0, 0.0, 1.0)}
    assert not found.distinguishable
    assert found.conclusion.startswith("Not distinguishable")


def test_an_agent_with_an_edge_is_told_from_an_idle_one(unlike: Comparison) -> None:
    assert unlike.weeks >= 8
    main = unlike.differences["pips per episode"]
    assert main.difference == pytest.approx(np.mean(unlike.first.episode_pips))
    assert main.low is not None
    assert main.low > 0
    assert unlike.distinguishable
    assert unlike.conclusion.startswith("The first checkpoint is better: it earned")
    assert unlike.differences["SQN"].second is None


def test_the_other_way_round_is_the_same_with_the_sign_turned(unlike: Comparison, tmp_path: Path) -> None:
    turned = compare(tmp_path, never, often)
    assert turned.conclusion.startswith("The second checkpoint is better")
    first, second = (found.differences["pips per episode"] for found in (unlike, turned))
    assert (second.difference, second.low, second.high) == pytest.approx(
        (-first.difference, -first.high, -first.low)  # type: ignore[operator]
    )
    assert second.p_value == first.p_value


def test_whoever_compares_has_tried_both(unlike: Comparison, state: Path) -> None:
    trials = read_ledger(state)
    assert [trial.checkpoint_sha256 for trial in trials] == [unlike.first.sha256, unlike.second.sha256]
    assert {trial.level for trial in trials} == {"COMPARE"}
    assert "COMPARE" not in LEVELS
    assert unlike.first.verdict == "not validated yet"


def test_a_few_weeks_conclude_nothing(tmp_path: Path) -> None:
    short = BARS.rows(slice(0, 30_000))
    found = compare(tmp_path, often, never, source=MarketSource(short, "bars.parquet", synthetic=True))
    assert found.weeks < 8
    assert not found.distinguishable
    assert "fewer than the 8" in found.conclusion


def test_bars_that_one_of_them_has_seen_are_refused(tmp_path: Path) -> None:
    seen = checkpoint(3, train_end_s=START_S + 86_400)
    with pytest.raises(DataError, match="overlap the checkpoint's train range") as caught:
        compare(tmp_path, often, never, refs=(checkpoint(1), seen))
    assert caught.value.exit_code == 2
    assert read_ledger(tmp_path) == []


def test_checkpoints_without_a_common_range_are_refused(tmp_path: Path) -> None:
    # One is held out on the first half of the bars, the other on the second half.
    middle_s = int(BARS.time_s[len(BARS) // 2])
    end_s = int(BARS.time_s[-1]) + 60
    refs = []
    for number, (low_s, high_s) in enumerate(((START_S, middle_s), (middle_s + 86_400, end_s))):
        ref = checkpoint(10 + number, test_start_s=low_s + 3600 * 24, test_end_s=high_s)
        data = ref.metadata.data.model_copy(update={"sha256": BARS.sha256})
        refs.append(replace(ref, metadata=ref.metadata.model_copy(update={"data": data})))
    with pytest.raises(DataError, match="no week is held out for both"):
        compare(tmp_path, often, never, refs=tuple(refs), elsewhere=False)


def test_a_comparison_obeys_its_schema_and_can_be_handed_around(unlike: Comparison, tmp_path: Path) -> None:
    jsonschema.validate(json.loads(to_json(unlike)), json_schema("comparison"))
    write_comparison_html(tmp_path / "c.html", unlike)
    write_comparison_pdf(tmp_path / "c.pdf", unlike)
    page = (tmp_path / "c.html").read_text()
    assert unlike.conclusion in page
    assert "<script" not in page
    for text in (page, to_json(unlike)):
        assert "/home/" not in text
    assert (tmp_path / "c.pdf").read_bytes()[:5] == b"%PDF-"
    write_comparison_pdf(tmp_path / "again.pdf", unlike)
    assert (tmp_path / "again.pdf").read_bytes() == (tmp_path / "c.pdf").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["best", "newest", "--mode", "months"], "months"),
        (["best", "newest", "--sessions", "10"], "--mode sessions"),
        (["best", "nowhere"], "checkpoint"),
    ],
)
def test_bad_input_ends_with_2_and_says_what_to_do(arguments: list[str], named: str, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["compare", *arguments, "--state-dir", str(tmp_path)])
    assert isinstance(result.exception, SWTError)
    assert result.exception.exit_code == 2
    assert named in str(result.exception)
    assert result.exception.remedy


@pytest.mark.parametrize("command", ["validate", "compare"])
def test_the_schema_is_printed_without_a_checkpoint(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--schema"])
    assert result.exit_code == 0
    jsonschema.Draft202012Validator.check_schema(json.loads(result.stdout))
