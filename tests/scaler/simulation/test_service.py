"""One replica against queueing theory and against a queue played out; the fluid's bookkeeping."""

import heapq
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.policy.service_model import ServiceModel, erlang_c, response_tail
from scaler.simulation.service import RequestQueue

TICK_S = 15.0


def played_out(workers: int, utilisation: float, requests: int, *, seed: int) -> np.ndarray:
    """Return the response times of an M/M/k queue, first come first served, in service times."""
    rng = np.random.default_rng(seed)
    arrivals = np.cumsum(rng.exponential(1 / (workers * utilisation), requests)).tolist()
    services = rng.exponential(1.0, requests).tolist()
    free = [0.0] * workers
    times = []
    for arrival, service in zip(arrivals, services, strict=True):
        done = max(arrival, heapq.heappop(free)) + service
        heapq.heappush(free, done)
        times.append(done - arrival)
    return np.array(times[requests // 50 :])


# One replica


@pytest.mark.parametrize(
    ("workers", "load", "expected"),
    [
        pytest.param(1, 0.7, 0.7, id="one worker: who comes waits with probability rho"),
        pytest.param(2, 1.0, 1 / 3, id="two workers: 2 rho^2 / (1 + rho) at rho = 0.5"),
        pytest.param(2, 1.6, 2 * 0.64 / 1.8, id="two workers: 2 rho^2 / (1 + rho) at rho = 0.8"),
        # 3^5 / 5! x 5 / 2 = 5.0625; sum of 3^n / n! for n < 5 is 16.375
        pytest.param(5, 3.0, 5.0625 / (16.375 + 5.0625), id="five workers by the definition"),
        pytest.param(8, 0.0, 0.0, id="without load nobody waits"),
    ],
)
def test_the_share_that_waits_is_erlang_c(workers, load, expected):
    assert erlang_c(workers, np.array([load]))[0] == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(st.floats(0.0, 0.99), st.floats(0.0, 30.0))
def test_the_tail_of_one_worker_is_exponential(utilisation, time):
    tail = response_tail(1, np.array([utilisation]), time)
    assert tail[0] == pytest.approx(math.exp(-(1 - utilisation) * time), rel=1e-5, abs=1e-9)


def test_the_tail_of_two_workers_is_the_textbook_s():
    # M/M/2 at rho = 0.8: C = 32/45, d = 1 - 1.6 = -0.6, t = 3:
    # exp(-3) (1 + 32/45 x (1 - exp(1.8)) / -0.6) = 0.0497871 x 6.98461...
    expected = math.exp(-3) * (1 + 32 / 45 * (math.exp(1.8) - 1) / 0.6)
    assert response_tail(2, np.array([0.8]), 3.0)[0] == pytest.approx(expected, rel=1e-9)


def test_the_tail_holds_where_its_formula_divides_by_zero():
    """At ``a = k - 1`` the limit of the formula is ``exp(-t) (1 + C t)``."""
    wait = erlang_c(2, np.array([1.0]))[0]
    assert response_tail(2, np.array([0.5]), 4.0)[0] == pytest.approx(
        math.exp(-4) * (1 + 4 * wait), rel=1e-5
    )


@pytest.mark.parametrize(
    ("workers", "utilisation"), [(1, 0.5), (2, 0.8), (4, 0.75), (8, 0.6), (8, 0.9)]
)
def test_the_tail_is_that_of_a_queue_played_out(workers, utilisation):
    times = played_out(workers, utilisation, 100_000, seed=workers)
    for after in (1.0, 2.0, 4.0):
        told = response_tail(workers, np.array([utilisation]), after)[0]
        # 100,000 requests that are alike within a busy period: five of its standard errors.
        busy = 4 / (1 - utilisation)
        error = 5 * math.sqrt(told * (1 - told) * busy / len(times))
        assert np.mean(times > after) == pytest.approx(told, abs=error)


@given(
    st.integers(1, 16),
    st.lists(st.floats(0, 1.5), min_size=2, max_size=2),
    st.lists(st.floats(0, 50), min_size=2, max_size=2),
)
def test_more_load_or_less_time_never_makes_fewer_late(workers, loads, times):
    low, high = sorted(loads)
    short, long = sorted(times)
    tails = [
        response_tail(workers, np.array([u]), t)[0]
        for u, t in ((low, long), (low, short), (high, short))
    ]
    assert -1e-12 <= tails[0] <= tails[1] + 1e-9
    assert tails[1] <= tails[2] + 1e-9
    assert tails[2] <= 1 + 1e-9


@pytest.mark.parametrize("objective", [0.9, 0.99, 0.999])
@pytest.mark.parametrize("workers", [1, 4, 8])
def test_at_its_capacity_a_replica_just_meets_the_objective(workers, objective):
    model = ServiceModel(100.0, objective=objective, workers=workers)
    load = np.array([100.0 / model.saturation_qps])
    late = response_tail(workers, load, model.slo_s / model.service_time_s)[0]
    assert late == pytest.approx(1 - objective, rel=1e-6)


def test_the_capacity_of_one_worker_is_worked_out_by_hand():
    # M/M/1: exp(-(1 - rho) 0.5 / 0.05) = 0.01, so rho = 1 - ln(100) / 10 = 0.539483
    model = ServiceModel(100.0, objective=0.99, workers=1)
    assert model.utilisation_at_slo == pytest.approx(1 - math.log(100) / 10, abs=1e-9)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param({"capacity_qps": 0.0}, "capacity_qps is 0.0, .*above 0", id="no capacity"),
        pytest.param({"workers": 0}, "workers is 0, .*above 0", id="nobody works"),
        pytest.param({"timeout_s": math.nan}, "timeout_s is nan", id="not a number"),
        pytest.param({"collapse": -0.1}, "collapse is -0.1, .*at least 0", id="negative collapse"),
        pytest.param({"start_up_s": math.inf}, "start_up_s is inf", id="it never starts"),
        pytest.param({"retry_share": 1.5}, r"retry_share is 1.5, .*\[0, 1\]", id="more retry"),
        pytest.param({"ramp_initial": 2.0}, r"ramp_initial is 2.0, .*\[0, 1\]", id="hot at first"),
        pytest.param({"objective": 1.0}, r"objective is 1.0, .*\(0, 1\)", id="no request is late"),
        pytest.param(
            {"slo_s": 0.1}, "slo_s is 0.1, but even an idle replica", id="slower than its promise"
        ),
    ],
)
def test_an_impossible_service_is_refused_by_name(options, words):
    with pytest.raises(ValueError, match=words):
        ServiceModel(**{"capacity_qps": 100.0, **options})


