"""Where a service's capacity comes from while the loop runs."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from forecaster.data.series import Series
from scaler.control.capacity_tracker import AGAIN_S, FIRST_TRY_S, CapacityTracker
from scaler.control.demand_history import DemandHistory
from scaler.decision.capacity import Capacity, CapacityReason
from scaler.decision.replicas import ScalePolicy
from scaler.policy.policy import Policy, Slo

STEP = timedelta(minutes=1)
NOW = datetime(2026, 3, 2, 9, tzinfo=UTC).timestamp()
GIVEN = Policy(
    item_id="shop/web", target="web", scale=ScalePolicy(2, 60), capacity_qps=50.0,
    demand_query="demand", slo=Slo(0.1, query="latency"),
)  # fmt: skip
LEARNING = replace(GIVEN, capacity_qps=None)


def latency_at(load):
    """M/M/1 at 100 requests per second: its p99 is 0.1 s at 53.95 (100 - ln(100) / 0.1)."""
    return math.log(100) / (100.0 - load)


class Recorded:
    """A Prometheus that holds a day's demand, replicas and latency; some queries fail."""

    def __init__(self, minutes=3000, faults=()):
        self.asked, self.faults = [], dict(faults)
        loads = 45 + 35 * np.sin(np.linspace(0, 8 * np.pi, minutes))
        self.values = {
            "demand": 4 * loads, "replicas": np.full(minutes, 4.0),
            "latency": np.array([latency_at(load) for load in loads]),
        }  # fmt: skip

    def histories(self, queries, length, now):
        self.asked += [query for _, query in queries]
        return [self.faults.get(query) or self._series(item, query) for item, query in queries]

    def _series(self, item, query):
        values = self.values[query]
        start = datetime.fromtimestamp(NOW, UTC) - (len(values) - 1) * STEP
        return Series(item, start, STEP, values)


def learner(traffic):
    demand_history = DemandHistory(traffic, STEP)
    return demand_history, CapacityTracker(traffic, demand_history, STEP)


def test_a_given_capacity_is_not_learned():
    _, capacities = learner(Recorded())
    capacities.look_back([GIVEN], NOW)
    assert capacities.of(GIVEN).reason is CapacityReason.GIVEN


def test_the_past_teaches_it_at_once_where_the_policy_says_how_to_ask_for_replicas():
    policy = replace(LEARNING, replicas_query="replicas")
    demand_history, capacities = learner(Recorded())
    demand_history.take_up([policy], NOW)
    capacities.look_back([policy], NOW)
    capacities.learn([policy], NOW)
    assert capacities.of(policy).qps == pytest.approx(53.95, rel=0.02)


def test_a_past_that_cannot_be_read_is_the_reason_why_nothing_is_known():
    policy = replace(LEARNING, replicas_query="replicas")
    demand_history, capacities = learner(Recorded(faults={"replicas": "returns 3 series"}))
    demand_history.take_up([policy], NOW)
    capacities.look_back([policy], NOW)
    assert "returns 3 series" in capacities.of(policy)


def test_without_a_past_it_is_learned_from_what_is_seen_one_moment_a_minute():
    _, capacities = learner(Recorded())
    rng = np.random.default_rng(0)
    for tick in range(4 * 90):  # 90 minutes at 15 s
        load = float(rng.uniform(10, 85))
        capacities.add("shop/web", load, latency_at(load), NOW + 15 * tick)
        capacities.learn([LEARNING], NOW + 15 * tick)
        if tick == 4 * 30:
            assert "31 samples with load and latency" in capacities.of(LEARNING)
    assert capacities.of(LEARNING).qps == pytest.approx(53.95, rel=0.1)


@pytest.mark.parametrize(
    ("load", "latency"),
    [
        pytest.param(math.nan, 0.05, id="demand is not known"),
        pytest.param(40.0, None, id="latency is not known"),
        pytest.param(0.0, 0.05, id="no load says nothing"),
    ],
)
def test_what_is_not_known_is_no_moment(load, latency):
    _, capacities = learner(Recorded())
    capacities.add("shop/web", load, latency, NOW)
    assert "no moment" in capacities.of(LEARNING)


def test_one_service_a_tick_is_learned_and_each_again_after_an_hour():
    policies = [replace(LEARNING, item_id=f"shop/{i}", replicas_query="replicas") for i in "ab"]
    demand_history, capacities = learner(Recorded())
    demand_history.take_up(policies, NOW)
    capacities.look_back(policies, NOW)
    known = lambda: [not isinstance(capacities.of(one), str) for one in policies]  # noqa: E731
    capacities.learn(policies, NOW)
    assert known() == [True, False]
    capacities.learn(policies, NOW + 15)
    assert known() == [True, True]
    before = capacities.of(policies[0])
    for load in np.linspace(90, 99, 400):  # a release made replicas no worse, but busier
        capacities.add("shop/a", float(load), 0.05, NOW + 60 * load)
    capacities.learn(policies, NOW + AGAIN_S - 1)
    assert capacities.of(policies[0]) is before
    capacities.learn(policies, NOW + AGAIN_S)
    assert capacities.of(policies[0]) is not before


def test_what_was_learned_before_a_restart_holds_until_it_is_learned_anew():
    _, capacities = learner(Recorded())
    kept = Capacity(40.0, CapacityReason.LEARNED, 38.0, 42.0)
    capacities.remember("shop/web", kept)
    capacities.learn([LEARNING], NOW + FIRST_TRY_S)  # there is no moment to learn from
    assert capacities.of(LEARNING) is kept


def test_what_is_not_watched_any_more_is_forgotten():
    _, capacities = learner(Recorded())
    capacities.remember("shop/web", Capacity(40.0, CapacityReason.LEARNED, 38.0, 42.0))
    capacities.keep([])
    assert isinstance(capacities.of(LEARNING), str)
