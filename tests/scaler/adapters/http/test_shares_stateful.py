"""Whatever gateways and leaders do, no more is handed out than there is, and guarantees are kept.

The lease service and the limiters are those of production. What counts is what gateways may act on:
the leases that they hold and that are fresh by their own clocks, not what the server believes.
"""

from __future__ import annotations

import json
import math
from contextlib import suppress
from dataclasses import dataclass, field, replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from scaler.adapters.http.exchange import LeaseReply, LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.schemas import ReportBody
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings
from scaler.limits.lease import LeaseStage
from scaler.limits.priority_classes import ClassLimit, ClassReason, ClassSplit, admitted
from tests.scaler.adapters.http.snapshots import PAY, STRESS, Clock, snapshot, view

SHOP, EACH_QPS = "prod/shop", 155.0
NAMES = ("gw-1", "gw-2", "gw-3", "gw-4", "gw-5")
OWNERS = {"gw-1": "north", "gw-2": "north", "gw-3": "south", "gw-4": "", "gw-5": ""}
LEASE_S = 12.0
ABSURD = 1e9
names, places = st.sampled_from(NAMES), st.integers(0, len(NAMES) - 1)
passes = st.sampled_from([0.05, 2.0, 7.9, 12.0])
demands = st.sampled_from([0.0, 0.4, 3.0, 40.0, 300.0, 2000.0])


@dataclass
class Acting:
    """A gateway, and what it is asked for."""

    name: str
    pay_qps: float = 0.0
    other_qps: float = 0.0
    lies: float | None = None  # what it says instead of what it refused
    deaf: bool = False  # it is heard, but hears no answer
    etag: str = ""
    lease: dict = field(default_factory=dict)
    waits: tuple[LeaseRequest, float] | None = None

    def __post_init__(self) -> None:
        self.limiter = LeaseLimiter(LimiterSettings(SHOP, self.name))

    def request(self, now: float) -> LeaseRequest:
        etag = self.etag if self.limiter.is_fresh(now) else ""
        return LeaseRequest(self.name, etag, owner=OWNERS[self.name])

    def take(self, reply: LeaseReply, sent_at: float, now: float) -> None:
        if not reply.changed:
            self.limiter.renew(sent_at)
        elif self.limiter.receive(reply.lease.json_body, sent_at, now):
            self.etag, self.lease = reply.lease.etag, json.loads(reply.lease.json_body)

    def may_admit_qps(self, now: float) -> float:
        held = self.limiter.snapshot(now)
        return held.limit_rps if held.stage is LeaseStage.FRESH else 0.0

    def admits(self) -> tuple[float, float]:
        """Return what of its demand passes: of pay, and of no class."""
        if not self.lease:
            return self.pay_qps, self.other_qps
        parts = {one["name"]: one for one in self.lease["classes"]}
        pay = parts["pay"]
        limit = ClassLimit(
            "pay", 0, pay["guaranteed_rps"], pay["rps"], pay["ceiling_rps"], ClassReason.DEMAND
        )
        spare = self.lease["spare_rps"]
        (passed,) = admitted(ClassSplit((limit,), spare), [self.pay_qps])
        return passed, min(self.other_qps, spare - max(passed - pay["rps"], 0.0))

    def report(self, now: float) -> dict:
        pay, other = self.admits()
        refused = (self.pay_qps - pay, self.other_qps - other)
        if self.lies is not None:
            refused = (self.lies, self.lies)
        counts = {
            "admitted": 2 * (pay + other),
            "denied": 2 * sum(refused),
            "classes": {"pay": {"admitted": 2 * pay, "denied": 2 * refused[0]}},
        }
        return {**self.limiter.report(now), "interval_s": 2.0, **counts, "client_rates": None}


