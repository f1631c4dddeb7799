"""The seasonal low: what it is, when it is not known, and that it looks at the past alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.data.local_clock import utc_offsets
from scaler.decision.seasonal_low import DAYS, HalfHours, seasonal_lows

NAN = np.nan
MINUTE = HalfHours.of(timedelta(minutes=1))
WEEK = 8 * MINUTE.day


def low_of(*days: float) -> float:
    """Return the low of days on which demand was the same for half an hour, the latest last."""
    padded = np.full(DAYS, NAN)
    padded[DAYS - len(days) :] = days
    return seasonal_lows(np.repeat(padded[None, :, None], 31, axis=2))[0]


@pytest.mark.parametrize(
    ("days", "low"),
    [
        pytest.param((100, 98, 103, 99, 101, 40, 42), 42, id="a weekend is usual"),
        pytest.param((100, 98, 103, 5, 101, 99, 97), 97, id="one outage is not"),
        pytest.param((100, 5, 103), 100, id="nor is it among three days"),
        pytest.param((100, 90), 90, id="of two days the lower one"),
        pytest.param((100, NAN, NAN, 90), 90, id="days that are not known do not count"),
        pytest.param((100,), NAN, id="one day tells nothing"),
        pytest.param((), NAN, id="no history tells nothing"),
        pytest.param((0, 0, 0), 0, id="no demand is known demand"),
    ],
)
def test_the_low_is(days, low):
    assert low_of(*days) == pytest.approx(low, nan_ok=True)


def test_a_day_counts_if_half_of_its_half_hour_is_known():
    half_hours = np.full((1, DAYS, 31), NAN)
    half_hours[0, -2:, :16] = 100.0
    assert seasonal_lows(half_hours) == [100.0]
    half_hours[0, -1, 15] = NAN
    assert np.isnan(seasonal_lows(half_hours)).all()


def test_a_burst_of_minutes_is_not_the_level_of_a_day():
    half_hours = np.full((1, DAYS, 31), 100.0)
    half_hours[:, :, 10:20] = 5000.0
    assert seasonal_lows(half_hours) == [100.0]


@given(st.integers(0, 60), st.integers(0, 2**32 - 1))
def test_nothing_of_the_last_day_is_looked_at(ago, seed):
    values = np.random.default_rng(seed).uniform(0, 100, WEEK)
    places = np.array([WEEK - 1 - ago])
    other = values.copy()
    other[places[0] - MINUTE.day + MINUTE.around + 1 :] = NAN
    looked_at = MINUTE.before(values, places)
    assert np.array_equal(looked_at, MINUTE.before(other, places))
    assert looked_at[0, -1].tolist() == values[places[0] - 1455 : places[0] - 1424].tolist()


@given(st.integers(1, WEEK), st.integers(0, 2**32 - 1))
def test_many_places_at_once_are_as_each_alone(length, seed):
    values = np.random.default_rng(seed).uniform(0, 100, length)
    places = np.arange(max(length - 5, 0), length + 2)  # the last is beyond the end
    lows = seasonal_lows(MINUTE.before(values, places))
    alone = [seasonal_lows(MINUTE.before(values, places[i : i + 1]))[0] for i in range(len(places))]
    assert lows.tolist() == pytest.approx(alone, nan_ok=True, rel=0, abs=0)


@pytest.mark.parametrize(("minutes", "day", "around"), [(1, 1440, 15), (5, 288, 3), (60, 24, 0)])
def test_half_an_hour_is_told_in_steps(minutes, day, around):
    assert HalfHours.of(timedelta(minutes=minutes)) == (day, around)


@pytest.mark.parametrize("day", range(7))
def test_after_a_change_of_the_clocks_the_low_is_that_of_the_local_time(day):
    """A service that opens at 8:00 in Berlin, at 7:30 after the clocks were set back.

    In UTC the low was that of an hour later until two days since then had come.
    """
    start = datetime(2026, 10, 17, tzinfo=UTC)
    stamps = int(start.timestamp()) + 60 * np.arange(15 * MINUTE.day)
    hour = (stamps + utc_offsets("Europe/Berlin", stamps)) % 86_400 / 3600
    values = np.where(hour >= 8, 100.0, 20.0)
    at = datetime(2026, 10, 25 + day, 6, 30, tzinfo=UTC)
    places = np.array([(at - start) // timedelta(minutes=1)])
    local = MINUTE.later("Europe/Berlin", stamps[places])
    assert seasonal_lows(MINUTE.before(values, places, local)) == [20.0]
    assert seasonal_lows(MINUTE.before(values, places)) == [100.0 if day < 2 else 20.0]
