"""Which bars get a gradient, and what is known of the others without one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from swt_core.config import DataConfig, ModelConfig, SWTConfig, TrainingConfig
from swt_core.errors import ConfigError
from swt_environments.dataset import load_dataset
from swt_training.batches import SessionBatch, session_batch
from swt_training.learner import Learner
from swt_training.model_losses import draw_unroll
from swt_training.path_values import path_values_nb
from swt_training.run_setup import fresh_learner, require_supported
from swt_training.survey import BOOTSTRAP_EVERY_BARS, draw_bars, survey, values_now

SESSION = 50


def learner_and_batch() -> tuple[Learner, SessionBatch]:
    config = SWTConfig(
        data=DataConfig.model_validate({"market": "regimes", "market_days": 60, "session_bars": SESSION}),
        model=ModelConfig(hidden_dim=32, support_bins=61, dropout=0.2),
        training=TrainingConfig(bfloat16=False),
    )
    dataset = load_dataset(config)
    network, learner = fresh_learner(config, dataset)
    for parameter in network.parameters():  # heads start at zero, where every value is the same
        torch.nn.init.normal_(parameter, std=0.2, generator=torch.Generator().manual_seed(0))
    rng = np.random.default_rng(0)
    rows = rng.choice(dataset.splits.train.starts, 3)
    return learner, session_batch(dataset.market, rows, SESSION, network.codes, rng)


def test_one_bar_is_drawn_from_each_stretch_and_every_bar_can_be() -> None:
    rng = np.random.default_rng(0)
    bars = draw_bars(400, 50, 0.25, rng)
    assert bars.shape == (400, 12)
    assert (np.diff(bars, axis=1) > 0).all()
    assert set(bars.ravel()) == set(range(50))
    np.testing.assert_array_equal(draw_bars(2, 50, 1.0, rng), [np.arange(50)] * 2)


@pytest.mark.parametrize(
    ("session_bars", "unroll_steps", "gradient_share", "named"),
    [
        (360, 5, 0.125, None),
        (10, 5, 0.125, "gradient_share"),
        (10, 5, 0.2, None),
        (20, 20, 1.0, "unroll_steps"),
        (360, 5, 0.003, "gradient_share"),
    ],
)
def test_sessions_too_short_to_unroll_are_refused_and_others_never_fail(
    session_bars: int, unroll_steps: int, gradient_share: float, named: str | None
) -> None:
    config = SWTConfig(
        data=DataConfig(session_bars=session_bars),
        training=TrainingConfig(unroll_steps=unroll_steps, gradient_share=gradient_share),
    )
    if named is not None:
        with pytest.raises(ConfigError, match=named):
            require_supported(config)
        return
    require_supported(config)
    policy = np.full((2, session_bars + 1, 3, 4), 0.25)
    masks = np.ones(policy.shape, np.bool_)
    for seed in range(50):
        rng = np.random.default_rng(seed)
        bars = draw_bars(2, session_bars, gradient_share, rng)
        assert len(draw_unroll(policy, masks, bars, 8, unroll_steps, rng).steps) == 8


def test_the_mean_over_drawn_bars_is_the_mean_over_all() -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal(360)
    drawn = values[draw_bars(4000, 360, 0.25, rng)].mean(axis=1)
    assert abs(drawn.mean() - values.mean()) < 4 * drawn.std() / np.sqrt(len(drawn))
    independent = values[rng.integers(360, size=(4000, 90))].mean(axis=1)
    assert drawn.std() < independent.std()  # stretches take a part of the noise away


def test_the_survey_is_what_the_network_says_without_dropout() -> None:
    learner, batch = learner_and_batch()
    network = learner.network
    seen = survey(network, batch, bfloat16=False)
    assert network.training
    network.eval()
    with torch.no_grad():
        logits, values = network.predict(network.represent(torch.from_numpy(batch.observations[2, 7])))
    masks = torch.from_numpy(batch.masks[2, 7])
    expected = torch.softmax(logits.masked_fill(~masks, -1e9), dim=-1)
    np.testing.assert_allclose(seen.policy[2, 7], expected, atol=1e-5)
    scalars = network.support.scalar(values)
    np.testing.assert_allclose(values_now(network, batch.observations[2, 7], False), scalars, atol=1e-3)
    assert network.training, "as the learner left it"
    np.testing.assert_array_equal(seen.bootstrap[:, 7], 0.0)  # not one of the bars that bootstrap
    assert (seen.bootstrap[:, BOOTSTRAP_EVERY_BARS] != 0.0).all()
    assert (seen.bootstrap[:, SESSION] != 0.0).all()


def test_the_survey_keeps_values_exact_beside_bf16_networks() -> None:
    """A value rounded to bf16 is a multiple of 1 or 2 pips: useless to compare actions by."""
    learner, batch = learner_and_batch()
    seen = survey(learner.network, batch, bfloat16=True)
    found = seen.bootstrap[:, ::BOOTSTRAP_EVERY_BARS]
    as_bf16 = torch.from_numpy(found).bfloat16().double().numpy()
    assert (found != as_bf16).mean() > 0.9


def test_a_survey_in_pieces_says_what_one_in_a_whole_says(monkeypatch: pytest.MonkeyPatch) -> None:
    learner, batch = learner_and_batch()
    whole = survey(learner.network, batch, bfloat16=False)
    monkeypatch.setattr("swt_training.survey.CHUNK_ROWS", 37)  # the last piece is a smaller one
    pieces = survey(learner.network, batch, bfloat16=False)
    np.testing.assert_allclose(pieces.policy, whole.policy, atol=1e-5)
    np.testing.assert_allclose(pieces.latents, whole.latents, atol=1e-4)
    np.testing.assert_allclose(pieces.bootstrap, whole.bootstrap, atol=1e-3)


def test_values_that_are_bootstrapped_at_some_bars_read_no_others() -> None:
    learner, batch = learner_and_batch()
    seen = survey(learner.network, batch, bfloat16=False)
    table, every = seen.policy[:, :-1], BOOTSTRAP_EVERY_BARS
    spoilt = seen.bootstrap.copy()
    spoilt[:, [i for i in range(SESSION) if i % every]] = 1e6
    clean = path_values_nb(batch.rewards, table, seen.bootstrap, 0.997, 0.95, every)
    for kept, found in zip(
        clean, path_values_nb(batch.rewards, table, spoilt, 0.997, 0.95, every), strict=True
    ):
        np.testing.assert_array_equal(kept, found)


def test_a_bootstrap_at_every_bar_is_the_lambda_return_and_exact_values_are_a_fixed_point() -> None:
    """Where B already is the policy's exact value, no mixture of it may change the result."""
    learner, batch = learner_and_batch()
    table = survey(learner.network, batch, bfloat16=False).policy[:, :-1]
    exact = path_values_nb(batch.rewards, table, np.zeros((3, SESSION + 1, 3)), 0.997, 1.0)
    for every in (1, 4):
        found = path_values_nb(batch.rewards, table, exact[1], 0.997, 0.9, every)
        np.testing.assert_allclose(found[0], exact[0], atol=1e-9)
        np.testing.assert_allclose(found[1], exact[1], atol=1e-9)


def test_an_unroll_starts_at_drawn_bars_and_ends_within_the_session() -> None:
    learner, batch = learner_and_batch()
    rng = np.random.default_rng(2)
    policy = survey(learner.network, batch, bfloat16=False).policy
    bars = draw_bars(3, SESSION, 0.25, rng)
    unroll = draw_unroll(policy, batch.masks, bars, 200, 5, rng)
    np.testing.assert_array_equal(bars[unroll.sessions, unroll.columns], unroll.steps)
    assert unroll.steps.max() + 5 <= SESSION
    for k in range(5):
        t = unroll.steps + k
        assert batch.masks[unroll.sessions, t, unroll.sides[:, k], unroll.actions[:, k]].all()
