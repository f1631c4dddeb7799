"""What one replica sustains, learned from load and latency that were recorded."""

import math

import numpy as np
import pytest

from scaler.decision.capacity import CapacityReason
from scaler.decision.capacity_learning import LEAST_MOMENTS, learned_capacity

SERVICE_QPS = 100.0
SLO_S = 0.1
# M/M/1: time in the system is exponential with rate mu - lambda (Kleinrock, 1975, Queueing Systems
# I, 3.2), so its 99th percentile is ln(100) / (mu - lambda): 0.1 s at 100 - 46.05 QPS.
KNEE_QPS = SERVICE_QPS - math.log(100) / SLO_S


def recorded(moments, highest=90.0, seed=0, noise=0.15):
    """Return loads that come and go as a day does, and the p99 of M/M/1 with measurement noise."""
    rng = np.random.default_rng(seed)
    daily = 0.5 + 0.45 * np.sin(np.linspace(0, 8 * np.pi, moments))
    loads = highest * np.clip(daily + rng.normal(0, 0.05, moments), 0.02, 1.0)
    clean = math.log(100) / (SERVICE_QPS - loads)
    return loads, clean * np.exp(rng.normal(0, noise, moments))


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


def test_the_span_covers_the_truth_nine_times_in_ten_or_so():
    spans = [learn(*recorded(600, seed=seed)) for seed in range(20)]
    covered = sum(span.low * 0.98 <= KNEE_QPS <= span.high * 1.02 for span in spans)
    assert covered >= 16  # of 20


def test_fewer_moments_leave_it_less_certain():
    widths = []
    for moments in (150, 4000):
        spans = [learn(*recorded(moments, seed=seed)) for seed in range(5)]
        widths.append(float(np.mean([span.high - span.low for span in spans])))
    assert widths[0] > 1.5 * widths[1]


def test_where_the_slo_always_held_the_capacity_is_the_highest_load_seen_at_least():
    loads, latencies = recorded(2000, highest=40.0)  # the knee is at 54
    capacity = learn(loads, latencies)
    assert capacity.reason is CapacityReason.UNREACHED
    assert capacity.qps == pytest.approx(loads.max())


def test_a_stricter_slo_never_finds_more_capacity():
    loads, latencies = recorded(2000)
    found = [learn(loads, latencies, slo_s).qps for slo_s in (0.06, 0.08, 0.1, 0.15, 0.3)]
    assert found == sorted(found)


def test_moments_of_which_something_is_not_known_say_nothing():
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


def test_a_rate_of_errors_will_do_as_well():
    loads, _ = recorded(2000)
    errors = np.where(loads > 60.0, 0.05, 0.0)
    assert learn(loads, errors, slo_s=0.01).qps == pytest.approx(60.0, rel=0.02)


def test_too_few_moments_are_refused():
    loads, latencies = recorded(2000)
    few = LEAST_MOMENTS - 1
    with pytest.raises(ValueError, match=r"59 moments .* 60 are needed .* requestsPerReplica"):
        learn(loads[:few], latencies[:few])
    assert learn(loads[: few + 1], latencies[: few + 1]).qps > 0


def test_an_slo_that_never_held_is_refused():
    loads, latencies = recorded(2000)
    with pytest.raises(ValueError, match=r"SLO of 0.001 s never held .* is it in seconds"):
        learn(loads, latencies, slo_s=0.001)
