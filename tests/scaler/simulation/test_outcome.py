"""Cost, violations and latency, against arithmetic and against queueing theory."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.policy.service_model import response_tail
from scaler.simulation.outcome import outcome, violations_per_tick
from scaler.simulation.world import Run
from tests.scaler.simulation import replay_samples
from tests.scaler.simulation.replay_samples import EXACT, scene

HOUR = 240  # ticks


def held(demand, replicas: int, *, model=EXACT):
    """Return what comes of always having so many replicas, all of them warm."""
    one = scene(demand, replicas, model=model)
    return outcome(one, replay_samples.held(one, [replicas] * one.ticks))


def made_up(**columns) -> Run:
    """Return a run of eight ticks in which nothing happens but what is given."""
    zero = np.zeros(8)
    plain = {
        "replicas": zero + 1, "ready": zero + 1, "offered": zero + 1.0,
        "refused": zero, "lost": zero,
        "wait_before": zero, "wait_after": zero, "saturation": zero + 1e9,
    }  # fmt: skip
    return Run("made up", **{**plain, **{k: np.asarray(v, float) for k, v in columns.items()}})


EIGHT = scene([1.0] * 8, 1)
# Who need not wait still takes longer than ten mean service times (0.5 s / 0.05 s) now and then.
IDLE_TAIL = math.exp(-10)


# Violations


@pytest.mark.parametrize("objective", [0.99, 0.999])
def test_at_their_capacity_replicas_break_the_objective_by_nothing(objective):
    model = replace(EXACT, objective=objective)
    assert held([1000.0] * HOUR, 10, model=model).violations == pytest.approx(
        1 - objective, rel=1e-6
    )


@pytest.mark.parametrize("utilisation", [0.3, 0.6, 0.8])
def test_below_their_capacity_only_the_tail_of_a_replica_is_left(utilisation):
    demand = utilisation * 10 * EXACT.saturation_qps
    tail = response_tail(8, np.array([utilisation]), 10.0)[0]
    assert held([demand] * HOUR, 10).violations == pytest.approx(tail, rel=1e-9)


def test_half_the_replicas_break_nearly_all():
    # Nobody waits at the first moment, so not quite all.
    assert held([1000.0] * HOUR, 5).violations > 0.99


def test_without_replicas_all_is_dropped():
    found = held([100.0] * HOUR, 0)
    assert found.violations == 1.0
    assert math.isinf(found.p99_s)


def test_without_requests_nothing_is_broken():
    found = held([0.0] * HOUR, 3)
    assert (found.violations, found.worst_minute, found.p99_s, found.utilization) == (0, 0, 0, 0)


def test_a_share_of_those_in_a_queue_is_late():
    """From 0.3 to 0.7 s of waiting; two of the four moments looked at are beyond 0.5 s."""
    waits = made_up(wait_before=[0.3] * 8, wait_after=[0.7] * 8)
    at = [0.35, 0.45]
    before = [math.exp(-(0.5 - wait) / 0.05) for wait in at]
    expected = (2 + sum(before)) / 4
    assert violations_per_tick(EIGHT, waits) == pytest.approx([expected] * 8)


def test_the_refused_are_broken_promises_and_told_apart():
    found = outcome(EIGHT, made_up(refused=[0.5] + [0.0] * 7))
    assert found.refused == pytest.approx(0.5 / 8)
    assert found.violations == pytest.approx((0.5 + 7.5 * IDLE_TAIL) / 8)


def test_the_dropped_and_the_late_are_counted_together():
    found = outcome(EIGHT, made_up(lost=[0.5] + [0.0] * 7))
    assert found.violations == pytest.approx((0.5 + 7.5 * IDLE_TAIL) / 8)


demands = st.lists(st.floats(0, 5000), min_size=8, max_size=8)
counts = st.lists(st.integers(0, 40), min_size=8, max_size=8)


@given(demands, counts, st.integers(0, 40))
def test_shares_lie_between_none_and_all(demand, replicas, first):
    one = scene(demand, first)
    done = replay_samples.held(one, replicas)
    found = outcome(one, done)
    shares = [found.violations, found.worst_minute, *violations_per_tick(one, done)]
    assert min(shares) >= 0
    assert max(shares) <= 1 + 1e-9


@given(st.floats(0, 5000), st.integers(1, 30))
def test_one_replica_more_never_breaks_more_of_a_steady_demand(demand, replicas):
    more, fewer = (held([demand] * 8, count).violations for count in (replicas + 1, replicas))
    assert more <= fewer + 1e-9


def test_violations_per_tick_add_up_to_those_of_the_whole():
    demand = 500 + 400 * np.sin(np.arange(HOUR) / 20)
    one = scene(demand, 7)
    done = replay_samples.held(one, [7] * HOUR)
    broken = violations_per_tick(one, done) * done.offered
    assert broken.sum() / done.offered.sum() == pytest.approx(outcome(one, done).violations)


# Cost and the rest


def test_replica_hours_are_counted_from_creation_to_removal():
    one = scene([10.0] * 480, 3)
    path = [3] * 240 + [5] * 120 + [1] * 120
    found = outcome(one, replay_samples.held(one, path))
    assert found.replica_hours == pytest.approx(3 * 1 + 5 * 0.5 + 1 * 0.5)
    assert found.changes == 2
    assert found.peak_replicas == 5


def test_utilization_is_demand_over_what_the_replicas_sustain():
    assert held([240.0] * HOUR, 4).utilization == pytest.approx(240 / (4 * 100))


def test_utilization_is_of_the_time_in_which_demand_is_known():
    demand = np.where(np.arange(HOUR) % 2, np.nan, 240.0)
    assert held(demand, 4).utilization == pytest.approx(240 / (4 * 100))


def test_where_nothing_is_known_nothing_is_claimed():
    found = held([np.nan] * 8, 2)
    assert (found.violations, found.utilization, found.p99_s) == (0.0, 0.0, 0.0)
    assert found.replica_hours == pytest.approx(2 * 8 * 15 / 3600)


def test_the_worst_minute_is_a_minute_and_not_a_tick():
    # In the second minute (four ticks of 1 request per second each) half of one tick's are lost.
    found = outcome(EIGHT, made_up(lost=[0.0] * 4 + [0.5] + [0.0] * 3))
    assert found.worst_minute == pytest.approx((0.5 + 3.5 * IDLE_TAIL) / 4)


# Latency


@pytest.mark.parametrize("utilisation", [0.3, 0.6, 0.85])
def test_p99_in_a_steady_state_is_where_one_in_a_hundred_takes_longer(utilisation):
    found = held([utilisation * 10 * EXACT.saturation_qps] * HOUR, 10)
    late = response_tail(8, np.array([utilisation]), found.p99_s / EXACT.service_time_s)[0]
    assert late == pytest.approx(0.01, rel=1e-6)


def test_p99_of_idle_replicas_is_that_of_the_service_alone():
    # exp(-t / 0.05) = 0.01
    assert held([1e-6] * HOUR, 10).p99_s == pytest.approx(0.05 * math.log(100), rel=1e-5)


def test_p99_has_the_wait_in_the_queue_in_it():
    found = outcome(EIGHT, made_up(wait_before=[0.3] * 8, wait_after=[0.3] * 8))
    assert found.p99_s == pytest.approx(0.3 + 0.05 * math.log(100), rel=1e-5)


@pytest.mark.parametrize(
    ("lost", "known"),
    [
        pytest.param(0.009, True, id="0.9 % dropped: a latency that 99 % stay within exists"),
        pytest.param(0.011, False, id="1.1 % dropped: none does"),
    ],
)
def test_p99_is_infinite_where_more_than_one_in_a_hundred_is_dropped(lost, known):
    assert math.isfinite(outcome(EIGHT, made_up(lost=[lost] * 8)).p99_s) is known
