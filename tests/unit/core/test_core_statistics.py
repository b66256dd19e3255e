"""SQN and its companions, against hand-computed values and their edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from swt_core.statistics import (
    expectancy,
    profit_factor,
    sqn,
    sqn_label,
    sqn_standard_error,
    sqn_text,
    trade_statistics,
    win_rate,
)

PIPS = st.floats(min_value=-1000, max_value=1000, allow_nan=False).map(lambda x: round(x, 3))


def test_sqn_of_a_hand_computed_list() -> None:
    # mean 1, squared deviations 4 + 4 + 0 + 0 = 8, std √(8/3); √4 · 1 / 1.63299 = 1.22474
    result = sqn([3.0, -1.0, 1.0, 1.0])
    assert result.value == pytest.approx(2 / math.sqrt(8 / 3))
    assert result.uncapped == result.value
    assert (result.trades, result.reliable, result.label) == (4, False, "poor")


def test_sqn_counts_at_most_a_hundred_trades_and_shows_the_uncapped_beside() -> None:
    pnls = np.tile([3.0, -1.0], 200)
    result = sqn(pnls)
    quality = pnls.mean() / pnls.std(ddof=1)
    assert result.value == pytest.approx(10 * quality)
    assert result.uncapped == pytest.approx(20 * quality)
    assert sqn(pnls[:100]).value == sqn(pnls[:100]).uncapped


@pytest.mark.parametrize("pnls", [[], [5.0], [2.0] * 40, [0.1] * 3, [0.0, 0.0]])
def test_sqn_is_undefined_without_two_different_trades(pnls: list[float]) -> None:
    result = sqn(pnls)
    assert result.value is None
    assert result.uncapped is None
    assert (result.trades, result.reliable, result.label) == (len(pnls), False, "undefined")


@pytest.mark.parametrize(("trades", "reliable"), [(29, False), (30, True)])
def test_fewer_than_thirty_trades_are_unreliable(trades: int, reliable: bool) -> None:
    assert sqn([1.0, 2.0] * 14 + [3.0] * (trades - 28)).reliable is reliable


@pytest.mark.parametrize(
    ("value", "label"),
    [
        (7.0, "holy grail"),
        (6.99, "superb"),
        (5.0, "superb"),
        (4.99, "excellent"),
        (3.0, "excellent"),
        (2.5, "good"),
        (2.0, "average"),
        (1.6, "below average"),
        (1.59, "poor"),
        (-3.0, "poor"),
        (None, "undefined"),
    ],
)
def test_the_classes_begin_at_their_bounds(value: float | None, label: str) -> None:
    assert sqn_label(value) == label


@given(st.lists(PIPS, min_size=2, max_size=150), st.floats(0.5, 50), st.floats(0.1, 10))
def test_sqn_depends_on_neither_risk_nor_scale(pnls: list[float], risk: float, scale: float) -> None:
    base = sqn(pnls).value
    for other in (sqn(pnls, risk).value, sqn(np.array(pnls) * scale).value):
        assert (other is None) == (base is None)
        if base is not None:
            assert other == pytest.approx(base, rel=1e-6, abs=1e-9)


@given(st.lists(PIPS, min_size=2, max_size=150))
def test_the_order_of_trades_does_not_matter(pnls: list[float]) -> None:
    a, b = trade_statistics(pnls), trade_statistics(sorted(pnls))
    assert a.profit_factor == pytest.approx(b.profit_factor)
    assert a.expectancy_pips == pytest.approx(b.expectancy_pips)
    assert a.sqn.value == pytest.approx(b.sqn.value)


def test_risk_must_be_positive_and_profits_finite() -> None:
    for risk in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="risk"):
            sqn([1.0, 2.0], risk)
    for function in (sqn, expectancy, win_rate, profit_factor):
        with pytest.raises(ValueError, match="finite"):
            function([1.0, math.nan])


def test_expectancy_win_rate_and_profit_factor_by_hand() -> None:
    pnls = [4.0, -1.0, 0.0, -2.0, 3.0]
    assert expectancy(pnls) == pytest.approx(0.8)
    assert win_rate(pnls) == pytest.approx(0.4)
    assert profit_factor(pnls) == pytest.approx(7 / 3)


def test_no_trades_leave_everything_undefined() -> None:
    result = trade_statistics([])
    assert (result.trades, result.total_pips) == (0, 0.0)
    assert (result.expectancy_pips, result.win_rate, result.profit_factor, result.sqn.value) == (None,) * 4


def test_no_losses_make_the_profit_factor_infinite_and_zeros_make_none() -> None:
    assert profit_factor([1.0, 0.0]) == math.inf
    assert profit_factor([-1.0]) == 0.0
    assert profit_factor([0.0, 0.0]) is None


def test_everything_at_once_agrees_with_each_alone() -> None:
    pnls = np.random.default_rng(5).normal(1, 5, 64)
    result = trade_statistics(pnls, 2.0)
    assert result.trades == 64
    assert result.total_pips == pytest.approx(pnls.sum())
    assert result.expectancy_pips == expectancy(pnls)
    assert result.win_rate == win_rate(pnls)
    assert result.profit_factor == profit_factor(pnls)
    assert result.sqn == sqn(pnls, 2.0)


@pytest.mark.parametrize(("trades", "quality"), [(40, 0.2), (100, 0.5), (700, 0.55)])
def test_the_error_of_an_sqn_is_how_much_sqns_of_the_same_system_differ(trades: int, quality: float) -> None:
    rng = np.random.default_rng(5)
    drawn = [sqn(rng.normal(quality, 1.0, trades)).value for _ in range(2000)]
    expected = sqn_standard_error(np.sqrt(min(trades, 100)) * quality, trades)
    assert np.std([value for value in drawn if value is not None]) == pytest.approx(expected, rel=0.06)


def test_an_sqn_of_one_trade_has_no_error() -> None:
    with pytest.raises(ValueError, match="two trades"):
        sqn_standard_error(1.0, 1)


@pytest.mark.parametrize(
    ("value", "trades", "text"),
    [
        (None, 1, "–"),
        (4.1, 2, "4.10 (excellent, unreliable: under 30 trades)"),
        (-0.5, 29, "-0.50 (poor, unreliable: under 30 trades)"),
        (2.6, 30, "2.60 (good)"),
    ],
)
def test_an_sqn_of_few_trades_is_marked_as_unreliable(value: float | None, trades: int, text: str) -> None:
    assert sqn_text(value, trades) == text
