"""``SWT/Forex-v0`` as other people's agents see it."""

from __future__ import annotations

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import swt_environments  # noqa: F401  (registers the environment)
from swt_core.position import BUY, CLOSE, HOLD


@pytest.fixture(scope="module")
def env() -> gymnasium.Env[np.ndarray, np.int64]:
    return gymnasium.make("SWT/Forex-v0", disable_env_checker=True)


def test_it_passes_gymnasiums_own_checker(env: gymnasium.Env[np.ndarray, np.int64]) -> None:
    check_env(env.unwrapped, skip_render_check=True)


def test_an_illegal_action_becomes_hold_and_is_reported(env: gymnasium.Env[np.ndarray, np.int64]) -> None:
    _, info = env.reset(seed=1)
    assert info["action_mask"].tolist() == [1, 1, 1, 0]
    *_, info = env.step(np.int64(CLOSE))
    assert info["illegal_action"]
    assert info["side"] == 0
    *_, info = env.step(np.int64(BUY))
    assert not info["illegal_action"]
    assert info["side"] == 1
    *_, info = env.step(np.int64(BUY))
    assert info["illegal_action"]
    assert info["action_mask"].tolist() == [1, 0, 0, 1]


def test_an_episode_is_truncated_after_its_session(env: gymnasium.Env[np.ndarray, np.int64]) -> None:
    env.reset(seed=2)
    steps, truncated = 0, False
    while not truncated:
        _, _, terminated, truncated, info = env.step(np.int64(HOLD))
        assert not terminated
        steps += 1
    assert steps == 360
    assert info["equity_pips"] == 0.0


def test_one_seed_is_one_episode(env: gymnasium.Env[np.ndarray, np.int64]) -> None:
    first, info = env.reset(seed=7)
    again, same = env.reset(seed=7)
    np.testing.assert_array_equal(first, again)
    assert info["row"] == same["row"]
    _, info = env.reset(options={"start_row": 700})
    assert info["row"] == 700
