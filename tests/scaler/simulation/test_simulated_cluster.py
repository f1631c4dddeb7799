"""The simulated cluster: it shows the past alone, and lives on between the loop's ticks."""

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from forecaster.data.series import Series, utc
from scaler.control.ports import TrafficQuery, WatchedPolicy
from scaler.control.snapshot import ServiceView
from scaler.decision.capacity import given_capacity
from scaler.decision.decide import DecisionSettings, Observation, decide, initial_state
from scaler.decision.demand import NO_FORECAST
from scaler.decision.limit import LimitPolicy
from scaler.decision.replicas import ScalePolicy
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.limits.published_limit import published_limit
from scaler.limits.schedule import Fleet
from scaler.policy.policy import Policy
from scaler.policy.service_model import ServiceModel
from scaler.simulation.simulated_cluster import SimulatedCluster
from scaler.simulation.world import Scene

BEGIN = utc("2026-03-02T00:00:00Z")
START = BEGIN.timestamp() + 3600
POLICY = Policy(item_id="shop/web", target="web", scale=ScalePolicy(1, 60), capacity_qps=50.0)
NET = HPASpec(1, 60, MetricKind.PODS, 50.0)
MODEL = ServiceModel(50.0, start_up_spread=0.0)


def world(values, replicas=4):
    series = Series("shop/web", BEGIN, timedelta(minutes=1), np.asarray(values, dtype=float))
    demand = np.repeat(series.values[61:], 4)
    scene = Scene(START, demand, MODEL, replicas)
    return SimulatedCluster({"shop/web": (series, scene, NET)})


WATCHED = [WatchedPolicy(POLICY, NET)]


def live(simulated, seconds):
    """Let ticks pass; return what is measured and observed at the last one."""
    for now in np.arange(START, START + seconds + 1, 15.0):
        (metrics,) = simulated.measure([TrafficQuery("shop/web", "", None, START)], float(now))
    return metrics, simulated.observe(WATCHED, float(now))["shop/web"]


def ready(workload):
    return sum(pod.ready_at is not None for pod in workload.pods)


def test_nothing_is_measured_that_has_not_been_collected():
    simulated = world(np.arange(180.0))
    now = START + 600
    metrics, _ = live(simulated, 600)
    stamps = [stamp for stamp, _ in metrics.samples]
    assert max(stamps) < now
    assert min(stamps) > START
    (past,) = simulated.histories([("shop/web", "")], timedelta(days=8), now)
    assert (past.end - past.step).timestamp() < now


def test_the_observed_rate_is_the_demand_of_the_last_minute():
    metrics, _ = live(world(np.full(180, 120.0)), 300)
    assert metrics.observed_qps == pytest.approx(120.0)


def test_the_autoscaler_beside_it_reacts_by_itself():
    values = np.full(180, 100.0)
    values[62:] = 400.0  # 400 / 50 = 8 replicas
    assert live(world(values), 900)[1].replicas == 8


def test_a_floor_is_carried_out_after_the_start_up_time():
    simulated = world(np.full(180, 100.0))
    live(simulated, 60)
    core = DecisionSettings(given_capacity(50.0), replace(POLICY.scale, min_replicas=12))
    decision = decide(Observation(START, 100.0, NO_FORECAST, 4.0), initial_state(4, START), core)
    limit = published_limit(decision, Fleet((600.0,) * 4, 50.0), 4, LimitPolicy())
    view = ServiceView(policy=POLICY, at=START, decision=decision, published_limit=limit)
    simulated.apply([view], START + 60)
    simulated.measure([], START + 90)
    soon = simulated.observe(WATCHED, START + 90)["shop/web"]
    assert (soon.replicas, ready(soon), soon.floor) == (12, 4, 12)
    simulated.measure([], START + 240)
    assert ready(simulated.observe(WATCHED, START + 240)["shop/web"]) == 12


def test_the_limit_that_was_published_is_what_gateways_admit():
    simulated = world(np.full(180, 500.0))
    live(simulated, 60)
    core = DecisionSettings(given_capacity(50.0), POLICY.scale)
    decision = decide(Observation(START, 500.0, NO_FORECAST, 4.0), initial_state(4, START), core)
    limit = published_limit(decision, Fleet((600.0,) * 4, 50.0), 4, LimitPolicy())
    view = ServiceView(policy=POLICY, at=START, decision=decision, published_limit=limit)
    simulated.apply([view], START + 60)
    simulated.measure([], START + 75)
    run = simulated.service("shop/web").run("demo")
    assert run.offered[-1] - run.refused[-1] == pytest.approx(200.0)