class SharedService(RuleBasedStateMachine):
    """Gateways that appear, die, lie, hang and come back, under leaders that change."""

    @initialize(ready=st.integers(2, 12), others=demands)
    def start(self, ready, others):
        self.clock = Clock()
        self.holder = SnapshotHolder(self.clock)
        self.limits = [(-math.inf, ready * EACH_QPS)]
        self.acting = {name: Acting(name, 20.0, others) for name in NAMES[:2]}
        self.memory_s, self.epochs, self.ready = LEASE_S, 0, ready
        self.publish()
        self.lease_service = self.leader(learns=False)

    def leader(self, *, learns):
        self.epochs += 1
        service_settings = ApiSettings(learns_shares=learns)
        return LeaseService(self.holder, service_settings, f"e{self.epochs}")

    def publish(self):
        self.holder.publish(snapshot(view(ready=self.ready, each_qps=EACH_QPS)))

    # What happens between one gateway and the leader.

    def told(self, gateway, reply, *, lost, sent_at=None):
        if not (lost or gateway.deaf):
            now = self.clock.now
            gateway.take(reply, now if sent_at is None else sent_at, now)

    def poll(self, gateway, *, lost=False):
        now = self.clock.now
        request = gateway.request(now)
        try:
            if request.etag and self.lease_service.may_wait(SHOP, request, now):
                gateway.waits = (request, now)
                return
            reply = self.lease_service.reply(SHOP, request, now)
        except RequestProblem:
            return
        self.told(gateway, reply, lost=lost)

    def wake(self, *, lost=frozenset()):
        waiting = [one for one in self.acting.values() if one.waits is not None]
        requests = [one.waits[0] for one in waiting]
        try:
            replies = self.lease_service.changed(SHOP, requests, self.clock.now)
        except RequestProblem:
            return
        for one, reply in zip(waiting, replies, strict=True):
            if reply is not None:
                self.told(one, reply, lost=one.name in lost, sent_at=one.waits[1])
                one.waits = None

    def say(self, gateway, *, lost=False):
        body = ReportBody.model_validate(gateway.report(self.clock.now))
        request = body.to_request(self.lease_service.epoch)
        request = replace(request, owner=OWNERS[gateway.name])
        try:
            reply = self.lease_service.reply(SHOP, request, self.clock.now)
        except RequestProblem:
            return
        self.told(gateway, replace(reply, changed=True), lost=lost)

    def pass_time(self, seconds):
        self.clock.now += seconds
        self.publish()
        for one in self.acting.values():  # waits that have lasted long enough end in a renewal
            if one.waits is not None and self.clock.now - one.waits[1] >= 8.0:
                self.end_wait(one)

    def end_wait(self, gateway):
        (request, sent_at), gateway.waits = gateway.waits, None
        try:
            reply = self.lease_service.renew(SHOP, request, self.clock.now)
        except RequestProblem:
            return
        self.told(gateway, reply, lost=False, sent_at=sent_at)

    # The rules. Gateways are told by their place among those that there are.

    def __getitem__(self, place):
        return list(self.acting.values())[place % len(self.acting)]

    @rule(name=names, pay=demands, other=demands)
    def appears_or_is_asked_for_something_else(self, name, pay, other):
        gateway = self.acting.setdefault(name, Acting(name))
        gateway.pay_qps, gateway.other_qps = pay, other

    @rule(other=demands)
    def demand_moves_on(self, other):
        """Each gateway is asked for what the one before it was, and the first for something new."""
        for one in self.acting.values():
            one.other_qps, other = other, one.other_qps

    @rule(place=places, lost=st.booleans())
    def polls(self, place, lost):
        if self[place].waits is None:
            self.poll(self[place], lost=lost)

    @rule(place=places, lost=st.booleans())
    def reports(self, place, lost):
        self.say(self[place], lost=lost)

    @rule(place=places, lies=st.sampled_from([None, 0.0, 50.0, ABSURD]))
    def begins_or_ends_to_lie(self, place, lies):
        self[place].lies = lies

    @rule(place=places, deaf=st.booleans())
    def loses_all_answers_or_hears_again(self, place, deaf):
        self[place].deaf = deaf

    @rule(place=places, liar=places, qps=st.sampled_from([0.0, 100.0, ABSURD]))
    def speaks_in_another_s_name(self, place, liar, qps):
        body = {"instance": self[place].name, "offered_rps": qps}
        request = ReportBody.model_validate(body).to_request("")
        request = replace(request, owner=OWNERS[self[liar].name])
        with suppress(RequestProblem):
            self.lease_service.reply(SHOP, request, self.clock.now)

    @rule(lost=st.frozensets(names))
    def those_that_wait_are_told(self, lost):
        self.wake(lost=lost)

    @rule(seconds=passes)
    def time_passes(self, seconds):
        self.pass_time(seconds)

    @rule(seconds=st.sampled_from([0.2, 2.0, 6.0]))
    def all_go_on(self, seconds):
        self.pass_time(seconds)
        self.go_on()

    @rule(place=places, seconds=st.sampled_from([6.0, 14.0, 40.0]))
    def hangs(self, place, seconds):
        """One gateway neither asks nor reports while the others go on."""
        until, name = self.clock.now + seconds, self[place].name
        while self.clock.now < until:
            self.pass_time(2.0)
            self.go_on(but=name)

    def go_on(self, but=""):
        for one in self.acting.values():
            if one.name != but:
                if one.waits is None:
                    self.poll(one)
                self.say(one)
        self.wake()

    @precondition(lambda self: len(self.acting) > 1)
    @rule(place=places)
    def dies(self, place):
        del self.acting[self[place].name]

    @rule(place=places)
    def comes_back_without_memory(self, place):
        before = self[place]
        self.acting[before.name] = Acting(before.name, before.pay_qps, before.other_qps)

    @rule(ready=st.integers(0, 12))
    def replicas_change(self, ready):
        self.ready = ready
        self.limits.append((self.clock.now, ready * EACH_QPS))
        self.publish()

    @rule(seconds=passes)
    def another_leads_that_knows(self, seconds):
        memory = self.lease_service.memory()
        self.lease_service = self.leader(learns=True)
        self.lease_service.recall(memory)
        for one in self.acting.values():
            one.waits = None  # its connection is gone
        self.pass_time(seconds)

    @rule(seconds=passes)
    def another_leads_that_must_learn(self, seconds):
        # Leases from before, renewed while the new leader learns.
        self.memory_s = 3 * LEASE_S
        self.lease_service = self.leader(learns=True)
        for one in self.acting.values():
            one.waits = None
        self.pass_time(seconds)

    def teardown(self):
        """Let all come to rest, and look at what each has then."""
        if not hasattr(self, "lease_service"):
            return
        self.replicas_change(max(self.ready, 2))
        for one in self.acting.values():
            one.deaf = False
            if one.lies != ABSURD:  # who hides what it refused creeps up for long
                one.lies = None
        for _ in range(20):
            self.pass_time(1.0)
            self.go_on()
        leases = [one.lease for one in self.acting.values()]
        assert {one["share"]["reason"] for one in leases} == {"fair"}
        total = sum(one["share"]["rps"] for one in leases)
        # 2 % are free for newcomers.
        assert total >= 0.97 * self.ready * EACH_QPS
        pay, stress = zip(*(one["classes"] for one in leases), strict=True)
        assert sum(one["rps"] for one in pay) >= PAY.guaranteed_qps - 0.01 * len(leases)
        assert sum(one["ceiling_rps"] for one in stress) <= STRESS.ceiling_qps + 1e-6
        self.check_guarantee(leases)

    def check_guarantee(self, leases):
        """Pay at its guarantee is served, whatever others say that they want."""
        honest = [one for one in self.acting.values() if one.lies is None]
        if sum(one.pay_qps for one in honest) <= PAY.guaranteed_qps / 2 and all(
            one.pay_qps == 0 for one in self.acting.values() if one.lies is not None
        ):
            for one in honest:
                assert one.admits()[0] >= 0.97 * one.pay_qps

    # What always holds.

    def recent(self):
        begin = self.clock.now - self.memory_s
        ends = [since for since, _ in self.limits[1:]] + [math.inf]
        return [qps for (_, qps), end in zip(self.limits, ends, strict=True) if end >= begin]

    @invariant()
    def no_more_is_admitted_than_was_ready_within_a_lease(self):
        if hasattr(self, "lease_service"):
            now = self.clock.now
            total = sum(one.may_admit_qps(now) for one in self.acting.values())
            assert total <= max(self.recent()) + 1e-6

    @invariant()
    def guarantees_together_never_exceed_the_policy_s(self):
        if hasattr(self, "lease_service"):
            for ledger in self.lease_service.memory().ledgers.values():
                parts = [one.parts for one in ledger.shares.shares if one.parts is not None]
                held = sum(one.classes[0].guaranteed_qps for one in parts)
                assert held <= PAY.guaranteed_qps * (1 + 1e-6)


TestSharedService = SharedService.TestCase
TestSharedService.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
