"""A bar store that is kept current grows while a run lasts; the run's own bars do not."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest

from swt_core.clock import ManualClock
from swt_core.config import SWTConfig
from swt_core.errors import ConfigError
from swt_core.instruments import instrument
from swt_data.bars import Bars
from swt_data.manifest import Provenance
from swt_data.store import BarStore
from swt_data.synthetic import synthetic_bars
from swt_environments.dataset import load_dataset
from swt_inference.rollout import RolloutResult
from swt_training.selfplay import PlayTask, actor_dataset
from swt_training.trainer import Trainer

TrainerFactory = Callable[..., Trainer]
PAIR = instrument("GBP_JPY")
FIRST = 40_000


@pytest.fixture(scope="module")
def bars() -> Bars:
    return synthetic_bars("realistic", 30, 1, PAIR)


def add(directory: Path, bars: Bars) -> None:
    when_s = ManualClock(5.0).time_s()
    first_s, last_s = int(bars.time_s[0]), int(bars.time_s[-1])
    made = Provenance(
        source="test", format="synthetic", bars=len(bars), first_s=first_s, last_s=last_s, added_s=when_s
    )
    BarStore(directory, PAIR).add(bars, made)


@pytest.fixture
def config(small: SWTConfig, bars: Bars, tmp_path: Path) -> SWTConfig:
    add(tmp_path / "data", bars.rows(slice(0, FIRST)))
    data = small.data.model_copy(update={"bars_file": str(tmp_path / "data"), "spread_source": "hourly"})
    return small.model_copy(update={"data": data})


def test_bars_that_come_after_its_start_change_nothing_in_a_run(
    config: SWTConfig, bars: Bars, trainer_of: TrainerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = trainer_of(config, tmp_path / "still", 8)
    still.run()
    first = trainer_of(config, tmp_path / "grown", 8)
    # Between the trainer's start and its actors' first task, and again before it resumes.
    add(tmp_path / "data", bars.rows(slice(FIRST, FIRST + 500)))
    actor_dataset.cache_clear()
    first._round()
    first._save_state()
    add(tmp_path / "data", bars.rows(slice(FIRST + 500, len(bars))))
    actor_dataset.cache_clear()
    tasks: list[PlayTask] = []
    second = trainer_of(config, tmp_path / "grown", 8)
    submit = second._actors.submit

    def spy(submitted: list[PlayTask]) -> Future[list[RolloutResult]]:
        tasks.extend(submitted)
        return submit(submitted)

    monkeypatch.setattr(second._actors, "submit", spy)
    second.run()
    assert second.counters == still.counters
    assert len(second.dataset.bars) == FIRST
    assert tasks[0].last_bar_s == int(bars.time_s[FIRST - 1])
    assert len(load_dataset(config).bars) == len(bars), "a run that begins now sees them all"


def test_bars_that_changed_end_a_run(
    config: SWTConfig, bars: Bars, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    first = trainer_of(config, tmp_path / "run", 8)
    first._round()
    first._save_state()
    shutil.rmtree(tmp_path / "data")
    add(tmp_path / "data", bars.rows(slice(1, FIRST)))
    with pytest.raises(ConfigError, match="belongs to other bars"):
        trainer_of(config, tmp_path / "run", 8)


def test_a_run_that_knew_no_last_bar_learns_it_when_it_goes_on(
    config: SWTConfig, bars: Bars, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    first = trainer_of(config, tmp_path, 8)
    first.counters = first.counters.model_copy(update={"last_bar_s": None, "run": ""})
    first._round()
    first._save_state()
    second = trainer_of(config, tmp_path, 8)
    assert second.counters.last_bar_s == int(bars.time_s[FIRST - 1])
