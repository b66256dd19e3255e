"""A checkpoint in, a verdict out: held-out data only, once a level, reports that read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef, CheckpointStore
from swt_core.clock import ManualClock
from swt_core.config import SWTConfig
from swt_core.errors import DataError
from swt_core.instruments import instrument
from swt_core.state import read_json
from swt_core.verdict import Decision, Verdict, verdict_path
from swt_data.quality import check_quality
from swt_data.sessions import build_session_index, split_index
from swt_data.synthetic import synthetic_bars
from swt_environments.reference import SignalRule, regime_filter
from swt_inference.rollout import RandomPolicy, RulePolicy
from swt_validation.checkpoint_validation import MarketSource, Validation, validate_checkpoint
from swt_validation.held_out import held_out
from swt_validation.ledger import read_ledger
from swt_validation.players import PolicyPlayer, Setting
from swt_validation.report import Report

CONFIG = SWTConfig.model_validate({"data": {"market": "regimes"}, "validation": {"permutations": 199}})
BARS = synthetic_bars("regimes", 70, 5, instrument("GBP_JPY"))
QUALITY = check_quality(BARS)
SPLITS = split_index(build_session_index(BARS, QUALITY), BARS, 0.45, 0.15, 616)
SOURCE = MarketSource(BARS, "synthetic:regimes", synthetic=True)


def data(**changes: Any) -> CheckpointData:
    ranges = {
        f"{name}_{edge}_s": getattr(getattr(SPLITS, name), f"{edge}_s")
        for name in ("train", "validation", "test")
        for edge in ("start", "end")
    }
    return CheckpointData(
        **(
            {"source": "x", "sha256": BARS.sha256, "instrument": "GBP_JPY", "synthetic": True}
            | ranges
            | changes
        )
    )


def checkpoint(directory: Path, episode: int = 1, **changes: Any) -> CheckpointRef:
    metadata = CheckpointMetadata(
        architecture="a",
        feature_profile="swt",
        feature_version="f",
        episode=episode,
        version="1.0.0",
        config_hash="c",
        data=data(**changes),
        created_s=float(episode),
    )
    return CheckpointStore(directory).save({"w": np.full(3, episode, np.float32)}, metadata)


def filter_player(threshold: float = 0.7) -> PolicyPlayer:
    def policy(setting: Setting) -> RulePolicy:
        rule: SignalRule = regime_filter(
            setting.seen or setting.bars,
            drift_pips=1.0,
            sigma_pips=3.0,
            switch_probability=1 / 60,
            threshold=threshold,
        )
        return RulePolicy(rule)

    return PolicyPlayer(policy)


def random_player() -> PolicyPlayer:
    return PolicyPlayer(lambda _: RandomPolicy(0.02, np.random.default_rng(1)))


def validate(tmp_path: Path, player: PolicyPlayer, level: str = "FULL", **changes: Any) -> Validation:
    settings: dict[str, Any] = {
        "source": SOURCE,
        "config": CONFIG,
        "level": level,
        "state": tmp_path / "validation_state",
        "clock": ManualClock(1_700_000_000.0),
        "player": player,
        "pages": False,
    }
    ref = changes.pop("ref", None) or checkpoint(tmp_path / "checkpoints")
    return validate_checkpoint(ref, **(settings | changes))


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Validation:
    return validate(tmp_path_factory.mktemp("good"), filter_player(), pages=True)


def test_the_filter_that_knows_the_market_is_deployed(good: Validation) -> None:
    assert good.verdict.decision is Decision.DEPLOY
    assert good.verdict.statistics.trades >= 100
    assert good.verdict.grade in {"A+", "A", "A−", "B+"}
    assert good.verdict.data.synthetic
    assert good.report.significance.p_value == pytest.approx(1 / 200)


def test_everything_is_written_and_reads_back(good: Validation) -> None:
    assert read_json(good.directory / "report.json", Report) == good.report
    assert read_json(good.directory / "verdict.json", Verdict) == good.verdict
    assert (
        read_json(verdict_path(good.directory.parent.parent, good.verdict.checkpoint_sha256), Verdict)
        == good.verdict
    )
    assert good.pdf.read_bytes()[:5] == b"%PDF-"
    rows = (good.directory / "trades.csv").read_text().splitlines()
    assert len(rows) == 1 + good.verdict.statistics.trades


def test_the_report_obeys_its_own_schema(good: Validation) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    schema = Report.model_json_schema(mode="serialization")
    jsonschema.Draft202012Validator.check_schema(schema)
    document = json.loads((good.directory / "report.json").read_text())
    assert document["verdict"]["decision"] == "DEPLOY"


def test_only_the_test_range_is_played(good: Validation) -> None:
    assert good.verdict.data.start_s >= SPLITS.test.start_s
    assert good.verdict.data.end_s <= SPLITS.test.end_s
    assert good.report.episodes == len(SPLITS.test.weeks)


def test_the_baselines_stand_in_the_same_table(good: Validation) -> None:
    names = [row.name for row in good.report.baselines]
    assert names == ["agent", "random entries", "buy and hold", "momentum", "mean reversion", "flat"]
    by_name = {row.name: row for row in good.report.baselines}
    assert (
        by_name["agent"].total_pips
        > by_name["momentum"].total_pips
        > 0
        > by_name["mean reversion"].total_pips
    )


def test_sensitivity_has_its_reference_and_every_variant(good: Validation) -> None:
    rows = good.report.sensitivity
    assert rows[0].change_pips == 0
    assert rows[1].name.startswith("every fill one bar late")
    by_name = {row.name: row for row in rows}
    assert by_name["spread +50%"].change_pips == pytest.approx(-2.0 * rows[0].trades, rel=0.02)
    noise = by_name["noise of 0.5 pips on the prices it sees"]
    assert 0 < abs(noise.change_pips) < 0.1 * rows[0].total_pips


def test_the_same_seed_gives_the_same_report(good: Validation, tmp_path: Path) -> None:
    assert validate(tmp_path, filter_player()).report == good.report


@pytest.mark.slow
def test_the_same_seed_gives_the_same_pdf(good: Validation, tmp_path: Path) -> None:
    again = validate(tmp_path, filter_player(), pages=True)
    assert again.pdf.read_bytes() == good.pdf.read_bytes()


def test_a_random_agent_is_rejected(tmp_path: Path) -> None:
    found = validate(tmp_path, random_player()).verdict
    assert found.decision is Decision.REJECT
    assert found.statistics.expectancy_pips is not None
    assert found.statistics.expectancy_pips < 0


def test_an_agent_that_never_trades_is_rejected_with_a_report(tmp_path: Path) -> None:
    found = validate(tmp_path, filter_player(threshold=2.0), "STANDARD", pages=True)
    assert found.verdict.decision is Decision.REJECT
    assert found.verdict.statistics.trades == 0
    assert found.pdf.exists()
    assert found.verdict.grade == "ungraded"  # no letter on no trades


def test_sessions_never_deploy(tmp_path: Path) -> None:
    found = validate(tmp_path, filter_player(), "STANDARD").verdict
    assert found.decision is not Decision.DEPLOY
    assert any("STANDARD" in reason for reason in found.reasons)


def test_a_checkpoint_is_judged_once_a_level(tmp_path: Path) -> None:
    ref = checkpoint(tmp_path / "checkpoints")
    first = validate(tmp_path, filter_player(), "QUICK", ref=ref)
    second = validate(tmp_path, random_player(), "QUICK", ref=ref)
    assert (first.fresh, second.fresh) == (True, False)
    assert second.report == first.report
    assert len(read_ledger(tmp_path / "validation_state")) == 1
    assert validate(tmp_path, random_player(), "QUICK", ref=ref, again=True).fresh


def test_a_verdict_by_other_rules_or_out_of_date_does_not_count(tmp_path: Path) -> None:
    ref = checkpoint(tmp_path / "checkpoints")
    validate(tmp_path, filter_player(), "QUICK", ref=ref)
    changed = CONFIG.model_copy(
        update={"trading": CONFIG.trading.model_copy(update={"minimum_confidence": 0.5})}
    )
    assert validate(tmp_path, filter_player(), "QUICK", ref=ref, config=changed).fresh
    late = ManualClock(1_700_000_000.0 + 31 * 86_400)
    assert validate(tmp_path, filter_player(), "QUICK", ref=ref, config=changed, clock=late).fresh


def test_a_quick_look_does_not_replace_a_deep_verdict(tmp_path: Path) -> None:
    ref = checkpoint(tmp_path / "checkpoints")
    deep = validate(tmp_path, filter_player(), ref=ref)
    validate(tmp_path, filter_player(), "QUICK", ref=ref)
    shown = read_json(verdict_path(tmp_path / "validation_state", ref.sha256), Verdict)
    assert shown == deep.verdict


def test_more_trials_deflate_the_sharpe_ratio(tmp_path: Path) -> None:
    first = validate(tmp_path, filter_player(), "QUICK")
    for number in range(2, 6):
        ref = checkpoint(tmp_path / "checkpoints", number)
        rng = np.random.default_rng(number)
        player = PolicyPlayer(lambda _, rng=rng: RandomPolicy(0.02, rng))
        last = validate(tmp_path, player, "QUICK", ref=ref)
    assert first.report.significance.effective_trials == 1
    assert last.report.significance.trials == 5
    assert last.report.significance.effective_trials >= 3
    inference = last.report.significance.sharpe
    assert inference is not None
    assert inference.deflated < inference.probabilistic


def test_a_test_range_that_was_trained_on_is_refused() -> None:
    with pytest.raises(DataError, match="overlaps its test"):
        held_out(BARS, QUALITY, data(train_end_s=SPLITS.test.start_s + 86_400), CONFIG.data)
    with pytest.raises(DataError, match="overlaps its test"):
        held_out(BARS, QUALITY, data(validation_end_s=SPLITS.test.end_s), CONFIG.data)


def test_a_missing_purge_is_refused() -> None:
    purged = int(np.searchsorted(BARS.time_s, SPLITS.test.start_s))
    end_s = int(BARS.time_s[purged - 300])
    with pytest.raises(DataError, match="616 are needed"):
        held_out(BARS, QUALITY, data(validation_end_s=end_s), CONFIG.data)


def test_other_bars_than_the_checkpoints_are_refused() -> None:
    with pytest.raises(DataError, match="do not cover"):
        held_out(BARS, QUALITY, data(test_start_s=2_000_000_000, test_end_s=2_000_100_000), CONFIG.data)
    with pytest.raises(DataError, match="trained on EUR_USD"):
        held_out(BARS, QUALITY, data(instrument="EUR_USD"), CONFIG.data)
    with pytest.raises(DataError, match="is empty"):
        held_out(BARS, QUALITY, data(test_end_s=SPLITS.test.start_s), CONFIG.data)


def test_held_out_sessions_share_no_bar_and_stay_in_the_range() -> None:
    held = held_out(BARS, QUALITY, data(), CONFIG.data)
    first, last = held.sessions.first_rows, held.sessions.last_rows
    assert np.all(first[1:] > last[:-1] + 1)
    assert BARS.time_s[held.low_row] >= SPLITS.validation.end_s
    assert first[0] - 255 >= held.low_row
    assert last[-1] + 1 < held.high_row
    assert len(held.weeks) == len(SPLITS.test.weeks)


def test_appended_bars_do_not_move_the_test_range() -> None:
    longer = synthetic_bars("regimes", 70, 5, instrument("GBP_JPY"))
    held = held_out(
        longer, check_quality(longer), data(test_end_s=SPLITS.test.end_s - 7 * 86_400), CONFIG.data
    )
    assert longer.time_s[held.weeks.last_rows[-1] + 1] < SPLITS.test.end_s - 7 * 86_400


class Slow:
    """Plays what the filter plays; each run takes an hour and, past the limit, only a part is whole."""

    def __init__(self, clock: ManualClock, part: slice = slice(None)) -> None:
        self.clock, self.player, self.part = clock, filter_player(), part

    def play(self, setting: Any, episodes: Any, deadline: Any = None) -> Any:
        del deadline
        self.clock.advance(3600)
        return self.player.play(setting, episodes.select(np.arange(len(episodes))[self.part]))


def test_a_time_limit_leaves_a_partial_report_that_never_deploys(tmp_path: Path) -> None:
    clock = ManualClock(1_700_000_000.0)
    found = validate(tmp_path, Slow(clock), "COMPREHENSIVE", clock=clock)  # type: ignore[arg-type]
    assert not found.report.complete
    assert found.report.missing == ["sessions and sensitivity", "walk-forward"]
    assert found.verdict.decision is Decision.TEST
    assert any("time limit" in reason for reason in found.verdict.reasons)


def test_weeks_that_time_did_not_allow_are_missing(tmp_path: Path) -> None:
    clock = ManualClock(1_700_000_000.0)
    found = validate(tmp_path, Slow(clock, slice(1, None)), clock=clock)  # type: ignore[arg-type]
    total = len(SPLITS.test.weeks)
    assert found.report.episodes == total - 1
    assert found.report.missing[0] == f"1 of {total} weeks of the test range"
    assert found.verdict.decision is not Decision.DEPLOY


def test_variants_that_were_not_whole_in_time_are_missing(tmp_path: Path) -> None:
    class Tired(Slow):
        """Whole for weeks and reference, then in parts."""

        runs = 0

        def play(self, setting: Any, episodes: Any, deadline: Any = None) -> Any:
            self.runs += 1
            found = filter_player().play(setting, episodes)
            if self.runs <= 3:
                return found
            self.clock.advance(3600)
            return filter_player().play(setting, episodes.select(np.arange(2)))

    clock = ManualClock(1_700_000_000.0)
    found = validate(tmp_path, Tired(clock), clock=clock)  # type: ignore[arg-type]
    assert [row.name for row in found.report.sensitivity][-1] == "spread +50%"
    assert len(found.report.missing) == 3
    assert all(part.startswith("sensitivity: ") for part in found.report.missing)


def test_comprehensive_walks_forward(tmp_path: Path) -> None:
    found = validate(tmp_path, filter_player(), "COMPREHENSIVE").report
    assert [walk.scheme for walk in found.walk_forward] == ["rolling", "anchored"]
    walk = found.walk_forward[1]
    assert walk.efficiency == pytest.approx(1.0, abs=0.5)
    assert sum(fold.trades for fold in walk.folds) == found.trades.trades
    assert walk.profitable_share == 1.0


def test_bars_that_were_not_trained_on_are_refused_even_in_the_same_range(tmp_path: Path) -> None:
    others = synthetic_bars("regimes", 70, 6, instrument("GBP_JPY"))
    with pytest.raises(DataError, match="not the bars"):
        validate(tmp_path, filter_player(), source=MarketSource(others, "other", synthetic=True))
    # one minute is missing just before the test range: that says "other bars", not "too short a purge"
    missing = int(np.searchsorted(BARS.time_s, SPLITS.test.start_s)) - 5
    thinned = BARS.rows(np.delete(np.arange(len(BARS)), missing))
    with pytest.raises(DataError, match="not the bars"):
        validate(tmp_path, filter_player(), source=MarketSource(thinned, "other", synthetic=True))


def test_bars_of_another_time_are_judged_whole_and_beside(tmp_path: Path) -> None:
    shift_s = 52 * 7 * 86_400
    ranges = {
        name: value - 10 * shift_s for name, value in data().model_dump().items() if name.endswith("_s")
    }
    ref = checkpoint(tmp_path / "checkpoints", **ranges)
    found = validate(tmp_path, filter_player(), ref=ref, elsewhere=True)
    assert found.report.episodes > len(SPLITS.test.weeks)
    assert not verdict_path(tmp_path / "validation_state", ref.sha256).exists()
    with pytest.raises(DataError, match="overlap the checkpoint's train range"):
        validate(tmp_path, filter_player(), ref=checkpoint(tmp_path / "checkpoints", 2), elsewhere=True)