# The fluid


def service(**options) -> RequestQueue:
    return RequestQueue(ServiceModel(100.0, **options))


rates = st.floats(0, 1e4).map(lambda x: round(x, 6))


@given(
    st.lists(st.tuples(rates, rates), min_size=1, max_size=20),
    st.floats(0, 2),
    st.floats(0, 1),
    st.sampled_from([1.0, 15.0, 60.0]),
)
def test_every_request_is_served_lost_or_still_waiting(ticks, collapse, retry_share, seconds):
    """And what is served is never more than could be."""
    one = service(collapse=collapse, retry_share=retry_share)
    waiting = 0.0
    for fresh, saturation in ticks:
        retries = one.retries
        tick = one.tick(fresh, saturation, seconds)
        goodput = saturation
        if tick.offered > saturation > 0:
            goodput = saturation / (1 + collapse * (tick.offered / saturation - 1))
        after = tick.wait_after * goodput
        served = (waiting - after) / seconds + tick.offered - tick.lost
        slack = 1e-9 * (1 + tick.offered + saturation + waiting)
        assert tick.offered == fresh + retries
        assert one.retries == pytest.approx(retry_share * tick.lost)
        assert tick.lost >= 0
        assert after >= 0
        assert -slack <= served <= goodput + slack
        waiting = after


@given(st.lists(st.floats(0, 100), max_size=20))
def test_below_saturation_nobody_waits_or_is_lost(fresh):
    one = service()
    for rate in fresh:
        tick = one.tick(rate, 100.0, TICK_S)
        assert (tick.lost, tick.wait_before, tick.wait_after) == (0.0, 0.0, 0.0)


def test_a_queue_grows_by_what_is_over_and_then_drains():
    one = service(collapse=0.0, timeout_s=10.0)
    first = one.tick(120.0, 100.0, TICK_S)  # 20 over x 15 s = 300 waiting: 3 s of work
    second = one.tick(90.0, 100.0, TICK_S)  # 10 spare x 15 s = 150 fewer
    third = one.tick(90.0, 100.0, TICK_S)
    assert [first.wait_after, second.wait_after, third.wait_after] == [3.0, 1.5, 0.0]
    assert first.lost == second.lost == third.lost == 0.0
    assert second.wait_before == first.wait_after


@given(st.lists(st.tuples(rates, rates), max_size=20), st.floats(0.1, 30))
def test_nobody_waits_longer_than_the_time_out(ticks, timeout_s):
    one = service(timeout_s=timeout_s)
    for fresh, saturation in ticks:
        tick = one.tick(fresh, saturation, TICK_S)
        assert max(tick.wait_before, tick.wait_after) <= timeout_s * (1 + 1e-9)


def test_of_those_who_gave_up_a_share_comes_again_in_the_next_tick():
    one = service(collapse=0.0, timeout_s=1.0, retry_share=0.5)
    # 200 - 100 per second for 15 s are 1500 too many; 100 of them wait, 1400 / 15 s give up.
    first = one.tick(200.0, 100.0, TICK_S)
    second = one.tick(0.0, 100.0, TICK_S)
    third = one.tick(0.0, 100.0, TICK_S)
    assert first.lost == pytest.approx(1400 / 15)
    assert first.offered == 200.0  # nobody comes again within the same tick
    assert second.offered == pytest.approx(0.5 * 1400 / 15)
    assert third.offered == 0.0


@pytest.mark.parametrize(
    ("collapse", "goodput"),
    [
        pytest.param(0.0, 100.0, id="without collapse goodput stays at saturation"),
        pytest.param(0.5, 100 / 1.5, id="twice the load at 0.5: 100 / (1 + 0.5 x 1)"),
        pytest.param(1.0, 50.0, id="twice the load at 1: half"),
    ],
)
def test_goodput_falls_beyond_saturation(collapse, goodput):
    one = service(collapse=collapse, timeout_s=1.0, retry_share=0.0)
    for _ in range(5):
        tick = one.tick(200.0, 100.0, TICK_S)
    # The queue is full, so what comes is served or lost.
    assert tick.offered - tick.lost == pytest.approx(goodput)


def test_without_replicas_all_is_lost_also_what_was_waiting():
    one = service(collapse=0.0, timeout_s=10.0)
    one.tick(120.0, 100.0, TICK_S)  # 300 wait
    tick = one.tick(50.0, 0.0, TICK_S)
    assert tick.lost == 50.0 + 300 / TICK_S
    assert tick.saturation == tick.wait_after == 0.0
    assert one.tick(50.0, 100.0, TICK_S).wait_before == 0.0
