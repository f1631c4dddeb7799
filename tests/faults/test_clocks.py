"""Clocks that are set, slewed, stopped and apart, and pauses: no floor falls by them, none sticks.

A whole loop beside a Prometheus whose clock is right; only the loop's own is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from forecaster.data.series import Forecast, Series, utc
from scaler.control.loop import ControlLoop
from scaler.control.observations import Pod, ServiceMetrics, Workload
from scaler.control.ports import WatchedPolicy, World
from scaler.control.service_state import ServiceState
from scaler.control.snapshot import Condition, ConditionKind, PlanOutcome, ServiceView
from scaler.control.timekeeper import Timekeeper
from scaler.decision.capacity import given_capacity
from scaler.decision.limit import Ramp
from scaler.decision.replicas import PlanReason, ScalePolicy
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.policy.policy import Policy

ITEM, STEP, TICK_S = "shop/web", timedelta(minutes=1), 15
START = utc("2026-03-02T09:00:00Z").timestamp()
LOOK_BACK_S = 30.0
MINUTE, HOUR = 60.0, 3600.0
RAISED, LOWER = 10, 5  # replicas for 390 and for 190 requests per second, 40 each
SCALE = ScalePolicy(2, 60, target_utilization=0.8)
WATCHED = WatchedPolicy(
    Policy(item_id=ITEM, target="web", scale=SCALE, capacity_qps=50.0, demand_query="q", model="m"),
    HPASpec(2, 60, MetricKind.PODS, 30.0),
)


def steady(_: float) -> float:
    return 390.0


@dataclass
class Site:
    """What there is: `truth` is the time, ``error_s`` how far our wall clock is from it.

    Attributes:
        demand: of a moment.
        answers: whether Prometheus does; known: whether it has samples.
        uptime: of the machine, which goes on while nothing runs.
    """

    demand: Callable[[float], float] = steady
    truth: float = START
    error_s: float = 0.0
    uptime: float = 1000.0
    floor: int = 2
    answers: bool = True
    known: bool = True
    expects: np.ndarray = field(default_factory=lambda: np.ones(30))

    def pass_by(self, seconds: float) -> None:
        self.truth += seconds
        self.uptime += seconds

    def loop(self) -> Callable[[], ServiceView]:
        """Return what ticks once."""
        loop = ControlLoop(World(self, self, self), STEP, lambda _: None)
        keeper = Timekeeper(lambda: self.truth + self.error_s, lambda: self.uptime)

        def tick() -> ServiceView:
            when = keeper.read()
            return loop.tick([WATCHED], when.now, when.set_by_s).services[ITEM]

        return tick

    # Prometheus: nobody has samples of what is yet to come; the last one is an answer for a while.

    def qps(self, stamp: float) -> float:
        known = self.known and stamp <= self.truth + LOOK_BACK_S
        return self.demand(min(stamp, self.truth)) if known else math.nan

    def measure(self, queries, now):
        if not self.answers:
            return [ServiceMetrics(math.nan, fault="no answer") for _ in queries]
        told = {"clock_offset_s": self.error_s}  # by the dates of its answers
        return [replace(self._measured(query.since, now), **told) for query in queries]

    def _measured(self, since: float, now: float) -> ServiceMetrics:
        first = max(since // 60 + 1, (now - 600) // 60) * 60
        stamps = np.arange(first, now + 1, 60)
        return ServiceMetrics(self.qps(now), tuple((float(s), self.qps(s)) for s in stamps))

    def histories(self, queries, length, now):
        return [self._history(item, length, now) for item, _ in queries]

    def _history(self, item, length, now):
        stamps = now // 60 * 60 - 60 * np.arange(length // STEP)[::-1]
        values = np.array([self.qps(stamp) for stamp in stamps.tolist()])
        return Series(item, datetime.fromtimestamp(stamps[0], UTC), STEP, values)

    # A model that expects the last known level to stay, or of each step so many times it.

    def reload(self, names):
        pass

    def predict(self, name, series):
        last = np.array([[one.values[np.isfinite(one.values)][-1] for one in series]]).T
        values = np.repeat((last * self.expects)[:, :, None], 5, axis=2)
        items = tuple(one.item_id for one in series)
        origins = tuple(one.end - one.step for one in series)
        forecast = Forecast(items, origins, STEP, (0.1, 0.5, 0.9, 0.95, 0.99), values, ("m",))
        return Said(forecast, {item: row for row, item in enumerate(items)})

    # A cluster in which floors are carried out at once.

    def observe(self, watched, now):
        pods = tuple(Pod(str(n), START - HOUR, START - HOUR) for n in range(self.floor))
        return {ITEM: Workload(pods, self.floor)}

    def apply(self, views, now):
        for view in views:
            assert view.decision is not None, view.error
            self.floor = view.decision.plan.replicas
        ready = Condition(ConditionKind.READY, True, "Enforcing")
        return {ITEM: PlanOutcome((ready,), self.floor)}


@dataclass
class Said:
    forecast: Forecast
    rows: dict[str, int]
    faults: dict[str, str] = field(default_factory=dict)


def ticks(site: Site, tick: Callable[[], ServiceView], seconds: float) -> Iterator[ServiceView]:
    for _ in range(round(seconds / TICK_S)):
        site.pass_by(TICK_S)
        yield tick()


def set_to(error_s: float) -> Callable[[Site], None]:
    return lambda site: setattr(site, "error_s", error_s)


def suspended(seconds: float) -> Callable[[Site], None]:
    return lambda site: site.pass_by(seconds)


def suspended_unseen(seconds: float) -> Callable[[Site], None]:
    """A machine whose clocks all stop, and whose wall clock is set right when it wakes up."""

    def suspend(site: Site) -> None:
        site.truth += seconds

    return suspend


@pytest.mark.parametrize(
    ("began", "happens"),
    [
        pytest.param(0.0, set_to(HOUR), id="an hour forward, wrongly"),
        pytest.param(0.0, set_to(-HOUR), id="an hour back, wrongly"),
        pytest.param(HOUR, set_to(0.0), id="an hour back, rightly"),
        pytest.param(-HOUR, set_to(0.0), id="an hour forward, rightly"),
        pytest.param(0.0, set_to(MINUTE), id="a minute forward"),
        pytest.param(0.0, set_to(-MINUTE), id="a minute back"),
        pytest.param(0.0, set_to(-1.0), id="a leap second"),
        pytest.param(0.0, suspended(10 * MINUTE), id="a suspend of ten minutes"),
        pytest.param(0.0, suspended_unseen(10 * MINUTE), id="a suspend that no clock counts"),
    ],
)
def test_a_clock_that_is_set_moves_no_floor_and_stops_no_decision(began, happens):
    site = Site(error_s=began)
    tick = site.loop()
    list(ticks(site, tick, HOUR / 2))
    floor = site.floor
    assert floor == (2 if began > 0 else RAISED)  # of what is to come nothing is known
    happens(site)
    for view in ticks(site, tick, 10 * MINUTE):
        assert view.error is None
        assert view.hpa_replicas is not None
        assert site.floor >= floor
    set_to(0.0)(site)
    *_, view = ticks(site, tick, 10 * MINUTE)
    assert site.floor == RAISED
    assert view.decision.demand.reason.value == "forecast"


def test_a_hold_is_as_long_as_it_is_whatever_the_clock_is_set_to():
    """Demand falls, and the clocks of the whole machine are set, Prometheus' among them."""
    held = []
    for error_s in (0.0, 20.0 * MINUTE, -20.0 * MINUTE):
        site = Site()
        tick = site.loop()
        list(ticks(site, tick, HOUR / 2))
        site.demand = lambda _: 190.0
        list(ticks(site, tick, 2 * MINUTE))
        site.truth += error_s
        floors = [site.floor for _ in ticks(site, tick, 10 * MINUTE)]
        assert (floors[0], floors[-1]) == (RAISED, LOWER)
        held.append(floors.count(RAISED) * TICK_S)
    # Set back, the forecast that is made at once knows less for a minute or two.
    assert all(held[0] - TICK_S <= one <= held[0] + 2 * MINUTE for one in held)
    assert held[0] == pytest.approx(SCALE.stabilization_s - 2 * MINUTE, abs=MINUTE)


