"""When something recurs: cron expressions, clock changes, midnight, and what never comes."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.recurrence import Recurrence, occurrence_after, parse_cron

BERLIN = ZoneInfo("Europe/Berlin")


def moment(text: str) -> float:
    """Return a moment by the clocks of Berlin, or by the offset that it names."""
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=BERLIN)).timestamp()


def recurrence(start: str, end: str, zone: str = "Europe/Berlin") -> Recurrence:
    return Recurrence(start, end, zone)


@pytest.mark.parametrize(
    ("start", "end", "after", "starts", "ends"),
    [
        pytest.param("0 12 * * *", "0 14 * * *", "2026-03-02T13:00",
                     "2026-03-02T12:00", "2026-03-02T14:00", id="one that is on"),
        pytest.param("0 12 * * *", "0 14 * * *", "2026-03-02T14:00",
                     "2026-03-03T12:00", "2026-03-03T14:00", id="its end is not of it"),
        pytest.param("0 9 * * fri", "0 18 * * fri", "2026-03-02T00:00",
                     "2026-03-06T09:00", "2026-03-06T18:00", id="a weekday"),
        pytest.param("0 9 * * 7", "0 18 * * 0", "2026-03-02T00:00",
                     "2026-03-08T09:00", "2026-03-08T18:00", id="Sunday is 0 and 7"),
        pytest.param("0 9 13 * fri", "0 10 * * *", "2026-03-07T00:00",
                     "2026-03-13T09:00", "2026-03-13T10:00", id="either of both days"),
        pytest.param("0 22 * * *", "0 2 * * *", "2026-03-03T01:00",
                     "2026-03-02T22:00", "2026-03-03T02:00", id="over midnight"),
        pytest.param("0 20 * * fri", "0 8 * * mon", "2026-03-08T12:00",
                     "2026-03-06T20:00", "2026-03-09T08:00", id="over days"),
        pytest.param("30 2 * * *", "0 5 * * *", "2026-03-29T00:00",
                     "2026-03-29T03:30", "2026-03-29T05:00", id="in a skipped hour: one later"),
        pytest.param("30 2 * * *", "0 5 * * *", "2026-10-25T00:00",
                     "2026-10-25T02:30+02:00", "2026-10-25T05:00", id="in a repeated hour: once"),
        pytest.param("0 1 * * *", "0 4 * * *", "2026-03-29T00:00",
                     "2026-03-29T01:00", "2026-03-29T04:00", id="across a change it is shorter"),
        pytest.param("0 0 29 2 *", "0 6 29 2 *", "2026-03-01T00:00",
                     "2028-02-29T00:00", "2028-02-29T06:00", id="a leap day"),
        pytest.param("*/20 12 * * *", "5 13 * * *", "2026-03-02T00:00",
                     "2026-03-02T12:00", "2026-03-02T13:05", id="starts while it is on are none"),
    ],
)  # fmt: skip
def test_it_comes_by_the_clocks_of_its_zone(start, end, after, starts, ends):
    found = occurrence_after(recurrence(start, end), moment(after))
    assert (found.starts, found.ends) == (moment(starts), moment(ends))


def test_an_hour_that_is_repeated_does_not_bring_it_twice():
    nightly = recurrence("30 2 * * *", "0 5 * * *")
    first = occurrence_after(nightly, moment("2026-10-25T00:00"))
    assert occurrence_after(nightly, first.ends).starts == moment("2026-10-26T02:30")


def test_what_never_comes_is_none():
    assert occurrence_after(recurrence("0 0 30 2 *", "0 6 * * *"), 0.0) is None


@given(st.integers(0, 23), st.integers(0, 23), st.floats(1.7e9, 1.8e9))
def test_occurrences_follow_each_other_and_miss_nothing(start, end, at):
    daily = recurrence(f"0 {start} * * *", f"30 {end} * * *")
    found = [occurrence_after(daily, at)]
    for _ in range(3):
        found.append(occurrence_after(daily, found[-1].ends))
    assert found[0].ends > at
    assert all(one.ends <= other.starts for one, other in pairwise(found))
    assert all(other.starts - one.starts <= 26 * 3600 for one, other in pairwise(found))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("0 9 * *", "it has 4"),
        ("60 9 * * *", "minute numbers from 0 to 59"),
        ("0 9 0 * *", "day of the month numbers from 1 to 31"),
        ("0 9 * 13 *", "month numbers from 1 to 12"),
        ("0 9 * * fry", "day of the week numbers from 0 to 7"),
        ("0 18-9 * * *", "it has '18-9'"),
        ("*/0 9 * * *", "it has '\\*/0'"),
        ("-1 9 * * *", "it has '-1'"),
        ("@hourly 9 * * *", "minute"),
    ],
)
def test_what_is_no_expression_is_refused(text, rule):
    with pytest.raises(ValueError, match=rule):
        parse_cron(text)
