"""What is only shown (figures, logs, metrics, traces, the page) fails and delays no decision."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import pytest

from scaler.adapters.http.metrics import Telemetry
from scaler.adapters.logs import DecisionLog
from scaler.adapters.tracing import traced_ports, traced_tick
from scaler.control.counterfactual import Counterfactual
from scaler.control.figures import Figures
from scaler.control.loop import ControlLoop
from scaler.control.observations import ServiceMetrics
from scaler.control.ports import World
from scaler.control.publication import in_turn
from scaler.control.snapshot import Snapshot
from scaler.control.tick_history import TickHistory
from scaler.policy.policy import Slo
from tests.scaler.adapters.http.gateways import Gateway
from tests.scaler.adapters.http.gateways import Site as Endpoint
from tests.scaler.adapters.http.snapshots import snapshot, view
from tests.scaler.control.test_loop import START, STEP, Demand, Flat, Replicas, watched
from tests.seams.faulty import (
    API,
    TICKS,
    WEB,
    OddError,
    Site,
    broken_log,
    decisions,
    failing,
)


@pytest.fixture(scope="module")
def healthy() -> list[Snapshot]:
    return Site().run()


class BrokenHistory(TickHistory):
    append = failing


class BrokenLedger(Counterfactual):
    tick = failing


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


# Who is told of a tick.


def test_gateways_have_the_limit_before_anything_is_counted_or_logged():
    site, gateway = Endpoint(), Gateway("gw-1")
    seen: list[float] = []

    class Noting(Telemetry):
        def observe(self, published):
            seen.append(site.ask(gateway).lease.tag.qps)
            raise OddError("odd")

    publish = in_turn([site.holder.publish, Noting(site.holder).observe, failing])
    publish(snapshot(view(ready=4)))
    publish(snapshot(view(ready=2)))
    assert seen == [
        pytest.approx(4 * 155 * 0.98, abs=0.01),
        pytest.approx(2 * 155 * 0.98, abs=0.01),
    ]


def test_a_page_whose_event_loop_is_gone_keeps_no_limit_from_gateways():
    site = Endpoint()

    async def listens() -> None:
        site.holder.subscribe(lambda: None)

    asyncio.run(listens())
    site.publish(ready=4)
    assert site.ask(Gateway("gw-1")).lease.tag.qps <= 4 * 155


def test_a_decision_log_that_fails_keeps_nothing_from_whoever_comes_after_it():
    seen: list[int] = []
    with broken_log():
        in_turn([DecisionLog().write, lambda one: seen.append(one.tick)])(snapshot(tick=7))
    assert seen == [7]


# Who follows a tick's time.


class OddTracer:
    """A tracer that fails where it is told to."""

    def __init__(self, at: str) -> None:
        self.at = at

    def start_as_current_span(self, name):
        if self.at == "start":
            raise OddError("odd")
        return OddSpan(self.at)


class OddSpan:
    def __init__(self, at: str) -> None:
        self.at = at

    def __enter__(self):
        return self

    def set_attribute(self, name, value):
        if self.at == "attribute":
            raise OddError("odd")

    def __exit__(self, *error):
        if self.at == "end":
            raise OddError("odd")


@pytest.mark.parametrize("at", ["start", "attribute", "end"])
def test_a_tracer_that_fails_changes_no_floor_and_no_limit(at):
    def floors(tracer) -> list[tuple[int, float]]:
        world = World(Demand(shop_web=200.0), Flat(), Replicas())
        loop = ControlLoop(traced_ports(tracer, world) if tracer else world, STEP, lambda _: None)
        found = []
        for count in range(10):
            now = START + 15 * count

            def tick(now=now):
                return loop.tick([watched(WEB)], now)

            snapshot = traced_tick(tracer, tick)() if tracer else tick()
            one = snapshot.services[WEB]
            found.append((one.decision.plan.replicas, one.published_limit.limit.qps))
        return found

    assert floors(OddTracer(at)) == floors(None)


def test_what_fails_in_a_span_fails_outside_of_it():
    with pytest.raises(OddError):
        traced_tick(OddTracer("nowhere"), failing)()
