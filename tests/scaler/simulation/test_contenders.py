"""Who decides: the clairvoyant as the floor, the autoscaler alone, and tidegate above it."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.capacity import given_capacity
from scaler.decision.decide import DecisionSettings
from scaler.decision.demand import NO_FORECAST, LeadDemand
from scaler.decision.replicas import PlanReason, ScalePolicy
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.simulation.closed_loop import run
from scaler.simulation.contenders import (
    HPAContender,
    KnownReplicas,
    TickView,
    TidegateContender,
    clairvoyant,
)
from scaler.simulation.outcome import outcome, violations_per_tick
from tests.scaler.simulation.replay_samples import EXACT, LEAD_TICKS, START, scene

# 120 s until ready, and warm at once: the same lead, but nothing is served before it is over.
SUDDEN = replace(EXACT, start_up_s=120.0, ramp_s=0.0)
NET = HPASpec(1, 40, MetricKind.PODS, target=100.0)
DAY = 5760


def seasonal(ticks: int = DAY, *, seed: int = 0) -> np.ndarray:
    """Return a day of 200 to 3,800 QPS, a figure a minute."""
    minutes = np.arange(ticks // 4)
    wave = 2000 - 1700 * np.cos(2 * np.pi * minutes / (ticks / 4))
    return np.repeat(wave + np.random.default_rng(seed).uniform(-100, 100, len(wave)), 4)


def view(tick: int, observed: float, *, replicas: int = 4, ready: int | None = None, **seen):
    ready = replicas if ready is None else ready
    plain = {"served_qps": observed, "warm": float(ready), "over_slo": False, "replica_qps": 0.0}
    return TickView(
        tick=tick,
        now=START + 15.0 * tick,
        observed_qps=observed,
        replicas=replicas,
        ready=ready,
        **{**plain, **seen},
    )


# The clairvoyant


def known_beforehand(demand, model=EXACT, least: int = 1):
    """Return the clairvoyant's path, and the scene that it starts in."""
    path = clairvoyant(demand, 100.0, LEAD_TICKS, least)
    counts = [path.replicas(view(tick, 0.0)) for tick in range(len(demand))]
    return counts, scene(demand, counts[0], model=model)


def test_the_clairvoyant_keeps_the_objective_in_every_tick_of_a_seasonal_day():
    demand = seasonal()
    path, one = known_beforehand(demand)
    done = run(one, KnownReplicas("clairvoyant", path))
    assert violations_per_tick(one, done).max() <= (1 - EXACT.objective) * (1 + 1e-6)
    found = outcome(one, done)
    assert found.violations < 1 - EXACT.objective
    assert found.utilization > 0.9  # whole replicas, and those that start, are the rest


def short_of_capacity(path, one) -> np.ndarray:
    """Return the ticks in which more comes than the warm replicas sustain."""
    done = run(one, KnownReplicas("any", path))
    sustained = done.saturation * one.model.utilisation_at_slo
    return np.flatnonzero(one.demand > sustained * (1 + 1e-9))


@pytest.mark.parametrize("seed", range(3))
def test_one_replica_fewer_than_the_clairvoyant_s_at_any_moment_is_too_few(seed):
    demand = seasonal(240, seed=seed)
    path, one = known_beforehand(demand, SUDDEN)
    assert len(short_of_capacity(path, one)) == 0
    for tick in range(240):
        fewer = list(path)
        fewer[tick] -= 1
        assert len(short_of_capacity(fewer, one)) > 0, tick


@given(st.lists(st.floats(0, 3000), min_size=20, max_size=60), st.integers(1, 5))
def test_the_clairvoyant_has_at_least_what_is_needed_and_its_minimum(demand, least):
    path, _ = known_beforehand(np.array(demand), least=least)
    need = [max(math.ceil(qps / 100 - 1e-6), least) for qps in demand]
    assert all(count >= needed for count, needed in zip(path, need, strict=True))
    # A rise is complete a lead time before it is needed; nobody is kept for longer than that.
    for tick, count in enumerate(path):
        assert count == max(need[tick : tick + LEAD_TICKS + 1])


def test_unknown_demand_asks_the_clairvoyant_for_its_minimum():
    path, _ = known_beforehand(np.array([500.0] * 4 + [np.nan] * 30 + [900.0] * 4), least=2)
    assert path[:5] == [5, 5, 5, 5, 2]
    assert path[25:27] == [2, 9]  # 34 - 8


def test_without_a_lead_the_clairvoyant_follows_the_demand():
    path = clairvoyant(np.array([150.0, 250.0, 50.0]), 100.0, 0, 1)
    assert [path.replicas(view(tick, 0.0)) for tick in range(3)] == [2, 3, 1]


# The autoscaler alone


