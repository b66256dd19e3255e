"""The batch that peers train in is the Gymnasium environment; needs extra ``bench``."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
from safetensors.numpy import load_file

import swt_environments  # noqa: F401  (registers the environment)
from benchmarks.learning_markets import learning_config
from benchmarks.learning_run import RUN_FILE, SNAPSHOTS, RunRecord
from benchmarks.snapshots import read_snapshots
from swt_core.clock import SystemClock
from swt_core.config import FeaturesConfig, TradingConfig
from swt_core.instruments import instrument
from swt_core.state import read_json
from swt_data.synthetic import synthetic_bars
from swt_environments.dataset import load_dataset
from swt_environments.market import Market
from swt_features.processor import FeatureProcessor

pytest.importorskip("stable_baselines3", reason="extra bench is not installed")

BARS = 40


@pytest.fixture(scope="module")
def market() -> Market:
    pair = instrument("GBP_JPY")
    return Market(
        synthetic_bars("regimes", 5, 1, pair), FeatureProcessor(FeaturesConfig(), pair), TradingConfig()
    )


def test_a_batch_is_the_gymnasium_environment_many_times(market: Market) -> None:
    from benchmarks.peer_environment import BatchForexEnv

    starts = np.arange(300, 2000)
    batch = BatchForexEnv(market, starts, BARS, 3, np.random.default_rng(5))
    observations = batch.reset()
    rows = batch._simulation.first_rows
    singles = [gymnasium.make("SWT/Forex-v0", market=market, starts=starts, session_bars=BARS) for _ in rows]
    first = [e.reset(options={"start_row": int(r)})[0] for e, r in zip(singles, rows, strict=True)]
    np.testing.assert_array_equal(observations, first)
    rng = np.random.default_rng(6)
    for t in range(BARS):
        actions = rng.integers(0, 4, 3)
        observations, rewards, done, infos = batch.step(actions)
        single = [e.step(a) for e, a in zip(singles, actions, strict=True)]
        np.testing.assert_allclose(rewards, [s[1] for s in single], rtol=1e-6)
        assert done.tolist() == [s[3] for s in single] == [t == BARS - 1] * 3
        seen = [i["terminal_observation"] for i in infos] if done.all() else observations
        np.testing.assert_array_equal(seen, [s[0] for s in single])
    assert all(info["TimeLimit.truncated"] for info in infos)


@pytest.mark.parametrize("name", ["ppo", "dqn"])
def test_the_saved_layers_choose_the_peers_own_greedy_action(name: str, market: Market) -> None:
    from benchmarks.heldout import PerceptronPolicy, layers_of
    from benchmarks.learning_peer import create_peer, greedy_weights
    from benchmarks.peer_environment import BatchForexEnv

    batch = BatchForexEnv(market, np.arange(300, 2000), BARS, 16, np.random.default_rng(5))
    model = create_peer(name, batch, 0.99, 1, lambda: 0.5)
    observations = batch.reset()
    found = PerceptronPolicy(layers_of(dict(greedy_weights(name, model)))).outputs(observations)
    np.testing.assert_array_equal(found.argmax(1), model.predict(observations, deterministic=True)[0])
    model._update_current_progress_remaining(1, 2)
    assert model._current_progress_remaining == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ppo", "dqn"])
def test_a_peer_trains_for_its_time_and_leaves_weights_and_a_record(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run itself, as the learning benchmark starts it, but for some seconds."""
    from benchmarks import learning_peer
    from benchmarks.heldout import PerceptronPolicy, layers_of

    monkeypatch.setattr(learning_peer, "TRIAL_STEPS", 100)
    small = ("data.market_days=40", f"data.session_bars={BARS}")
    config = learning_config("regimes", 3, 0.05, tmp_path, overrides=small)
    record = learning_peer.main(name, config, tmp_path, SystemClock())
    assert read_json(tmp_path / RUN_FILE, RunRecord) == record
    assert record.unavailable is None
    assert record.episodes > 0
    snapshots = read_snapshots(tmp_path / SNAPSHOTS)
    assert snapshots[-1].elapsed_s == record.elapsed_s
    market = load_dataset(config).market
    seen = np.zeros((2, market.processor.observation_size), np.float32)
    assert PerceptronPolicy(layers_of(load_file(snapshots[-1].path))).outputs(seen).shape == (2, 4)
