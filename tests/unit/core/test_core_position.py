"""Position accounting and rewards: hand-computed candle tables, and invariants on random paths."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swt_core.position import (
    ACCUMULATED_DRAWDOWN,
    ACTION_NAMES,
    ACTIONS,
    BARS,
    BUY,
    CARRY,
    CLOSE,
    CLOSED,
    CLOSED_BARS,
    CLOSED_CARRY,
    CLOSED_DRAWDOWN,
    CLOSED_MAX_DRAWDOWN,
    CLOSED_PEAK,
    CLOSED_TROUGH,
    DRAWDOWN_CHANGE,
    EQUITY,
    EQUITY_CHANGE,
    HOLD,
    MAX_DRAWDOWN,
    PEAK,
    POSITION_FIELDS,
    REALISED,
    SELL,
    SIDE,
    STEP_FIELDS,
    TROUGH,
    advance_nb,
    flat_positions,
    legal_nb,
)
from swt_core.records import PositionState
from swt_core.rewards import RewardPreset, reward_nb

PIP = 10  # points
NO_CARRY = (0.0, 0.0)


@dataclass
class Account:
    """One position driven bar by bar through the batch kernel."""

    row: np.ndarray = field(default_factory=lambda: flat_positions(1))

    def bar(
        self,
        action: int,
        opens: tuple[int, int],
        closes: tuple[int, int],
        carry: tuple[float, float] = NO_CARRY,
    ) -> np.ndarray:
        """Fill at (bid, ask) of the open, mark at (bid, ask) of the close; the step's parts."""
        step = np.full((1, STEP_FIELDS), np.nan)
        advance_nb(
            self.row,
            np.array([action]),
            *(np.array([price]) for price in (*opens, *closes)),
            np.array([carry]),
            float(PIP),
            step,
        )
        return step[0]

    def values(self, *fields: int) -> list[float]:
        return [float(self.row[0, name]) for name in fields]


def test_a_long_trade_by_hand() -> None:
    """Spread 4 pips (40 points); prices in points.

    | bar | action | open bid/ask | close bid/ask | e     | p  | q   | d  | A  |
    |-----|--------|--------------|---------------|-------|----|-----|----|----|
    | 1   | BUY    | 1000 / 1040  | 1020 / 1060   | −2    | 0  | −4  | 2  | 0  |
    | 2   | HOLD   | 1020 / 1060  | 1100 / 1140   | +6    | 6  | −4  | 0  | 0  |
    | 3   | HOLD   | 1100 / 1140  | 1070 / 1110   | +3    | 6  | −4  | 3  | 3  |
    | 4   | HOLD   | 1070 / 1110  | 1020 / 1060   | −2    | 6  | −4  | 8  | 8  |
    | 5   | CLOSE  | 1030 / 1070  |               | −1    | 6  | −4  | 7  | 8  |
    """
    account = Account()
    step = account.bar(BUY, (1000, 1040), (1020, 1060))
    assert account.values(SIDE, BARS, EQUITY, PEAK, TROUGH, MAX_DRAWDOWN, ACCUMULATED_DRAWDOWN) == [
        1, 1, -2, 0, -4, 4, 0,
    ]  # fmt: skip
    assert step[[EQUITY_CHANGE, DRAWDOWN_CHANGE, CLOSED]].tolist() == [-2, 0, 0]
    account.bar(HOLD, (1020, 1060), (1100, 1140))
    assert account.values(EQUITY, PEAK, TROUGH, MAX_DRAWDOWN, ACCUMULATED_DRAWDOWN) == [6, 6, -4, 4, 0]
    step = account.bar(HOLD, (1100, 1140), (1070, 1110))
    assert account.values(EQUITY, PEAK, MAX_DRAWDOWN, ACCUMULATED_DRAWDOWN) == [3, 6, 4, 3]
    assert step[[EQUITY_CHANGE, DRAWDOWN_CHANGE]].tolist() == [-3, 3]
    account.bar(HOLD, (1070, 1110), (1020, 1060))
    assert account.values(BARS, EQUITY, MAX_DRAWDOWN, ACCUMULATED_DRAWDOWN) == [4, -2, 8, 8]
    step = account.bar(CLOSE, (1030, 1070), (5000, 5040))
    assert account.row.tolist() == flat_positions(1).tolist()
    assert step[[CLOSED, REALISED, EQUITY_CHANGE, DRAWDOWN_CHANGE]].tolist() == [1, -1, 1, 0]
    assert step[[CLOSED_PEAK, CLOSED_TROUGH, CLOSED_MAX_DRAWDOWN, CLOSED_DRAWDOWN, CLOSED_BARS]].tolist() == [
        6, -4, 8, 8, 4,
    ]  # fmt: skip


