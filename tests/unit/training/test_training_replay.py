"""Each rule of the replay buffer on its own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swt_core.config import SWTConfig
from swt_core.config.loading import load_config
from swt_training.replay import ReplayBuffer
from swt_training.session_table import SessionTable

STEPS = 10


def sessions(count: int, *, trading: bool, first: int = 0, episode: int = 0) -> SessionTable:
    actions = np.zeros((count, STEPS), np.int8)
    if trading:
        actions[:, 2], actions[:, 6] = 1, 3
    return SessionTable(
        episodes=episode + np.arange(count),
        first_rows=np.arange(first, first + count),
        actions=actions,
        visit_shares=np.full((count, STEPS, 4), 0.25, np.float16),
        root_values=np.zeros((count, STEPS), np.float32),
        best_trade_pips=np.full(count, np.nan, np.float32),
        expectancy_pips=np.full(count, np.nan, np.float32),
    )


def rows(buffer: ReplayBuffer) -> list[int]:
    return buffer.arrays()["first_rows"].tolist()


def test_capacity_is_counted_in_steps_and_the_oldest_goes_first() -> None:
    buffer = ReplayBuffer(5 * STEPS, STEPS, 0.3)
    for i in range(8):
        buffer.add(sessions(1, trading=True, first=i, episode=i), np.random.default_rng(0))
    assert rows(buffer) == [3, 4, 5, 6, 7]
    assert buffer.statistics().steps == 5 * STEPS


def test_below_the_quota_a_hold_only_session_goes_and_trading_ones_stay() -> None:
    buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    buffer.add(sessions(2, trading=True, episode=0), np.random.default_rng(0))
    buffer.add(sessions(20, trading=False, first=100, episode=2), np.random.default_rng(0))
    assert len(buffer) == 10
    assert {0, 1} <= set(rows(buffer))
    assert buffer.statistics().trading_share == pytest.approx(0.2)


def test_above_the_quota_age_decides() -> None:
    buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    buffer.add(sessions(6, trading=True, episode=0), np.random.default_rng(0))
    buffer.add(sessions(6, trading=False, first=100, episode=6), np.random.default_rng(0))
    assert rows(buffer) == [2, 3, 4, 5, 100, 101, 102, 103, 104, 105]


@settings(deadline=None)
@given(
    capacity=st.integers(1, 12),
    quota=st.floats(0.0, 1.0),
    rounds=st.lists(st.lists(st.booleans(), min_size=1, max_size=8), min_size=1, max_size=6),
)
def test_where_enough_sessions_traded_the_quota_holds_of_what_stays(
    capacity: int, quota: float, rounds: list[list[bool]]
) -> None:
    """Enough: as many as the quota of a full buffer. Of fewer than that not one is lost."""
    buffer = ReplayBuffer(capacity * STEPS, STEPS, quota)
    rng, episode = np.random.default_rng(0), 0
    for round_ in rounds:
        played = SessionTable.empty(STEPS)
        for trading in round_:
            played = played.joined(sessions(1, trading=trading, first=episode, episode=episode))
            episode += 1
        before = int(buffer.table.trading().sum()) + sum(round_)
        offered = len(buffer) + len(round_)
        buffer.add(played, rng)
        after = int(buffer.table.trading().sum())
        assert len(buffer) == min(capacity, offered)
        if before / capacity >= quota:
            assert after / len(buffer) >= quota
        else:
            assert after == before


def test_recent_sessions_are_drawn_twice_as_often_as_the_oldest() -> None:
    buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    buffer.add(sessions(10, trading=True, episode=0), np.random.default_rng(0))
    drawn = buffer.sample(60_000, np.random.default_rng(1)).first_rows
    shares = np.bincount(drawn, minlength=10) / 60_000
    assert shares[9] / shares[0] == pytest.approx(2.0, rel=0.1)
    assert (np.diff(shares) > -0.005).all()


def test_what_is_saved_is_what_comes_back() -> None:
    buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    buffer.add(sessions(4, trading=True, episode=7), np.random.default_rng(0))
    other = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    other.restore(buffer.arrays())
    left, right = (b.sample(5, np.random.default_rng(2)) for b in (buffer, other))
    np.testing.assert_array_equal(left.first_rows, right.first_rows)
    np.testing.assert_array_equal(left.actions, right.actions)
    assert other.statistics() == buffer.statistics()


def test_sessions_of_another_length_are_refused() -> None:
    buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    buffer.add(sessions(1, trading=True, episode=0), np.random.default_rng(0))
    with pytest.raises(ValueError, match="steps"):
        ReplayBuffer(100, STEPS + 1, 0.3).restore(buffer.arrays())


def test_an_empty_buffer_has_nothing_to_draw() -> None:
    with pytest.raises(ValueError, match="empty"):
        ReplayBuffer(100, STEPS, 0.3).sample(1, np.random.default_rng(0))


@pytest.mark.parametrize("oldest", [0.5, 0.25, 1.0])
def test_the_weight_of_the_oldest_is_configured(oldest: float) -> None:
    buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3, oldest)
    buffer.add(sessions(10, trading=True), np.random.default_rng(0))
    drawn = buffer.sample(60_000, np.random.default_rng(1)).first_rows
    shares = np.bincount(drawn, minlength=10) / 60_000
    assert shares[9] / shares[0] == pytest.approx(1 / oldest, rel=0.1)


def test_below_the_quota_which_hold_only_session_goes_is_random() -> None:
    gone = set()
    for seed in range(20):
        buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3)
        buffer.add(sessions(10, trading=False), np.random.default_rng(seed))
        buffer.add(sessions(1, trading=True, first=100), np.random.default_rng(seed))
        gone |= set(range(10)) - set(rows(buffer))
    assert len(gone) > 3


def test_below_the_quota_the_oldest_goes_when_every_session_trades_not() -> None:
    buffer = ReplayBuffer(3 * STEPS, STEPS, 1.0)
    buffer.add(sessions(5, trading=True), np.random.default_rng(0))
    assert rows(buffer) == [2, 3, 4]


def test_a_million_steps_fit_in_a_gigabyte() -> None:
    """Observations alone would be 137 · 4 bytes a step, and with every side three times that."""
    steps = SWTConfig().data.session_bars
    table = SessionTable.empty(steps)
    one = SessionTable.from_arrays(
        {name: np.zeros((64, *array.shape[1:])) for name, array in table.arrays().items()}
    )
    bytes_per_step = one.nbytes / (64 * steps)
    assert bytes_per_step * 1_000_000 <= 1e9
    assert bytes_per_step < 14, "actions 1, visit shares 8, root value 4 bytes"


def test_the_configuration_states_the_limits() -> None:
    training = SWTConfig().training.model_copy(
        update={"replay_capacity_steps": 3600, "minimum_trading_share": 0.4, "success_capacity_sessions": 7}
    )
    buffer = ReplayBuffer.configured(training, 360)
    assert (buffer.capacity, buffer.minimum_trading_share) == (10, 0.4)
    assert buffer.success.rules.capacity_sessions == 7
    default = ReplayBuffer.configured(SWTConfig().training, 360)
    assert default.capacity * 360 == pytest.approx(1_000_000, rel=1e-3)
    assert (default.minimum_trading_share, default.oldest_weight) == (0.3, 0.5)
    rules = default.success.rules
    assert (rules.capacity_sessions, rules.trade_pips, rules.history_episodes) == (1000, 5.0, 500)
    assert rules.quantile == 0.8


def test_the_original_s_profile_keeps_ten_thousand_steps() -> None:
    config = load_config(None, "original", {}, []).config
    buffer = ReplayBuffer.configured(config.training, config.data.session_bars)
    assert buffer.capacity == 10_000 // 360
    assert config.training.algorithm == "plain"


def test_newer_searches_replace_those_of_the_same_episode_alone() -> None:
    buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    buffer.add(sessions(4, trading=True, episode=5), np.random.default_rng(0))
    policies = np.zeros((2, STEPS, 4), np.float32)
    policies[..., 1] = 1.0
    replaced = buffer.replace_searches(np.array([6, 99]), policies, np.full((2, STEPS), 3.0, np.float32))
    assert replaced == 1
    assert buffer.table.root_values[:, 0].tolist() == [0.0, 3.0, 0.0, 0.0]
    assert buffer.table.visit_shares[1, 0].tolist() == [0.0, 1.0, 0.0, 0.0]
    assert buffer.table.visit_shares[0, 0].tolist() == [0.25] * 4


def test_statistics_tell_quota_balance_and_ages() -> None:
    buffer = ReplayBuffer(10 * STEPS, STEPS, 0.3)
    buffer.add(sessions(1, trading=True), np.random.default_rng(0))
    buffer.add(sessions(4, trading=False, episode=1), np.random.default_rng(0))
    found = buffer.statistics()
    assert found.below_quota
    assert found.trading_share == pytest.approx(0.2)
    assert found.action_shares == pytest.approx((0.96, 0.02, 0.0, 0.02))
    assert found.age_episodes == (0.0, 1.0, 2.0, 3.0, 4.0)
    assert found.searched_share == 1.0


def test_a_saved_buffer_comes_back_with_its_own_limits() -> None:
    buffer = ReplayBuffer(5 * STEPS, STEPS, 0.45, 0.7)
    buffer.add(sessions(3, trading=True), np.random.default_rng(0))
    again = ReplayBuffer.saved(buffer.arrays())
    assert again.statistics() == buffer.statistics()
    assert (again.capacity, again.oldest_weight) == (5, 0.7)
