"""The expected demand: from the forecast, the observed rate and announced events."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.demand import (
    NO_FORECAST,
    UNKNOWN_DEMAND,
    Demand,
    DemandReason,
    LeadDemand,
    expected_demand,
)

NAN = math.nan
FORECAST = LeadDemand(lead_qps=120.0, payback_qps=150.0, median_qps=100.0, margin_qps=30.0)
BENCHED = LeadDemand(120.0, 150.0, 100.0, margin_qps=30.0, trusted=False)


@pytest.mark.parametrize(
    ("lead_demand", "observed", "event", "expected"),
    [
        pytest.param(
            FORECAST, 90.0, None, (120.0, 150.0, DemandReason.FORECAST), id="the trusted forecast"
        ),
        pytest.param(
            FORECAST,
            0.0,
            None,
            (120.0, 150.0, DemandReason.FORECAST),
            id="a lower observed rate does not lower it",
        ),
        pytest.param(
            FORECAST,
            NAN,
            None,
            (120.0, 150.0, DemandReason.FORECAST),
            id="an unknown rate does not lower it",
        ),
        pytest.param(
            FORECAST,
            130.0,
            None,
            (130.0, 150.0, DemandReason.OBSERVED),
            id="a higher observed rate raises it",
        ),
        pytest.param(
            FORECAST,
            170.0,
            None,
            (170.0, 170.0, DemandReason.OBSERVED),
            id="and the demand until payback with it",
        ),
        pytest.param(
            BENCHED,
            90.0,
            None,
            (120.0, 120.0, DemandReason.REACTIVE),  # 90 + 30
            id="a benched model: the observed rate and a margin",
        ),
        pytest.param(
            NO_FORECAST,
            90.0,
            None,
            (90.0, 90.0, DemandReason.REACTIVE),
            id="no forecast: the observed rate",
        ),
        pytest.param(
            LeadDemand(NAN, NAN, NAN, margin_qps=30.0),
            90.0,
            None,
            (120.0, 120.0, DemandReason.REACTIVE),  # 90 + 30
            id="a forecast of NaN: reactive, with the margin",
        ),
        pytest.param(
            LeadDemand(NAN, NAN, NAN, margin_qps=-5.0),
            90.0,
            None,
            (90.0, 90.0, DemandReason.REACTIVE),
            id="a margin never lowers",
        ),
        pytest.param(
            LeadDemand(NAN, NAN, NAN, margin_qps=NAN),
            90.0,
            None,
            (90.0, 90.0, DemandReason.REACTIVE),
            id="an unknown margin counts as 0",
        ),
        pytest.param(
            NO_FORECAST,
            0.0,
            None,
            (0.0, 0.0, DemandReason.REACTIVE),
            id="zero traffic is not unknown",
        ),
        pytest.param(
            FORECAST, 90.0, 300.0, (300.0, 300.0, DemandReason.EVENT), id="an event raises both"
        ),
        pytest.param(
            FORECAST,
            90.0,
            140.0,
            (140.0, 150.0, DemandReason.EVENT),
            id="an event leaves a higher demand until payback",
        ),
        pytest.param(
            FORECAST, 90.0, 110.0, (120.0, 150.0, DemandReason.FORECAST), id="an event never lowers"
        ),
        pytest.param(
            NO_FORECAST,
            NAN,
            300.0,
            (300.0, 300.0, DemandReason.EVENT),
            id="an event without other data",
        ),
        pytest.param(
            LeadDemand(NAN, NAN, NAN, margin_qps=500.0),
            NAN,
            300.0,
            (300.0, 300.0, DemandReason.EVENT),
            id="without an observed rate the margin is not used",
        ),
    ],
)
def test_demand_follows_its_sources_and_names_the_one_that_determined_it(
    lead_demand, observed, event, expected
):
    known = ("sale", event) if event else None
    name = "sale" if expected[2] is DemandReason.EVENT else None
    assert expected_demand(lead_demand, observed, known) == Demand(*expected, name)


@pytest.mark.parametrize(
    ("lead_demand", "observed", "event", "expected"),
    [
        pytest.param(
            FORECAST, 5.0, None, (160.0, 160.0, DemandReason.HELD), id="it raises a forecast"
        ),
        pytest.param(
            NO_FORECAST, 5.0, None, (160.0, 160.0, DemandReason.HELD), id="it needs no forecast"
        ),
        pytest.param(
            LeadDemand(170.0, 180.0, 100.0),
            5.0,
            None,
            (170.0, 180.0, DemandReason.FORECAST),
            id="it lowers no forecast",
        ),
        pytest.param(
            FORECAST, 200.0, None, (200.0, 200.0, DemandReason.OBSERVED), id="nor what is observed"
        ),
        pytest.param(
            FORECAST, 5.0, 300.0, (300.0, 300.0, DemandReason.EVENT), id="an event is above it"
        ),
        pytest.param(NO_FORECAST, NAN, None, None, id="where nothing is known, nothing is held"),
    ],
)
def test_what_is_held_is_the_least(lead_demand, observed, event, expected):
    known = ("sale", event) if event else None
    demand = expected_demand(lead_demand, observed, known, held_qps=160.0)
    wanted = UNKNOWN_DEMAND if expected is None else Demand(*expected, known and known[0])
    assert demand == wanted


@pytest.mark.parametrize(
    "lead_demand",
    [
        NO_FORECAST,
        LeadDemand(120.0, 150.0, 100.0, margin_qps=30.0, trusted=False),
        LeadDemand(NAN, NAN, NAN, margin_qps=30.0),
    ],
    ids=["no forecast", "a benched model", "a forecast of NaN"],
)
def test_without_data_demand_is_unknown_and_not_zero(lead_demand):
    demand = expected_demand(lead_demand, NAN, None)
    assert demand.reason is DemandReason.UNKNOWN
    assert math.isnan(demand.qps)
    assert math.isnan(demand.payback_qps)


qps = st.floats(0, 1e6)
maybe = qps | st.just(NAN)
lead_demands = st.builds(LeadDemand, maybe, maybe, maybe, st.floats(-1e6, 1e6), st.booleans())
events = st.none() | st.tuples(st.just("sale"), st.floats(0.1, 1e6))


@given(lead_demands, maybe, events)
def test_the_demand_until_payback_is_at_least_the_demand_over_the_lead_time(
    lead_demand, observed, event
):
    demand = expected_demand(lead_demand, observed, event)
    if demand.reason is DemandReason.UNKNOWN:
        assert math.isnan(demand.qps)
    else:
        assert demand.payback_qps >= demand.qps >= 0


@given(lead_demands, qps, qps, events)
def test_a_higher_observed_rate_is_never_less_demand(lead_demand, observed, more, event):
    less, greater = (expected_demand(lead_demand, o, event) for o in (observed, observed + more))
    assert greater.qps >= less.qps >= observed
    assert greater.payback_qps >= less.payback_qps


@given(lead_demands, maybe, st.tuples(st.just("sale"), st.floats(0.1, 1e6)))
def test_an_event_only_raises(lead_demand, observed, event):
    without, with_ = (expected_demand(lead_demand, observed, e) for e in (None, event))
    assert with_.qps >= event[1]
    if without.reason is not DemandReason.UNKNOWN:
        assert with_.qps >= without.qps
        assert with_.payback_qps >= without.payback_qps