def test_a_short_trade_by_hand() -> None:
    """Sold at the bid 1000, marked and bought back at the ask; the fill itself falls by 3 pips."""
    account = Account()
    account.bar(SELL, (1000, 1020), (960, 980))
    assert account.values(SIDE, EQUITY, PEAK, TROUGH, MAX_DRAWDOWN, ACCUMULATED_DRAWDOWN) == [
        -1,
        2,
        2,
        -2,
        2,
        0,
    ]
    step = account.bar(CLOSE, (990, 1010), (0, 0))
    assert step[[REALISED, EQUITY_CHANGE, DRAWDOWN_CHANGE, CLOSED_DRAWDOWN]].tolist() == [-1, -3, 3, 3]
    assert step[[CLOSED_MAX_DRAWDOWN, CLOSED_BARS]].tolist() == [3, 1]


def test_the_spread_is_a_cost_and_no_drawdown_but_a_fall_within_the_entry_bar_is_one() -> None:
    account = Account()
    step = account.bar(BUY, (1000, 1040), (970, 1010))
    assert account.values(EQUITY, TROUGH, MAX_DRAWDOWN, ACCUMULATED_DRAWDOWN) == [-7, -7, 7, 3]
    assert step[[EQUITY_CHANGE, DRAWDOWN_CHANGE]].tolist() == [-7, 3]


def test_a_flat_position_is_untouched_by_the_market() -> None:
    account = Account()
    step = account.bar(HOLD, (1000, 1040), (9000, 9040), carry=(5.0, 5.0))
    assert not account.row.any()
    assert not step.any()


def test_a_wider_spread_at_the_mark_is_a_loss_and_goes_again() -> None:
    account = Account()
    account.bar(BUY, (1000, 1020), (1000, 1020))
    account.bar(HOLD, (1000, 1020), (940, 1080))  # 17:00 New York: the mid has not moved
    assert account.values(EQUITY, ACCUMULATED_DRAWDOWN) == [-8, 6]
    account.bar(HOLD, (1000, 1020), (1000, 1020))
    assert account.values(EQUITY, ACCUMULATED_DRAWDOWN) == [-2, 6]


@pytest.mark.parametrize(("action", "carry_pips"), [(BUY, -0.5), (SELL, 0.25)])
def test_financing_is_booked_by_side_when_a_position_is_held_over_it(action: int, carry_pips: float) -> None:
    account = Account()
    account.bar(action, (1000, 1020), (1000, 1020), carry=(-9.0, 9.0))  # filled after this rollover
    assert account.values(EQUITY) == [-2.0]
    account.bar(HOLD, (1000, 1020), (1000, 1020), carry=(-0.5, 0.25))
    assert account.values(EQUITY) == [-2.0 + carry_pips]
    account.bar(HOLD, (1000, 1020), (1000, 1020))
    step = account.bar(CLOSE, (1000, 1020), (1000, 1020))
    assert step[REALISED] == -2.0 + carry_pips


@pytest.mark.parametrize("entry", [BUY, SELL])
@pytest.mark.parametrize("action", [BUY, SELL])
def test_no_reversal_and_no_second_entry_in_a_position(entry: int, action: int) -> None:
    account = Account()
    account.bar(entry, (1000, 1020), (1000, 1020))
    before = account.row.copy()
    with pytest.raises(ValueError, match="illegal action"):
        account.bar(action, (1000, 1020), (1000, 1020))
    assert account.row.tolist() == before.tolist()


@pytest.mark.parametrize(("entry", "other"), [(BUY, SELL), (SELL, BUY)])
def test_a_trade_on_the_other_side_starts_with_nothing_of_the_one_before(entry: int, other: int) -> None:
    """A peak that outlives its trade makes a drawdown of the next one's first bar."""
    account, rise = Account(), 1 if entry == BUY else -1
    account.bar(entry, (1000, 1020), (1000 + 300 * rise, 1020 + 300 * rise))
    account.bar(HOLD, (0, 0), (1000 - 200 * rise, 1020 - 200 * rise), carry=(-0.5, -0.5))
    assert account.values(BARS, EQUITY, PEAK, TROUGH, MAX_DRAWDOWN, ACCUMULATED_DRAWDOWN, CARRY) == [
        2, -22.5, 28, -22.5, 50.5, 50.5, -0.5,
    ]  # fmt: skip
    account.bar(CLOSE, (1000 - 200 * rise, 1020 - 200 * rise), (0, 0))
    account.bar(other, (900, 920), (905, 925))
    side, equity = (-1, -2.5) if other == SELL else (1, -1.5)
    assert account.values(
        SIDE, BARS, EQUITY, PEAK, TROUGH, MAX_DRAWDOWN, ACCUMULATED_DRAWDOWN, CARRY
    ) == [side, 1, equity, 0, min(equity, -2), max(-equity, 2), max(0, -2 - equity), 0]  # fmt: skip
    step = account.bar(CLOSE, (905, 925), (0, 0))
    assert step[[REALISED, CLOSED_PEAK, CLOSED_TROUGH, CLOSED_BARS, CLOSED_CARRY]].tolist() == [
        equity, 0, min(equity, -2), 1, 0,
    ]  # fmt: skip


