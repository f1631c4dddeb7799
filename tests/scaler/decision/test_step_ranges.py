"""The steps of a forecast that cover a span of time, and their peak."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.data.series import Forecast, utc
from scaler.decision.lead_demand import StepRange, peak_over, step_range, steps_in
from scaler.decision.quantiles import peak_distribution

LEVELS = (0.5, 0.9, 0.99)


@pytest.mark.parametrize(
    ("age_s", "length_s", "expected"),
    [
        # Step h covers (60 h, 60 (h + 1)] seconds after the origin; the forecast has five steps.
        pytest.param(0, 60, StepRange(0, 0), id="exactly the first step"),
        pytest.param(0, 61, StepRange(0, 1), id="a second more needs the next"),
        pytest.param(0, 120, StepRange(0, 1), id="two whole steps"),
        pytest.param(30, 60, StepRange(0, 1), id="from the middle of one to that of the next"),
        pytest.param(59.9, 0.1, StepRange(0, 0), id="the end of a step is in it"),
        pytest.param(60, 60, StepRange(1, 1), id="its start is in the one before"),
        pytest.param(60, 0, StepRange(1, 1), id="a moment is in one step"),
        pytest.param(0, 300, StepRange(0, 4), id="the whole forecast"),
        pytest.param(
            0, 900, StepRange(0, 4), id="time beyond the forecast is covered by its last step"
        ),
        pytest.param(280, 600, StepRange(4, 4), id="the last step, for long"),
        pytest.param(900, 60, StepRange(4, 4), id="an old forecast is its last step"),
        pytest.param(-45, 60, StepRange(0, 0), id="an origin ahead of the clock is one of now"),
    ],
)
def test_a_span_of_time_is_covered_by_these_steps(age_s, length_s, expected):
    assert step_range(age_s, length_s, step_s=60, prediction_length=5) == expected


@given(
    st.floats(-600, 7200),
    st.floats(0, 7200),
    st.sampled_from([15.0, 60.0, 300.0]),
    st.integers(1, 60),
)
def test_the_steps_of_a_span_exist_and_cover_it(age_s, length_s, step_s, length):
    span = step_range(age_s, length_s, step_s, length)
    assert 0 <= span.first <= span.last < length
    assert span.first * step_s <= max(age_s, 0)
    assert span.last == length - 1 or (span.last + 1) * step_s >= age_s + length_s
    assert span.steps == len(range(span.first, span.last + 1))


def test_a_range_of_steps_is_read_from_every_row():
    values = np.arange(2 * 4 * 3, dtype=float).reshape(2, 4, 3)
    forecast = Forecast(
        ("a", "b"),
        (utc("2026-03-01T00:00:00Z"),) * 2,
        np.timedelta64(1, "m").item(),
        LEVELS,
        values,
        ("lstm",) * 2,
    )
    span = StepRange(1, 2)
    assert steps_in(forecast, span).tolist() == values[:, 1:3].tolist()
    assert (
        peak_over(forecast, span).qps.tolist()
        == peak_distribution(values[:, 1:3], LEVELS).qps.tolist()
    )
