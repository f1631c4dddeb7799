"""A bucket admits no more than its rate and burst, also while its rate changes."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.limits.gcra import Verdict, admit, rescaled

NEW = -math.inf
gaps = st.lists(st.floats(0, 3), min_size=1, max_size=60)


def passed(arrivals, interval_s, burst):
    tat, times = NEW, []
    for now in arrivals:
        verdict = admit(tat, now, interval_s, burst)
        tat = verdict.tat
        times += [now] * verdict.allowed
    return times


def arrivals_of(gaps):
    now, arrivals = 0.0, []
    for gap in gaps:
        now += gap
        arrivals.append(now)
    return arrivals


@pytest.mark.parametrize(
    ("tat", "burst", "expected"),
    [
        pytest.param(NEW, 1, Verdict(True, 10.5, 0.0), id="a new bucket is empty"),
        pytest.param(3.0, 1, Verdict(True, 10.5, 0.0), id="an idle bucket saves nothing up"),
        pytest.param(10.0, 1, Verdict(True, 10.5, 0.0), id="on time passes"),
        pytest.param(10.25, 1, Verdict(False, 10.25, 0.25), id="too early waits the rest"),
        pytest.param(10.25, 2, Verdict(True, 10.75, 0.0), id="unless there is burst left"),
        pytest.param(10.5, 2, Verdict(True, 11.0, 0.0), id="the last of the burst passes"),
        pytest.param(10.75, 2, Verdict(False, 10.75, 0.25), id="what is above it waits"),
        pytest.param(99.0, 2, Verdict(False, 11.0, 0.5), id="no bucket is fuller than full"),
    ],
)
def test_a_request_passes_when_the_bucket_has_room(tat, burst, expected):
    assert admit(tat, 10.0, 0.5, burst) == expected  # one request per 0.5 s, at second 10


def test_a_whole_burst_passes_at_once_and_no_more():
    assert len(passed([1e5] * 50, 0.1, burst=10)) == 10


def test_at_rate_zero_nothing_passes_and_nothing_is_forgotten():
    assert admit(10.25, 10.0, math.inf, burst=5) == Verdict(False, 10.25, math.inf)


@given(gaps, st.floats(0.01, 2), st.integers(1, 10))
def test_any_window_admits_at_most_rate_times_window_plus_burst(gaps, interval_s, burst):
    times = passed(arrivals_of(gaps), interval_s, burst)
    for first in range(len(times)):
        for last in range(first, len(times)):
            window_s = times[last] - times[first]
            assert last - first + 1 <= window_s / interval_s + burst + 1e-5


@given(gaps, st.floats(0.01, 2), st.integers(1, 10))
def test_traffic_below_the_rate_always_passes(gaps, interval_s, burst):
    slow = arrivals_of([gap + interval_s for gap in gaps])
    assert passed(slow, interval_s, burst) == slow


@given(gaps, st.floats(0.01, 2), st.integers(1, 10), st.floats(0, 1e4))
def test_a_request_passes_after_the_wait_that_was_returned_and_not_before(
    gaps, interval_s, burst, initial_tat
):
    tat = initial_tat  # of a bucket that was perhaps larger than it is now
    for now in arrivals_of(gaps):
        verdict = admit(tat, now, interval_s, burst)
        if not verdict.allowed:
            wait_s = verdict.retry_after_s
            assert admit(verdict.tat, now + wait_s, interval_s, burst).allowed
            early = now + wait_s - 0.01 * interval_s
            assert not admit(verdict.tat, early, interval_s, burst).allowed
        tat = verdict.tat


@pytest.mark.parametrize(
    ("old_s", "new_s", "expected"),
    [
        pytest.param(0.5, 0.25, 10.5, id="twice the rate drains as many requests in half the time"),
        pytest.param(0.5, 1.0, 12.0, id="half the rate in twice the time"),
        pytest.param(0.5, math.inf, 11.0, id="a rate of zero keeps the bucket"),
        pytest.param(math.inf, 0.5, 11.0, id="a rate after zero has the same bucket"),
    ],
)
def test_a_new_rate_keeps_the_requests_in_the_bucket(old_s, new_s, expected):
    assert rescaled(11.0, 10.0, old_s, new_s) == expected


def test_a_new_rate_leaves_an_empty_bucket_empty():
    assert rescaled(9.0, 10.0, 0.5, 5.0) == 9.0


@given(st.lists(st.floats(0.05, 2), min_size=2, max_size=8), st.integers(1, 10))
def test_changing_the_rate_never_refills_the_bucket(intervals, burst):
    """A greedy client, with a new rate each second, gets no more than all rates give, and burst."""
    tat, count, allowance, tick = NEW, 0, float(burst), 0.05
    for second, (old, new) in enumerate(pairwise([intervals[0], *intervals])):
        tat = rescaled(tat, float(second), old, new)
        for n in range(20):
            while (verdict := admit(tat, second + n * tick, new, burst)).allowed:
                tat, count = verdict.tat, count + 1
        allowance += 1 / new
    assert count <= allowance + 1e-4


@pytest.mark.parametrize(
    ("interval_s", "burst"), [(0.0, 1), (-1.0, 1), (math.nan, 1), (1.0, 0.5), (1.0, math.nan)]
)
def test_an_impossible_bucket_is_refused(interval_s, burst):
    with pytest.raises(ValueError, match="but"):
        admit(NEW, 0.0, interval_s, burst)


@pytest.mark.parametrize(("old_s", "new_s"), [(0.0, 1.0), (1.0, 0.0), (math.nan, 1.0)])
def test_an_impossible_change_of_rate_is_refused(old_s, new_s):
    with pytest.raises(ValueError, match="must be > 0"):
        rescaled(11.0, 10.0, old_s, new_s)
