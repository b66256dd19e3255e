"""The learning benchmark's parts on small markets: sessions, rules, figures, picture."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from benchmarks import learning, learning_run
from benchmarks.heldout import (
    HeldOut,
    HeldOutTask,
    PerceptronPolicy,
    ci95,
    disjoint_starts,
    held_out,
    held_out_rows,
    layers_of,
)
from benchmarks.learning_figures import Curve, SeedFigures, pooled_figures, seed_figures
from benchmarks.learning_markets import (
    FadeParameters,
    learning_config,
    market_names,
    play_rule,
    reference,
    tuned_fade_rule,
)
from benchmarks.learning_picture import save_curves
from benchmarks.random_network import random_network
from benchmarks.registry import BenchmarkOptions
from benchmarks.snapshots import SnapshotWriter, read_snapshots
from swt_core.config import SWTConfig
from swt_core.errors import ConfigError
from swt_core.pool import SerialPool
from swt_core.state import StateDirectory
from swt_environments.dataset import Dataset, load_dataset
from swt_inference.rollout import RulePolicy, play
from swt_models.export import export_weights
from swt_models.observation import ObservationShape
from swt_training.resume import load_state, under

SMALL = ("data.market_days=40", "data.session_bars=60", "model.hidden_dim=32", "trading.search.simulations=4")


def _config(market: str = "regimes") -> SWTConfig:
    return learning_config(market, 3, 1.0, Path(), overrides=SMALL)


@lru_cache(maxsize=1)
def _dataset() -> Dataset:
    return load_dataset(_config())


def _seed(**pips: list[float]) -> SeedFigures:
    reference_pips = pips.pop("reference", None)
    results = {k: HeldOut(np.array(v), np.full(len(v), 2, np.int64)) for k, v in pips.items()}
    curve = Curve(np.array([2.0, 4.0, 8.0]), np.array([0.0, 90.0, 95.0]))
    late = Curve(np.array([2.0, 20.0]), np.array([1.0, 91.0]))
    return SeedFigures(
        seed=1,
        reference=None
        if reference_pips is None
        else HeldOut(np.array(reference_pips), np.zeros(len(reference_pips), np.int64)),
        reference_name="rule",
        disjoint=True,
        curve_sessions=2,
        results=results,
        curves={"search": curve, "ppo": late},
        episodes=10,
        learner_sessions=20,
        training_s=60.0,
    )


def test_held_out_sessions_share_no_bar_where_enough_exist() -> None:
    starts = np.concatenate([np.arange(100, 1000), np.arange(5000, 5100)])
    rows, disjoint = held_out_rows(starts, 60, 12, seed=1)
    assert disjoint
    assert len(rows) == 12
    assert np.diff(np.sort(rows)).min() >= 60
    assert disjoint_starts(starts, 60).tolist() == [*range(100, 1000, 60), 5000, 5060]
    more, disjoint = held_out_rows(starts, 60, 200, seed=1)
    assert not disjoint
    assert len(set(more.tolist())) == 200


def test_market_and_training_follow_the_seed_and_overrides_apply(tmp_path: Path) -> None:
    config = _config("faint")
    assert (config.data.market, config.data.market_seed, config.training.seed) == ("faint", 3, 3)
    assert config.training.maximum_minutes == 1.0
    assert config.data.session_bars == 60
    with pytest.raises(ConfigError, match="no market 'rising'"):
        learning_config("rising", 1, 1.0, tmp_path)
    assert {"martingale", "reversion", "shuffled-future"} <= set(market_names())


def test_the_shuffled_future_keeps_the_bars_sizes_and_loses_their_order(tmp_path: Path) -> None:
    config = learning_config("shuffled-future", 3, 1.0, tmp_path, overrides=SMALL)
    shuffled, bars = load_dataset(config).bars, _dataset().bars
    ours, theirs = (np.sort(np.abs(np.diff(b.close_hp))) for b in (bars, shuffled))
    # The first change is lost to one of them each, and half-points are rounded to points.
    assert np.abs(ours - theirs).max() <= 2 * bars.instrument.half_points_per_pip / 10
    assert not np.array_equal(shuffled.close_hp, bars.close_hp)
    found, name = reference(config, "shuffled-future", load_dataset(config), np.arange(5))
    assert found is not None
    assert (found.pips.tolist(), name) == ([0.0] * 5, "stay out")


def test_a_rule_earns_the_same_with_and_without_features() -> None:
    dataset = _dataset()
    rows, _ = held_out_rows(dataset.splits.test.starts, 60, 20, seed=1)
    rule = FadeParameters(60, 5.0, -1.0).rule(dataset.bars)
    blind = play_rule(dataset, rule, rows, 60)
    seeing = play(RulePolicy(rule), dataset.market, rows, rows + 59)
    np.testing.assert_array_equal(blind.pips, seeing.episode_pips)
    assert blind.trades.sum() == len(seeing.trades) > 0


def test_the_filter_is_the_reference_of_regimes_and_earns() -> None:
    dataset = _dataset()
    rows, _ = held_out_rows(dataset.splits.test.starts, 60, 100, seed=1)
    found, name = reference(_config(), "regimes", dataset, rows)
    assert found is not None
    assert name.startswith("Bayes filter")
    assert found.pips.mean() - ci95(found.pips) > 0


def test_tuning_returns_a_rule_no_worse_than_the_grid_it_started_from() -> None:
    config = _config("reversion")
    dataset = load_dataset(config)
    found = tuned_fade_rule(dataset, 60, sessions=60, rounds=1)
    starts = disjoint_starts(dataset.splits.train.starts, 60)
    rows = starts[np.linspace(0, len(starts) - 1, 60).astype(np.int64)]

    def earned(point: FadeParameters) -> float:
        return float(play_rule(dataset, point.rule(dataset.bars), rows, 60).pips.mean())

    assert earned(found) >= max(
        earned(FadeParameters(120, 4.0, -4.0)), earned(FadeParameters(360, 8.0, -1.0))
    )


def test_search_and_prior_are_played_in_the_order_of_the_sessions(tmp_path: Path) -> None:
    config, dataset = _config(), _dataset()
    processor = dataset.market.processor
    shape = ObservationShape.for_profile("swt", processor.market_size, processor.position_size)
    weights = tmp_path / "weights.safetensors"
    save_file(export_weights(random_network(config.model, shape)), weights)
    rows, _ = held_out_rows(dataset.splits.test.starts, 60, 6, seed=1)
    for kind in ("search", "prior"):
        together = held_out(SerialPool(), config, kind, weights, rows)  # type: ignore[arg-type]
        alone = held_out(SerialPool(), config, kind, weights, rows[4:5])  # type: ignore[arg-type]
        assert together.pips.shape == together.trades.shape == (6,)
        assert together.pips[4] == alone.pips[0]
        assert together.trades.sum() > 0


def test_a_perceptron_equals_torch_and_its_illegal_actions_do_nothing() -> None:
    torch.manual_seed(1)
    network = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.ReLU(), torch.nn.Linear(7, 4))
    weights = {
        f"{i}.{part}": getattr(network[k], part).detach().numpy()
        for i, k in enumerate((0, 2))
        for part in ("weight", "bias")
    }
    inputs = np.random.default_rng(1).normal(size=(9, 5)).astype(np.float32)
    expected = network(torch.from_numpy(inputs)).detach().numpy()
    found = PerceptronPolicy(layers_of(weights)).outputs(inputs)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_a_perceptron_that_always_closes_never_trades(tmp_path: Path) -> None:
    dataset = _dataset()
    size = dataset.market.processor.observation_size
    layers = {"0.weight": np.zeros((4, size), np.float32), "0.bias": np.array([0, 0, 0, 1], np.float32)}
    save_file(layers, tmp_path / "close.safetensors")
    rows, _ = held_out_rows(dataset.splits.test.starts, 60, 3, seed=1)
    task = HeldOutTask(_config(), "perceptron", tmp_path / "close.safetensors", rows)
    found = held_out(SerialPool(), task.config, task.kind, task.weights, rows)
    assert found.pips.tolist() == [0.0] * 3
    assert found.trades.sum() == 0


def test_figures_of_a_seed_follow_their_definitions() -> None:
    found = seed_figures(
        _seed(search=[80.0, 100.0], prior=[70.0, 90.0], ppo=[50.0, 60.0], reference=[100, 100]), 60
    )
    assert found["pips_per_episode"] == found["search_pips"] == 90.0
    assert found["prior_pips"] == 80.0
    assert (found["search_gain_pips"], found["search_gain_ci95"]) == (10.0, 0.0)
    assert found["share_of_reference"] == 0.9
    assert found["ppo_pips"] == 55.0
    assert found["dqn_pips"] is None
    assert found["plain_pips"] is None
    assert (found["time_to_90_s"], found["ppo_time_to_90_s"]) == (4.0, 20.0)
    assert found["time_ratio_ppo"] == 0.2
    assert found["ci95"] == pytest.approx(1.96 * 10)
    assert found["trades_per_episode"] == 2.0


def test_a_peer_that_never_gets_there_counts_as_the_limit() -> None:
    seed = _seed(search=[80.0, 100.0], prior=[70.0, 90.0], reference=[100, 104])
    found = seed_figures(seed, 40.0)
    assert (found["time_to_90_s"], found["ppo_time_to_90_s"], found["time_ratio_ppo"]) == (8.0, None, 0.2)


def test_nothing_to_earn_has_neither_share_nor_time() -> None:
    found = pooled_figures([_seed(search=[-1.0, 0.0], prior=[0.0, 0.0], reference=[0.0, 0.0])] * 2, 60)
    assert (found["share_of_reference"], found["time_to_90_s"], found["time_ratio_ppo"]) == (None, None, None)
    assert found["reference_pips"] == 0.0
    assert found["profit_beyond_chance"] is False
    assert found["test_sessions"] == 4


def test_the_curves_become_a_picture_and_a_table(tmp_path: Path) -> None:
    seed = _seed(search=[80.0, 100.0], prior=[70.0, 90.0], reference=[100, 100])
    picture = save_curves(tmp_path / "learning_regimes", "regimes", [seed, seed])
    assert picture.read_bytes().startswith(b"\x89PNG")
    lines = (tmp_path / "learning_regimes.csv").read_text().splitlines()
    assert lines[:2] == ["seed,agent,elapsed_s,pips_per_episode", "1,search,2.00,0.000"]
    assert len(lines) == 1 + 2 * 5


def test_what_is_judged_at_the_end_are_the_weights_that_would_be_published(tmp_path: Path) -> None:
    """The weights behind the average swing from step to step; nobody would ever trade with them."""
    steps = ("training.steps_per_round=2", "training.head_start_steps=2", "training.episodes_per_actor=2")
    few = (*SMALL, *steps, "training.sessions_per_step=4", "training.selection_sessions=10")
    learning_run.main(learning_config("regimes", 3, 0.02, tmp_path, overrides=few), tmp_path)
    last = load_file(read_snapshots(tmp_path / "snapshots")[-1].path)
    saved = load_state(StateDirectory(tmp_path / "workspace" / "training_state"))
    assert saved is not None
    published, behind = under("average", saved[1]), under("weights", saved[1])
    for name, weights in last.items():
        np.testing.assert_array_equal(weights, published[name])
    assert any(np.any(weights != behind[name]) for name, weights in last.items())


def test_a_curve_is_measured_finely_until_the_goal_and_coarsely_beyond(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SnapshotWriter(tmp_path / "snapshots", first_s=1.0)
    for second in range(12):
        writer.offer(float(second), lambda: {"0.weight": np.zeros(1, np.float32)}, force=True)

    def earned(pool: object, config: object, kind: object, weights: Path, rows: object) -> HeldOut:
        return HeldOut(np.array([float(weights.stem[-2:])]), np.array([1]))

    monkeypatch.setattr(learning, "held_out", earned)
    agent = learning._Agent("search", tmp_path, learning_run.RunRecord())
    rows = np.zeros(1, np.int64)
    fine = learning._curve(SerialPool(), _config(), agent, rows, 1.0)
    assert fine.pips.tolist() == [0.0, 1.0, 3.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]
    assert fine.first_s(1.0) == 1.0
    without_goal = learning._curve(SerialPool(), _config(), agent, rows, None)
    assert without_goal.seconds.tolist() == [0.0, 3.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]


def test_steadiness_is_the_lowest_share_of_the_second_half() -> None:
    curve = Curve(np.array([1.0, 4.0, 5.0, 8.0, 10.0]), np.array([0.0, 10.0, 90.0, 80.0, 100.0]))
    assert curve.lowest_late() == 80.0
    steady = _seed(search=[80.0, 100.0], prior=[70.0, 90.0], reference=[100, 100])
    assert steady.steady_share("search") == pytest.approx(0.9)  # 90 after 4 s, 95 after 8 s
    found = pooled_figures([steady], 60)
    assert (found["steady_share"], found["dqn_steady_share"]) == (pytest.approx(0.9), None)
    assert found["ppo_steady_share"] == pytest.approx(0.91)


def test_every_agent_gets_the_same_time_and_is_judged_on_the_same_sessions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole benchmark, but for the trainings themselves, which are some weights that lie there."""
    config = _config()
    processor = _dataset().market.processor
    shape = ObservationShape.for_profile("swt", processor.market_size, processor.position_size)
    network = export_weights(random_network(config.model, shape))
    layers = {
        "0.weight": np.ones((4, processor.observation_size), np.float32),
        "0.bias": np.zeros(4, np.float32),
    }
    asked: dict[str, tuple[float | None, str]] = {}

    def train(module: str, config: SWTConfig, directory: Path, *arguments: str) -> learning_run.RunRecord:
        asked[directory.name] = (config.training.maximum_minutes, config.training.algorithm)
        directory.mkdir(exist_ok=True)
        writer = SnapshotWriter(directory / learning_run.SNAPSHOTS)
        for second in (3.0, 66.0):
            writer.offer(second, lambda: layers if arguments else network)
        if directory.name == "ours":
            save_file(network, directory / learning_run.BEST_FILE)
        return learning_run.RunRecord(elapsed_s=66.0, episodes=7, learner_sessions=70, has_best=True)

    monkeypatch.setattr(learning, "_train", train)
    monkeypatch.setattr(learning, "LocalPool", lambda _: SerialPool())
    monkeypatch.setattr(learning.learning_peer, "unavailable", lambda: None)
    settings = dict(setting.split("=") for setting in SMALL)
    settings |= {"sessions": "4", "curve_sessions": "2", "seeds": "1", "minutes": "1", "ablations": "plain"}
    found = learning.run(BenchmarkOptions(seed=3, settings=settings | {"output": str(tmp_path)}))
    assert {name: minutes for name, (minutes, _) in asked.items()} == {
        "warm": 0.01,
        "ours": 1.0,
        "ppo": 1.1,  # as long as ours really took
        "dqn": 1.1,
        "plain": 1.0,
    }
    assert [name for name, (_, algorithm) in asked.items() if algorithm == "plain"] == ["plain"]
    for key in (
        "pips_per_episode",
        "ci95",
        "trades_per_episode",
        "reference_pips",
        "share_of_reference",
        "ppo_pips",
    ):
        assert isinstance(found[key], float), key
    # The same weights are the last, the best and the plain algorithm's; the same layers both peers'.
    assert (
        found["search_pips"]
        == found["pips_per_episode"]
        == found["plain_pips"]
        == found["best_checkpoint_pips"]
    )
    assert found["ppo_pips"] == found["dqn_pips"]
    assert found["test_sessions"] == 4
    assert found["simulations"] == 4
    assert Path(str(found["learning_curve_png"])).exists()
    assert {"time_to_90_s", "time_ratio_ppo", "prior_pips", "search_gain_pips"} <= found.keys()
