"""Pips, points and half-points."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swt_core.errors import ConfigError
from swt_core.instruments import instrument

GBP_JPY = instrument("GBP_JPY")
EUR_USD = instrument("EUR_USD")


def test_units_of_a_yen_pair_and_a_dollar_pair() -> None:
    assert (GBP_JPY.pip_size, GBP_JPY.points_per_pip, GBP_JPY.half_points_per_pip) == (0.01, 10, 20)
    assert (EUR_USD.pip_size, EUR_USD.points_per_pip, EUR_USD.half_points_per_pip) == (0.0001, 10, 20)


@pytest.mark.parametrize(
    ("price", "points"),
    [
        ("186.123", 186_123),
        ("186.1", 186_100),
        (186.123, 186_123),
        (Decimal("186.1235"), 186_124),  # half to even
        (Decimal("186.1225"), 186_122),
        ("186", 186_000),
    ],
)
def test_prices_become_points(price: str | float | Decimal, points: int) -> None:
    assert GBP_JPY.to_points(price) == points


@given(st.integers(1, 400_000))
def test_points_survive_the_broker_s_strings_and_floats(points: int) -> None:
    for pair in (GBP_JPY, EUR_USD):
        text = pair.price_string(points)
        assert "E" not in text
        assert len(text.partition(".")[2]) == pair.display_precision
        assert pair.to_points(text) == pair.to_points(float(text)) == points


@given(st.integers(1, 400_000), st.integers(0, 300))
def test_a_mid_in_half_points_lies_between_bid_and_ask(bid: int, spread: int) -> None:
    ask = bid + spread
    assert GBP_JPY.mid_price(bid + ask) == pytest.approx((bid + ask) / 2000)


@pytest.mark.parametrize(
    ("pips", "points"), [(0.0, 0), (4.0, 40), (2.6, 26), (0.1, 2), (0.2, 2), (2.5, 26), (15.0, 150)]
)
def test_spreads_are_even_points(pips: float, points: int) -> None:
    assert GBP_JPY.spread_points(pips) == points


@given(st.floats(0, 100))
def test_a_spread_in_points_is_even_and_within_a_point_of_what_was_asked(pips: float) -> None:
    points = GBP_JPY.spread_points(pips)
    assert points % 2 == 0
    assert abs(points - 10 * pips) <= 1 + 1e-9


def test_an_unknown_pair_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown instrument 'GBPJPY'") as caught:
        instrument("GBPJPY")
    assert "GBP_JPY" in str(caught.value)
    assert caught.value.exit_code == 2
