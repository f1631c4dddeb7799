"""Who decides: the clairvoyant as the floor of what is possible, and tidegate as it runs."""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.lead_demand import ForecastReader
from scaler.decision.replicas import ScalePolicy
from scaler.hpa.rules import HPASpec, MetricKind
from scaler.simulation.contenders import TidegateContender, clairvoyant, run
from scaler.simulation.outcome import outcome, violations_per_tick
from scaler.simulation.recording import RecordedSamples
from scaler.simulation.world import SimulatedService
from tests.scaler.simulation.replay_samples import (
    EXACT,
    FIRST,
    LEAD_TICKS,
    MINUTE,
    START,
    alone,
    forecast_of,
    held,
    policy_of,
    scene,
    wave,
)

# 120 s until ready, and warm at once: the same lead, but nothing is served before it is over.
SUDDEN = replace(EXACT, start_up_s=120.0, ramp_s=0.0)
NET = HPASpec(1, 40, MetricKind.PODS, target=100.0)
DAY = 5760


def seasonal(ticks: int = DAY, *, seed: int = 0) -> np.ndarray:
    """Return a day of 200 to 3,800 QPS, a figure a minute."""
    minutes = np.arange(ticks // 4)
    wave = 2000 - 1700 * np.cos(2 * np.pi * minutes / (ticks / 4))
    return np.repeat(wave + np.random.default_rng(seed).uniform(-100, 100, len(wave)), 4)


# The clairvoyant


def known_beforehand(demand, model=EXACT, least: int = 1):
    """Return the clairvoyant's path, and the scene that it starts in."""
    counts = list(clairvoyant(demand, 100.0, LEAD_TICKS, least).planned)
    return counts, scene(demand, counts[0], model=model)


def test_the_clairvoyant_keeps_the_objective_in_every_tick_of_a_seasonal_day():
    demand = seasonal()
    path, one = known_beforehand(demand)
    done = held(one, path)
    assert violations_per_tick(one, done).max() <= (1 - EXACT.objective) * (1 + 1e-6)
    found = outcome(one, done)
    assert found.violations < 1 - EXACT.objective
    assert found.utilization > 0.9  # whole replicas, and those that start, are the rest


def short_of_capacity(path, one) -> np.ndarray:
    """Return the ticks in which more comes than the warm replicas sustain."""
    sustained = held(one, path).saturation * one.model.utilisation_at_slo
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
    assert list(clairvoyant(np.array([150.0, 250.0, 50.0]), 100.0, 0, 1).planned) == [2, 3, 1]


# tidegate


def tidegate(minutes, medians, *, replicas=4, net=NET, **policy):
    """Return what tidegate does over minutes of demand, with a forecast of these medians each.

    Without medians there is no forecast.
    """
    demand = np.repeat(np.asarray(minutes, dtype=float), 4)
    before = np.full(3, demand[0] if len(demand) else 0.0)
    series = replace(wave(1), start=FIRST - 3 * MINUTE, values=np.concatenate([before, minutes]))
    one = scene(demand, replicas)
    one = replace(one, start=START - MINUTE / timedelta(seconds=1))
    # The first row is known before the first minute is over, so there is one more.
    said = [*medians, medians[-1]] if medians is not None else [0.0]
    rows = np.repeat(np.asarray(said, dtype=float)[:, None], 30, axis=1)
    forecast = forecast_of(rows, first=FIRST - 2 * MINUTE, spread=0.0)
    scale = ScalePolicy(1, 60, target_utilization=1.0)
    asked = policy_of(**{"scale": scale, "payback_s": 0.0, **policy})
    samples = RecordedSamples(series, 1 if medians is not None else len(series), one)
    who = TidegateContender("tidegate", asked, samples, ForecastReader(forecast), 15.0)
    return run(one, who, SimulatedService(one, net)), who


def test_what_is_foreseen_is_there_before_it_comes():
    foreseen = [390.0] * 10 + [1190.0] * 10
    done, _ = tidegate([400.0] * 20, foreseen)
    # The origin of row 10 is the end of the ninth minute: known at tick 37, seen at the next sync.
    assert done.replicas[:38].max() <= 5
    assert done.replicas[38] == 12


def test_the_autoscaler_beside_it_still_reacts():
    """The floor may not go above 5; what comes on top of that is the autoscaler's."""
    scale = ScalePolicy(1, 5, target_utilization=1.0)
    done, _ = tidegate([400.0] * 4 + [900.0] * 16, [400.0] * 20, scale=scale)
    assert done.replicas[-1] >= 9


def test_a_floor_that_asks_for_nothing_leaves_the_autoscaler_alone():
    minutes = 1000 + 900 * np.sin(np.arange(100) / 10)
    scale = ScalePolicy(1, 1, target_utilization=1.0)
    calm = replace(NET, target=50.0)  # so that no limit is ever reached
    bare, _ = tidegate(minutes, minutes, replicas=20, scale=scale, net=calm)
    one = scene(np.repeat(minutes, 4), 20)
    beside = alone(one, calm)
    assert bare.refused.max() == 0
    # The floor of the first tick is what there was.
    assert bare.replicas[2:].tolist() == beside.replicas[2:].tolist()


def test_gateways_admit_no_more_than_what_is_ready_sustains():
    done, _ = tidegate([200.0] * 5 + [5000.0] * 15, [200.0] * 20)
    admitted = done.offered - done.refused
    # A pod that goes at a tick is seen to have gone at the next.
    seen = np.maximum(done.ready, np.concatenate([done.ready[:1], done.ready[:-1]]))
    assert (admitted <= seen * EXACT.capacity_qps + 1e-6).all()
    assert done.refused.max() > 0


def test_a_replay_that_begins_in_silence_holds_its_floor_and_lets_it_decay():
    """The plan's lifetime of 15 minutes, 60 ticks, is counted from the first tick."""
    done, who = tidegate([math.nan] * 125, None, replicas=9)
    assert who.latest.decision.plan.replicas < 9
    # Without a metric the autoscaler lowers nothing, whatever its floor.
    assert done.replicas.tolist() == [9.0] * 500
    assert set(who.reasons) == {"held", "decayed"}


def test_what_bound_the_plan_is_counted_tick_by_tick():
    done, who = tidegate([380.0] * 25, [400.0] * 25)
    assert sum(who.reasons.values()) == 100
    assert done.name == "tidegate"


@given(st.lists(st.floats(0, 2000), min_size=10, max_size=10))
def test_the_same_demand_gives_the_same_counts(demand):
    one, other = (tidegate(demand, demand, replicas=5)[0] for _ in range(2))
    assert one.replicas.tolist() == other.replicas.tolist()