@pytest.mark.parametrize("ppm", [500, -500])
def test_a_clock_that_is_slewed_changes_nothing(ppm):
    found = []
    for rate in (0.0, ppm * 1e-6):
        site = Site(demand=lambda stamp: 400.0 + 200.0 * math.sin(stamp / 1800.0))
        tick, floors = site.loop(), []
        for _ in ticks(site, tick, 2 * HOUR):
            site.error_s += TICK_S * rate
            floors.append(site.floor)
        found.append(floors)
    late = 4.0  # seconds that it has been slewed by in the end, and a rounding of ticks
    for place, floor in enumerate(found[1]):
        around = found[0][max(place - math.ceil(late / TICK_S) - 1, 0) : place + 3]
        assert min(around) - 1 <= floor <= max(around) + 1


def test_on_a_leap_day_decisions_go_on():
    site = Site(truth=utc("2028-02-28T23:50:00Z").timestamp())
    tick = site.loop()
    for view in ticks(site, tick, 20 * MINUTE):
        assert view.error is None
    site.truth = utc("2028-02-29T23:50:00Z").timestamp()
    site.uptime += 24 * HOUR - 20 * MINUTE
    for view in ticks(site, tick, 20 * MINUTE):
        assert view.error is None
        assert site.floor == RAISED


