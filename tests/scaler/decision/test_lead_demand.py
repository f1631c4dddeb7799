"""One forecast of many items answers queries with different lead times."""

from datetime import timedelta

import numpy as np
import pytest

from forecaster.data.series import Forecast, utc
from scaler.decision.lead_demand import LeadQuery, lead_forecasts, peak_over, step_range

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


def query(row=0, **changes):
    values = {"lead_s": 120.0, "payback_s": 90.0, "level": 0.95, "theta": 0.5, "judged_level": 0.9}
    return LeadQuery(row, **(values | changes))


def test_queries_answered_together_get_the_same_as_alone():
    queries = [query(2), query(0, lead_s=600.0), query(1, level=0.99), query(0)]
    together = lead_forecasts(forecast(), queries, NOW)
    for one, found in zip(queries, together, strict=True):
        (alone,) = lead_forecasts(forecast(), [one], NOW)
        assert found.lead_demand == alone.lead_demand
        assert found.step_range == alone.step_range


def test_the_lead_demand_is_the_quantile_of_the_peak_over_the_lead_time():
    the_forecast = forecast()
    (found,) = lead_forecasts(the_forecast, [query(1)], NOW)
    span = step_range(20.0, 120.0, 60.0, 30)
    expected = peak_over(the_forecast, span).quantile(0.95, 0.5)[1]
    assert found.lead_demand.lead_qps == pytest.approx(expected)
    assert found.step_range == span
    assert found.step_quantiles.shape == (span.steps, len(LEVELS))


def test_a_longer_span_never_has_a_smaller_peak():
    (found,) = lead_forecasts(forecast(), [query()], NOW)
    assert (
        found.lead_demand.payback_qps >= found.lead_demand.lead_qps >= found.lead_demand.median_qps
    )


def test_the_trust_of_a_query_is_passed_on():
    (found,) = lead_forecasts(forecast(), [query(margin_qps=7.0, trusted=False)], NOW)
    assert (found.lead_demand.margin_qps, found.lead_demand.trusted) == (7.0, False)


def test_no_queries_give_no_answers():
    assert lead_forecasts(forecast(), [], NOW) == []
