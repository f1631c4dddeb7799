"""What one service remembers while it is watched."""

import math
from dataclasses import replace

import numpy as np
import pytest

from scaler.control.checkpoint import from_plain, to_plain
from scaler.control.observations import Pod, ServiceMetrics, Workload
from scaler.control.service_state import ServiceState
from scaler.decision.capacity import given_capacity
from scaler.decision.demand import LeadDemand
from scaler.decision.lead_demand import LeadForecast, StepRange
from scaler.decision.lead_time import LeadTimeReason
from scaler.decision.limit import Ramp
from scaler.decision.replicas import ScalePolicy
from scaler.policy.policy import Policy

POLICY = Policy(
    item_id="shop/web", target="web", scale=ScalePolicy(2, 60, 0.8), capacity_qps=50.0,
    demand_query="q",
)  # fmt: skip
LEVELS = (0.1, 0.5, 0.9, 0.95, 0.99)


def service(**changes):
    return ServiceState(replace(POLICY, **changes), 60.0, 15.0)


def pods(count, ready_at=-600.0):
    return Workload(tuple(Pod(str(i), ready_at - 60.0, ready_at) for i in range(count)))


def tick(state, now, qps=100.0, workload=None):
    metrics = ServiceMetrics(qps)
    observed = state.take_in(metrics, now)
    return state.decide(now, observed, metrics, workload or pods(4), given_capacity(50.0), None)


def test_a_rate_that_reaches_back_into_an_outage_is_not_acted_on_below_the_demand_before_it():
    state = service()
    assert state.take_in(ServiceMetrics(400.0), 0.0) == 400.0
    assert math.isnan(state.take_in(ServiceMetrics(math.nan), 15.0))
    assert state.take_in(ServiceMetrics(50.0), 300.0) == 400.0  # the window is not whole
    assert state.take_in(ServiceMetrics(500.0), 315.0) == 500.0  # more is more
    assert state.take_in(ServiceMetrics(60.0), 330.0) == 500.0
    for now in range(345, 600, 15):
        state.take_in(ServiceMetrics(60.0), float(now))
    assert state.take_in(ServiceMetrics(60.0), 600.0) == 60.0  # 300 s after it came back


def test_of_a_partial_answer_only_the_least_counts_and_what_follows_it_is_distrusted():
    state = service()
    assert tick(state, 0.0, 1000.0).decision.plan.replicas == 25  # 1000 / (50 x 0.8)
    half = ServiceMetrics(math.nan, partial="store-2 is away", least_qps=500.0)
    more = replace(half, least_qps=1200.0)
    for now, metrics, expected in ((15.0, half, 25), (600.0, half, 25), (615.0, more, 30)):
        observed = state.take_in(metrics, now)
        assert math.isnan(observed)
        result = state.decide(now, observed, metrics, pods(25), given_capacity(50.0), None)
        assert result.decision.plan.replicas == expected
    assert state.take_in(ServiceMetrics(400.0), 630.0) == 1000.0


def started(count, took_s):
    """Return the workloads of a service whose pods start one after the other, 15 s apart."""
    ready = tuple(Pod(f"new-{i}", 15.0 * i, 15.0 * i + took_s) for i in range(count))
    return [Workload(ready[:i]) for i in range(count + 1)]


def test_the_lead_time_is_learned_where_the_policy_gives_none():
    state = service()
    assert (state.lead_time.seconds, state.lead_time.reason) == (120.0, LeadTimeReason.DEFAULT)
    for i, workload in enumerate(started(20, took_s=200.0)):
        result = tick(state, 15.0 * i, workload=workload)
    assert state.lead_query(0).lead_s == result.lead_time.seconds == 200.0 + 15.0 + 15.0
    assert result.lead_time.reason is LeadTimeReason.LEARNED


def test_the_lead_time_survives_a_restart():
    before, after = service(), service()
    for i, workload in enumerate(started(20, took_s=200.0)):
        tick(before, 15.0 * i, workload=workload)
    after.restore(from_plain(to_plain(before.checkpoint(None))))
    assert after.lead_time == before.lead_time


def test_a_pod_whose_readiness_blips_changes_nothing():
    """Its second readiness, days after it was created, is not the time that it took to start."""
    state = service()
    old = Pod("old", -250_000.0, -249_980.0)
    blipped = Pod("old", -250_000.0, 30.0)
    before = state.lead_time
    for now, pod in ((0.0, old), (15.0, Pod("old", -250_000.0)), (30.0, blipped), (45.0, blipped)):
        tick(state, now, workload=Workload((pod,)))
    assert state.lead_time == before


def test_pods_that_have_just_become_ready_count_as_cold_in_the_limit():
    state = service(ramp=Ramp(60.0, 0.5))
    cold = tick(state, 0.0, workload=pods(8, ready_at=0.0))
    assert cold.decision.limit.qps == 8 * 50.0 * 0.5
    warm = tick(state, 60.0, workload=pods(8, ready_at=0.0))
    assert warm.decision.limit.qps == 8 * 50.0


def test_warming_up_is_part_of_the_lead_time():
    assert service(ramp=Ramp(60.0, 0.5)).lead_time.seconds == 90.0 + 15.0 + 15.0 + 60.0


def test_a_forecast_is_judged_once_its_lead_time_is_over():
    state = service()
    state.lead_query(0)
    steps = np.tile([80.0, 100.0, 120.0, 125.0, 140.0], (2, 1))
    demand = LeadDemand(125.0, 130.0, 100.0)
    said = LeadForecast(demand, StepRange(0, 1), steps, LEVELS, 120.0)
    state.take_in(ServiceMetrics(100.0, ((60.0, 100.0),)), 70.0)
    state.expect(said, 60.0)
    before = tick(state, 75.0).trust
    state.take_in(ServiceMetrics(100.0, ((120.0, 500.0),)), 130.0)
    assert tick(state, 135.0).trust == before  # its second step is not over
    state.take_in(ServiceMetrics(100.0, ((180.0, 100.0),)), 190.0)
    assert tick(state, 195.0).trust.coverage < before.coverage  # 500 was above 125


def test_a_start_up_time_is_due_from_what_was_learned():
    state = service()
    result = tick(state, 0.0, workload=Workload((Pod("a", -30.0), Pod("b", -30.0, 0.0))))
    assert result.fleet.due_in_s == (60.0,)  # 90 s after it was created


@pytest.mark.parametrize("given_s", [30.0, 600.0])
def test_a_lead_time_that_the_policy_gives_is_all_of_it(given_s):
    assert service(lead_s=given_s, ramp=Ramp(60.0, 0.5)).lead_query(0).lead_s == given_s
