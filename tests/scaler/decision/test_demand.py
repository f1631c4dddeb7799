"""What to be ready for: the forecast, the observed rate and what was announced."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.demand import (
    NO_FORECAST,
    SETTLED_S,
    AnnouncedEvent,
    Demand,
    DemandReason,
    LeadDemand,
    event_demand,
    expected_demand,
    usual_before,
)

NAN = math.nan
AHEAD = LeadDemand(lead_qps=120.0, hold_qps=150.0, usual_qps=100.0, margin_qps=30.0)
BENCHED = LeadDemand(120.0, 150.0, 100.0, margin_qps=30.0, trusted=False)


@pytest.mark.parametrize(
    ("ahead", "observed", "event", "expected"),
    [
        pytest.param(
            AHEAD, 90.0, None, (120.0, 150.0, DemandReason.FORECAST), id="the trusted forecast"
        ),
        pytest.param(
            AHEAD,
            0.0,
            None,
            (120.0, 150.0, DemandReason.FORECAST),
            id="which an observed rate never lowers",
        ),
        pytest.param(
            AHEAD, NAN, None, (120.0, 150.0, DemandReason.FORECAST), id="nor an unknown one"
        ),
        pytest.param(
            AHEAD, 130.0, None, (130.0, 150.0, DemandReason.OBSERVED), id="but a higher one raises"
        ),
        pytest.param(
            AHEAD,
            170.0,
            None,
            (170.0, 170.0, DemandReason.OBSERVED),
            id="and what is held with it",
        ),
        pytest.param(
            BENCHED,
            90.0,
            None,
            (120.0, 120.0, DemandReason.REACTIVE),  # 90 + 30
            id="a benched model: the observed rate and a margin",
        ),
        pytest.param(
            NO_FORECAST, 90.0, None, (90.0, 90.0, DemandReason.REACTIVE), id="no forecast: as is"
        ),
        pytest.param(
            LeadDemand(NAN, NAN, NAN, margin_qps=30.0),
            90.0,
            None,
            (120.0, 120.0, DemandReason.REACTIVE),  # 90 + 30
            id="a forecast that says nothing: reactive, with the margin",
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
            id="an unknown margin is none",
        ),
        pytest.param(
            NO_FORECAST, 0.0, None, (0.0, 0.0, DemandReason.REACTIVE), id="no traffic is known"
        ),
        pytest.param(
            AHEAD, 90.0, 300.0, (300.0, 300.0, DemandReason.EVENT), id="an event raises both"
        ),
        pytest.param(
            AHEAD,
            90.0,
            140.0,
            (140.0, 150.0, DemandReason.EVENT),
            id="and leaves held what the forecast holds",
        ),
        pytest.param(
            AHEAD, 90.0, 110.0, (120.0, 150.0, DemandReason.FORECAST), id="it never lowers"
        ),
        pytest.param(
            NO_FORECAST,
            NAN,
            300.0,
            (300.0, 300.0, DemandReason.EVENT),
            id="an event is known where nothing else is",
        ),
        pytest.param(
            LeadDemand(NAN, NAN, NAN, margin_qps=500.0),
            NAN,
            300.0,
            (300.0, 300.0, DemandReason.EVENT),
            id="whatever the margin was: there is nothing to add it to",
        ),
    ],
)
def test_demand_is_what_is_known_and_says_on_what_it_rests(ahead, observed, event, expected):
    known = ("sale", event) if event else None
    name = "sale" if expected[2] is DemandReason.EVENT else None
    assert expected_demand(ahead, observed, known) == Demand(*expected, name)


@pytest.mark.parametrize(
    "ahead",
    [
        NO_FORECAST,
        LeadDemand(120.0, 150.0, 100.0, margin_qps=30.0, trusted=False),
        LeadDemand(NAN, NAN, NAN, margin_qps=30.0),
    ],
    ids=["no forecast", "a benched model", "a forecast that says nothing"],
)
def test_where_nothing_is_known_demand_is_unknown_and_not_zero(ahead):
    demand = expected_demand(ahead, NAN, None)
    assert demand.reason is DemandReason.UNKNOWN
    assert math.isnan(demand.qps)
    assert math.isnan(demand.hold_qps)


qps = st.floats(0, 1e6)
maybe = qps | st.just(NAN)
aheads = st.builds(LeadDemand, maybe, maybe, maybe, st.floats(-1e6, 1e6), st.booleans())
events = st.none() | st.tuples(st.just("sale"), st.floats(0.1, 1e6))


@given(aheads, maybe, events)
def test_what_is_held_is_at_least_what_is_needed(ahead, observed, event):
    demand = expected_demand(ahead, observed, event)
    if demand.reason is DemandReason.UNKNOWN:
        assert math.isnan(demand.qps)
    else:
        assert demand.hold_qps >= demand.qps >= 0


@given(aheads, qps, qps, events)
def test_more_that_is_observed_is_never_less_demand(ahead, observed, more, event):
    less, greater = (expected_demand(ahead, o, event) for o in (observed, observed + more))
    assert greater.qps >= less.qps >= observed
    assert greater.hold_qps >= less.hold_qps


@given(aheads, maybe, st.tuples(st.just("sale"), st.floats(0.1, 1e6)))
def test_an_event_only_raises(ahead, observed, event):
    without, with_ = (expected_demand(ahead, observed, e) for e in (None, event))
    assert with_.qps >= event[1]
    if without.reason is not DemandReason.UNKNOWN:
        assert with_.qps >= without.qps
        assert with_.hold_qps >= without.hold_qps


SALE = AnnouncedEvent("sale", starts=1000.0, ends=4000.0, multiplier=3.0)
GALA = AnnouncedEvent("gala", starts=2000.0, ends=3000.0, qps=250.0)


@pytest.mark.parametrize(
    ("now", "until", "expected"),
    [
        pytest.param(0.0, 999.9, None, id="beyond the lead time: not yet"),
        pytest.param(880.0, 1000.0, ("sale", 300.0), id="at its end: it is time to start replicas"),
        pytest.param(1500.0, 1600.0, ("sale", 300.0), id="while it runs"),  # 3 x 100
        pytest.param(3999.9, 4100.0, ("sale", 300.0), id="up to its end"),
        pytest.param(4000.0, 4100.0, None, id="an event is over at its end"),
        pytest.param(0.0, 9999.0, ("sale", 300.0), id="of several, that which asks for most"),
    ],
)
def test_an_event_counts_where_the_lead_time_meets_it(now, until, expected):
    assert event_demand((GALA, SALE), {"sale": 100.0}, now, until) == expected


def test_of_several_events_that_which_asks_for_most_counts():
    assert event_demand((GALA, SALE), {"sale": 50.0}, 2500.0, 2600.0) == ("gala", 250.0)  # > 3 x 50


def test_a_multiplier_of_what_is_unknown_asks_for_nothing():
    assert event_demand((SALE,), {}, 1500.0, 1600.0) is None


def ahead(usual_qps):
    return LeadDemand(usual_qps * 1.2, usual_qps * 1.5, usual_qps)


def test_before_its_start_an_event_multiplies_what_is_foreseen_last():
    usual = usual_before((SALE,), {}, ahead(100.0), observed_qps=80.0, now=0.0)
    usual = usual_before((SALE,), usual, ahead(110.0), observed_qps=90.0, now=985.0)
    assert usual == {"sale": 110.0}


def test_a_running_event_is_not_counted_twice():
    # From its start on, the forecast has its height in it: 3 x 300 would be 900.
    usual = usual_before((SALE,), {"sale": 100.0}, ahead(300.0), observed_qps=200.0, now=1000.0)
    assert event_demand((SALE,), usual, 1000.0, 1120.0) == ("sale", 300.0)  # 3 x 100


@pytest.mark.parametrize(
    ("after_s", "observed", "expected"),
    [
        pytest.param(SETTLED_S - 1, 290.0, 100.0, id="it has come, but not for long enough"),
        pytest.param(SETTLED_S, 290.0, 0.0, id="it has come: the forecast's from here on"),
        pytest.param(SETTLED_S, 200.0, 100.0, id="it is late: waited for"),  # 200 < 0.8 x 300
        pytest.param(SETTLED_S, NAN, 100.0, id="whether it has come is not known: waited for"),
    ],
)
def test_an_event_that_has_come_and_stayed_is_the_forecasts(after_s, observed, expected):
    now = SALE.starts + after_s
    assert usual_before((SALE,), {"sale": 100.0}, ahead(280.0), observed, now) == {"sale": expected}


def test_without_a_forecast_an_event_multiplies_what_is_observed():
    assert usual_before((SALE,), {}, NO_FORECAST, 80.0, now=0.0) == {"sale": 80.0}


def test_in_the_dark_what_was_expected_before_stays():
    assert usual_before((SALE,), {"sale": 80.0}, NO_FORECAST, NAN, now=0.0) == {"sale": 80.0}
    assert usual_before((SALE,), {}, NO_FORECAST, NAN, now=0.0) == {}


def test_an_event_that_began_unseen_starts_from_what_is_known_at_first_sight():
    usual = usual_before((SALE,), {}, ahead(120.0), observed_qps=130.0, now=1500.0)
    assert usual == {"sale": 120.0}
    assert usual_before((SALE,), usual, ahead(200.0), 200.0, now=1515.0) == {"sale": 120.0}


def test_an_event_that_is_over_or_gives_its_own_rate_is_not_remembered():
    over = usual_before((SALE, GALA), {"sale": 100.0}, ahead(120.0), 130.0, now=4000.0)
    assert over == {}


@given(st.floats(0, 5000), maybe, maybe, st.floats(0.1, 10))
def test_what_an_event_starts_from_is_never_below_nothing(now, foreseen, observed, multiplier):
    event = AnnouncedEvent("sale", 1000.0, 4000.0, multiplier=multiplier)
    usual = usual_before((event,), {}, LeadDemand(NAN, NAN, foreseen), observed, now)
    assert all(value >= 0 for value in usual.values())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param({"ends": 1000.0, "qps": 1.0}, "ends at or before", id="no length"),
        pytest.param({"ends": NAN, "qps": 1.0}, "ends at or before", id="an unknown end"),
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
