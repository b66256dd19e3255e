"""Temperature, learning rate, clipping, noise and re-initialisation follow the configuration."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from swt_core.config import SWTConfig, TrainingConfig
from swt_core.state import read_jsonl
from swt_environments.dataset import load_dataset
from swt_inference.rollout import RolloutResult
from swt_models.export import export_weights
from swt_training.feed import LearnerFeed
from swt_training.learner import WARM_UP_STEPS, Learner
from swt_training.model_losses import draw_unroll
from swt_training.optimizer import hidden_matrices
from swt_training.reinitialise import due, reinitialise
from swt_training.replay import ReplayBuffer
from swt_training.run_setup import fresh_learner
from swt_training.selfplay import PlayTask, exploration_temperature, frozen_engine
from swt_training.trainer import Trainer

TrainerFactory = Callable[..., Trainer]


@pytest.fixture
def learner(small: SWTConfig) -> Learner:
    return fresh_learner(small, load_dataset(small))[1]


def test_temperature_falls_from_two_to_a_half_over_twenty_thousand_episodes() -> None:
    default = TrainingConfig()
    found = [exploration_temperature(default, n) for n in (0, 10_000, 20_000, 500_000)]
    assert found == pytest.approx([2.0, 1.0, 0.5, 0.5])
    other = TrainingConfig(temperature_start=4.0, temperature_end=1.0, temperature_episodes=100)
    assert exploration_temperature(other, 50) == pytest.approx(2.0)


def test_actors_play_at_the_temperature_of_their_episode(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = small.training.model_copy(update={"temperature_episodes": 2})
    trainer = trainer_of(small.model_copy(update={"training": training}), tmp_path, 4)
    seen: list[float] = []
    submit = trainer._actors.submit

    def spy(tasks: list[PlayTask]) -> Future[list[RolloutResult]]:
        seen.extend(task.temperature for task in tasks)
        return submit(tasks)

    monkeypatch.setattr(trainer._actors, "submit", spy)
    trainer._round()
    trainer._round()
    assert seen == pytest.approx([2.0, 0.5])
    shown = [row["Training/temperature"] for row in read_jsonl(trainer.state.file("metrics.jsonl"))]
    assert shown == pytest.approx(seen)


def test_the_learning_rate_warms_up_decays_and_stays_at_its_end(learner: Learner) -> None:
    t = learner.training
    learner.sessions_seen = 0
    assert learner.learning_rate() < 0.5 * t.learning_rate
    learner.sessions_seen = WARM_UP_STEPS * t.sessions_per_step
    assert learner.learning_rate() == pytest.approx(t.learning_rate, rel=0.01)
    learner.sessions_seen = t.decay_sessions // 2
    middle = (t.learning_rate + t.final_learning_rate) / 2
    assert learner.learning_rate() == pytest.approx(middle, rel=0.01)
    for late in (t.decay_sessions, 10 * t.decay_sessions):
        learner.sessions_seen = late
        assert learner.learning_rate() == pytest.approx(t.final_learning_rate)


def test_the_optimizer_steps_at_that_rate(learner: Learner) -> None:
    learner.sessions_seen = 10 * learner.training.decay_sessions
    final = learner.training.final_learning_rate
    bias, matrix = learner.network.prediction.heads.bias("policy"), next(hidden_matrices(learner.network))
    before = bias.detach().clone(), matrix.detach().clone()
    torch.manual_seed(1)
    learner.descend(sum((torch.randn(p.shape) * p).sum() for p in learner.network.parameters()))  # type: ignore[arg-type]
    # AdamW's first step is the rate in every entry; Muon's has singular values near its own.
    moved = (bias.detach() - before[0]).abs().numpy()
    np.testing.assert_allclose(moved, final, rtol=5e-3)  # beside 3.0, a float32 has no finer steps
    values = torch.linalg.svdvals(matrix.detach() - before[1])
    own = final * learner.training.hidden_rate_factor
    assert learner.optimizer.rates(final) == pytest.approx({"adam": final, "muon": own})
    assert values.median() == pytest.approx(own, rel=0.4)


def test_the_beginning_is_faster_and_falls_to_the_usual_rate(learner: Learner) -> None:
    early = {"early_sessions": 400, "early_rate_factor": 3.0, "early_gradient_steps": 2}
    usual, learner.training = learner.training, learner.training.model_copy(update=early)

    def factor(sessions: int) -> float:
        learner.sessions_seen, fast = sessions, learner.training
        rate = learner.learning_rate()
        learner.training = usual
        ratio = rate / learner.learning_rate()
        learner.training = fast
        return ratio

    assert [factor(n) for n in (0, 200, 400, 900)] == pytest.approx([3.0, 2.0, 1.0, 1.0])
    steps = []
    for sessions in (0, 399, 400):
        learner.sessions_seen = sessions
        steps.append(learner.gradient_steps())
    assert steps == [2, 2, 1]
    learner.training = learner.training.model_copy(update={"algorithm": "plain"})
    assert factor(0) == 1.0
    learner.sessions_seen = 0
    assert learner.gradient_steps() == 1


def test_batches_begin_small_and_grow_with_half_of_what_was_seen(learner: Learner) -> None:
    early = {"early_sessions": 400, "early_sessions_per_step": 6, "sessions_per_step": 16}
    learner.training = learner.training.model_copy(update=early)
    sizes, rates = [], []
    for _ in range(9):
        sizes.append(learner.batch_sessions())
        rates.append(learner.learning_rate())
        learner.sessions_seen += sizes[-1]
    assert sizes == [6, 6, 6, 9, 13, 16, 16, 16, 16]
    # The rate warms up over the same small batches.
    assert rates[:3] == pytest.approx([rates[2] * share for share in (1 / 3, 2 / 3, 1.0)], rel=0.1)
    for usual in ({"early_sessions": 0}, {"algorithm": "plain"}):
        learner.sessions_seen, fast = 0, learner.training
        learner.training = fast.model_copy(update=usual)
        assert learner.batch_sessions() == 16
        learner.training = fast
    learner.sessions_seen = 400
    assert learner.batch_sessions() == 16


@pytest.mark.parametrize(("algorithm", "expected"), [("path_value", [3, 6, 7, 8]), ("plain", [1, 2, 3, 4])])
def test_a_batch_of_the_beginning_gets_its_gradient_steps_and_they_share_the_roots(
    small: SWTConfig, monkeypatch: pytest.MonkeyPatch, algorithm: str, expected: list[int]
) -> None:
    early = {"early_sessions": 2 * small.training.sessions_per_step, "early_gradient_steps": 3}
    config = small.model_copy(
        update={"training": small.training.model_copy(update={**early, "algorithm": algorithm})}
    )
    dataset = load_dataset(config)
    _, learner = fresh_learner(config, dataset)
    feed = LearnerFeed(config, dataset, ReplayBuffer.configured(config.training, config.data.session_bars))
    feed.fill(np.random.default_rng(1))
    roots: list[int] = []

    def noted(*arguments: Any) -> Any:
        roots.append(arguments[3])
        return draw_unroll(*arguments)

    monkeypatch.setattr("swt_training.learner.draw_unroll", noted)
    taken = []
    for step in range(4):
        feed.learn(learner, np.random.default_rng(step))
        taken.append(learner.average.updates)
    assert taken == expected
    if algorithm == "path_value":
        whole = config.training.unroll_batch
        assert roots == 6 * [whole // 3] + 2 * [whole]


@pytest.mark.parametrize("clip", [0.01, 1.0])
def test_a_gradient_is_clipped_to_the_configured_norm(learner: Learner, clip: float) -> None:
    learner.training = learner.training.model_copy(update={"gradient_clip": clip})
    loss = sum((100.0 * p).sum() for p in learner.network.parameters())
    norm, finite = learner.descend(loss)  # type: ignore[arg-type]
    assert finite
    assert norm > 100
    clipped = torch.stack([p.grad.norm() for p in learner.network.parameters() if p.grad is not None]).norm()
    assert float(clipped) == pytest.approx(clip, rel=1e-3)


def test_root_noise_is_the_configured_one(small: SWTConfig, learner: Learner) -> None:
    """Noise without weight changes nothing; with all the weight it decides."""
    weights = export_weights(learner.network)
    processor = load_dataset(small).market.processor
    observations = np.random.default_rng(0).normal(size=(32, learner.network.observation.size))
    masks = np.tile([True, True, True, False], (32, 1))

    def visits(alpha: float, fraction: float, seed: int | None) -> np.ndarray:
        update = {"dirichlet_alpha": alpha, "dirichlet_fraction": fraction}
        config = small.model_copy(update={"training": small.training.model_copy(update=update)})
        sizes = processor.market_size, processor.position_size
        engine = frozen_engine(weights, config, *sizes)
        rng = None if seed is None else np.random.default_rng(seed)
        return engine.decide_batch(
            observations.astype(np.float32), masks, noise_rng=rng, temperature=0.0
        ).visit_counts

    np.testing.assert_array_equal(visits(1.0, 0.0, 1), visits(1.0, 0.0, None))
    assert not np.array_equal(visits(0.3, 1.0, 1), visits(0.3, 1.0, None))
    assert visits(0.03, 1.0, 1).max(1).mean() > visits(100.0, 1.0, 1).max(1).mean(), "small α is peaked"


def test_half_precision_is_a_setting(small: SWTConfig, monkeypatch: pytest.MonkeyPatch) -> None:
    assert TrainingConfig().bfloat16
    dataset = load_dataset(small)
    from swt_training.batches import session_batch

    results = []
    for wanted in (True, False, False):
        training = small.training.model_copy(update={"bfloat16": wanted})
        _, learner = fresh_learner(small.model_copy(update={"training": training}), dataset)
        rng = np.random.default_rng(0)
        for _ in range(2):
            batch = session_batch(dataset.market, dataset.splits.train.starts[:3], 60, 3, rng)
            parts = learner.step(batch, rng)
        results.append(parts.total)
    assert results[1] == results[2]
    assert results[0] != results[1]
    assert results[0] == pytest.approx(results[1], rel=0.05)


def test_a_multiple_is_passed_once() -> None:
    assert [due(n, n + 16, 40) for n in range(0, 96, 16)] == [False, False, True, False, True, False]
    assert not any(due(n, n + 16, 0) for n in range(0, 96, 16))


def test_shrink_and_perturb_mixes_with_fresh_weights(learner: Learner) -> None:
    before = export_weights(learner.network)
    reinitialise(learner, "shrink_perturb", 0.75, 3)
    other = export_weights(learner.network)
    name = "action_embedding.weight"
    fresh = (other[name] - 0.75 * before[name]) / 0.25
    assert fresh.std() == pytest.approx(0.5, rel=0.2), "the scale the network starts with"
    reinitialise(learner, "shrink_perturb", 1.0, 4)
    np.testing.assert_array_equal(export_weights(learner.network)[name], other[name])


def test_heads_alone_start_anew_and_the_optimizer_forgets_them(learner: Learner) -> None:
    for _ in range(3):
        learner.descend(sum((p**2).sum() for p in learner.network.parameters()))  # type: ignore[arg-type]
    with torch.no_grad():
        for parameter in learner.network.parameters():
            parameter.add_(0.1)
    before = export_weights(learner.network)
    reinitialise(learner, "heads", 0.8, 3)
    after = export_weights(learner.network)
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {name for name in before if ".heads.outputs." in name}
    assert not after["prediction.heads.outputs.value.weight"].any()
    assert after["prediction.heads.outputs.policy.bias"].tolist() == [3.0, 0.0, 0.0, 0.0]
    for name, parameter in learner.network.named_parameters():
        assert bool(learner.optimizer.moments(parameter)) is (".heads.outputs." not in name)


@pytest.mark.parametrize("kind", ["heads", "shrink_perturb"])
def test_a_run_that_reinitialises_resumes_bit_for_bit(
    small: SWTConfig, trainer_of: TrainerFactory, tmp_path: Path, kind: str
) -> None:
    training = small.training.model_copy(update={"reinitialise": kind, "reinitialise_every_steps": 3})
    config = small.model_copy(update={"training": training})
    whole = trainer_of(config, tmp_path / "whole", 8)
    whole.run()
    trainer_of(config, tmp_path / "parts", 4).run()
    parts = trainer_of(config, tmp_path / "parts", 8)
    parts.run()
    without = trainer_of(small, tmp_path / "without", 8)
    without.run()
    left, right, plain = (export_weights(t.network) for t in (whole, parts, without))
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name], err_msg=name)
    assert any(not np.array_equal(array, plain[name]) for name, array in left.items())
