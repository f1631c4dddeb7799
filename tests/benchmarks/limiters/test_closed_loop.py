import math
from dataclasses import fields, replace

import numpy as np
import pytest

from benchmarks.limiters.closed_loop import Responses, Rival, Scenario, Shedding, shed
from benchmarks.limiters.outcome import interception
from benchmarks.limiters.population import Population
from benchmarks.limiters.rivals import ALL, Fixed
from scaler.policy.service_model import ServiceModel, response_tail
from scaler.simulation.service import RequestQueue

MODEL = ServiceModel(capacity_qps=100.0)
CLIENTS = Population(normal=40, abusive=2, normal_qps=800.0, abusive_qps=400.0)


class Watched:
    """Passes a share, and writes down what came and what passed."""

    name, limit_qps, wanted_qps = "watched", math.inf, 0.0

    def __init__(self, share):
        self._share = share
        self.came, self.passed, self.reports = [], [], []

    def shares(self, arrivals):
        self.came.append(arrivals.counts.sum())
        self.passed.append((arrivals.counts * self._share).sum())
        self.wanted_qps = float(arrivals.counts.sum())
        return ALL * self._share

    def learn(self, report):
        self.reports.append(report)


class Always:
    """As many replicas at any time; what it saw is written down."""

    def __init__(self, count):
        self.count, self.seen = count, []

    def replicas(self, sight):
        self.seen.append(sight)
        return self.count


def scenario(population=CLIENTS, level=1.0, ticks=120, **changes):
    levels = np.full(ticks, level)
    return Scenario("test", population, levels, levels, 0.0, MODEL, **changes)


def run(scene, limiter, replicas=20):
    return shed(scene, scene.traffic(), Rival(limiter, Always(replicas)))


def shedding(**columns):
    given = {name: np.asarray(x, dtype=float) for name, x in columns.items()}
    zeros = np.zeros(len(next(iter(given.values()))))
    return Shedding("test", **{f.name: given.get(f.name, zeros) for f in fields(Shedding)[1:]})


def test_what_is_offered_is_admitted_or_refused():
    watched = Watched(0.7)
    happened = run(scenario(), watched)
    assert happened.offered == pytest.approx(watched.came)
    assert happened.admitted == pytest.approx(watched.passed)
    assert happened.admitted == pytest.approx(0.7 * happened.offered)
    assert happened.normal_in == pytest.approx(0.7 * happened.normal)


def test_without_retries_only_first_attempts_arrive():
    stoic = replace(CLIENTS, retry_share=0.0, abusive_retry_share=0.0)
    happened = run(scenario(stoic), Watched(0.5))
    assert happened.offered == pytest.approx(happened.normal + happened.abusive)


def test_retries_of_who_was_refused_come_on_top():
    # Normal: 800 / (1 - 0.5 x 0.5); abusive: 400 / (1 - 0.5 x 0.8), once the back-offs have run.
    happened = run(scenario(ticks=400), Watched(0.5))
    assert happened.offered[100:].mean() == pytest.approx(800 / 0.75 + 400 / 0.6, rel=0.02)


def test_what_arrives_are_whole_requests():
    watched = Watched(0.7)
    run(scenario(), watched)
    assert all(came == round(came) for came in watched.came)


def test_metrics_are_averages_over_a_minute_that_ended_a_quarter_of_one_ago():
    autoscaler, watched = Always(20), Watched(1.0)
    shed(scenario(), scenario().traffic(), Rival(watched, autoscaler))
    first, *_, last = autoscaler.seen
    assert math.isnan(first.observed_qps)
    assert first.over_slo is None
    assert last.now == 105
    assert last.observed_qps == pytest.approx(np.mean(watched.came[30:90]))


def test_tidegate_looks_once_before_the_scene_and_then_between_the_autoscalers_looks():
    ticks = []
    rival = Rival(Watched(1.0), Always(20), lambda sight: ticks.append(sight.now))
    shed(scenario(ticks=40), scenario(ticks=40).traffic(), rival)
    assert ticks == [-8, 7, 22, 37]


