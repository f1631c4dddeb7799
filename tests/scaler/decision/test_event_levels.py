"""What events bring is measured, and teaches the next of their name."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.demand import AnnouncedEvent
from scaler.decision.event_levels import (
    MOST_NAMES,
    MOST_RATIOS,
    NO_LESSONS,
    EventLessons,
    learned_multiplier,
)

SALE = AnnouncedEvent("sale", 3600.0, 7200.0, multiplier=3.0, learns=True)
NAN = math.nan


def lived(events, demand, until=7500, lessons=NO_LESSONS, start=0):
    """Return the lessons after ticks of 15 s, of which ``demand`` is observed."""
    for now in range(start, until, 15):
        ahead = [event for event in events if now < event.ends]
        lessons = lessons.after(ahead, float(now), demand(now))
    return lessons


def leap(now):
    return 240.0 if 3600 <= now < 7200 else 100.0


@pytest.mark.parametrize(
    ("events", "demand", "expected"),
    [
        pytest.param([SALE], leap, 2.4, id="240 while it is on, 100 before"),
        pytest.param([replace(SALE, learns=False)], leap, 2.4, id="whether it is learned or not"),
        pytest.param([SALE], lambda now: 100.0, 1.0, id="one that brings nothing"),
        pytest.param(
            [SALE],
            lambda now: 900.0 if now == 5400 else leap(now),
            2.9,
            id="a lone sample counts little",
        ),
        pytest.param(
            [SALE], lambda now: NAN if 4000 <= now < 5000 else leap(now), None, id="one half known"
        ),
        pytest.param(
            [SALE], lambda now: NAN if 4000 <= now < 4500 else leap(now), 2.4, id="a short gap"
        ),
        pytest.param(
            [SALE], lambda now: NAN if now < 3600 else leap(now), None, id="nothing known before"
        ),
        pytest.param(
            [SALE], lambda now: NAN if 1800 <= now < 3600 else leap(now), None, id="too long before"
        ),
        pytest.param([SALE], lambda now: 0.0, None, id="no demand"),
        pytest.param(
            [SALE, AnnouncedEvent("gala", 7000.0, 9000.0, qps=5.0)], leap, None, id="two at once"
        ),
        pytest.param(
            [SALE, AnnouncedEvent("gala", 100.0, 3000.0, qps=5.0)], leap, None, id="another before"
        ),
        pytest.param(
            [SALE, AnnouncedEvent("gala", 100.0, 2000.0, qps=5.0)], leap, 2.4, id="long before"
        ),
    ],
)
def test_an_occurrence_is_measured_once_it_is_over(events, demand, expected):
    found = lived(events, demand).ratios.get("sale")
    assert found == (None if expected is None else (pytest.approx(expected, rel=0.06),))


def test_no_more_is_kept_than_the_last_occurrences_and_names():
    lessons = EventLessons({}, {f"event-{n}": (1.0,) for n in range(MOST_NAMES)})
    for number in range(MOST_RATIOS + 1):
        event = replace(SALE, starts=3600.0 + number * 7200, ends=7200.0 + number * 7200)
        lessons = lived([event], lambda now: leap(now % 7200), 7200 * (number + 1) + 15,
                        lessons, 7200 * number)  # fmt: skip
    assert len(lessons.ratios["sale"]) == MOST_RATIOS
    assert len(lessons.ratios) == MOST_NAMES
    assert "event-0" not in lessons.ratios


def test_without_an_occurrence_it_is_what_is_stated():
    found = learned_multiplier((), 3.0, 0.05)
    assert (found.low, found.median, found.high, found.occurrences) == (3.0, 3.0, 3.0, 0)


def test_a_height_that_was_wrong_teaches_the_next():
    found = learned_multiplier((1.5,), 3.0, 0.05)
    assert found.median == pytest.approx(math.sqrt(1.5 * 3.0))  # one occurrence, and one stated
    assert learned_multiplier((1.5,) * 8, 3.0, 0.05).high < 2.7


@given(st.lists(st.floats(0.1, 20.0), min_size=1, max_size=MOST_RATIOS), st.floats(0.01, 0.4))
def test_the_median_lies_between_what_is_stated_and_what_was_and_in_its_interval(ratios, risk):
    found = learned_multiplier(tuple(ratios), 2.0, risk)
    assert min(2.0, *ratios) * 0.999 <= found.median <= max(2.0, *ratios) * 1.001
    assert found.low < found.median < found.high


def test_more_risk_plans_for_less():
    ratios = (2.0, 2.5, 2.2)
    highs = [learned_multiplier(ratios, 2.0, risk).high for risk in (0.01, 0.05, 0.2)]
    assert highs == sorted(highs, reverse=True)


@pytest.mark.parametrize("count", [2, 5, 12])
def test_no_more_than_the_risk_brings_more_than_is_planned_for(count):
    rng = np.random.default_rng(count)
    logs = rng.normal(math.log(2.0), 0.25, (4000, count + 1))
    missed = [
        math.exp(one[-1]) > learned_multiplier(tuple(np.exp(one[:-1])), 2.0, 0.1).high
        for one in logs
    ]
    assert np.mean(missed) == pytest.approx(0.1, abs=0.03)


def test_a_learned_event_multiplies_the_demand_before_it():
    lessons = lived([SALE], leap, 3600)
    assert lessons.baselines([SALE], 3599.0) == {"sale": pytest.approx(100.0)}
    assert lessons.baselines([SALE], 3600.0) == {}  # from then on it stands
