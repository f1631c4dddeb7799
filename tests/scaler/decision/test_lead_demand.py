"""What one forecast of many items says to policies that look differently far ahead."""

from datetime import timedelta

import numpy as np
import pytest

from forecaster.data.series import Forecast, utc
from scaler.decision.lead_demand import LeadQuery, lead_forecasts, maximum_over, step_range

LEVELS = (0.1, 0.5, 0.9, 0.95, 0.99)
ORIGIN = utc("2026-03-02T09:00:00Z")
NOW = ORIGIN.timestamp() + 20


def forecast(items=3, horizon=30):
    """Items of 100, 200, 300 ... QPS that rise by 1 % per step."""
    shape = np.array([0.8, 1.0, 1.2, 1.25, 1.4])
    rise = 1 + 0.01 * np.arange(horizon)
    values = 100.0 * np.arange(1, items + 1)[:, None, None] * rise[:, None] * shape
    names = tuple(f"shop/{i}" for i in range(items))
    return Forecast(
        names, (ORIGIN,) * items, timedelta(minutes=1), LEVELS, values, ("lstm",) * items
    )


def need(row=0, **changes):
    values = {"lead_s": 120.0, "hold_s": 90.0, "level": 0.95, "theta": 0.5, "judged_level": 0.9}
    return LeadQuery(row, **(values | changes))


def test_all_at_once_says_what_each_alone_says():
    needs = [need(2), need(0, lead_s=600.0), need(1, level=0.99), need(0)]
    together = lead_forecasts(forecast(), needs, NOW)
    for one, found in zip(needs, together, strict=True):
        (alone,) = lead_forecasts(forecast(), [one], NOW)
        assert found.ahead == alone.ahead
        assert found.span == alone.span


def test_the_lead_time_s_demand_is_the_quantile_of_its_maximum():
    said = forecast()
    (found,) = lead_forecasts(said, [need(1)], NOW)
    span = step_range(20.0, 120.0, 60.0, 30)
    expected = maximum_over(said, span).quantile(0.95, 0.5)[1]
    assert found.ahead.lead_qps == pytest.approx(expected)
    assert found.span == span
    assert found.steps.shape == (span.steps, len(LEVELS))


def test_looking_further_never_says_less():
    (found,) = lead_forecasts(forecast(), [need()], NOW)
    assert found.ahead.hold_qps >= found.ahead.lead_qps >= found.ahead.usual_qps


def test_trust_travels_with_what_is_said():
    (found,) = lead_forecasts(forecast(), [need(margin_qps=7.0, trusted=False)], NOW)
    assert (found.ahead.margin_qps, found.ahead.trusted) == (7.0, False)


def test_nobody_to_tell_is_told_nothing():
    assert lead_forecasts(forecast(), [], NOW) == []
