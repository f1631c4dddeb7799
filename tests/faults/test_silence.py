"""A scaler that knows nothing yet hands out no limit: gateways go on by the leases that they have.

The loop, the lease service, and the middleware's pollers and limiters, on virtual time; only the
wire is not. Nine replicas of 110 requests per second run, one of which is the least.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace

import numpy as np
import pytest

from scaler.adapters.dry_run_workloads import MOST_READY, DryRunWorkloads
from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.long_poll import LongPoll
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.schemas import ReportBody
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.http.views import explanation_view
from scaler.control.loop import ControlLoop
from scaler.control.observations import Pod, ServiceMetrics, Workload
from scaler.control.ports import WatchedPolicy, World
from scaler.control.snapshot import ConditionKind, ServiceView
from scaler.decision.replicas import ScalePolicy
from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings
from scaler.gateway.limits_endpoint import LimitsAnswer, NoAnswerError
from scaler.gateway.poller import Poller
from scaler.policy.policy import Mode, Policy
from scaler.simulation.virtual_gateways import VirtualEndpoint
from scaler.simulation.virtual_loop import VirtualLoop
from tests.faults.test_clocks import HOUR, ITEM, START, STEP, TICK_S, WATCHED, Site

READY, EACH, LEAST = 9, 110.0, 1
WHOLE = READY * EACH
MOMENT_S = 0.01  # that a message takes
POLICY = replace(WATCHED.policy, scale=ScalePolicy(LEAST, 60), capacity_qps=EACH, mode=Mode.ENFORCE)


def busy(_: float) -> float:
    return 780.0  # nine replicas at a utilization of 0.8


class Nine(Site):
    """A cluster that has nine ready pods, whatever its floor, and one of them at least."""

    def observe(self, watched, now):
        pods = tuple(Pod(str(n), START - HOUR, START - HOUR) for n in range(READY))
        return {ITEM: Workload(pods, LEAST)}


class Counting:
    """A Prometheus that says how many replicas are ready; ``said`` is the answer."""

    def __init__(self, said: ServiceMetrics) -> None:
        self.said, self.asked = said, []

    def measure(self, queries, now):
        self.asked += [query.demand_query for query in queries]
        return [self.said for _ in queries]


class Server:
    """One process of the scaler: its loop, and the endpoint that gateways reach."""

    def __init__(self, street: Street, number: int, workloads: object) -> None:
        site = street.site
        self.holder = SnapshotHolder(street.loop.time)
        self.service = LeaseService(self.holder, ApiSettings(), f"e{number}")
        self.long_poll = LongPoll(self.service, street.loop.time)
        self.gone = asyncio.Event()
        self._street = street
        self.loop = ControlLoop(World(site, site, workloads), STEP, self.holder.publish)
        self._serving = street.loop.create_task(self._serve())

    async def _serve(self) -> None:
        self.holder.subscribe(self.long_poll.schedule_all)
        await self.long_poll.run()

    def tick(self) -> ServiceView:
        watched = WatchedPolicy(self._street.policy, WATCHED.hpa)
        return self.loop.tick([watched], self._street.site.truth).services[ITEM]

    def end(self) -> None:
        self.gone.set()
        self._serving.cancel()


class Line:
    """The endpoint as a gateway reaches it: whichever server is there, if any."""

    def __init__(self, street: Street, instance: str) -> None:
        self._street, self._instance = street, instance

    async def __aenter__(self) -> Line:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def ask(self, etag: str, wait_s: float) -> LimitsAnswer:
        return await self._answered(
            lambda server: self._virtual(server).ask(etag, wait_s)  # of production but the wire
        )

    async def report(self, report: dict[str, object]) -> LimitsAnswer:
        return await self._answered(lambda server: self._reported(server, report))

    async def _reported(self, server: Server, report: dict[str, object]) -> LimitsAnswer:
        body = ReportBody.model_validate_json(json.dumps(report))
        line = self._virtual(server)
        try:
            reply = server.long_poll.reply_at_once(ITEM, body.to_request(server.service.epoch))
        except RequestProblem as problem:
            return await line._refused(problem)
        return await line._told(reply, changed=True)

    def _virtual(self, server: Server) -> VirtualEndpoint:
        return VirtualEndpoint(server.long_poll, ITEM, self._instance, MOMENT_S)

    async def _answered(self, ask: Callable[[Server], Awaitable[LimitsAnswer]]) -> LimitsAnswer:
        server = self._street.server
        if server is None:
            raise NoAnswerError("nobody listens")
        asking = asyncio.ensure_future(ask(server))
        gone = asyncio.ensure_future(server.gone.wait())
        await asyncio.wait({asking, gone}, return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if asking.done():
            return asking.result()
        asking.cancel()
        raise NoAnswerError("the connection was closed")


class Street:
    """Servers one after the other, and gateways that ask whichever is there."""

    def __init__(self, policy: Policy = POLICY, gateways: int = 1) -> None:
        self.site, self.policy = Nine(demand=busy), policy
        self.loop, self.server = VirtualLoop(), None
        self.limiters = [LeaseLimiter(LimiterSettings(ITEM, f"gw-{n}")) for n in range(gateways)]
        rng, self._servers = np.random.default_rng(0), 0
        for number, limiter in enumerate(self.limiters):
            line = Line(self, f"gw-{number}")
            poller = Poller(limiter, line, clock=self.loop.time, rng=rng)
            self.loop.create_task(poller.run())

    def start(self, workloads: object = None) -> None:
        self._servers += 1
        self.server = Server(self, self._servers, workloads or self.site)

    def stop(self) -> None:
        self.server.end()
        self.server = None

    def live(self, seconds: float) -> list[float]:
        """Let time pass, with a tick each 15 s; return what all gateways admit, twice a second."""
        admitted, steps = [], 2 * TICK_S
        for step in range(round(2 * seconds)):
            if self.server is not None and step % steps == 0:
                self.server.tick()
            self.site.pass_by(0.5)
            self.loop.run_up_to(self.loop.time() + 0.5)
            now = self.loop.time()
            admitted.append(sum(one.snapshot(now).limit_rps for one in self.limiters))
        return admitted

    def refused(self) -> RequestProblem | None:
        """Return what a gateway is refused by now; None: it gets a lease."""
        try:
            self.server.service.reply(ITEM, LeaseRequest("curl"), self.loop.time())
        except RequestProblem as problem:
            return problem
        return None

    def refuses(self) -> bool:
        """Whether a gateway refuses some of very many requests."""
        now = self.loop.time()
        return not all(self.limiters[0].admit(None, None, now).allowed for _ in range(2000))

    def told(self) -> dict[str, str]:
        """Return the reasons of the conditions that are told, by kind."""
        view = self.server.holder.latest().snapshot.services[ITEM]
        return {one.kind: one.reason for one in view.conditions}


@pytest.fixture
def street_of():
    streets = []

    def made(*how, **more) -> Street:
        streets.append(Street(*how, **more))
        return streets[-1]

    yield made
    for street in streets:
        street.loop.end()


def settled(street: Street, workloads: object = None) -> float:
    """Return what gateways admit once all know of each other."""
    street.start(workloads)
    *_, admitted = street.live(90)
    return admitted * (1 - 1e-4)  # a lease that is handed on is rounded down once more


def test_a_restart_while_the_query_fails_hands_out_nothing_and_gateways_keep_what_they_had(
    street_of,
):
    street = street_of()
    whole = settled(street)
    assert whole == pytest.approx(0.98 * WHOLE, rel=1e-3)  # a reserve is for newcomers
    street.site.answers = False
    street.stop()
    assert min(street.live(5)) >= whole
    street.start()
    assert min(street.live(120)) >= whole
    problem = street.refused()
    assert (problem.status, problem.retry_after_s) == (503, 2)
    assert "observed once" in str(problem)
    told = street.told()
    assert (told[ConditionKind.LIMIT_KNOWN], told[ConditionKind.DATA_FRESH]) == (
        "NothingObserved",
        "QueryFailed",
    )
    street.site.answers = True
    assert min(street.live(120)) >= whole
    assert ConditionKind.LIMIT_KNOWN not in street.told()


@pytest.mark.parametrize("gateways", [1, 2, 5])
def test_restarts_one_after_the_other_lower_no_lease(street_of, gateways):
    street = street_of(gateways=gateways)
    whole = settled(street)
    for _ in range(3):
        street.stop()
        low = min(street.live(3))
        street.start()
        assert min(low, *street.live(45)) >= whole


def test_a_query_that_fails_after_it_was_answered_once_takes_no_limit_back(street_of):
    street = street_of()
    whole = settled(street)
    street.site.answers = False
    assert min(street.live(600)) >= whole  # the plan holds for its lifetime
    assert street.refused() is None


def test_a_forecast_alone_and_part_of_the_demand_found_no_limit():
    """Both may raise the plan, yet the schedule that follows it may be far too low."""
    for said in (
        ServiceMetrics(math.nan, fault="no answer"),
        ServiceMetrics(math.nan, partial="store-2 is away", least_qps=400.0),
    ):
        site = Nine(demand=busy)
        site.measure = lambda queries, now, said=said: [said for _ in queries]
        site.expects = np.full(30, 2.0)  # twice the last known
        loop = ControlLoop(World(site, site, site), STEP, lambda _: None)
        watched = WatchedPolicy(POLICY, WATCHED.hpa)
        for _ in range(8):
            site.pass_by(TICK_S)
            view = loop.tick([watched], site.truth).services[ITEM]
            assert view.published_limit is None
        assert view.decision.plan.replicas > READY / 2


def test_a_policy_that_is_new_has_no_limit_before_its_demand_is_observed(street_of):
    street = street_of()
    settled(street)
    site, newcomer = street.site, replace(POLICY, item_id="shop/new", demand_query="new")
    site.measure = lambda queries, now: [
        ServiceMetrics(math.nan, fault="no answer")
        if query.item_id == "shop/new"
        else Site._measured(site, query.since, now)
        for query in queries
    ]
    pods = site.observe((), 0.0)[ITEM]
    site.observe = lambda watched, now: {one.policy.item_id: pods for one in watched}
    both = [WatchedPolicy(one, WATCHED.hpa) for one in (POLICY, newcomer)]
    services = street.server.loop.tick(both, site.truth).services
    assert services[ITEM].published_limit is not None
    assert services["shop/new"].published_limit is None


# Without a cluster.


def test_without_a_cluster_and_a_query_for_replicas_leases_refuse_nobody(street_of):
    street = street_of()
    counting = Counting(ServiceMetrics(9.0))
    settled(street, DryRunWorkloads(counting))
    assert counting.asked == []
    assert not street.refuses()
    assert street.told()[ConditionKind.LIMIT_KNOWN] == "ReplicasAssumed"
    view = street.server.holder.latest().snapshot.services[ITEM]
    assert "assumed" in " ".join(explanation_view(view)["words"])


COUNTED = replace(POLICY, replicas_query="ready")


def test_without_a_cluster_replicas_are_counted_by_their_query(street_of):
    street = street_of(COUNTED)
    counting = Counting(ServiceMetrics(9.0))
    whole = settled(street, DryRunWorkloads(counting))
    assert whole == pytest.approx(0.98 * WHOLE, rel=1e-3)
    assert set(counting.asked) == {"ready"}
    assert street.refuses()
    assert ConditionKind.LIMIT_KNOWN not in street.told()
    for fails in ("counting", "demand"):
        street.stop()
        if fails == "counting":
            counting.said = ServiceMetrics(math.nan, fault="no answer")
        else:
            street.site.answers = False
        street.start(DryRunWorkloads(counting))
        assert min(street.live(60)) >= whole
        assert street.refused().status == 503
        counting.said, street.site.answers = ServiceMetrics(9.0), True
        assert min(street.live(60)) >= whole
        assert street.refused() is None


@pytest.mark.parametrize(
    ("said", "ready"),
    [
        pytest.param(ServiceMetrics(9.0), 9, id="a number"),
        pytest.param(ServiceMetrics(0.0), 0, id="none is ready"),
        pytest.param(ServiceMetrics(8.99999999), 9, id="a sum of shares"),
        pytest.param(ServiceMetrics(8.5), 8, id="a mean"),
        pytest.param(ServiceMetrics(math.nan), "the query answers nan", id="no sample"),
        pytest.param(ServiceMetrics(math.nan, fault="no answer"), "no answer", id="a fault"),
        pytest.param(
            ServiceMetrics(math.nan, partial="store-2 is away", least_qps=4.0),
            "store-2 is away",
            id="part of them",
        ),
        pytest.param(ServiceMetrics(MOST_READY + 1.0), "answers 10001", id="something else"),
    ],
)
def test_what_a_query_for_ready_replicas_says(said, ready):
    workloads = DryRunWorkloads(Counting(said))
    (found,) = workloads.observe([WatchedPolicy(COUNTED, WATCHED.hpa)], START).values()
    if isinstance(ready, int):
        assert (found.replicas, found.floor, found.assumed) == (ready, max(ready, LEAST), False)
    else:
        assert ready in found
