"""The engine: one decision path for a batch and for live, and a loader that refuses what is wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.random_network import random_network
from swt_core.checkpoints import CheckpointData, CheckpointMetadata, CheckpointRef, CheckpointStore
from swt_core.clock import ManualClock
from swt_core.config import SWTConfig
from swt_core.config.models import ModelConfig, SearchConfig
from swt_core.errors import CheckpointError, CorruptCheckpointError, DataError, IncompatibleModelError
from swt_core.position import BUY, CLOSE, HOLD, SELL
from swt_environments.dataset import load_dataset
from swt_inference.engine import InferenceEngine, filter_entries, sample_by_visits
from swt_inference.int8_kernels import int8_heads_nb
from swt_inference.int8_tiles import plain_products_nb
from swt_inference.latency import LatencyHistogram
from swt_inference.library import EngineLibrary
from swt_inference.numba_evaluator import _root_nb
from swt_inference.rollout import SearchPolicy, play
from swt_inference.search.gumbel_rules import final_choice_nb
from swt_inference.temporal import pooled_series_nb
from swt_inference.warm import warm_inference
from swt_models.architecture import architecture_name, describe
from swt_models.export import export_weights
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape

SMALL = ModelConfig(hidden_dim=32, support_bins=21)
SHAPE = ObservationShape(128, 9)
Observations = NDArray[np.float32]
Masks = NDArray[np.bool_]


def metadata(episode: int = 0, **changes: Any) -> CheckpointMetadata:
    data = CheckpointData(
        source="regimes",
        sha256="0" * 64,
        instrument="GBP_JPY",
        synthetic=True,
        train_start_s=0,
        train_end_s=1,
        validation_start_s=2,
        validation_end_s=3,
        test_start_s=4,
        test_end_s=5,
    )
    settings: dict[str, Any] = {
        "architecture": architecture_name(SMALL, SHAPE),
        "feature_profile": "swt",
        "feature_version": "1",
        "episode": episode,
        "version": "1.0.0",
        "config_hash": "0" * 64,
        "data": data,
        "model_settings": describe(SMALL, SHAPE),
        "created_s": 0.0,
    }
    return CheckpointMetadata(**{**settings, **changes})


@pytest.fixture(scope="module")
def small() -> StochasticMuZeroNetwork:
    return random_network(SMALL, SHAPE, seed=11)


@pytest.fixture
def checkpoint(tmp_path: Path, small: StochasticMuZeroNetwork) -> CheckpointRef:
    return CheckpointStore(tmp_path).save(export_weights(small), metadata())


def test_a_live_decision_is_the_batchs_decision_bit_for_bit(
    network: StochasticMuZeroNetwork, observations: Observations, masks: Masks
) -> None:
    engine = InferenceEngine.from_network(network, SearchConfig())
    batch = engine.decide_batch(observations, masks)
    for row in range(0, 64, 3):
        live = engine.decide(observations[row], masks[row])
        assert live.action == batch.actions[row]
        assert live.confidence == batch.confidence[row]
        assert live.root_value == batch.root_values[row]
        assert live.visit_counts == tuple(batch.visit_counts[row])
        assert live.q_values == tuple(float(x) for x in batch.q_values[row])
    assert masks[np.arange(64), batch.actions].all()
    assert (batch.visit_counts[~masks] == 0).all()


def test_self_play_with_one_seed_repeats_itself(
    small: StochasticMuZeroNetwork, observations: Observations, masks: Masks
) -> None:
    engine = InferenceEngine.from_network(small, SearchConfig())

    def play(seed: int) -> NDArray[np.int64]:
        rng = np.random.default_rng(seed)
        return engine.decide_batch(observations, masks, noise_rng=rng, temperature=1.0).actions

    assert np.array_equal(play(1), play(1))
    assert not np.array_equal(play(1), play(2))
    assert masks[np.arange(64), play(1)].all()


def test_an_entry_below_the_minimum_confidence_becomes_hold_but_a_close_never_does() -> None:
    actions = np.array([BUY, SELL, CLOSE, HOLD, BUY])
    confidence = np.array([0.34, 0.2, 0.1, 0.1, 0.35])
    assert filter_entries(actions, confidence, 0.35).tolist() == [HOLD, HOLD, CLOSE, HOLD, BUY]


def test_what_search_chose_stays_visible_behind_the_filter(
    small: StochasticMuZeroNetwork, observations: Observations
) -> None:
    engine = InferenceEngine.from_network(small, SearchConfig())
    masks = np.tile(np.array([[0, 1, 1, 0]], np.bool_), (64, 1))
    batch = engine.decide_batch(observations, masks, minimum_confidence=1.0)
    unsure = batch.confidence < 1.0
    assert unsure.any()
    assert (batch.actions[unsure] == HOLD).all()
    assert np.isin(batch.searched_actions, (BUY, SELL)).all()
    live = engine.decide(observations[0], masks[0], minimum_confidence=1.1)
    assert live.action == HOLD
    assert live.searched_action in (BUY, SELL)


def test_temperature_samples_by_visits_and_never_an_unvisited_action() -> None:
    rng = np.random.default_rng(0)
    visits = np.tile(np.array([[0, 12, 3, 0]]), (20_000, 1))
    warm = np.bincount(sample_by_visits(visits, 1.0, rng), minlength=4) / 20_000
    assert np.allclose(warm, [0, 0.8, 0.2, 0], atol=0.02)
    cold = np.bincount(sample_by_visits(visits, 0.25, rng), minlength=4) / 20_000
    assert np.allclose(cold, [0, 256 / 257, 1 / 257, 0], atol=0.005)


def test_bad_input_is_refused_with_its_reason(
    small: StochasticMuZeroNetwork, observations: Observations, masks: Masks
) -> None:
    engine = InferenceEngine.from_network(small, SearchConfig())
    with pytest.raises(IncompatibleModelError, match="137"):
        engine.decide_batch(observations[:, :100], masks)
    broken = observations.copy()
    broken[3, 5] = np.nan
    with pytest.raises(DataError, match="not finite"):
        engine.decide_batch(broken, masks)
    with pytest.raises(ValueError, match="legal"):
        engine.decide_batch(observations, np.zeros_like(masks))
    with pytest.raises(ValueError, match="noise_rng"):
        engine.decide_batch(observations, masks, temperature=1.0)


def test_a_checkpoint_decides_like_the_network_it_was_saved_from(
    checkpoint: CheckpointRef, small: StochasticMuZeroNetwork, observations: Observations, masks: Masks
) -> None:
    direct = InferenceEngine.from_network(small, SearchConfig()).decide_batch(observations, masks)
    for given in (checkpoint, checkpoint.path):
        engine = InferenceEngine.from_checkpoint(given, SearchConfig(), feature_profile="swt")
        loaded = engine.decide_batch(observations, masks)
        assert np.array_equal(loaded.root_values, direct.root_values)
        assert engine.model_hash == checkpoint.sha256
        assert engine.decide(observations[0], masks[0]).model_hash == checkpoint.sha256


def test_the_torch_reference_visits_what_numba_visits(
    checkpoint: CheckpointRef, observations: Observations, masks: Masks
) -> None:
    fast = InferenceEngine.from_checkpoint(checkpoint, SearchConfig()).decide_batch(observations, masks)
    reference = InferenceEngine.from_checkpoint(checkpoint, SearchConfig(), device="torch-cpu")
    slow = reference.decide_batch(observations, masks)
    assert (fast.visit_counts == slow.visit_counts).all(axis=1).mean() > 0.95
    assert np.allclose(fast.raw_values, slow.raw_values, atol=1e-4)


def test_a_checkpoint_for_another_profile_is_refused_naming_both(checkpoint: CheckpointRef) -> None:
    with pytest.raises(IncompatibleModelError, match=r"'swt'.*'micro'"):
        InferenceEngine.from_checkpoint(checkpoint, SearchConfig(), feature_profile="micro")
    with pytest.raises(IncompatibleModelError, match="feature version"):
        InferenceEngine.from_checkpoint(checkpoint, SearchConfig(), feature_version="2")


def test_changed_bytes_and_missing_files_are_refused(checkpoint: CheckpointRef) -> None:
    data = bytearray(checkpoint.path.read_bytes())
    data[-1] ^= 1
    checkpoint.path.write_bytes(data)
    with pytest.raises(CorruptCheckpointError):
        InferenceEngine.from_checkpoint(checkpoint, SearchConfig())
    checkpoint.path.unlink()
    with pytest.raises(CheckpointError):
        InferenceEngine.from_checkpoint(checkpoint.path, SearchConfig())


def test_weights_that_do_not_fit_their_own_description_are_refused(
    tmp_path: Path, small: StochasticMuZeroNetwork
) -> None:
    settings = describe(ModelConfig(hidden_dim=64, support_bins=21), SHAPE)
    ref = CheckpointStore(tmp_path).save(export_weights(small), metadata(model_settings=settings))
    with pytest.raises(IncompatibleModelError, match=r"\(32.*64"):
        InferenceEngine.from_checkpoint(ref, SearchConfig())


def test_the_library_loads_once_and_forgets_the_least_recently_used(
    tmp_path: Path, small: StochasticMuZeroNetwork
) -> None:
    store = CheckpointStore(tmp_path)
    weights = export_weights(small)
    first, second, third = (store.save(weights, metadata(episode)) for episode in (1, 2, 3))
    loads: list[str] = []

    def load(ref: CheckpointRef) -> InferenceEngine:
        loads.append(ref.name)
        return InferenceEngine.from_checkpoint(ref, SearchConfig())

    library = EngineLibrary(load, capacity=2)
    kept = library.engine(first)
    library.engine(second)
    assert library.engine(first) is kept
    library.engine(third)
    assert library.engine(first) is kept
    assert len(library) == 2
    library.engine(second)
    assert loads == [first.name, second.name, third.name, second.name]


def test_threads_get_the_decisions_a_single_thread_gets(
    small: StochasticMuZeroNetwork, observations: Observations, masks: Masks
) -> None:
    engine = InferenceEngine.from_network(small, SearchConfig())
    wanted = engine.decide_batch(observations, masks).root_values

    def decide(row: int) -> float:
        return engine.decide(observations[row], masks[row]).root_value

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(decide, [row for row in range(64) for _ in range(3)]))
    assert np.array_equal(np.repeat(wanted, 3), np.asarray(found, np.float32))
    assert engine.latency.count == 192


def test_latency_comes_from_the_injected_clock(small: StochasticMuZeroNetwork) -> None:
    clock = ManualClock()
    engine = InferenceEngine.from_network(small, SearchConfig())
    timed = InferenceEngine(
        engine.evaluator, SearchConfig(), observation_size=SHAPE.size, model_hash="m", clock=clock
    )
    decision = timed.decide(np.zeros(137, np.float32), np.array([True, True, True, False]))
    assert decision.latency_ms == 0.0
    assert timed.latency.count == 1
    assert set(decision.diagnostics) >= {"raw_value_pips", "mean_depth", "prior_entropy_nats"}


def test_histogram_quantiles_are_right_to_within_a_bin() -> None:
    histogram = LatencyHistogram()
    assert histogram.quantile_ms(0.5) is None
    values = np.random.default_rng(0).lognormal(0.5, 0.6, 5000)
    for value in values:
        histogram.record(float(value))
    for share in (0.5, 0.95, 0.99):
        exact = float(np.quantile(values, share))
        assert exact * 0.98 <= (histogram.quantile_ms(share) or 0) <= exact * 1.15
    histogram.record(1e9)
    assert histogram.quantile_ms(1.0) == pytest.approx(1e5)


def test_warming_up_compiles_every_algorithm_without_a_checkpoint() -> None:
    warm_inference()
    assert _root_nb.signatures
    assert pooled_series_nb.signatures
    assert final_choice_nb.signatures
    assert plain_products_nb.signatures
    assert int8_heads_nb.signatures


class Meeting:
    """Notices two threads in one place at a time: they meet at a barrier, one alone breaks it."""

    def __init__(self) -> None:
        self.barrier = Barrier(2)
        self.met = False

    def enter(self) -> None:
        try:
            self.barrier.wait(timeout=0.2)
            self.met = True
        except BrokenBarrierError:
            pass


def test_no_two_threads_are_ever_inside_one_evaluator(
    small: StochasticMuZeroNetwork,
    observations: Observations,
    masks: Masks,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine, meeting = InferenceEngine.from_network(small, SearchConfig(simulations=2)), Meeting()
    root = engine.evaluator.root

    def watched(rows: Observations) -> Any:
        meeting.enter()
        return root(rows)

    monkeypatch.setattr(engine.evaluator, "root", watched)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda row: engine.decide(observations[row], masks[row]), range(2)))
    assert not meeting.met
    assert engine.latency.count == 2


def test_two_threads_that_ask_for_one_checkpoint_load_it_once(checkpoint: CheckpointRef) -> None:
    meeting, loads = Meeting(), []

    def load(ref: CheckpointRef) -> InferenceEngine:
        loads.append(ref.name)
        meeting.enter()
        return InferenceEngine.from_checkpoint(ref, SearchConfig())

    library = EngineLibrary(load)
    assert loads == []  # nothing is loaded before it is asked for
    with ThreadPoolExecutor(2) as pool:
        engines = list(pool.map(library.engine, [checkpoint, checkpoint]))
    assert engines[0] is engines[1]
    assert loads == [checkpoint.name]
    assert not meeting.met


def test_a_checkpoint_that_cannot_be_loaded_leaves_nothing_behind(checkpoint: CheckpointRef) -> None:
    attempts: list[str] = []

    def load(ref: CheckpointRef) -> InferenceEngine:
        attempts.append(ref.name)
        if len(attempts) == 1:
            raise CorruptCheckpointError("bytes differ")
        return InferenceEngine.from_checkpoint(ref, SearchConfig())

    library = EngineLibrary(load)
    with pytest.raises(CorruptCheckpointError):
        library.engine(checkpoint)
    assert len(library) == 0
    assert library.engine(checkpoint).model_hash == checkpoint.sha256
    with pytest.raises(ValueError, match="at least one"):
        EngineLibrary(load, capacity=0)


def test_self_play_records_the_policy_that_search_reports(small: StochasticMuZeroNetwork) -> None:
    config = SWTConfig.model_validate({"data": {"market": "regimes", "market_days": 30, "session_bars": 30}})
    dataset = load_dataset(config)
    first = dataset.splits.train.starts[:3]

    def shares(**settings: Any) -> NDArray[np.float32]:
        engine = InferenceEngine.from_network(small, SearchConfig(simulations=8, **settings))
        played = play(SearchPolicy(engine), dataset.market, first, first + 9, record=True)
        assert played.trajectories is not None
        return played.trajectories.visit_shares

    plain = shares()
    assert np.allclose(plain * 8, np.rint(plain * 8), atol=1e-5)  # visit shares
    greedy = shares(temperature=0.0)
    assert set(np.unique(greedy)) == {0.0, 1.0}
    improved = shares(algorithm="gumbel")  # no shares of eight visits, but Gumbel's improved policy
    assert not np.allclose(improved * 8, np.rint(improved * 8), atol=1e-3)
    assert np.allclose(improved.sum(axis=2), 1.0, atol=1e-5)
