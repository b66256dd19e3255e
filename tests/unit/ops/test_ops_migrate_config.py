"""Configuration of another version: each key kept, renamed, or left out with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from swt_core.config.loading import PACKAGED_CONFIG_DIR, load_config
from swt_core.errors import ConfigError
from swt_ops.migrate_config import LEFT_OUT, carry_over, write_config


def files(directory: Path, **texts: str) -> Path:
    directory.mkdir()
    for area, text in texts.items():
        (directory / f"{area}.yaml").write_text(text)
    return directory


def test_todays_files_are_carried_over_as_they_are(tmp_path: Path) -> None:
    carried = carry_over(PACKAGED_CONFIG_DIR)
    assert all(each.new == each.old for each in carried)
    write_config(carried, tmp_path / "new")
    assert load_config(tmp_path / "new").config == load_config(PACKAGED_CONFIG_DIR).config


def test_the_originals_keys_get_their_names_of_today(tmp_path: Path) -> None:
    old = files(
        tmp_path / "old",
        training="max_episodes: 20000\ncheckpoint_interval: 50\nlearning_rate: 0.001\nbatch_size: 128\n",
        model="hidden_dim: 256\nvalue_support_size: 601\n",
        trading_safety="max_position_size: 1\nmax_drawdown_usd: 200\n",
    )
    carried = carry_over(old)
    new = load_config(write_config(carried, tmp_path / "new")).config
    assert new.process_limits.maximum_episodes == 20_000
    assert new.training.checkpoint_every_episodes == 50
    assert new.training.learning_rate == 0.001
    assert new.model.support_bins == 601
    assert new.trading_safety.max_position_units == 1
    left_out = {each.old: each.why for each in carried if each.new is None}
    assert left_out == {
        "training.batch_size": LEFT_OUT["training.batch_size"],
        "trading_safety.max_drawdown_usd": LEFT_OUT["trading_safety.max_drawdown_usd"],
    }


def test_a_file_may_repeat_its_areas_name_and_unknown_keys_are_said(tmp_path: Path) -> None:
    old = files(tmp_path / "old", training="training:\n  learning_rate: 0.001\n  cleverness: 11\n")
    kept, lost = carry_over(old)
    assert (kept.new, kept.value) == ("training.learning_rate", 0.001)
    assert lost.new is None
    assert "no setting" in lost.why


def test_two_old_keys_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    old = files(
        tmp_path / "old",
        live="min_confidence_threshold: 0.3\n",
        trading_safety="min_confidence_threshold: 0.6\n",
    )
    with pytest.raises(ConfigError, match=r"0\.3.*0\.6.*trading\.minimum_confidence"):
        carry_over(old)


def test_a_value_that_is_not_allowed_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    old = files(tmp_path / "old", model="value_support_size: 600\n")
    with pytest.raises(ConfigError, match="odd"):
        write_config(carry_over(old), tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_bad_files_and_existing_targets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no YAML"):
        carry_over(tmp_path)
    with pytest.raises(ConfigError, match="no settings"):
        carry_over(files(tmp_path / "list", training="- 1\n"))
    with pytest.raises(ConfigError, match="cannot be read"):
        carry_over(files(tmp_path / "torn", training="a: [1\n"))
    with pytest.raises(ConfigError, match="there already"):
        write_config([], tmp_path / "list")