@pytest.mark.parametrize(
    ("metric", "target", "seen", "expected"),
    [
        pytest.param(MetricKind.PODS, 50.0, {}, 8, id="requests per pod: 400 / 50"),
        pytest.param(MetricKind.EXTERNAL_AVERAGE, 80.0, {}, 5, id="of the whole: 400 / 80"),
        # 300 of the 400 were worked on: 300 / 100 = 3 requests of CPU; 3 / 0.5 = 6
        pytest.param(
            MetricKind.UTILIZATION, 0.5, {"served_qps": 300.0}, 6, id="CPU is of work done"
        ),
    ],
)
def test_an_autoscaler_reads_its_own_metric(metric, target, seen, expected):
    hpa = HPAContender("HPA", HPASpec(1, 40, metric, target), 100.0)
    assert hpa.replicas(view(0, 400.0, **seen)) == expected


@pytest.mark.parametrize("metric", MetricKind)
def test_without_a_metric_an_autoscaler_keeps_what_is_there(metric):
    hpa = HPAContender("HPA", HPASpec(1, 40, metric, 0.5), 100.0)
    assert [hpa.replicas(view(t, math.nan, replicas=7)) for t in range(100)] == [7] * 100


def test_replicas_that_start_hold_a_scale_up_back():
    """Four ready at twice the target want 8; four that start count as idle, and 8 there are."""
    hpa = HPAContender("HPA", HPASpec(1, 40, MetricKind.PODS, 50.0), 100.0)
    assert hpa.replicas(view(0, 400.0, replicas=8, ready=4)) == 8


def test_an_external_metric_does_not_know_who_is_ready():
    hpa = HPAContender("KEDA", HPASpec(1, 40, MetricKind.EXTERNAL_AVERAGE, 40.0), 100.0)
    assert hpa.replicas(view(0, 400.0, replicas=8, ready=4)) == 10


# tidegate


def tidegate(ahead, *, replicas: int = 4, net: HPASpec = NET, **scale) -> TidegateContender:
    policy = DecisionSettings(given_capacity(100.0), ScalePolicy(target_utilization=1.0, **scale))
    return TidegateContender("tidegate", policy, ahead, net, replicas)


CALM, BUSY = LeadDemand(400.0, 400.0, 380.0), LeadDemand(1200.0, 1200.0, 1100.0)


def test_the_floor_takes_effect_one_tick_after_it_was_planned():
    one = tidegate([CALM] * 3 + [BUSY] * 5)
    counts = []
    for tick in range(8):
        counts.append(one.replicas(view(tick, 400.0, replicas=counts[-1] if counts else 4)))
    # Foreseen at tick 3, written then, and seen by the autoscaler at its next sync.
    assert counts == [4, 4, 4, 4, 12, 12, 12, 12]


def test_the_autoscaler_beside_it_still_reacts():
    """The floor may not go above 5; what comes on top of that is the autoscaler's."""
    one = tidegate([CALM] * 10, max_replicas=5)
    assert one.replicas(view(0, 400.0)) == 4
    assert one.replicas(view(1, 800.0)) == 8
    assert tidegate([BUSY] * 10, max_replicas=5).replicas(view(0, 1100.0)) == 8  # 4 x 2 at most


def test_a_floor_that_asks_for_nothing_leaves_the_autoscaler_alone():
    demand = 1000 + 900 * np.sin(np.arange(400) / 40)
    one = scene(demand, 10)
    bare = tidegate([BUSY] * 400, replicas=1, max_replicas=1)
    alone = run(one, HPAContender("HPA", NET, 100.0))
    assert run(one, bare).replicas.tolist() == alone.replicas.tolist()


def test_without_anything_ahead_it_follows_the_observed_rate():
    one = tidegate([NO_FORECAST] * 10)
    one.replicas(view(0, 700.0))
    assert one.replicas(view(1, 700.0)) == 7
    assert one.reasons == {PlanReason.WANTED: 2}


def test_a_replay_that_begins_in_silence_holds_its_floor_and_lets_it_decay():
    """The plan's lifetime of 15 minutes, 60 ticks, is counted from the first tick."""
    one = tidegate([NO_FORECAST] * 500, replicas=9)
    counts = [one.replicas(view(tick, math.nan, replicas=1)) for tick in range(500)]
    assert counts[:62] == [9] * 62  # the floor of the 61st tick is still in force in the next
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 1
    assert one.reasons == {PlanReason.HELD: 61, PlanReason.DECAYED: 439}


def test_what_bound_the_plan_is_counted_tick_by_tick():
    one = tidegate([CALM] * 50 + [BUSY] * 50)
    done = run(scene([380.0] * 100, 4), one)
    assert sum(one.reasons.values()) == 100
    assert done.name == "tidegate"


@given(st.lists(st.floats(0, 2000), min_size=30, max_size=30))
def test_the_same_demand_gives_the_same_counts(demand):
    ahead = [LeadDemand(qps, qps, qps) for qps in demand]
    one, other = (run(scene(demand, 5), tidegate(ahead)) for _ in range(2))
    assert one.replicas.tolist() == other.replicas.tolist()
