"""The traps that kept an earlier system from ever learning, each walked into on purpose.

Those that lie elsewhere have their test there; `docs/training.md` lists all of them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from swt_core.checkpoints import CheckpointStore
from swt_core.config import FeaturesConfig, SWTConfig, TradingConfig
from swt_core.errors import SWTError
from swt_core.instruments import instrument
from swt_core.position import BUY, HOLD, SELL
from swt_core.shared_arrays import HeldArrays
from swt_data.synthetic import synthetic_bars
from swt_environments.dataset import Dataset, load_bars, load_dataset
from swt_features.processor import FeatureProcessor
from swt_inference.engine import InferenceEngine
from swt_inference.rollout import SearchPolicy, play
from swt_models.export import export_weights
from swt_training.batches import session_batch
from swt_training.path_values import FLAT, LONG
from swt_training.recorded import visited_positions
from swt_training.run_setup import fresh_learner
from swt_training.selfplay import PlayTask, play_sessions
from swt_training.trainer import Trainer
from swt_validation.players import Setting

TrainerFactory = Callable[..., Trainer]
ROOT = Path(__file__).resolve().parents[3]
PACKAGES = sorted(ROOT.glob("swt_*/**/*.py"))
# What starts, stops and builds things, without a person looking on.
OPERATION = sorted(
    path
    for place in (ROOT / "scripts", ROOT / "docker", ROOT / ".ci")
    for path in place.rglob("*")
    if path.is_file() and path.suffix not in (".json", ".pyc")
) + [*sorted(ROOT.glob("docker-compose*.yml")), ROOT / "Makefile"]


@pytest.fixture
def dataset(small: SWTConfig) -> Dataset:
    return load_dataset(small)


def task_for(config: SWTConfig, dataset: Dataset, weights: dict[str, np.ndarray]) -> PlayTask:
    return PlayTask(
        config=config,
        boundaries_s=dataset.splits.boundaries_s,
        bars_sha256=dataset.bars.sha256,
        weights=HeldArrays(weights),
        first_rows=dataset.splits.train.starts[:4],
        exploring=True,
        temperature=1.0,
        seed=(1, 2),
    )


def test_actors_play_by_the_weights_they_are_given(small: SWTConfig, dataset: Dataset) -> None:
    """Theirs swallowed a wrong key and played random networks for ever."""
    actions = []
    for action in (HOLD, BUY):
        network, _ = fresh_learner(small, dataset)
        network.bias_policy(HOLD, 0.0)
        network.bias_policy(action, 8.0)
        task = task_for(small, dataset, export_weights(network))
        actions.append(play_sessions(replace(task, temperature=0.2)).action_counts)
    assert actions[1][BUY] > 3 * actions[0][BUY]


def test_weights_with_another_key_are_an_error_and_never_a_random_network(
    small: SWTConfig, dataset: Dataset
) -> None:
    network, _ = fresh_learner(small, dataset)
    weights = export_weights(network)
    weights["something_else"] = weights.pop(next(iter(weights)))
    with pytest.raises((SWTError, KeyError)):
        play_sessions(task_for(small, dataset, weights))


def test_a_checkpoint_holds_every_network(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    """Theirs left the chance network out: it was random wherever the checkpoint was loaded."""
    trainer = trainer_of(small, tmp_path, 4)
    trainer.run()
    newest = CheckpointStore(tmp_path / "checkpoints").newest()
    assert newest is not None
    names = CheckpointStore(tmp_path / "checkpoints").load(newest)[0].keys()
    assert names == trainer.network.state_dict().keys()
    for part in ("representation", "prediction", "afterstate_dynamics", "afterstate_prediction", "state_"):
        assert any(name.startswith(part) for name in names), part


def test_the_chance_loss_can_reach_zero(small: SWTConfig, dataset: Dataset) -> None:
    """A cross-entropy on softmaxed outputs never falls below 0.55 for three codes."""
    network, learner = fresh_learner(small, dataset)
    rng = np.random.default_rng(0)
    batch = session_batch(
        dataset.market, dataset.splits.train.starts[:3], small.data.session_bars, network.codes, rng
    )
    with torch.no_grad():
        network.afterstate_prediction.heads.bias("chance")[0] = 30.0
    certain = replace(batch, codes=np.zeros_like(batch.codes))
    assert learner.step(certain, rng).chance < 0.05


def test_few_simulations_do_not_visit_every_action_once(small: SWTConfig, dataset: Dataset) -> None:
    """An unvisited child of infinite score makes every target uniform; trade ratio: 3 of 4 actions."""
    network, _ = fresh_learner(small, dataset)
    engine = InferenceEngine.from_network(network, small.trading.search)
    rows = dataset.splits.train.starts[:8]
    result = play(SearchPolicy(engine), dataset.market, rows, rows + small.data.session_bars - 1, record=True)
    played = result.trajectories
    assert played is not None
    _, sides = visited_positions(dataset.market, rows, played.actions)
    # An illegal action is never visited: only where three are legal can three simulations visit each once.
    free = (sides == FLAT) & dataset.market.may_enter[rows[:, None] + np.arange(small.data.session_bars)]
    assert free.sum() > 200
    shares = played.visit_shares[free][:, [HOLD, BUY, SELL]]
    np.testing.assert_allclose(shares.sum(axis=-1), 1.0, atol=1e-6)
    assert (shares == 0.0).any(axis=-1).mean() > 0.5
    assert result.action_counts[HOLD] / result.action_counts.sum() > 0.5


def test_training_draws_from_far_more_than_twenty_sessions(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    trainer = trainer_of(small, tmp_path, 100)
    rows = trainer.feed.rows(200, trainer.learner, np.random.default_rng(0))
    assert len(np.unique(rows)) > 150
    starts = trainer.dataset.splits.train.starts
    assert len(starts) > 1000
    assert np.isin(rows, starts).all()


def test_what_an_episode_is_paid_depends_on_what_its_trades_earned(dataset: Dataset) -> None:
    """Theirs paid −0.2 for a trade of +80 pips and for one of −80."""
    rng = np.random.default_rng(0)
    starts = dataset.splits.train.starts[:400:10]
    batch = session_batch(dataset.market, starts, 60, 3, rng)
    # Buy at the first bar and hold to the end, against selling: mirror images but for the costs.
    bought = batch.rewards[:, 0, 0, BUY] + batch.rewards[:, 1:, LONG, HOLD].sum(axis=1)
    closes = dataset.market.bars.close_hp
    moved = closes[starts + 60] - closes[starts]
    assert np.corrcoef(bought, moved)[0, 1] > 0.95


def test_position_features_move_during_training(dataset: Dataset) -> None:
    """Theirs were constant zeros in training: bars since entry and drawdown among them."""
    rng = np.random.default_rng(0)
    batch = session_batch(dataset.market, dataset.splits.train.starts[:20], 60, 3, rng)
    size = dataset.market.processor.position_size
    features = batch.observations[:, :, LONG, -size:].reshape(-1, size)
    moving = features.std(axis=0) > 1e-4
    # Three of nine say which side is held, and here it is always the long one.
    assert moving.sum() == size - 3


@pytest.mark.parametrize("place", [0, 60, 120, 136, 200, 254, 255])
def test_the_agent_sees_the_whole_window_up_to_its_last_bar(place: int) -> None:
    """Their transform saw samples 120 to 136 of 256: the market of two hours ago."""
    pair = instrument("GBP_JPY")
    bars = synthetic_bars("regimes", 5, 1, pair, 4.0)
    features = FeatureProcessor(FeaturesConfig(), pair)
    row = np.array([600])
    closes = bars.close_hp.copy()
    closes[600 - 255 + place] += 500
    assert not np.array_equal(
        features.market_rows(replace(bars, close_hp=closes), row), features.market_rows(bars, row)
    )


def test_training_costs_what_validation_costs(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path
) -> None:
    """Their training paid a spread of 1.5 pips and a penalty of its own, all else 4 pips."""
    trading = TradingConfig.model_validate(
        small.trading.model_dump()
        | {
            "slippage_pips": 0.4,
            "financing_long_pips_per_day": -0.7,
            "financing_short_pips_per_day": 0.2,
            "no_entry_minutes_before_week_close": 90,
        }
    )
    spread = {"market": "realistic", "spread_source": "constant", "spread_pips": 2.6}
    data = small.data.model_copy(update=spread)
    config = small.model_copy(update={"trading": trading, "data": data})
    learned = trainer_of(config, tmp_path, 2).feed.dataset.market
    judged = Setting(load_bars(config.data)[0], config).market()
    for name in ("fill_bid", "fill_ask", "carry_pips", "may_enter", "flat_required"):
        np.testing.assert_array_equal(getattr(learned, name), getattr(judged, name), err_msg=name)
    np.testing.assert_array_equal(learned.bars.bid_close, judged.bars.bid_close)
    np.testing.assert_array_equal(learned.bars.ask_close, judged.bars.ask_close)
    assert (learned.fill_ask - learned.fill_bid).min() == 26 + 2 * 4, "points: spread, and slippage twice"
    assert learned.carry_pips.any()


def test_the_broker_s_token_has_one_name() -> None:
    """Theirs had five names for OANDA's token, and no two programs read the same."""
    told = re.compile(r'"(\w*(?:OANDA|BROKER)\w*(?:TOKEN|KEY|SECRET|ACCESS)\w*)"')
    found = {path.relative_to(ROOT).as_posix(): set(told.findall(path.read_text())) for path in PACKAGES}
    assert {path: names for path, names in found.items() if names} == {
        "swt_broker/credentials.py": {"SWT_BROKER_TOKEN", "SWT_BROKER_TOKEN_FILE"},
        # The word of `.env`, which a container puts in place of that name before anything reads it.
        "swt_ops/container.py": {"OANDA_API_KEY", "OANDA_API_KEY_FILE"},
    }


