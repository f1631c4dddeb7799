"""The same local time of an earlier day, across changes of the clocks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.data.local_clock import LocalClock, clock_of, utc_offsets, zone_named
from forecaster.data.series import Series
from forecaster.errors import HistoryError

MINUTE = timedelta(minutes=1)
LONG_AGO = datetime(2024, 1, 1, tzinfo=UTC)


def before(zone: str, when: str, days: int = 1) -> str:
    """Return the UTC time that has the local time of ``when``, so many days before it."""
    clock = LocalClock(zone, int(LONG_AGO.timestamp()), 60)
    at = np.array([(datetime.fromisoformat(when) - LONG_AGO) // MINUTE - days * 1440])
    found = LONG_AGO + int(clock.same_time(at, days, at + 1440 * days)[0]) * MINUTE
    return found.strftime("%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("zone", "when", "days", "expected"),
    [
        pytest.param("Europe/Berlin", "2026-03-28T07:00Z", 1, "03-27T07:00", id="no change"),
        pytest.param("Europe/Berlin", "2026-03-29T06:00Z", 1, "03-28T07:00", id="23 hours"),
        pytest.param("Europe/Berlin", "2026-03-30T00:30Z", 1, "03-29T01:30", id="skipped"),
        pytest.param("Europe/Berlin", "2026-10-25T07:00Z", 1, "10-24T06:00", id="25 hours"),
        pytest.param("Europe/Berlin", "2026-10-25T00:30Z", 1, "10-24T00:30", id="first 2:30"),
        pytest.param("Europe/Berlin", "2026-10-25T01:30Z", 1, "10-24T00:30", id="second 2:30"),
        pytest.param("Europe/Berlin", "2026-10-30T07:00Z", 7, "10-23T06:00", id="last week"),
        pytest.param("America/New_York", "2026-03-09T12:00Z", 1, "03-08T12:00", id="the day after"),
        pytest.param("America/New_York", "2026-03-09T12:00Z", 2, "03-07T13:00", id="west"),
        pytest.param("Australia/Lord_Howe", "2026-04-05T03:00Z", 1, "04-04T02:30", id="half hour"),
        pytest.param("Asia/Kathmandu", "2026-03-29T06:00Z", 1, "03-28T06:00", id="never changes"),
    ],
)
def test_the_same_local_time_of_an_earlier_day(zone, when, days, expected):
    assert before(zone, when.replace("Z", "+00:00"), days) == expected


def test_what_is_not_known_yet_is_nowhere():
    """A day ahead, an hour of the day of 23 hours still lies in the future."""
    start = datetime(2026, 3, 28, tzinfo=UTC)
    clock = LocalClock("Europe/Berlin", int(start.timestamp()), 3600)
    index = np.arange(2 * 24)  # a day before the hours from the 29th on
    found = clock.same_time(index, 1, 23)
    assert found.max() == 23
    np.testing.assert_array_equal(found[index > 23], -1)


@given(
    st.sampled_from(["Europe/London", "America/Sao_Paulo", "Africa/Casablanca", "Asia/Tehran"]),
    st.datetimes(datetime(1990, 1, 1), datetime(2035, 1, 1)),  # noqa: DTZ001 - made UTC below
)
def test_offsets_are_those_of_the_time_zone_data(zone, when):
    stamp = int(when.replace(tzinfo=UTC).timestamp())
    there = datetime.fromtimestamp(stamp, ZoneInfo(zone)).utcoffset()
    assert utc_offsets(zone, np.array([stamp]))[0] == there.total_seconds()


@pytest.mark.parametrize(
    ("zone", "days", "changes"),
    [
        pytest.param(None, 365, False, id="no zone is named"),
        pytest.param("UTC", 365, False, id="UTC"),
        pytest.param("Europe/Berlin", 86, False, id="ends before the change"),
        pytest.param("Europe/Berlin", 88, True, id="ends after it"),
    ],
)
def test_a_clock_is_needed_only_where_it_changes(zone, days, changes):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    series = Series("a", start, timedelta(hours=1), np.ones(24 * days), zone)
    assert (clock_of(series, 1) is not None) == changes


@pytest.mark.parametrize("name", ["Europe/Berlim", "", "/etc/passwd", "../UTC", "CET+1"])
def test_a_zone_that_does_not_exist_is_refused(name):
    with pytest.raises(HistoryError, match=r"no time zone .*Europe/Berlin"):
        zone_named(name)
