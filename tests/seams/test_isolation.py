"""One service's fault leaves the others decided; what is only shown fails no decision."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest

from scaler.control.counterfactual import Counterfactual
from scaler.control.figures import Figures
from scaler.control.loop import ControlLoop
from scaler.control.observations import ServiceMetrics
from scaler.control.ports import World
from scaler.control.publication import in_turn
from scaler.control.snapshot import ConditionKind, Snapshot
from scaler.control.tick_history import TickHistory
from scaler.policy.policy import Slo
from tests.scaler.control.test_loop import START, STEP, Demand, Flat, Replicas, watched

WEB, API = "shop/web", "shop/api"
TICKS = 30  # seven and a half minutes: several forecasts


class OddError(Exception):
    """One that nothing of ours raises."""


def failing(*args, **kwargs):
    raise OddError("odd")


class Site:
    """Two services; a test breaks something of the second one, or beside both."""

    def __init__(self) -> None:
        self.traffic, self.models, self.workloads = (
            Demand(shop_web=200.0, shop_api=400.0), Flat(), Replicas(),
        )  # fmt: skip
        self.web, self.api = watched(WEB), watched(API)
        self.figures = Figures
        self.snapshots: list[Snapshot] = []
        self.subscribers = [self.snapshots.append]

    def run(self) -> list[Snapshot]:
        world = World(self.traffic, self.models, self.workloads)
        loop = ControlLoop(world, STEP, in_turn(self.subscribers), figures=self.figures)
        for now in START + 15.0 * np.arange(TICKS):
            loop.tick([self.web, self.api], float(now))
        return self.snapshots


def decisions(snapshots: list[Snapshot], *items: str):
    """Return floor, limit and reasons of these services, tick by tick."""
    return [
        [
            (view.decision.why(), view.published_limit)
            for view in (one.services[i] for i in items)
        ]
        for one in snapshots
    ]  # fmt: skip


@pytest.fixture(scope="module")
def healthy() -> list[Snapshot]:
    return Site().run()


# One service's fault, step by step.


def cannot_be_enrolled(site: Site) -> None:
    site.api = watched(API, ramp=None)


def has_no_history(site: Site) -> None:
    read = site.traffic.histories

    def histories(queries, length, now):
        pasts = read(queries, length, now)
        return [object() if q[0] == API else p for q, p in zip(queries, pasts, strict=True)]

    site.traffic.histories = histories


def cannot_be_measured(site: Site) -> None:
    site.traffic.faults[API] = "no answer within 5 s"


def cannot_be_taken_in(site: Site) -> None:
    measure = site.traffic.measure

    def broken(queries, now):
        found = measure(queries, now)
        return [
            replace(one, samples=(("noon", None),)) if q.item_id == API else one
            for q, one in zip(queries, found, strict=True)
        ]

    site.traffic.measure = broken


def cannot_be_forecast(site: Site) -> None:
    predict = site.models.predict
    site.models.predict = lambda name, series: failing() if name == "n" else predict(name, series)
    site.api = watched(API, model="n")


def has_a_forecast_that_cannot_be_read(site: Site) -> None:
    site.api = watched(API, payback_s=None)


def cannot_be_asked_how_to_read_it(site: Site) -> None:
    site.api = watched(API, trust=None)


def cannot_be_observed(site: Site) -> None:
    site.workloads.away[API] = "HorizontalPodAutoscaler shop/api does not exist"


def is_observed_as_nothing_known(site: Site) -> None:
    site.workloads.away[API] = None


def cannot_be_decided_on(site: Site) -> None:
    site.api = watched(API, limit=None)


def cannot_be_carried_out(site: Site) -> None:
    apply = site.workloads.apply

    def broken(views, now):
        applied = apply([view for view in views if view.item_id != API], now)
        return {**applied, API: failing_condition()}

    site.workloads.apply = broken


def failing_condition():
    from scaler.control.conditions import not_applied  # noqa: PLC0415

    return not_applied(OddError("odd"))


@pytest.mark.parametrize(
    ("broken", "kind", "reason", "says"),
    [
        (cannot_be_enrolled, ConditionKind.READY, "NotDecided", "could not be taken up"),
        (has_no_history, ConditionKind.FORECAST_TRUSTED, "NoForecast", "its history could not be"),
        (cannot_be_measured, ConditionKind.DATA_FRESH, "QueryFailed", "no answer within 5 s"),
        (cannot_be_taken_in, ConditionKind.DATA_FRESH, "NotTakenIn", "could not be taken in"),
        (cannot_be_forecast, ConditionKind.FORECAST_TRUSTED, "NoForecast", "the forecast failed"),
        (has_a_forecast_that_cannot_be_read, ConditionKind.FORECAST_TRUSTED, "NoForecast",
         "its forecast could not be read"),
        (cannot_be_asked_how_to_read_it, ConditionKind.READY, "NotDecided", "the decision failed"),
        (cannot_be_observed, ConditionKind.READY, "NotDecided", "does not exist"),
        (is_observed_as_nothing_known, ConditionKind.READY, "NotDecided", "the decision failed"),
        (cannot_be_decided_on, ConditionKind.READY, "NotDecided", "the decision failed"),
        (cannot_be_carried_out, ConditionKind.READY, "NotApplied", "could not be carried out"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)  # fmt: skip
def test_a_service_whose_step_fails_leaves_the_other_decided(healthy, broken, kind, reason, says):
    site = Site()
    broken(site)
    snapshots = site.run()
    assert decisions(snapshots, WEB) == decisions(healthy, WEB)
    last = snapshots[-1].services
    (told,) = [one for one in last[API].conditions if one.kind is kind]
    assert (told.status, told.reason) == (False, reason)
    assert says in told.message
    assert all(one.status for one in last[WEB].conditions)


# A whole step's fault: the port itself raises.


@pytest.mark.parametrize(
    ("port", "step", "decided", "kind", "reason"),
    [
        ("traffic", "histories", True, ConditionKind.FORECAST_TRUSTED, "NoForecast"),
        ("traffic", "measure", True, ConditionKind.DATA_FRESH, "QueryFailed"),
        ("models", "reload", True, None, ""),
        ("models", "predict", True, ConditionKind.FORECAST_TRUSTED, "NoForecast"),
        ("workloads", "observe", False, ConditionKind.READY, "NotDecided"),
        ("workloads", "apply", True, ConditionKind.READY, "NotApplied"),
    ],
)
def test_a_port_that_raises_ends_no_tick_and_each_service_says_so(
    port, step, decided, kind, reason
):
    site = Site()
    setattr(getattr(site, port), step, failing)
    for view in site.run()[-1].services.values():
        assert (view.decision is not None) is decided
        told = [one.reason for one in view.conditions if one.kind is kind and not one.status]
        assert told == ([reason] if kind else [])


def test_a_limit_is_published_though_no_plan_can_be_carried_out(healthy):
    site = Site()
    site.workloads.floors = {WEB: 7, API: 14}
    site.workloads.apply = failing
    limits = [view.published_limit.limit.qps for view in site.run()[-1].services.values()]
    assert limits == [7 * 50.0, 14 * 50.0]


# What is only shown.


class BrokenHistory(TickHistory):
    append = failing


class BrokenLedger(Counterfactual):
    tick = failing


class BrokenHandler(logging.Handler):
    emit = failing


@contextmanager
def broken_log() -> Iterator[None]:
    """Have every logger fail whoever writes to it."""
    handler, root = BrokenHandler(logging.DEBUG), logging.getLogger("scaler")
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


@pytest.mark.parametrize(
    "figures",
    [
        pytest.param(lambda: Figures(counterfactual=failing), id="the counterfactual HPA"),
        pytest.param(lambda: Figures(counterfactual=BrokenLedger), id="the ledger"),
        pytest.param(lambda: Figures(history=BrokenHistory()), id="the history of ticks"),
        pytest.param(failing, id="all of them"),
    ],
)
def test_broken_figures_change_no_floor_and_no_limit(healthy, figures):
    site = Site()
    site.figures = figures
    snapshots = site.run()
    assert decisions(snapshots, WEB, API) == decisions(healthy, WEB, API)
    assert snapshots[-1].services[WEB].hpa_replicas is None
    assert snapshots[-1].services[WEB].forecast is not None


def test_an_autoscaler_that_cannot_be_computed_changes_no_floor_and_no_limit(healthy):
    site = Site()
    site.web, site.api = replace(site.web, hpa=None), replace(site.api, hpa=None)
    assert decisions(site.run(), WEB, API) == decisions(healthy, WEB, API)


def test_figures_are_worked_out_when_plans_are_carried_out():
    order: list[str] = []
    site = Site()
    apply = site.workloads.apply

    def applied(views, now):
        order.append("apply")
        return apply(views, now)

    class Noted(Figures):
        def tick(self, view, shown):
            order.append("figures")
            return super().tick(view, shown)

    site.workloads.apply, site.figures = applied, Noted
    site.run()
    assert order == ["apply", "figures", "figures"] * TICKS


def test_a_subscriber_that_fails_changes_nothing_for_the_others_nor_for_the_next_tick(healthy):
    site = Site()
    site.subscribers = [failing, site.snapshots.append, failing]
    assert decisions(site.run(), WEB, API) == decisions(healthy, WEB, API)


def test_a_loop_whose_publisher_itself_fails_ticks_on():
    world = World(Demand(shop_web=200.0), Flat(), Replicas())
    loop = ControlLoop(world, STEP, failing)
    assert loop.tick([watched(WEB)], START).tick == 1
    assert loop.tick([watched(WEB)], START + 15).services[WEB].decision is not None


def test_a_log_that_fails_changes_no_floor_and_no_limit():
    """Also not where there is something to say: a fault, a capacity that is learned."""

    def site() -> Site:
        made = Site()
        made.traffic.measure = Slowing(made.traffic).measure
        made.api = watched(API, capacity_qps=None, slo=Slo(0.5, query="p99"))
        made.figures = failing
        return made

    expected = site().run()
    with broken_log():
        found = site().run()
    assert decisions(found, WEB) == decisions(expected, WEB)
    assert [s.services[API].error for s in found] == [s.services[API].error for s in expected]
    assert found[-1].services[API].decision is None


class Slowing:
    """Traffic with a latency, so that a capacity can be learned, and a fault at each third tick."""

    def __init__(self, traffic: Demand) -> None:
        self._measure, self._count = traffic.measure, 0

    def measure(self, queries, now):
        self._count += 1
        if self._count % 3 == 0:
            return [ServiceMetrics(math.nan, fault="no answer within 5 s") for _ in queries]
        return [replace(one, latency_s=0.1) for one in self._measure(queries, now)]
