"""Announced events: when they count, their baselines, and impossible ones."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.demand import (
    NO_FORECAST,
    SETTLED_S,
    AnnouncedEvent,
    LeadDemand,
    event_demand,
    updated_event_baselines,
)

NAN = math.nan


qps = st.floats(0, 1e6)


maybe = qps | st.just(NAN)


SALE = AnnouncedEvent("sale", starts=1000.0, ends=4000.0, multiplier=3.0)


GALA = AnnouncedEvent("gala", starts=2000.0, ends=3000.0, qps=250.0)


@pytest.mark.parametrize(
    ("now", "until", "expected"),
    [
        pytest.param(0.0, 999.9, None, id="beyond the lead time: not yet"),
        pytest.param(880.0, 1000.0, ("sale", 300.0), id="at the end of the lead time"),
        pytest.param(1500.0, 1600.0, ("sale", 300.0), id="while it runs"),  # 3 x 100
        pytest.param(3999.9, 4100.0, ("sale", 300.0), id="up to its end"),
        pytest.param(4000.0, 4100.0, None, id="an event is over at its end"),
        pytest.param(0.0, 9999.0, ("sale", 300.0), id="of several, the largest"),
    ],
)
def test_an_event_counts_where_the_lead_time_overlaps_it(now, until, expected):
    assert event_demand((GALA, SALE), {"sale": 100.0}, now, until) == expected


def test_of_several_events_the_largest_counts():
    assert event_demand((GALA, SALE), {"sale": 50.0}, 2500.0, 2600.0) == ("gala", 250.0)  # > 3 x 50


def test_a_multiplier_without_a_baseline_is_ignored():
    assert event_demand((SALE,), {}, 1500.0, 1600.0) is None


def forecast(median_qps):
    return LeadDemand(median_qps * 1.2, median_qps * 1.5, median_qps)


def test_before_its_start_an_event_multiplies_the_latest_forecast():
    baselines = updated_event_baselines((SALE,), {}, forecast(100.0), observed_qps=80.0, now=0.0)
    baselines = updated_event_baselines(
        (SALE,), baselines, forecast(110.0), observed_qps=90.0, now=985.0
    )
    assert baselines == {"sale": 110.0}


def test_a_running_event_is_not_counted_twice():
    # From its start on, the forecast contains it: 3 x 300 would be 900.
    baselines = updated_event_baselines(
        (SALE,), {"sale": 100.0}, forecast(300.0), observed_qps=200.0, now=1000.0
    )
    assert event_demand((SALE,), baselines, 1000.0, 1120.0) == ("sale", 300.0)  # 3 x 100


@pytest.mark.parametrize(
    ("after_s", "observed", "expected"),
    [
        pytest.param(SETTLED_S - 1, 290.0, 100.0, id="it has arrived, but not for long enough"),
        pytest.param(SETTLED_S, 290.0, 0.0, id="it has arrived: the forecast takes over"),
        pytest.param(
            SETTLED_S, 200.0, 100.0, id="it is late: the baseline stays"
        ),  # 200 < 0.8 x 300
        pytest.param(
            SETTLED_S, NAN, 100.0, id="whether it has arrived is unknown: the baseline stays"
        ),
    ],
)
def test_an_event_that_has_arrived_and_lasted_is_left_to_the_forecast(after_s, observed, expected):
    now = SALE.starts + after_s
    assert updated_event_baselines((SALE,), {"sale": 100.0}, forecast(280.0), observed, now) == {
        "sale": expected
    }


def test_without_a_forecast_an_event_multiplies_what_is_observed():
    assert updated_event_baselines((SALE,), {}, NO_FORECAST, 80.0, now=0.0) == {"sale": 80.0}


def test_without_data_the_baseline_of_an_event_stays():
    assert updated_event_baselines((SALE,), {"sale": 80.0}, NO_FORECAST, NAN, now=0.0) == {
        "sale": 80.0
    }
    assert updated_event_baselines((SALE,), {}, NO_FORECAST, NAN, now=0.0) == {}


def test_an_event_that_had_begun_before_it_was_first_seen_takes_what_is_known_then():
    baselines = updated_event_baselines(
        (SALE,), {}, forecast(120.0), observed_qps=130.0, now=1500.0
    )
    assert baselines == {"sale": 120.0}
    assert updated_event_baselines((SALE,), baselines, forecast(200.0), 200.0, now=1515.0) == {
        "sale": 120.0
    }


def test_an_event_that_is_over_or_has_its_own_rate_has_no_baseline():
    over = updated_event_baselines(
        (SALE, GALA), {"sale": 100.0}, forecast(120.0), 130.0, now=4000.0
    )
    assert over == {}


@given(st.floats(0, 5000), maybe, maybe, st.floats(0.1, 10))
def test_the_baseline_of_an_event_is_never_negative(now, median, observed, multiplier):
    event = AnnouncedEvent("sale", 1000.0, 4000.0, multiplier=multiplier)
    baselines = updated_event_baselines((event,), {}, LeadDemand(NAN, NAN, median), observed, now)
    assert all(value >= 0 for value in baselines.values())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"ends": 1000.0, "qps": 1.0}, "ends must be after starts", id="no length"),
        pytest.param({"ends": NAN, "qps": 1.0}, "ends must be after starts", id="an unknown end"),
        pytest.param({}, "either multiplier or qps", id="neither"),
        pytest.param({"qps": 1.0, "multiplier": 2.0}, "either multiplier or qps", id="both"),
        pytest.param({"multiplier": 0.0}, "must be above 0", id="a multiplier of nothing"),
        pytest.param({"qps": -1.0}, "must be above 0", id="a negative rate"),
        pytest.param({"qps": NAN}, "must be above 0", id="an unknown rate"),
    ],
)
def test_impossible_events_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        AnnouncedEvent(**({"name": "sale", "starts": 1000.0, "ends": 4000.0} | wrong))
