"""How speeds of self-play and trainer follow from what was recorded."""

from __future__ import annotations

import pytest

from benchmarks.registry import DESCRIPTIONS, BenchmarkOptions, load_benchmark
from benchmarks.selfplay import steady_rate
from benchmarks.train import replayed_per_step, round_figures
from swt_core.config import TrainingConfig
from swt_core.errors import ConfigError, DataError


def test_the_rate_of_a_stream_leaves_out_its_warm_up() -> None:
    assert steady_rate([30.0, 31.0, 33.0, 35.0], [32, 32, 8, 12], skip=2) == pytest.approx(20 / 4)


def _round(time_s: float, episode: int, round_s: float, learning: float, waiting: float) -> dict[str, float]:
    """Half a learner step for each episode."""
    return {
        "time_s": time_s,
        "episode": episode,
        "Training/learner_steps": episode / 2,
        "Training/round_s": round_s,
        "Training/learning_share": learning,
        "Training/acting_share": learning + waiting,
        "Training/waiting_share": waiting,
    }


def test_figures_of_rounds_include_the_time_between_them() -> None:
    warm_up = [_round(100.0, 32, 50.0, 0.1, 0.9), _round(110.0, 64, 9.0, 0.5, 0.5)]
    rounds = [_round(120.0, 96, 8.0, 0.75, 0.25), _round(130.0, 128, 8.0, 0.5, 0.5)]
    found = round_figures([*warm_up, *rounds], sessions_per_step=4, replayed_per_step=1, session_bars=360)
    assert found["steps_per_s"] == pytest.approx(32 / 20)
    assert found["samples_per_s"] == pytest.approx(32 * 4 * 360 / 20)
    assert found["learned_per_searched"] == pytest.approx(128 / 64)
    assert found["replay_ratio"] == pytest.approx(32 / 64)
    assert (found["episodes_per_round"], found["steps_per_round"]) == (32, 16)
    assert found["learner_share"] == pytest.approx((6 + 4) / 20)
    assert found["waiting_share"] == pytest.approx((2 + 4) / 20)
    assert found["actors_share"] == pytest.approx(16 / 20)
    assert found["other_share"] == pytest.approx(4 / 20)


def test_a_run_of_nothing_but_warm_up_is_no_measurement() -> None:
    with pytest.raises(DataError, match="too few"):
        round_figures(
            [_round(1.0, 1, 1.0, 1.0, 0.0)] * 2, sessions_per_step=1, replayed_per_step=1, session_bars=1
        )


def test_only_sessions_that_were_searched_before_count_as_replayed() -> None:
    training = TrainingConfig(sessions_per_step=16, replayed_sessions_per_step=4)
    assert replayed_per_step(training) == 4
    assert replayed_per_step(training.model_copy(update={"algorithm": "plain"})) == 16
    assert replayed_per_step(training.model_copy(update={"sessions_per_step": 4})) == 3


@pytest.mark.parametrize("name", ["learning", "train", "selfplay", "buffer"])
def test_each_benchmark_is_listed_and_importable(name: str) -> None:
    assert name in DESCRIPTIONS
    assert name == load_benchmark(name).NAME


@pytest.mark.parametrize("name", ["learning", "train", "selfplay", "buffer"])
def test_a_misspelt_setting_is_refused_before_anything_is_measured(name: str) -> None:
    with pytest.raises(ConfigError, match="no benchmark setting 'sesions'"):
        load_benchmark(name).run(BenchmarkOptions(settings={"sesions": "5", "training.actors": "1"}))


def test_an_unknown_peer_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(ConfigError, match="no peer 'a2c'"):
        load_benchmark("learning").run(BenchmarkOptions(settings={"peers": "ppo,a2c"}))


def test_an_unknown_ablation_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(ConfigError, match="no ablation 'search'"):
        load_benchmark("learning").run(BenchmarkOptions(settings={"ablations": "search"}))


def test_filling_a_buffer_is_measured_beside_search() -> None:
    settings = {
        "sessions": "16",
        "data.market_days": "30",
        "data.session_bars": "60",
        "model.hidden_dim": "32",
    }
    found = load_benchmark("buffer").run(BenchmarkOptions(quick=True, settings=settings))
    rates = [found[f"{name}_episodes_per_s"] for name in ("random", "guided", "search")]
    assert all(isinstance(rate, float) and rate > 0 for rate in rates)
    assert found["ratio_random_to_search"] == rates[0] / rates[2]  # type: ignore[operator]
    assert found["bytes_per_step"] < 1000  # type: ignore[operator]
