"""The capacity of a replica, learned from recorded loads and latencies."""

import math

import numpy as np
import pytest

from scaler.decision.capacity import CapacityReason
from scaler.decision.capacity_learning import MIN_SAMPLES, learned_capacity

SERVICE_QPS = 100.0
SLO_S = 0.1
# M/M/1: time in the system is exponential with rate mu - lambda (Kleinrock, 1975, Queueing Systems
# I, 3.2), so its 99th percentile is ln(100) / (mu - lambda): 0.1 s at 100 - 46.05 QPS.
KNEE_QPS = SERVICE_QPS - math.log(100) / SLO_S


def recorded(samples, highest=90.0, seed=0, noise=0.15):
    """Return loads with a daily cycle, and the p99 of M/M/1 with measurement noise."""
    rng = np.random.default_rng(seed)
    daily = 0.5 + 0.45 * np.sin(np.linspace(0, 8 * np.pi, samples))
    loads = highest * np.clip(daily + rng.normal(0, 0.05, samples), 0.02, 1.0)
    clean = math.log(100) / (SERVICE_QPS - loads)
    return loads, clean * np.exp(rng.normal(0, noise, samples))


def learn(loads, latencies, slo_s=SLO_S, seed=1):
    return learned_capacity(loads, latencies, slo_s, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(5))
def test_the_knee_of_a_queue_is_found_within_seven_per_cent(seed):
    capacity = learn(*recorded(3000, seed=seed))
    assert capacity.reason is CapacityReason.LEARNED
    assert capacity.qps == pytest.approx(KNEE_QPS, rel=0.07)
    assert capacity.low <= capacity.qps <= capacity.high


def test_without_noise_the_knee_is_exact():
    assert learn(*recorded(3000, noise=0.0)).qps == pytest.approx(KNEE_QPS, rel=0.002)


def test_the_interval_covers_the_truth_about_nine_times_in_ten():
    intervals = [learn(*recorded(600, seed=seed)) for seed in range(20)]
    covered = sum(interval.low * 0.98 <= KNEE_QPS <= interval.high * 1.02 for interval in intervals)
    assert covered >= 16  # of 20


def test_fewer_samples_give_a_wider_interval():
    widths = []
    for samples in (150, 4000):
        intervals = [learn(*recorded(samples, seed=seed)) for seed in range(5)]
        widths.append(float(np.mean([interval.high - interval.low for interval in intervals])))
    assert widths[0] > 1.5 * widths[1]


def test_where_the_slo_was_always_met_the_capacity_is_the_highest_load_observed():
    loads, latencies = recorded(2000, highest=40.0)  # the knee is at 54
    capacity = learn(loads, latencies)
    assert capacity.reason is CapacityReason.UNREACHED
    assert capacity.qps == pytest.approx(loads.max())


def test_a_stricter_slo_never_finds_more_capacity():
    loads, latencies = recorded(2000)
    found = [learn(loads, latencies, slo_s).qps for slo_s in (0.06, 0.08, 0.1, 0.15, 0.3)]
    assert found == sorted(found)


def test_samples_with_an_unknown_value_are_ignored():
    loads, latencies = recorded(2000)
    gaps = np.full(500, np.nan)
    known = learn(loads, latencies)
    with_gaps = learn(
        np.concatenate([loads, gaps, [0.0, 60.0]]),
        np.concatenate([latencies, np.full(500, 9.0), [9.0, np.nan]]),
    )
    assert with_gaps == known


def test_the_same_draws_find_the_same_capacity():
    loads, latencies = recorded(500)
    assert learn(loads, latencies) == learn(loads, latencies)


def test_an_error_rate_works_in_place_of_a_latency():
    loads, _ = recorded(2000)
    errors = np.where(loads > 60.0, 0.05, 0.0)
    assert learn(loads, errors, slo_s=0.01).qps == pytest.approx(60.0, rel=0.02)


def test_too_few_samples_are_refused():
    loads, latencies = recorded(2000)
    few = MIN_SAMPLES - 1
    with pytest.raises(ValueError, match=r"59 samples .* 60 are needed .* requestsPerReplica"):
        learn(loads[:few], latencies[:few])
    assert learn(loads[: few + 1], latencies[: few + 1]).qps > 0


def test_an_slo_that_was_never_met_is_refused():
    loads, latencies = recorded(2000)
    with pytest.raises(ValueError, match=r"SLO of 0.001 s was not met .* is it in seconds"):
        learn(loads, latencies, slo_s=0.001)
