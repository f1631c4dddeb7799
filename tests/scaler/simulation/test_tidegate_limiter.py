from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.simulation.limiters import Arrivals, LimiterReport
from scaler.simulation.shedding_scenarios import classes
from scaler.simulation.tidegate_limiter import TidegateLimiter, TidegateSettings

SETTINGS = TidegateSettings(100.0, classes())


def limiter(warm=10.0):
    return TidegateLimiter("tidegate", SETTINGS, warm)


def report(now, admitted=100.0, slow=0.0, warm=10.0):
    return LimiterReport(now, admitted, 0.06, 0.01, slow, 10.0, int(warm), warm)


def crowd(rates, mix=(0.2, 0.7, 0.1)):
    return np.outer(mix, rates)


def passed_after(seconds, counts, guard):
    for now in range(seconds):
        came = Arrivals(float(now), counts, 0.0, 1e9)
        passed = counts * guard.shares(came)
        guard.learn(report(float(now), admitted=float(passed.sum())))
    return passed


def test_nobody_is_refused_while_all_fit_and_nobody_is_abusive():
    counts = crowd(np.geomspace(0.5, 8.0, 100))
    assert passed_after(90, counts, limiter()) == pytest.approx(counts)


def test_an_abusive_client_is_left_the_median_clients_rate_though_all_would_fit():
    counts = crowd([*[2.0] * 99, 400.0])
    passed = passed_after(30, counts, limiter()).sum(axis=0)
    assert passed[:99] == pytest.approx(2.0)
    assert passed[99] == pytest.approx(2.0)


def test_the_most_important_class_passes_in_full_while_others_are_cut():
    counts = crowd(np.full(100, 20.0))  # 2,000 QPS where 10 x 100 x 0.95 may pass
    by_class = passed_after(30, counts, limiter()).sum(axis=1)
    assert by_class[0] == pytest.approx(400.0)
    assert by_class[2] == pytest.approx(0.0)  # load tests go first
    assert by_class.sum() == pytest.approx(950.0, rel=0.1)


def test_of_a_class_that_does_not_fit_the_heaviest_are_cut_first():
    counts = crowd(np.linspace(5.0, 25.0, 100))
    browse = passed_after(30, counts, limiter())[1]
    share = browse / counts[1]
    assert (np.diff(share) <= 1e-9).all()
    assert share[0] == pytest.approx(1.0)


def test_what_chance_adds_to_the_most_important_class_passes():
    guard, rng = limiter(), np.random.default_rng(0)
    came = passed = 0.0
    for now in range(200):
        counts = rng.poisson(crowd(np.full(100, 20.0))).astype(float)
        share = guard.shares(Arrivals(float(now), counts, 0.0, 1e9))
        guard.learn(report(float(now), admitted=float((counts * share).sum())))
        came, passed = came + counts[0].sum(), passed + (counts * share)[0].sum()
    assert passed / came > 0.998  # cut at its mean it would lose 0.4 deviations: 0.02


def test_retries_of_what_did_not_fit_make_no_client_abusive():
    # Lognormal, and one client at 25 times the median; with its retries it sends up to 50 times
    # that, which would be abusive: above exp(3.5) = 33.
    spread = np.exp([NormalDist().inv_cdf((i + 0.5) / 200) for i in range(200)])
    rates = 8.0 * np.append(spread, 25.0)
    guard, retried = limiter(warm=20.0), np.zeros((3, 201))
    for now in range(120):
        counts = crowd(rates) + retried
        share = guard.shares(Arrivals(float(now), counts, 0.0, 1e9))
        retried = 0.5 * counts * (1 - share)
        guard.learn(report(float(now), admitted=1900.0, warm=20.0))
    assert share[0] == pytest.approx(np.ones(201))  # pay passes, of all clients


def test_a_capacity_that_was_told_too_high_is_corrected():
    guard = limiter()
    for now in range(60):
        guard.shares(Arrivals(float(now), crowd(np.full(100, 20.0)), 0.0, 1e9))
        guard.learn(report(float(now), admitted=guard.limit_qps, slow=0.05))
    assert guard.limit_qps < 0.75 * 1000
    for now in range(60, 400):
        guard.shares(Arrivals(float(now), crowd(np.full(100, 20.0)), 0.0, 1e9))
        guard.learn(report(float(now), admitted=guard.limit_qps))
    assert guard.limit_qps > 0.95 * 1000


def test_the_limit_follows_what_is_ready():
    guard = limiter()
    guard.shares(Arrivals(0.0, crowd([1.0]), 0.0, 1e9))
    guard.learn(report(0.0, warm=4.0))
    assert guard.limit_qps == pytest.approx(400.0)  # 4 x 100


@given(st.lists(st.floats(0, 60), min_size=25, max_size=25), st.integers(0, 2**32 - 1))
def test_no_window_passes_more_than_its_limits_and_one_burst(rates, seed):
    guard, rng = limiter(), np.random.default_rng(seed)
    passed, limits = [], []
    for now in range(20):
        counts = rng.poisson(crowd(rates)).astype(float)
        limits.append(guard.limit_qps)
        share = guard.shares(Arrivals(float(now), counts, 0.0, 1e9))
        assert (share >= 0).all()
        assert (share <= 1 + 1e-9).all()
        passed.append(float((counts * share).sum()))
        guard.learn(report(float(now), passed[-1], warm=float(rng.uniform(0, 10))))
    burst = 100  # a tenth of a second of the highest limit, 1000, rounded up to whole requests
    for start in range(20):
        assert sum(passed[start:]) <= sum(limits[start:]) + burst + 1e-6