@pytest.mark.parametrize("apart_s", [MINUTE, -MINUTE])
def test_a_leader_whose_clock_is_a_minute_apart_takes_over_without_moving_a_floor(apart_s):
    site = Site()
    list(ticks(site, site.loop(), HOUR / 2))
    assert site.floor == RAISED
    site.error_s = apart_s
    for view in ticks(site, site.loop(), 10 * MINUTE):
        assert view.error is None
        assert site.floor == RAISED


# A clock that stays wrong.


@pytest.mark.parametrize("error_s", [HOUR, -HOUR, 4 * MINUTE, MINUTE, -MINUTE])
def test_a_clock_that_is_apart_lowers_nothing_and_is_told(error_s):
    """Demand falls, or a rate is asked for whose end is yet to come: either way less is seen."""
    site = Site()
    tick = site.loop()
    list(ticks(site, tick, HOUR / 2))
    site.error_s = error_s
    site.demand = lambda _: 190.0
    for view in ticks(site, tick, SCALE.lifetime_s - MINUTE):
        assert site.floor == RAISED
        (fresh,) = [one for one in view.conditions if one.kind is ConditionKind.DATA_FRESH]
        assert (fresh.status, fresh.reason) == (False, "ClocksApart")
        assert f"{abs(error_s):.0f} s {'ahead of' if error_s > 0 else 'behind'}" in fresh.message
    site.error_s = 0.0
    list(ticks(site, tick, 20 * MINUTE))
    assert site.floor == LOWER


def test_behind_by_a_minute_what_was_offered_then_still_raises():
    site = Site(error_s=-MINUTE)
    tick = site.loop()
    list(ticks(site, tick, 5 * MINUTE))
    assert site.floor == RAISED
    site.demand = lambda _: 780.0
    list(ticks(site, tick, 5 * MINUTE))
    assert site.floor == 2 * RAISED


@pytest.mark.parametrize("offset_s", [-29.0, 0.0, 29.0, None])
def test_clocks_that_are_little_apart_are_believed(offset_s):
    metrics = ServiceMetrics(190.0, ((START, 190.0),), 0.1, clock_offset_s=offset_s)
    assert metrics.of_now() is metrics


def test_no_pod_is_taken_for_younger_because_our_clock_is_behind():
    """Pods became Ready ten minutes ago, half an hour from now by our clock."""
    pods = Workload(tuple(Pod(str(n), START, START) for n in range(4)))
    policy = replace(WATCHED.policy, ramp=Ramp(120.0, 0.2))
    for now, offset_s in ((START + 600, 0.0), (START - 1800, -2400.0), (START + 600, HOUR)):
        state = ServiceState(policy, 60.0, TICK_S)
        metrics = ServiceMetrics(100.0, clock_offset_s=offset_s).of_now()
        result = state.decide(now, 100.0, metrics, pods, given_capacity(50.0), None)
        assert result.decision.limit.qps == 200.0


# A forecast that has ended.


@pytest.mark.parametrize(
    "goes",
    [
        pytest.param("answers", id="Prometheus does not answer"),
        pytest.param("known", id="it answers that it has no sample"),
    ],
)
def test_in_an_outage_the_plan_holds_and_then_decays_whatever_the_forecast_said(goes):
    """The model expects less than was needed last, and so says nothing that a hold heeds."""
    site = Site()
    tick = site.loop()
    list(ticks(site, tick, HOUR / 2))
    site.demand = lambda _: 190.0  # nobody sees it
    setattr(site, goes, False)
    floors, reasons, told = [], [], []
    for view in ticks(site, tick, 3 * HOUR):
        floors.append(site.floor)
        reasons.append(view.decision.plan.reason)
        (trusted,) = [c for c in view.conditions if c.kind is ConditionKind.FORECAST_TRUSTED]
        told.append(trusted)
    lifetime, reach = SCALE.lifetime_s / TICK_S, 30 * MINUTE / TICK_S
    assert set(floors[: int(reach)]) == {RAISED}
    assert reasons[int(lifetime / 2)] is PlanReason.HELD
    ended = told[int(reach) + 1]
    assert (ended.status, ended.reason) == (False, "NoForecast")
    assert "a forecast reaches 30 minutes" in ended.message
    assert floors == sorted(floors, reverse=True)
    assert (floors[-1], reasons[-1]) == (2, PlanReason.DECAYED)


def test_a_forecast_raises_a_floor_in_an_outage_and_does_not_lower_it():
    site = Site()
    site.expects = np.r_[np.full(10, 0.5), np.full(10, 2.0), np.full(10, 0.5)]
    tick = site.loop()
    site.pass_by(TICK_S)
    tick()
    site.answers = False
    floors = [site.floor for _ in ticks(site, tick, 20 * MINUTE)]
    assert floors == sorted(floors)
    assert (floors[0], floors[-1]) == (RAISED, 2 * RAISED)
    *_, last = [site.floor for _ in ticks(site, tick, 3 * HOUR)]
    assert last == SCALE.min_replicas
