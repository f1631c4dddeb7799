"""What is remembered for a while."""

from __future__ import annotations

import pytest

from scaler.adapters.kube.recent_values import RecentValues


@pytest.mark.parametrize(
    ("now", "found"),
    [
        pytest.param(100.0, "a", id="at once"),
        pytest.param(159.9, "a", id="for a while"),
        pytest.param(160.0, None, id="and no longer"),
        pytest.param(99.0, None, id="nor by a clock that was set back"),
    ],
)
def test_a_value_counts_for_a_while(now, found):
    values = RecentValues(60.0)
    values.put("shop", "a", 100.0)
    assert values.get("shop", now) == found


def test_what_counts_no_more_is_forgotten_whatever_it_is_of():
    values = RecentValues(60.0)
    for at in range(1000):
        values.put(f"svc-{at}", at, float(at))
        values.put("shop", at, float(at))
    assert len(values) == 61  # a minute's, and the one that is put again and again
    values.put("shop", 0, 10.0)  # the clock was set back: the others are of nobody knows when
    assert (len(values), values.get("shop", 10.0)) == (1, 0)