def test_requests_that_time_out_are_retried_through_the_gate():
    happened = run(scenario(), Watched(1.0), replicas=4)
    assert happened.lost[-60:].min() > 0
    assert happened.offered[-60:].mean() > 1.5 * (happened.normal + happened.abusive)[-60:].mean()


def test_the_same_seed_gives_the_same_result():
    one, again = (run(scenario(seed=5), Fixed("fixed", 900.0)) for _ in range(2))
    other = run(scenario(seed=6), Fixed("fixed", 900.0))
    assert all((getattr(one, f.name) == getattr(again, f.name)).all() for f in fields(one)[1:])
    assert (one.offered != other.offered).any()


def test_the_response_is_that_of_the_queue_at_a_steady_load():
    responses, service = Responses(MODEL), RequestQueue(replace(MODEL, retry_share=0.0))
    for _ in range(200):
        slow = responses.tick(service.tick(0.8, 1.0, 1.0))
    limit = MODEL.slo_s / MODEL.service_time_s
    assert slow == pytest.approx(float(response_tail(8, np.array([0.8]), limit)[0]), rel=0.01)


def test_requests_in_flight_are_what_littles_law_says():
    watched = Watched(1.0)
    run(scenario(), watched)
    last = watched.reports[-1]
    assert last.inflight == pytest.approx(last.admitted_qps * last.latency_s, rel=0.01)


def test_decisions_are_counted_over_first_attempts():
    happened = shedding(
        offered=[500, 500], admitted=[200, 200], normal=[100, 100], normal_in=[90, 100],
        abusive=[50, 50], abusive_in=[10, 0], normal_admitted=[95, 105], capacity=[100, 50],
        critical=[10, 10], critical_in=[10, 10], critical_admitted=[10, 10],
    )  # fmt: skip
    found = interception(scenario(ticks=2), happened)
    assert found.false_rejects == pytest.approx(10 / 200)
    assert found.abuse_blocked == pytest.approx(90 / 100)
    assert found.accuracy == pytest.approx((190 + 90) / 300)
    assert found.attainable == pytest.approx((150 + 100) / 300)  # 50 can serve no 100
    assert found.served == pytest.approx(1.0)
    assert found.critical == pytest.approx(1.0)


def test_goodput_is_what_was_served_in_time_over_what_could_have_been():
    happened = shedding(
        admitted=[100, 100], normal=[100, 200], normal_in=[100, 100], normal_admitted=[100, 100],
        capacity=[100, 100], slow=[0.0, 0.25], lost=[0, 20], critical=[1, 1],
    )  # fmt: skip
    found = interception(scenario(ticks=2), happened)
    assert found.goodput == pytest.approx((100 + 60) / 200)  # 100 x 0.8 not lost x 0.75 in time
    assert found.violations == pytest.approx(40 / 200)
    assert found.p99_s == math.inf  # a tenth was lost


def test_settling_ends_with_the_last_second_whose_mean_is_short():
    normal = np.full(100, 100.0)
    served = np.where(np.arange(100) < 30, 50.0, 100.0)
    columns = {"normal": normal, "normal_in": served, "normal_admitted": served}
    happened = shedding(admitted=served, capacity=normal, critical=normal, **columns)
    # The seconds 28 to 42 hold 2 of 0.5, whose mean is 0.933; the next ones 1: 0.967.
    assert interception(scenario(ticks=100), happened).settling_s == pytest.approx(43, abs=1)


def test_who_never_recovers_never_settles():
    half = np.full(100, 50.0)
    columns = {"admitted": half, "normal_in": half, "normal_admitted": half}
    happened = shedding(normal=2 * half, capacity=2 * half, critical=half, **columns)
    assert interception(scenario(ticks=100), happened).settling_s == math.inf
