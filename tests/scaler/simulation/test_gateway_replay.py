"""Recorded traffic through gateways: who is refused, and what for."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from scaler.errors import ReplayError
from scaler.limits.priority_classes import PriorityClass
from scaler.simulation.contest import TIDEGATE
from scaler.simulation.gateway_findings import COLUMNS, excess, extent, record, rows
from scaler.simulation.gateway_outcome import (
    NO_CLASS,
    GatewayTraffic,
)
from scaler.simulation.gateway_replay import (
    MOST_REQUESTS,
    busiest,
    equal_shares,
    gateway_replay,
    published_limits,
    rate_limited,
)
from tests.scaler.adapters.http.snapshots import view
from tests.scaler.simulation.contest_samples import small_contest
from tests.scaler.simulation.gateway_samples import FOUND, PLAIN
from tests.scaler.simulation.replay_samples import START, policy_of

PAY = PriorityClass("pay", 0, guaranteed_qps=60.0)
STRESS = PriorityClass("stress", 9, ceiling_qps=40.0)
ALL = {NO_CLASS: 1.0}


def limit(ready, *classes):
    """Return the limit of replicas that serve 50 QPS each."""
    published = view(ready=ready, each_qps=50.0).published_limit
    return replace(published, classes=classes)


def traffic(*demand, shares=None):
    return GatewayTraffic(START, 15.0, np.array(demand, dtype=float), shares or ALL)


def replayed(demand, ready, *classes, **options):
    """Replay a tick for each figure; ``ready`` is the replicas in all of them, or in each."""
    policy = policy_of(capacity_qps=50.0, classes=classes)
    counts = ready if isinstance(ready, list) else [ready] * len(demand)
    came = traffic(*demand, shares=equal_shares(policy))
    return gateway_replay(came, policy, lambda tick: limit(counts[tick], *classes), **options)


@pytest.mark.parametrize(
    ("gateways", "refused"),
    [
        pytest.param(1, 0.0, id="all of it through one gateway"),
        pytest.param(2, 0.0, id="and through two"),
        # A fifth of the burst of 40 is 8, and chance brings more than that at once.
        pytest.param(5, 0.005, id="nearly all through five, whose bursts are small"),
    ],
)
def test_demand_well_within_the_limit_passes(gateways, refused):
    found = replayed([250.0] * 8, 8, gateways=gateways)
    assert found.total.false_rejects <= refused
    assert found.total.offered == pytest.approx(8 * 15 * 250, rel=0.03)
    assert found.seconds == 120.0
    assert found.gateways == gateways


@pytest.mark.parametrize("gateways", [1, 2, 5])
def test_of_demand_above_the_limit_the_limit_passes(gateways):
    found = replayed([800.0] * 8, 8, gateways=gateways)
    assert found.total.admitted == pytest.approx(8 * 15 * 400, rel=0.03)
    assert found.total.admitted + found.total.refused == found.total.offered
    assert found.total.refused_within == 0


@pytest.mark.parametrize("gateways", [1, 2, 5])
def test_no_second_admits_more_than_the_limit_and_a_burst(gateways):
    found = replayed([100.0, 800.0] * 4, 8, gateways=gateways)
    # A burst is a tenth of a second of the limit; each gateway's is rounded up to whole requests.
    assert 0 < found.excess <= 40 + gateways
    assert found.excess_limit_qps == 400.0


def test_what_chance_brings_above_a_limit_that_demand_fits_is_a_false_reject():
    found = replayed([390.0] * 20, 8)
    assert 0 < found.total.refused == found.total.refused_within
    assert found.total.false_rejects < 0.05


def test_a_limit_that_falls_is_followed():
    found = replayed([380.0] * 8, [8] * 4 + [2] * 4)
    assert found.total.admitted == pytest.approx(60 * 380 + 60 * 100, rel=0.05)


def test_where_nothing_is_ready_nothing_passes():
    found = replayed([100.0] * 4, 0)
    assert found.total.admitted == 0
    assert found.total.refused_within == 0


def test_classes_get_what_the_policy_gives_them():
    found = replayed([600.0] * 8, 8, PAY, STRESS)
    pay, stress = found.classes
    assert (pay.name, stress.name) == ("pay", "stress")
    assert pay.refused == pytest.approx(0, abs=0.02 * pay.offered)
    assert stress.admitted == pytest.approx(8 * 15 * 40, rel=0.1)  # its ceiling
    assert stress.refused_within == 0  # it wants 300
    assert found.total.offered == pay.offered + stress.offered


def test_while_demand_is_not_known_nothing_comes():
    found = replayed([math.nan, 100.0, math.nan], 8)
    assert found.total.offered == pytest.approx(1500, rel=0.1)


def test_the_same_seed_gives_the_same_outcome_and_another_one_another():
    assert replayed([390.0] * 4, 8) == replayed([390.0] * 4, 8)
    assert replayed([390.0] * 4, 8) != replayed([390.0] * 4, 8, seed=1)


def test_shares_of_classes_that_the_policy_does_not_name_are_refused():
    came = traffic(100.0, shares={"pay": 0.5, "browse": 0.5})
    with pytest.raises(ValueError, match="browse"):
        gateway_replay(came, policy_of(classes=(PAY,)), lambda _: limit(8, PAY))


# What is replayed


def test_the_busiest_hour_lies_around_the_peak():
    demand = np.concatenate([np.linspace(0, 100, 400), np.linspace(100, 0, 400)])
    assert busiest(demand, 15.0) == slice(399 - 120, 399 + 120)


@pytest.mark.parametrize(
    ("peak", "part"),
    [
        pytest.param(0, slice(0, 240), id="at the begin"),
        pytest.param(999, slice(760, 1000), id="at the end"),
    ],
)
def test_an_hour_is_an_hour_wherever_the_peak_is(peak, part):
    demand = np.ones(1000)
    demand[peak] = 2.0
    assert busiest(demand, 15.0) == part


def test_of_much_traffic_less_than_an_hour_is_replayed():
    demand = np.full(1000, 10_000.0)
    demand[500] = 11_000.0
    part = busiest(demand, 15.0)
    assert part.start < 500 < part.stop
    assert 0.8 * MOST_REQUESTS < demand[part].sum() * 15.0 <= MOST_REQUESTS


def test_a_tick_is_the_least_that_is_replayed():
    assert busiest(np.array([1e9, 2e9, 1e9]), 15.0) == slice(1, 2)


def test_where_no_request_came_nothing_can_be_replayed():
    with pytest.raises(ReplayError, match="no request came"):
        busiest(np.array([0.0, np.nan]), 15.0)


def test_the_published_limit_is_that_of_the_replay_itself():
    contest = small_contest()
    ready = contest.runs[TIDEGATE].ready
    published = published_limits(contest.setting, slice(10, len(ready)))
    # Pods are seen a little after they are ready, so the limit is of no more than are.
    limits = np.array([one.limit.qps for one in published])
    assert len(limits) == len(ready) - 10
    assert (limits <= ready[10:] * 100.0).all()
    assert limits.mean() > 0.95 * ready[10:].mean() * 100.0


def test_a_replay_is_limited_at_its_peak():
    contest = small_contest()
    scene = replace(contest.setting.scene, demand=contest.setting.scene.demand / 100)
    found = rate_limited(replace(contest, setting=replace(contest.setting, scene=scene)))
    assert found.seconds == 3600.0
    assert found.start == scene.start
    assert found.total.offered == pytest.approx(scene.demand.sum() * 15, rel=0.02)


# What is said of it


def test_each_class_has_a_row_and_all_of_them_another():
    assert rows(FOUND) == [
        ["pay", "10,000", "10,000", "0", "0 %"],
        ["stress", "20,000", "18,500", "1,500", "0.15 %"],
        ["all", "30,000", "28,500", "1,500", "0.1 %"],
    ]
    assert [len(row) for row in rows(FOUND)] == [len(COLUMNS)] * 3
    assert [row[0] for row in rows(PLAIN)] == ["all"]


def test_the_extent_says_when_and_through_how_many_gateways():
    assert extent(FOUND) == (
        "2026-03-02 00:00:00 to 00:30:00 UTC, around the peak, through 2 gateways; "
        "as many requests of each class: pay, stress"
    )
    assert extent(PLAIN).endswith("through 1 gateway")


def test_the_worst_second_is_told():
    assert "12 requests more were admitted than the limit of 400" in excess(FOUND)
    assert excess(PLAIN) == "In no second was more admitted than the limit."


def test_the_record_is_json_and_null_where_nothing_was_replayed():
    found = json.loads(json.dumps(record(FOUND), allow_nan=False))
    assert found["classes"]["stress"] == {
        "offered": 20_000, "admitted": 18_500, "refused": 1_500, "false_rejects": 0.0015,
    }  # fmt: skip
    assert found["total"]["admitted"] == 28_500
    assert found["excess"] == 12.0
    assert record(PLAIN)["classes"] == {}
    assert record(None) is None
