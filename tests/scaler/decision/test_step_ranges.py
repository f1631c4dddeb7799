"""Which steps of a forecast a span of time lies in, and what they say of its largest demand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.lead_demand import StepRange, step_range


@pytest.mark.parametrize(
    ("age_s", "length_s", "expected"),
    [
        # Step h covers (60 h, 60 (h + 1)] seconds after the origin; five steps are foreseen.
        pytest.param(0, 60, StepRange(0, 0), id="exactly the first step"),
        pytest.param(0, 61, StepRange(0, 1), id="a second more needs the next"),
        pytest.param(0, 120, StepRange(0, 1), id="two whole steps"),
        pytest.param(30, 60, StepRange(0, 1), id="from the middle of one to that of the next"),
        pytest.param(59.9, 0.1, StepRange(0, 0), id="the end of a step is in it"),
        pytest.param(60, 60, StepRange(1, 1), id="its start is in the one before"),
        pytest.param(60, 0, StepRange(1, 1), id="a moment is in one step"),
        pytest.param(0, 300, StepRange(0, 4), id="all that is foreseen"),
        pytest.param(0, 900, StepRange(0, 4), id="what lies beyond is like the last step"),
        pytest.param(280, 600, StepRange(4, 4), id="the last step, for long"),
        pytest.param(900, 60, StepRange(4, 4), id="an old forecast is its last step"),
        pytest.param(-45, 60, StepRange(0, 0), id="an origin ahead of the clock is one of now"),
    ],
)
def test_a_span_of_time_lies_in_these_steps(age_s, length_s, expected):
    assert step_range(age_s, length_s, step_s=60, prediction_length=5) == expected


@given(
    st.floats(-600, 7200),
    st.floats(0, 7200),
    st.sampled_from([15.0, 60.0, 300.0]),
    st.integers(1, 60),
)
def test_a_span_has_steps_that_exist_and_covers_its_time(age_s, length_s, step_s, length):
    span = step_range(age_s, length_s, step_s, length)
    assert 0 <= span.first <= span.last < length
    assert span.first * step_s <= max(age_s, 0)
    assert span.last == length - 1 or (span.last + 1) * step_s >= age_s + length_s
    assert span.count == len(range(span.first, span.last + 1))
