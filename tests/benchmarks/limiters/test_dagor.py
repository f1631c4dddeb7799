import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.limiters.dagor import Dagor, DagorSettings, next_cursor, user_priority
from benchmarks.limiters.rivals import Arrivals, LimiterReport

SETTINGS = DagorSettings(queueing_s=0.02)


def report(queueing):
    return LimiterReport(0.0, 100.0, queueing + 0.05, queueing, 0.0, 10.0, 1, 1.0)


@pytest.mark.parametrize(
    ("cursor", "overloaded", "after"),
    [
        pytest.param(100, True, 95, id="overload: 5 % fewer"),
        pytest.param(40, True, 38, id="of those that passed, not of all"),
        pytest.param(40, False, 41, id="otherwise 1 % of all more"),
        pytest.param(100, False, 100, id="all pass: no more can"),
        pytest.param(0, False, 1, id="it recovers from none"),
        pytest.param(0, True, 0, id="none is the least"),
    ],
)
def test_the_cursor_moves_by_alpha_down_and_by_beta_up(cursor, overloaded, after):
    histogram = np.full(100, 10.0)
    assert next_cursor(histogram, cursor, overloaded=overloaded, settings=SETTINGS) == after


@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=50), st.data())
def test_overload_never_raises_the_cursor_and_its_end_never_lowers_it(levels, data):
    histogram = np.array(levels)
    cursor = data.draw(st.integers(0, len(levels)))
    down = next_cursor(histogram, cursor, overloaded=True, settings=SETTINGS)
    up = next_cursor(histogram, cursor, overloaded=False, settings=SETTINGS)
    assert 0 <= down <= cursor <= up <= len(levels)


def test_no_request_is_refused_while_a_less_important_class_passes():
    limiter = Dagor("DAGOR", SETTINGS)
    came = Arrivals(0.0, np.ones((3, 500)), 0.0, 1.0)
    for _ in range(200):
        share = limiter.shares(came)
        by_class = share.sum(axis=1)
        assert (by_class[:-1] >= by_class[1:]).all()
        assert by_class[1] == 500 or by_class[2] == 0
        limiter.learn(report(queueing=0.1 if share.sum() > 700 else 0.0))
    assert 600 < share.sum() < 800  # 700 are as many as do not wait


def test_a_user_has_one_level_for_an_hour_and_another_in_the_next():
    now, later = user_priority(2000, 0, 128), user_priority(2000, 1, 128)
    assert (now == user_priority(2000, 0, 128)).all()
    assert (now == later).mean() < 0.05  # 1 in 128 by chance
    # 2,000 / 128 = 15.6 on each level; five deviations of 4 are 20.
    assert np.bincount(now, minlength=128).max() < 36
