"""The average of the weights: what plays, what is published, and how it survives jumps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from swt_core.config import ModelConfig, SWTConfig
from swt_models.export import export_weights
from swt_models.networks import StochasticMuZeroNetwork
from swt_models.observation import ObservationShape
from swt_training.averaging import WeightAverage

SHAPE = ObservationShape.for_profile("swt", 128, 9)


def network() -> StochasticMuZeroNetwork:
    return StochasticMuZeroNetwork(ModelConfig(hidden_dim=16, support_bins=11), SHAPE)


def shift(learning: StochasticMuZeroNetwork, by: float) -> None:
    with torch.no_grad():
        for parameter in learning.parameters():
            parameter.add_(by)


def test_the_average_is_the_exponential_one_once_it_is_long() -> None:
    learning = network()
    average = WeightAverage(learning, 0.5)
    start = average.weights()
    moved, expected = 0.0, 0.0
    for step in range(12):
        shift(learning, 1.0)
        moved += 1.0
        kept = min(0.5, (2 + step) / (11 + step))
        expected = kept * expected + (1 - kept) * moved
        average.update()
    for name, array in average.weights().items():
        np.testing.assert_allclose(array, start[name] + expected, rtol=1e-4)


def test_it_starts_short_so_that_it_does_not_lag() -> None:
    learning = network()
    average = WeightAverage(learning, 0.98)
    before = average.weights()
    shift(learning, 1.0)
    average.update()
    gained = np.mean([np.mean(array - before[name]) for name, array in average.weights().items()])
    assert gained > 0.8


def test_a_restart_begins_at_the_learned_weights() -> None:
    learning = network()
    average = WeightAverage(learning, 0.98)
    shift(learning, 5.0)
    average.restart()
    assert average.updates == 0
    for name, array in export_weights(learning).items():
        np.testing.assert_array_equal(array, average.weights()[name])


def test_without_an_average_the_learned_weights_play() -> None:
    learning = network()
    average = WeightAverage(learning, 0.0)
    shift(learning, 1.0)
    average.update()
    assert average.network is learning


def test_actors_and_checkpoints_get_the_average_and_the_run_resumes_it(
    small: SWTConfig, trainer_of, tmp_path: Path
) -> None:
    trainer = trainer_of(small, tmp_path, 6)
    trainer.run()
    average, learned = trainer.learner.average.weights(), export_weights(trainer.network)
    assert any(not np.array_equal(average[name], learned[name]) for name in learned)
    again = trainer_of(small, tmp_path, 6)
    assert again.learner.average.updates == trainer.learner.average.updates > 0
    for name, array in average.items():
        np.testing.assert_array_equal(array, again.learner.average.weights()[name])


def test_learning_begins_before_self_play(small: SWTConfig, trainer_of, tmp_path: Path) -> None:
    """Path values need no self-play: nobody waits for actors that are still importing."""
    seen = []
    training = small.training.model_copy(update={"head_start_steps": 3})
    trainer = trainer_of(small.model_copy(update={"training": training}), tmp_path, 4)
    trainer._on_progress = lambda now: seen.append((now.learner_sessions, now.episodes, now.round_pips))
    trainer.run()
    fresh = small.training.sessions_per_step
    assert seen[:3] == [(fresh, 0, None), (2 * fresh, 0, None), (3 * fresh, 0, None)]
    assert seen[3][1] > 0
    assert seen[3][2] is not None


def test_a_round_of_the_head_start_is_one_step(small: SWTConfig, trainer_of, tmp_path: Path) -> None:
    """Weights can be published and timed after each, and nobody waits for them."""
    seen = []
    training = small.training.model_copy(update={"head_start_steps": 3, "steps_per_round": 16})
    trainer = trainer_of(small.model_copy(update={"training": training}), tmp_path, 100)
    for _ in range(4):
        trainer._round()
        seen.append((trainer.counters.learner_steps, trainer.counters.episodes > 0))
    assert seen == [(1, False), (2, False), (3, False), (19, True)]