@pytest.mark.parametrize("action", [CLOSE, 4, -1])
def test_nothing_to_close_when_flat_and_no_fifth_action(action: int) -> None:
    with pytest.raises(ValueError, match="illegal action"):
        Account().bar(action, (1000, 1020), (1000, 1020))


def test_legality_as_a_table() -> None:
    table = {side: [bool(legal_nb(side, action)) for action in range(ACTIONS)] for side in (0.0, 1.0, -1.0)}
    assert table == {
        0.0: [True, True, True, False],
        1.0: [True, False, False, True],
        -1.0: [True, False, False, True],
    }
    assert ACTION_NAMES == ("HOLD", "BUY", "SELL", "CLOSE")


@dataclass
class Path:
    """A trade on a random path: bids and asks at the entry, at each close, and at the exit."""

    action: int
    spreads: list[int]
    bids: list[int]
    carries: list[int]  # tenths of a pip


paths = st.integers(1, 30).flatmap(
    lambda n: st.builds(
        Path,
        action=st.sampled_from([BUY, SELL]),
        spreads=st.lists(st.integers(0, 150), min_size=n + 2, max_size=n + 2),
        bids=st.lists(st.integers(50_000, 52_000), min_size=n + 2, max_size=n + 2),
        carries=st.lists(st.sampled_from([0, 0, 0, -7, 3]), min_size=n, max_size=n),
    )
)


@dataclass
class Reference:
    """What a slow and exact account says of a path: e at the entry, each mark and the exit."""

    equities: list[Fraction]

    @classmethod
    def of(cls, path: Path) -> Reference:
        side = 1 if path.action == BUY else -1
        quotes = [(bid, bid + spread) for bid, spread in zip(path.bids, path.spreads, strict=True)]
        entry = quotes[0][1] if side > 0 else quotes[0][0]
        carry = [Fraction(0), Fraction(0)]
        for tenths in path.carries[1:]:
            carry.append(carry[-1] + Fraction(tenths, 10))
        carry.append(carry[-1])
        return cls(
            [
                Fraction(side * ((bid if side > 0 else ask) - entry), PIP) + financing
                for (bid, ask), financing in zip(quotes, carry, strict=True)
            ]
        )

    @property
    def drawdowns(self) -> list[Fraction]:
        return [max(Fraction(0), *self.equities[: i + 1]) - e for i, e in enumerate(self.equities)]

    @property
    def accumulated(self) -> Fraction:
        d = self.drawdowns
        return sum((max(Fraction(0), b - a) for a, b in itertools.pairwise(d)), Fraction(0))


def play(
    path: Path, preset: RewardPreset = RewardPreset.DENSE
) -> tuple[list[np.ndarray], list[float], Account]:
    """Entry at quote 0, a mark at each quote in between, exit at the last quote."""
    account = Account()
    quotes = [(bid, bid + spread) for bid, spread in zip(path.bids, path.spreads, strict=True)]
    steps, rewards = [], []
    for i, closes in enumerate(quotes[1:-1]):
        action, side = (path.action if i == 0 else HOLD), float(account.row[0, SIDE])
        tenths = path.carries[i] / 10
        steps.append(account.bar(action, quotes[0] if i == 0 else (0, 0), closes, carry=(tenths, tenths)))
        rewards.append(reward_nb(int(preset), action, side, steps[-1]))
    side = float(account.row[0, SIDE])
    steps.append(account.bar(CLOSE, quotes[-1], (0, 0)))
    rewards.append(reward_nb(int(preset), CLOSE, side, steps[-1]))
    return steps, rewards, account


@given(paths)
def test_every_figure_of_a_trade_equals_the_exact_account(path: Path) -> None:
    reference = Reference.of(path)
    steps, _, account = play(path)
    last = steps[-1]
    e = reference.equities
    assert last[REALISED] == pytest.approx(float(e[-1]), abs=1e-9)
    assert last[CLOSED_PEAK] == pytest.approx(float(max(0, *e)), abs=1e-9)
    assert last[CLOSED_TROUGH] == pytest.approx(float(min(0, *e)), abs=1e-9)
    assert last[CLOSED_MAX_DRAWDOWN] == pytest.approx(float(max(reference.drawdowns)), abs=1e-9)
    assert last[CLOSED_BARS] == len(path.bids) - 2
    assert not account.row.any()


