"""What one forecast of many rows says to queries that look differently far ahead."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.data.series import Forecast, utc
from scaler.decision.lead_demand import ForecastReader, LeadQuery, step_range
from scaler.decision.quantiles import PeakDistribution, peaks_of

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


QUERIES = [query(2), query(0, lead_s=600.0), query(1, level=0.99), query(0)]


@pytest.mark.parametrize("block", [1, 2, 100])
def test_prepared_or_not_in_blocks_or_alone_the_answer_is_the_same(block):
    reader = ForecastReader(forecast(), block)
    reader.prepare(QUERIES, NOW)
    for one in QUERIES:
        alone, found = ForecastReader(forecast()).read(one, NOW), reader.read(one, NOW)
        assert found.lead_demand == alone.lead_demand
        assert (found.step_range, found.judged_qps) == (alone.step_range, alone.judged_qps)


def test_the_demand_of_the_lead_time_is_the_quantile_of_its_maximum():
    found = ForecastReader(forecast()).read(query(1), NOW)
    steps = step_range(20.0, 120.0, 60.0, 30)
    within = forecast().values[1:2, steps.first : steps.last + 1]
    peak = PeakDistribution(*(column[0].tolist() for column in peaks_of(within, LEVELS)))
    assert found.lead_demand.lead_qps == peak.quantile(0.95, 0.5)
    assert found.judged_qps == peak.quantile(0.9, 0.5)
    assert found.step_range == steps
    assert found.step_quantiles.tolist() == within[0].tolist()


@given(st.floats(0, 1800), st.floats(0, 3600), st.floats(0, 900))
def test_looking_further_never_says_less(age_s, lead_s, payback_s):
    asked = query(lead_s=lead_s, payback_s=payback_s)
    demand = ForecastReader(forecast()).read(asked, ORIGIN.timestamp() + age_s).lead_demand
    assert demand.payback_qps >= demand.lead_qps >= demand.median_qps


def test_trust_travels_with_the_demand():
    found = ForecastReader(forecast()).read(query(margin_qps=7.0, trusted=False), NOW)
    assert (found.lead_demand.margin_qps, found.lead_demand.trusted) == (7.0, False)
