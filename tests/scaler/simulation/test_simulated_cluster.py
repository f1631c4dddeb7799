"""The simulated cluster: it shows the past alone, and lives on between the loop's ticks."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from forecaster.data.series import Series, utc
from scaler.control.ports import TrafficQuery, WatchedPolicy
from scaler.control.snapshot import ServiceView
from scaler.decision.capacity import given_capacity
from scaler.decision.decide import DecisionSettings, Observation, decide, first_state
from scaler.decision.demand import NO_FORECAST
from scaler.decision.replicas import ScalePolicy
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.policy.policy import Policy
from scaler.policy.service_model import ServiceModel
from scaler.simulation.simulated_cluster import SimulatedCluster, SimulatedService

BEGIN = utc("2026-03-02T00:00:00Z")
START = BEGIN.timestamp() + 3600
POLICY = Policy(item_id="shop/web", target="web", scale=ScalePolicy(1, 60), capacity_qps=50.0)
NET = HPASpec(1, 60, MetricKind.PODS, 50.0)
MODEL = ServiceModel(50.0, start_up_spread=0.0)


def world(values, replicas=4):
    series = Series("shop/web", BEGIN, timedelta(minutes=1), np.asarray(values, dtype=float))
    return SimulatedCluster([SimulatedService(series, MODEL, NET, replicas)], START)


def live(simulated, seconds):
    watched = [WatchedPolicy(POLICY, NET)]
    for now in np.arange(START, START + seconds + 1, 15.0):
        seen = simulated.seen(watched, float(now))
    return seen["shop/web"]


def test_nothing_is_heard_of_what_has_not_been_collected():
    values = np.arange(180.0)
    simulated = world(values)
    live(simulated, 600)
    now = START + 600
    (heard,) = simulated.hear([TrafficQuery("shop/web", "", None, START)], now)
    stamps = [stamp for stamp, _ in heard.samples]
    assert max(stamps) <= now - 15
    assert min(stamps) > START
    (past,) = simulated.histories([("shop/web", "")], timedelta(days=8), now)
    assert past.end.timestamp() - 60 <= now - 15


def test_the_observed_rate_is_the_demand_of_the_last_minute():
    simulated = world(np.full(180, 120.0))
    live(simulated, 300)
    (heard,) = simulated.hear([TrafficQuery("shop/web", "", None, START)], START + 300)
    assert heard.observed_qps == pytest.approx(120.0)


def test_the_autoscaler_beside_it_reacts_by_itself():
    values = np.full(180, 100.0)
    values[62:] = 400.0  # 400 / 50 = 8 replicas
    assert live(world(values), 900).replicas == 8


def test_a_floor_is_carried_out_after_the_start_up_time():
    simulated = world(np.full(180, 100.0))
    live(simulated, 60)
    core = DecisionSettings(given_capacity(50.0), replace(POLICY.scale, min_replicas=12))
    decision = decide(Observation(START, 100.0, NO_FORECAST, 4.0), first_state(4, START), core)
    simulated.act([ServiceView(policy=POLICY, at=START, decision=decision)], START + 60)
    watched = [WatchedPolicy(POLICY, NET)]
    soon = simulated.seen(watched, START + 90)["shop/web"]
    assert (soon.replicas, len(soon.ready_s), soon.floor) == (12, 4, 12)
    assert all(0 < due <= 90 for due in soon.due_in_s)
    later = simulated.seen(watched, START + 240)["shop/web"]
    assert len(later.ready_s) == 12