@given(paths)
def test_accumulated_drawdown_is_the_sum_of_the_drawdown_s_rises(path: Path) -> None:
    """A = Σ max(0, −Δe) over the marks after the entry = Σ max(0, d_t − d_{t−1})."""
    reference = Reference.of(path)
    steps, _, _ = play(path)
    e = reference.equities
    falls = sum((max(Fraction(0), a - b) for a, b in itertools.pairwise(e)), Fraction(0))
    assert falls == reference.accumulated
    assert steps[-1][CLOSED_DRAWDOWN] == pytest.approx(float(falls), abs=1e-9)
    assert sum(step[DRAWDOWN_CHANGE] for step in steps) == pytest.approx(float(falls), abs=1e-9)


@given(paths)
def test_equity_changes_add_up_to_the_realised_result(path: Path) -> None:
    steps, _, _ = play(path)
    assert sum(step[EQUITY_CHANGE] for step in steps) == pytest.approx(steps[-1][REALISED], abs=1e-9)
    assert [step[CLOSED] for step in steps] == [0.0] * (len(steps) - 1) + [1.0]


@given(paths)
def test_without_financing_every_profit_is_exact(path: Path) -> None:
    path.carries = [0] * len(path.carries)
    assert play(path)[0][-1][REALISED] == float(Reference.of(path).equities[-1])


@given(paths)
def test_the_dense_reward_telescopes_to_amddp1(path: Path) -> None:
    dense, at_close = play(path)[1], play(path, RewardPreset.AMDDP1)[1]
    assert sum(dense) == pytest.approx(sum(at_close), abs=1e-9)


@given(paths)
def test_amddp_pays_equity_minus_its_share_of_drawdown_at_the_close_only(path: Path) -> None:
    reference = Reference.of(path)
    for preset, k in ((RewardPreset.AMDDP1, 1), (RewardPreset.AMDDP5, 5)):
        *before, last = play(path, preset)[1]
        assert not any(before)
        expected = reference.equities[-1] - Fraction(k, 100) * reference.accumulated
        assert last == pytest.approx(float(expected), abs=1e-9)


@given(paths)
def test_the_clean_reward_pays_one_for_the_entry_and_amddp1_for_the_exit(path: Path) -> None:
    first, *middle, last = play(path, RewardPreset.CLEAN)[1]
    assert first == 1.0
    assert not any(middle)
    assert last == play(path, RewardPreset.AMDDP1)[1][-1]


@pytest.mark.parametrize(
    ("preset", "reward"),
    [
        (RewardPreset.CLEAN, -0.05),
        (RewardPreset.AMDDP1, 0),
        (RewardPreset.AMDDP5, 0),
        (RewardPreset.DENSE, 0),
    ],
)
def test_only_the_clean_reward_charges_for_standing_aside(preset: RewardPreset, reward: float) -> None:
    step = Account().bar(HOLD, (1000, 1020), (1000, 1020))
    assert reward_nb(int(preset), HOLD, 0.0, step) == reward


@given(st.integers(0, 2**32 - 1))
def test_a_batch_is_the_same_as_each_alone(seed: int) -> None:
    rng = np.random.default_rng(seed)
    batch, alone = flat_positions(5), [Account() for _ in range(5)]
    for _ in range(12):
        bids = rng.integers(1000, 1100, (2, 5))
        asks = bids + rng.integers(0, 40, (2, 5))
        carry = rng.normal(size=(5, 2))
        actions = np.array(
            [rng.choice([HOLD, BUY, SELL] if side == 0 else [HOLD, HOLD, CLOSE]) for side in batch[:, SIDE]]
        )
        steps = np.full((5, STEP_FIELDS), np.nan)
        advance_nb(batch, actions, bids[0], asks[0], bids[1], asks[1], carry, float(PIP), steps)
        for i, account in enumerate(alone):
            step = account.bar(
                int(actions[i]),
                (int(bids[0, i]), int(asks[0, i])),
                (int(bids[1, i]), int(asks[1, i])),
                carry=(carry[i, 0], carry[i, 1]),
            )
            assert step.tolist() == steps[i].tolist()
            assert account.row[0].tolist() == batch[i].tolist()


def test_a_row_has_a_name_for_each_field_and_survives_the_round_trip() -> None:
    row = np.array([1.0, 186_123.0, 7.0, -2.5, 3.0, -4.0, 7.0, 9.5, 0.25])
    assert len(row) == POSITION_FIELDS
    state = PositionState.from_row(row)
    assert state == PositionState(1, 186_123, 7, -2.5, 3.0, -4.0, 7.0, 9.5, 0.25)
    assert state.to_row().tolist() == row.tolist()
    assert PositionState().to_row().tolist() == flat_positions(1)[0].tolist()
