"""Each rule of the replay buffer on its own."""

from __future__ import annotations

import numpy as np
import pytest

from swt_inference.rollout import Trajectories
from swt_training.replay import ReplayBuffer

STEPS = 10


def sessions(count: int, *, trading: bool, first: int = 0) -> Trajectories:
    actions = np.zeros((count, STEPS), np.int8)
    if trading:
        actions[:, 2], actions[:, 6] = 1, 3
    return Trajectories(
        np.arange(first, first + count),
        actions,
        np.full((count, STEPS, 4), 0.25, np.float32),
        np.zeros((count, STEPS), np.float32),
    )


def rows(buffer: ReplayBuffer) -> list[int]:
    return buffer.arrays()["first_rows"].tolist()


def test_capacity_is_counted_in_steps_and_the_oldest_goes_first() -> None:
    buffer = ReplayBuffer(5 * STEPS, STEPS, 0.3)
    for i in range(8):
        buffer.add(sessions(1, trading=True, first=i), i, np.random.default_rng(0))
    assert rows(buffer) == [3, 4, 5, 6, 7]
    assert buffer.statistics().steps == 5 * STEPS


def test_below_the_quota_a_hold_only_session_goes_and_trading_ones_stay() -> None:
    buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    buffer.add(sessions(2, trading=True), 0, np.random.default_rng(0))
    buffer.add(sessions(20, trading=False, first=100), 2, np.random.default_rng(0))
    assert len(buffer) == 10
    assert {0, 1} <= set(rows(buffer))
    assert buffer.statistics().trading_share == pytest.approx(0.2)


def test_above_the_quota_age_decides() -> None:
    buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    buffer.add(sessions(6, trading=True), 0, np.random.default_rng(0))
    buffer.add(sessions(6, trading=False, first=100), 6, np.random.default_rng(0))
    assert rows(buffer) == [2, 3, 4, 5, 100, 101, 102, 103, 104, 105]


def test_recent_sessions_are_drawn_twice_as_often_as_the_oldest() -> None:
    buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    buffer.add(sessions(10, trading=True), 0, np.random.default_rng(0))
    drawn = buffer.sample(60_000, np.random.default_rng(1)).first_rows
    shares = np.bincount(drawn, minlength=10) / 60_000
    assert shares[9] / shares[0] == pytest.approx(2.0, rel=0.1)
    assert (np.diff(shares) > -0.005).all()


def test_what_is_saved_is_what_comes_back() -> None:
    buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    buffer.add(sessions(4, trading=True), 7, np.random.default_rng(0))
    other = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    other.restore(buffer.arrays())
    left, right = (b.sample(5, np.random.default_rng(2)) for b in (buffer, other))
    np.testing.assert_array_equal(left.first_rows, right.first_rows)
    np.testing.assert_array_equal(left.actions, right.actions)
    assert other.statistics() == buffer.statistics()


def test_sessions_of_another_length_are_refused() -> None:
    buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    buffer.add(sessions(1, trading=True), 0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="steps"):
        ReplayBuffer(100, STEPS + 1, 0.3).restore(buffer.arrays())


def test_an_empty_buffer_has_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="empty"):
        ReplayBuffer(100, STEPS, 0.3).sample(1, np.random.default_rng(0))
