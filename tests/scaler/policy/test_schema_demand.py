"""Events that overlap are written in one zone, however many there are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from scaler.policy.schema_demand import DemandSection

START = datetime(2026, 3, 1, tzinfo=UTC)


@st.composite
def sections(draw):
    count = draw(st.integers(0, 8))
    return [_event(draw, f"event-{number}") for number in range(count)]


def _event(draw, name):
    starts = START + timedelta(hours=draw(st.integers(0, 20)))
    ends = starts + timedelta(hours=draw(st.integers(1, 9)))
    zones = [timezone(timedelta(hours=draw(st.integers(0, 2)))) for _ in range(2)]
    return {
        "name": name,
        "starts": starts.astimezone(zones[0]).isoformat(),
        "ends": ends.astimezone(zones[1]).isoformat(),
        "qps": 10.0,
    }


def zones_differ(one, other):
    """Return whether two events overlap and share no zone, by looking at the two alone."""
    (a, b), (c, d) = (
        [datetime.fromisoformat(event[end]) for end in ("starts", "ends")] for event in (one, other)
    )
    return (
        a < d
        and c < b
        and {a.utcoffset(), b.utcoffset()}.isdisjoint({c.utcoffset(), d.utcoffset()})
    )


@given(sections())
def test_one_pass_over_the_events_finds_what_comparing_each_two_finds(events):
    expected = any(zones_differ(one, other) for one, other in combinations(events, 2))
    if expected:
        with pytest.raises(ValidationError, match="must be written in one zone"):
            DemandSection.model_validate({"events": events})
    else:
        assert len(DemandSection.model_validate({"events": events}).events) == len(events)
