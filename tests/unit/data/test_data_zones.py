"""The clock behind the stamps is found from when the market is closed, or the import says it cannot be."""

from __future__ import annotations

import numpy as np
import pytest

from swt_core import calendar
from swt_core.errors import DataError
from swt_data.importing.zones import CANDIDATES, UTC_ZONE, StampZone, parse_zone, settle_zone
from swt_data.synthetic import trading_minutes

# January to May 2015: the weeks in which New York and Europe disagree are in it.
MONTHS = trading_minutes(100)
NEW_YORK, LONDON_5 = StampZone("America/New_York"), StampZone("Europe/London", -5 * 3600)
BROKER = StampZone("America/New_York", 7 * 3600)


def wall_clock(utc: np.ndarray, zone: StampZone) -> np.ndarray:
    """What a clock in ``zone`` shows: found by search, as the inverse of what is tested."""
    local = utc.copy()
    for shift in range(-14 * 3600, 15 * 3600, 1800):
        local = np.where(zone.to_utc_s(utc + shift) == utc, utc + shift, local)
    assert (zone.to_utc_s(local) == utc).all()
    return local


@pytest.mark.parametrize("zone", [*CANDIDATES[:9], *CANDIDATES[-2:]], ids=lambda zone: zone.name)
def test_months_of_any_clock_is_recognised(zone: StampZone) -> None:
    local = wall_clock(MONTHS, zone)
    settled = settle_zone(local, "a year")
    np.testing.assert_array_equal(settled.zone.to_utc_s(local), MONTHS)


def test_new_york_london_less_five_and_fixed_eastern_are_told_apart() -> None:
    for zone in (NEW_YORK, LONDON_5, StampZone("UTC", -5 * 3600), BROKER, StampZone("Europe/Helsinki")):
        assert settle_zone(wall_clock(MONTHS, zone), "a year").zone == zone


def test_one_weekend_is_enough_where_no_other_clock_fits() -> None:
    friday = np.searchsorted(MONTHS, 1_422_046_800)  # Friday 2015-01-23, 21:00 UTC
    some = MONTHS[friday - 100 : friday + 600]
    assert np.diff(some).max() > 40 * 3600
    settled = settle_zone(wall_clock(some, BROKER), "a weekend")
    np.testing.assert_array_equal(settled.zone.to_utc_s(wall_clock(some, BROKER)), some)


def test_stamps_without_any_closure_are_not_guessed_at() -> None:
    with pytest.raises(DataError, match=r"a morning: its stamps fit .* equally well[\s\S]*--timezone"):
        settle_zone(MONTHS[5000:5300], "a morning")


def test_what_the_header_states_is_believed_only_where_nothing_contradicts_it() -> None:
    settled = settle_zone(MONTHS[5000:5300], "a morning", stated=BROKER)
    assert settled.zone == BROKER
    assert "not contradicted" in settled.evidence
    assert settle_zone(MONTHS, "a year", stated=BROKER).zone == UTC_ZONE


def test_stamps_that_no_clock_explains_are_refused() -> None:
    always = np.arange(MONTHS[0], MONTHS[20_000], 60)
    with pytest.raises(DataError, match="no time zone explains"):
        settle_zone(always, "a market that never closes")


def test_missing_minutes_and_holidays_do_not_mislead() -> None:
    rng = np.random.default_rng(1)
    kept = MONTHS[rng.random(len(MONTHS)) > 0.02]
    kept = kept[~calendar.is_holiday(kept + 86_400)]
    assert settle_zone(wall_clock(kept, LONDON_5), "a thin year").zone == LONDON_5


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("UTC", "UTC"),
        ("gmt", "UTC"),
        ("UTC+3", "UTC+03:00"),
        ("UTC-05:00", "UTC-05:00"),
        ("America/New_York", "America/New_York"),
        ("Europe/London-5h", "Europe/London-5h"),
        ("America/New_York+7h", "America/New_York+7h"),
    ],
)
def test_zones_are_read_as_they_are_named(text: str, name: str) -> None:
    assert parse_zone(text).name == name
    assert parse_zone(name) == parse_zone(text)


@pytest.mark.parametrize("text", ["Mars/Olympus", "", "UTC+", "../etc/passwd", "5"])
def test_unknown_zones_are_refused(text: str) -> None:
    with pytest.raises(DataError, match="unknown time zone"):
        parse_zone(text)
