"""What one service remembers while it is watched."""

import math

import numpy as np
import pytest

from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.service_state import ServiceState
from scaler.control.tick_history import REMEMBERED
from scaler.decision.capacity import given_capacity
from scaler.decision.demand import LeadDemand
from scaler.decision.lead_demand import LeadForecast, StepRange
from scaler.decision.replicas import ScalePolicy
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.policy.policy import Policy

POLICY = Policy(
    item_id="shop/web", target="web", scale=ScalePolicy(2, 60, 0.8), capacity_qps=50.0,
    demand_query="q",
)  # fmt: skip
HPA = HPASpec(2, 60, MetricKind.PODS, 30.0)
FOUR = Workload(4, (600.0,) * 4)


def service():
    return ServiceState(POLICY, HPA, 60.0)


def tick(live, now, qps=100.0, workload=FOUR):
    heard = ServiceMetrics(qps)
    return live.follow(now, live.hear(heard, now), heard, workload, given_capacity(50.0), None)


def test_the_ledger_counts_replicas_beside_those_of_a_plain_hpa():
    live = service()
    for now in range(0, 3601, 15):
        followed = tick(live, float(now))
    ledger = followed.ledger
    assert ledger.seconds == 3600
    assert ledger.replica_hours == pytest.approx(4.0)
    assert ledger.hpa_replica_hours == pytest.approx(4.0, abs=0.1)  # 100 / 30 = 4
    assert (ledger.short_s, ledger.hpa_short_s) == (0, 0)


def test_replicas_that_cannot_serve_what_comes_are_counted_as_short():
    live = service()
    for now in range(0, 61, 15):
        followed = tick(live, float(now), qps=300.0)  # 6 replicas' worth on 4
    assert followed.ledger.short_s == 60


def test_what_was_shown_is_not_written_over():
    live = service()
    tick(live, 0.0)
    shown = live.recent()
    first = shown.qps.copy()
    for now in range(1, 3 * REMEMBERED):
        tick(live, 15.0 * now, qps=float(now % 7))
    assert (shown.qps == first).all()
    kept = live.recent()
    assert len(kept.stamps) <= REMEMBERED
    assert (np.diff(kept.stamps) == 15.0).all()
    assert kept.stamps[-1] == 15.0 * (3 * REMEMBERED - 1)


def test_a_rate_that_reaches_back_into_an_outage_is_not_gone_by():
    live = service()
    assert live.hear(ServiceMetrics(400.0), 0.0) == 400.0
    assert math.isnan(live.hear(ServiceMetrics(math.nan), 15.0))
    assert live.hear(ServiceMetrics(50.0), 300.0) == 400.0  # the window is not whole
    assert live.hear(ServiceMetrics(500.0), 315.0) == 500.0  # more is more
    assert live.hear(ServiceMetrics(60.0), 330.0) == 500.0
    assert (
        live.hear(ServiceMetrics(60.0), 700.0) == 500.0
        or live.hear(ServiceMetrics(60.0), 1100.0) == 60.0
    )


def test_the_lead_time_is_learned_where_the_policy_gives_none():
    live = service()
    assert live.need(0).lead_s == 120.0
    slow = Workload(4, (600.0,) * 4, start_ups=(200.0,))
    for now in range(0, 600, 15):
        tick(live, float(now), workload=slow)
    assert live.need(0).lead_s == 200.0


def test_a_forecast_is_judged_once_its_lead_time_is_over():
    live = service()
    live.need(0)
    steps = np.tile([80.0, 100.0, 120.0, 125.0, 140.0], (2, 1))
    said = LeadForecast(LeadDemand(125.0, 130.0, 100.0), StepRange(0, 1), steps, 120.0)
    live.hear(ServiceMetrics(100.0, ((60.0, 100.0),)), 70.0)
    live.told(said, 60.0, (0.1, 0.5, 0.9, 0.95, 0.99))
    before = tick(live, 75.0).trust
    live.hear(ServiceMetrics(100.0, ((120.0, 500.0),)), 130.0)
    assert tick(live, 135.0).trust == before  # its second step is not over
    live.hear(ServiceMetrics(100.0, ((180.0, 100.0),)), 190.0)
    assert tick(live, 195.0).trust.coverage < before.coverage  # 500 was above 125
