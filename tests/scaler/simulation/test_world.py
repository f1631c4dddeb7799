"""The virtual world: what is asked for is what serves; what is seen of it lies in the past."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.hpa.rules import HPASpec, MetricKind
from scaler.policy.replay_settings import WorldTiming
from scaler.simulation.contenders import run
from scaler.simulation.world import SimulatedService
from tests.scaler.simulation.replay_samples import EXACT, LEAD_TICKS, alone, held, scene


class Recorder:
    """Leaves the replicas as they are, and keeps what it saw."""

    name = "recorder"

    def __init__(self, limit_qps=math.inf):
        self.observed, self.latency, self.pods = [], [], []
        self._limit_qps = limit_qps

    def decide(self, tick, now, service):
        self.observed.append(service.observed_qps(tick))
        self.latency.append(service.latency_s(tick))
        self.pods.append(service.workload().pods)
        return self._limit_qps


def seen(one, **how):
    recorder = Recorder(**how)
    run(one, recorder, SimulatedService(one, None))
    return recorder


# What serves


def test_a_replica_asked_for_serves_after_its_start_up_and_its_ramp():
    done = held(scene([100] * 20, 2), [2] * 5 + [4] * 15)
    assert done.replicas.tolist() == [2] * 5 + [4] * 15
    # Ready 6 ticks later (90 s), then half, three quarters and all of a warm one.
    assert done.ready.tolist() == [2] * 11 + [4] * 9
    warm = done.saturation / EXACT.saturation_qps
    assert warm == pytest.approx([2] * 11 + [3, 3.5] + [4] * 7)


def test_a_replica_removed_serves_no_more_from_that_tick_on():
    done = held(scene([100] * 6, 4), [4, 4, 4, 1, 1, 1])
    assert done.saturation / EXACT.saturation_qps == pytest.approx([4, 4, 4, 1, 1, 1])
    assert done.replicas.tolist() == [4, 4, 4, 1, 1, 1]


def test_what_is_offered_includes_those_who_come_again():
    flooded = scene([400] + [0] * 3, 1, model=replace(EXACT, collapse=0.0, retry_share=0.5))
    done = held(flooded, [1] * 4)
    assert done.offered[0] == 400.0
    assert done.offered[1] == pytest.approx(0.5 * done.lost[0])
    assert done.lost[0] > 0


def test_what_gateways_refuse_never_reaches_a_replica_and_comes_again_in_part():
    one = scene([100.0] * 2, 1, model=replace(EXACT, retry_share=0.5))
    recorder, service = Recorder(limit_qps=80.0), SimulatedService(one, None)
    done = run(one, recorder, service)
    assert done.refused.tolist() == [20.0, 30.0]  # 100 + 0.5 x 20 - 80
    assert done.offered.tolist() == [100.0, 110.0]
    assert done.lost.tolist() == [0.0, 0.0]


def test_time_in_which_nothing_is_known_counts_neither_offered_nor_lost():
    """But the replicas that were there are paid for."""
    demand = np.array([500.0] * 4 + [np.nan] * 4 + [50.0] * 4)
    done = held(scene(demand, 1), [1] * 12)
    assert done.lost[3] > 0
    assert done.offered[4:8].tolist() == done.lost[4:8].tolist() == [0.0] * 4
    assert done.replicas.tolist() == [1.0] * 12


def test_the_same_scene_gives_the_same_run_and_another_seed_other_start_ups():
    spread = replace(EXACT, start_up_spread=0.3)

    def ready(seed):
        return held(scene([100.0] * 30, 1, model=spread, seed=seed), [20] * 30).ready.tolist()

    assert ready(1) == ready(1)
    assert ready(1) != ready(2)


# What is seen


@pytest.mark.parametrize("window_s", [15.0, 60.0, 120.0])
@pytest.mark.parametrize(
    ("scrape_s", "delay_s", "behind"),
    [
        pytest.param(15.0, 0.0, lambda tick: tick, id="at once"),
        pytest.param(15.0, 1.0, lambda tick: tick - 1, id="a moment late is a tick late"),
        pytest.param(15.0, 45.0, lambda tick: tick - 3, id="three ticks late"),
        pytest.param(60.0, 1.0, lambda tick: (tick - 1) // 4 * 4, id="scraped each minute"),
    ],
)
def test_the_rate_is_the_mean_of_the_window_that_ended_at_the_last_scrape(
    window_s, scrape_s, delay_s, behind
):
    demand = np.random.default_rng(0).uniform(10, 90, 40)
    timing = WorldTiming(rate_window_s=window_s, scrape_s=scrape_s, query_delay_s=delay_s)
    observed = seen(scene(demand, 1, timing=timing)).observed
    window = round(window_s / 15)
    for tick, qps in enumerate(observed):
        end = max(behind(tick), 0)
        past = demand[max(end - window, 0) : end]
        assert qps == pytest.approx(past.mean() if len(past) else math.nan, nan_ok=True)


@given(
    st.lists(st.floats(0, 500), min_size=12, max_size=12),
    st.lists(st.floats(0, 500), min_size=12, max_size=12),
    st.integers(0, 11),
)
def test_nothing_of_a_later_tick_is_seen(demand, other, turn):
    """All from a tick on is exchanged: what was seen until then is the same."""
    one, two = (seen(scene(values, 2)) for values in (demand, demand[:turn] + other[turn:]))
    until = turn + 1
    assert np.array_equal(one.observed[:until], two.observed[:until], equal_nan=True)
    assert (one.latency[:until], one.pods[:until]) == (two.latency[:until], two.pods[:until])


def test_what_is_not_known_is_left_out_of_the_mean_and_unknown_when_it_is_all():
    demand = [40.0] * 4 + [np.nan] * 8 + [80.0] * 4
    observed = seen(scene(demand, 1, timing=WorldTiming(query_delay_s=0.0))).observed
    assert observed[6] == 40.0  # two known and two unknown
    assert math.isnan(observed[8])
    assert observed[13] == 80.0


def test_pods_are_seen_a_watch_lag_after_they_have_changed():
    one = scene([100.0] * 12, 1, timing=WorldTiming(watch_lag_s=20.0))
    service, ready = SimulatedService(one, None), []
    for tick in range(12):
        service.begin(tick)
        service.scale(tick, 2)
        ready.append(sum(pod.ready_at is not None for pod in service.workload().pods))
        service.end(tick)
    # Ready after 90 s, at tick 6; seen 20 s later, by tick 8.
    assert ready == [1] * 8 + [2] * 4


def test_each_pod_keeps_its_uid_from_creation_to_readiness():
    one = scene([100.0] * 10, 1)
    service, uids = SimulatedService(one, None), []
    for tick in range(10):
        service.begin(tick)
        service.scale(tick, 3)
        uids.append({pod.uid for pod in service.workload().pods})
        service.end(tick)
    assert uids[1:] == [uids[-1]] * 9
    assert len(uids[-1]) == 3


@pytest.mark.parametrize(
    ("demand", "broken"),
    [
        pytest.param(99.0, False, id="below the capacity"),
        pytest.param(110.0, True, id="above it, though below saturation"),
        pytest.param(300.0, True, id="overloaded"),
    ],
)
def test_the_latency_of_the_slo_is_seen(demand, broken):
    assert (seen(scene([demand] * 10, 1)).latency[-1] > EXACT.slo_s) is broken


# The autoscaler in it


@pytest.mark.parametrize(
    ("metric", "target", "expected"),
    [
        pytest.param(MetricKind.PODS, 50.0, 8, id="requests per pod: 400 / 50"),
        pytest.param(MetricKind.EXTERNAL_AVERAGE, 80.0, 5, id="of the whole: 400 / 80"),
        pytest.param(MetricKind.UTILIZATION, 0.5, 8, id="CPU is of work done: 4 / 0.5"),
    ],
)
def test_an_autoscaler_reads_its_own_metric(metric, target, expected):
    done = alone(scene([400.0] * 40, 6), HPASpec(1, 40, metric, target))
    assert done.replicas[-1] == expected


@pytest.mark.parametrize("metric", MetricKind)
def test_without_a_metric_an_autoscaler_keeps_what_is_there(metric):
    done = alone(scene([math.nan] * 100, 7), HPASpec(1, 40, metric, 0.5))
    assert done.replicas.tolist() == [7.0] * 100


def test_a_floor_is_found_at_the_next_sync_and_served_after_the_lead_time():
    one = scene([100.0] * 20, 2)
    service, counts, warm = SimulatedService(one, HPASpec(1, 40, MetricKind.PODS, 60.0)), [], []
    for tick in range(20):
        service.begin(tick)
        if tick == 3:
            service.floor = 8
        counts.append(service.workload().replicas)
        service.end(tick)
    warm = service.run("floor").saturation / EXACT.saturation_qps
    done = service.run("floor").replicas
    assert done[3] == 2
    assert done[4] == 8  # the sync after the write
    assert warm[4 + LEAD_TICKS] == 8.0
    assert counts[5] == 8