def test_no_script_swallows_a_failure_or_stops_what_is_not_its_own() -> None:
    """Their start script stopped every container of the host, and `|| true` hid what failed."""
    assert ROOT / "scripts" / "deploy_production.sh" in OPERATION
    assert ROOT / "docker" / "Dockerfile" in OPERATION
    swallowed = re.compile(r"(?:\|\||;)\s*(?:true|:)(?=\s|$|['\")])|set \+e\b|^\t-", re.MULTILINE)
    foreign = re.compile(
        r"docker (?:container )?(?:stop|kill|rm|restart|pause)\b|docker (?:container )?(?:ps|ls)\b"
        r"|docker (?:\w+ )?prune\b|\b(?:killall|pkill)\b"
    )
    for told in (swallowed, foreign):
        assert [path.name for path in OPERATION if told.search(path.read_text(errors="replace"))] == []


def test_nothing_is_unpickled_from_disk() -> None:
    told = re.compile(
        r"pickle\.load|torch\.load\((?![^)]*weights_only=True\))|allow_pickle=True|joblib\.load|read_pickle"
    )
    assert [path.name for path in PACKAGES if told.search(path.read_text())] == []


def test_only_the_clock_reads_the_clock() -> None:
    """Naive local clocks made New York hours of wherever the machine stood."""
    told = re.compile(r"\btime\.time\(\)|datetime\.now\(|datetime\.utcnow\(|datetime\.today\(|date\.today\(")
    found = {path.relative_to(ROOT).as_posix() for path in PACKAGES if told.search(path.read_text())}
    assert found <= {"swt_core/clock.py"}


def test_nothing_is_defined_twice() -> None:
    """Their position was two classes of one name: the later one, without peak and drawdown, won."""
    for path in PACKAGES:
        for scope in ast.walk(ast.parse(path.read_text())):
            if not isinstance(scope, (ast.Module, ast.ClassDef)):
                continue
            names = [
                node.name
                for node in scope.body
                if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
                # A property's setter and an overload share its name.
                and not any("setter" in ast.dump(d) or "overload" in ast.dump(d) for d in node.decorator_list)
            ]
            assert len(names) == len(set(names)), f"{path}: {sorted(names)}"


def test_every_trap_on_the_page_has_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "training.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", page)
    assert len(named) >= 30
    for path, name in named:
        assert f"def {name}(" in (ROOT / path).read_text(), f"{path}::{name}"
