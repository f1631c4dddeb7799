"""A loop and its gateways in a world of whims, recorded: faults, edits, new leaders, silence.

All of it follows from a seed. The clock is ours, so an hour takes a second.
"""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from forecaster.data.series import Forecast, Series, utc
from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.report import GatewayReport
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.journal.files import LEAST_BYTES, JournalFiles
from scaler.adapters.journal.journal import Journal
from scaler.adapters.journal.recorded_leases import RecordedLeases
from scaler.adapters.journal.recording import LoopRecorder, RecordedRun
from scaler.control.checkpoint import ServiceCheckpoint, to_plain
from scaler.control.loop import ControlLoop
from scaler.control.observations import Pod, ServiceMetrics, Workload
from scaler.control.ports import WatchedPolicy, World
from scaler.control.reign import Reign, Tenure
from scaler.control.snapshot import Condition, ConditionKind, PlanOutcome, Snapshot
from scaler.control.timekeeper import TickTime
from scaler.decision.demand import AnnouncedEvent
from scaler.decision.limit import Ramp
from scaler.decision.replicas import ScalePolicy
from scaler.decision.wariness import Doubt, DoubtReason, KeptReports
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.limits.priority_classes import PriorityClass
from scaler.policy.policy import Mode, Policy, Slo

STEP = timedelta(minutes=1)
START = utc("2026-03-02T09:00:00Z").timestamp()
LEVELS = (0.1, 0.5, 0.9, 0.95, 0.99)
TICK_S = 15.0
PACE_S = 3.0  # of gateways
GATEWAYS = ("gw-1", "gw-2", "gw-3")
# Gateways ask about these.
ASKED = ("prod/plain", "prod/rich")
CHECKPOINT = {"factor": 0.9, "usual": {}, "startUps": [40.0, 52.5, 61.0]}


def policies() -> list[WatchedPolicy]:
    plain = Policy(
        item_id="prod/plain",
        target="plain",
        scale=ScalePolicy(2, 60, target_utilization=0.8),
        capacity_qps=50.0,
        demand_query="sum(demand)",
        model="m",
    )
    hpa = HPASpec(2, 60, MetricKind.PODS, 30.0)
    sale = AnnouncedEvent("sale", START + 600, START + 1500, multiplier=2.0)
    rich = replace(
        plain,
        item_id="prod/rich",
        mode=Mode.AUTO,
        slo=Slo(query="p99"),
        events=(sale,),
        mask_query="incidents",
        ramp=Ramp(60.0, 0.3),
        classes=(PriorityClass("pay", 0, guaranteed_qps=20.0),),
    )
    learns = replace(
        rich,
        item_id="prod/learns",
        capacity_qps=None,
        replicas_query="count(ready)",
        model="n",
        events=(),
    )
    return [
        WatchedPolicy(plain, hpa, CHECKPOINT),
        WatchedPolicy(rich, hpa),
        WatchedPolicy(learns, hpa),
        WatchedPolicy(replace(plain, item_id="prod/blind", model=None, lead_s=90.0), hpa),
    ]


class Whims:
    """The world: each call may fail, in part or as a whole; what it says wanders."""

    def __init__(self, rng: np.random.Generator, *, calm: bool = False) -> None:
        self._rng, self._calm = rng, calm
        self._pods: dict[str, tuple[Pod, ...]] = {}
        self._floors: dict[str, int] = {}
        self._made = 0
        self.upstream_is_away = False

    def _may_fail(self, chance: float = 0.03) -> None:
        if self._rng.random() < chance and not self._calm:
            raise RuntimeError("https://me:hush-hush@away.example: no answer")

    def _qps(self, now: float) -> float:
        if self.upstream_is_away:
            return float(10.0 * self._rng.lognormal(0.0, 0.1))
        wave = 1.2 + math.sin(now / 900.0)
        qps = float(400.0 * wave * self._rng.lognormal(0.0, 0.1))
        return 1000.0 * qps if now // 60 % 7 == 0 else qps  # a reset of a counter

    def measure(self, queries, now):
        self._may_fail()
        return [self._measured(query, now) for query in queries]

    def _measured(self, query, now):
        if self._rng.random() < 0.05:
            return ServiceMetrics(math.nan, fault="refused: Authorization: Bearer gw-token-1")
        first = int(query.since // 60 + 1) * 60
        stamps = range(first, int(now) + 1, 60)
        samples = tuple((float(stamp), self._qps(now)) for stamp in stamps)
        latency = None if query.slo_query is None else float(self._rng.gamma(2.0, 0.12))
        qps = math.nan if self._rng.random() < 0.03 else self._qps(now)
        return ServiceMetrics(qps, samples, latency, marks=self._marks(query, now))

    def _marks(self, query, now):
        """Return the marks of a service: each hour has an incident of ten minutes."""
        return (now,) if query.mask_query is not None and now // 600 % 6 == 0 else ()

    def histories(self, queries, length, now):
        if queries:
            self._may_fail()
        return [self._history(item, query, length, now) for item, query in queries]

    def _history(self, item, query, length, now):
        if self._rng.random() < 0.2:
            return "it takes too long"
        count = length // STEP
        end = datetime.fromtimestamp(int(now // 60) * 60, UTC)
        drawn = self._rng.gamma(4.0, 100.0, count)
        if query == "count(ready)":
            drawn = np.ceil(drawn / 50.0)
        elif query == "incidents":
            drawn = (drawn > 800.0).astype(float)
        elif query == "p99":
            drawn = 0.2 + drawn / 1e4
        values = np.where(self._rng.random(count) < 0.02, np.nan, drawn)
        return Series(item, end - (count - 1) * STEP, STEP, values)

    def reload(self, names):
        self._may_fail()

    def predict(self, name, series):
        self._may_fail()
        known = [one for one in series if self._rng.random() < 0.95]
        faults = {one.item_id: "no" for one in series if one not in known}
        if not known:
            return Said(None, {}, faults)
        shape = np.array([0.9, 1.0, 1.1, 1.15, 1.25]) * self._rng.uniform(0.5, 1.5)
        steps = self._rng.lognormal(0.0, 0.05, (len(known), 30, 1))
        last = np.array([np.nan_to_num(one.values[-1]) for one in known])
        values = last[:, None, None] * steps * shape
        items = tuple(one.item_id for one in known)
        origins = tuple(one.end - one.step for one in known)
        forecast = Forecast(items, origins, STEP, LEVELS, values, ("lstm",) * len(items))
        return Said(forecast, {item: i for i, item in enumerate(items)}, faults)

    def observe(self, watched, now):
        self._may_fail()
        return {one.policy.item_id: self._observed(one.policy.item_id, now) for one in watched}

    def _observed(self, item, now):
        if self._rng.random() < 0.03:
            return "no such autoscaler"
        wanted = self._floors.get(item, 3)
        pods = [
            replace(pod, ready_at=now)
            if pod.ready_at is None and now - pod.created_at > self._rng.uniform(20.0, 120.0)
            else pod
            for pod in self._pods.get(item, ())[:wanted]
        ]
        while len(pods) < wanted:
            self._made += 1
            pods.append(Pod(f"{item}-{self._made}", now - 1.0))
        if tuple(pods) != self._pods.get(item):
            self._pods[item] = tuple(pods)
        return Workload(self._pods[item], floor=wanted)

    def apply(self, views, now):
        self._may_fail()
        for view in views:
            if view.decision is not None:
                self._floors[view.item_id] = view.decision.plan.replicas
        return {
            view.item_id: PlanOutcome((Condition(ConditionKind.READY, True, "Enforcing"),))
            for view in views
            if self._rng.random() < 0.9
        }


class Said:
    def __init__(self, forecast, rows, faults):
        self.forecast, self.rows, self.faults = forecast, rows, faults


REIGNS = (Tenure.LEADS, Tenure.CARETAKES, Tenure.LAPSED, Tenure.FOLLOWS)


class RecordedScene:
    """A loop over `Whims` with gateways, recorded into a folder; close its journal to read it.

    In a ``calm`` one nothing fails as a whole, no policy is edited and the leader stays. In one
    that ``elects`` an election says at each instant who hands out limits.
    """

    def __init__(
        self, seed: int, folder: Path, *, calm: bool = False, elects: bool = False
    ) -> None:
        self.rng, self._calm = np.random.default_rng(seed), calm
        self._owner_rng = np.random.default_rng([seed, 1])
        self._clock_rng = np.random.default_rng([seed, 2])
        self._kept_rng = np.random.default_rng([seed, 3])
        self._elects, self._reign = elects, Reign(Tenure.LEADS) if elects else None
        self.now, self._mono, self._leads = START, 1000.0, True
        files = JournalFiles(folder, 100 * LEAST_BYTES, LEAST_BYTES // 4)
        self.journal = Journal(files, lambda: self._mono)
        settings = ApiSettings()
        run = RecordedRun(
            version="0", name=f"run-{seed}", step_s=60.0, tick_s=TICK_S, settings=settings
        )
        self.recorder = LoopRecorder(self.journal, run, lambda: self._mono)
        holder = SnapshotHolder(lambda: self._mono, lambda: self._reign)
        self.leases = RecordedLeases(holder, settings, "c0ff", self.journal)
        self.whims = Whims(self.rng, calm=calm)
        world = World(self.whims, self.whims, self.whims, self.leases.reports)

        def publish(snapshot: Snapshot) -> None:
            self.recorder.publish(snapshot)
            holder.publish(snapshot)

        self.loop = ControlLoop(
            self.recorder.world(world), STEP, publish, lambda: self._leads, TICK_S
        )
        self.policies = policies()
        self._etags: dict[tuple[str, str], str] = {}

    def run(self, ticks: int) -> None:
        for _ in range(ticks):
            self.tick()
            self.ask_for(TICK_S)

    def tick(self) -> Snapshot:
        if not self._calm:
            self._change_policies()
            self._change_checkpoints()
            if self.rng.random() < 0.03:
                self._leads = not self._leads
        set_by_s = 0.0
        if not self._calm and self._clock_rng.random() < 0.05:
            set_by_s = float(self._clock_rng.choice([-3600.0, -20.0, 7.0, 3600.0]))
        self.now += set_by_s
        return self.recorder.tick(self.loop, tuple(self.policies), TickTime(self.now, set_by_s))

    def ask_for(self, seconds: float) -> None:
        """Let time pass in which gateways ask, wait and report."""
        silence = 200.0 if self.rng.random() < 0.02 else 0.0
        for _ in range(int(seconds / PACE_S)):
            self._mono += PACE_S
            self.now += PACE_S
            self.leases.drop_empty(self._mono)
            self._go_on_electing()
            for service in ASKED:
                self._call(service)
        self._mono += silence
        self.now += silence

    def _go_on_electing(self) -> None:
        if self._reign is None or self._owner_rng.random() < 0.9:
            return
        others_until = self._reign.others_until
        if self._owner_rng.random() < 0.2:
            others_until = self._mono + float(self._owner_rng.uniform(-20.0, 20.0))
        self._reign = Reign(REIGNS[self._owner_rng.choice(4, p=[0.6, 0.2, 0.1, 0.1])], others_until)

    def _change_policies(self) -> None:
        whim = self.rng.random()
        if whim < 0.03 and len(self.policies) > 2:
            del self.policies[int(self.rng.integers(len(self.policies)))]
        elif whim < 0.06:
            known = {one.policy.item_id for one in self.policies}
            self.policies = [o for o in policies() if o.policy.item_id not in known] + self.policies
        elif whim < 0.1:
            first = self.policies[0]
            scale = ScalePolicy(int(self.rng.integers(1, 6)), 60)
            self.policies[0] = replace(first, policy=replace(first.policy, scale=scale))

    def _change_checkpoints(self) -> None:
        """Have who leads elsewhere keep something new."""
        if self._kept_rng.random() < 0.2:
            place = int(self._kept_rng.integers(len(self.policies)))
            kept = to_plain(ServiceCheckpoint(reports=self._kept_reports()))
            self.policies[place] = replace(self.policies[place], checkpoint=kept)

    def _kept_reports(self) -> KeptReports:
        ratio, qps = self._kept_rng.uniform(0.5, 2.0), self._kept_rng.uniform(0.0, 900.0)
        doubt = Doubt(DoubtReason(self._kept_rng.choice(["fall", "jump", "stuck"])), self.now, qps)
        at = self.now + self._kept_rng.uniform(-200.0, 60.0)
        return KeptReports(ratio, 900.0, qps, at, doubt if self._kept_rng.random() < 0.5 else None)

    def _call(self, service: str) -> None:
        requests = {name: self._request(service, name) for name in GATEWAYS}
        for name, asked in requests.items():
            whim = self.rng.random()
            try:
                if whim < 0.3:
                    answer = self.leases.reply(service, asked, self._mono)
                elif whim < 0.4:
                    answer = self.leases.renew(service, asked, self._mono)
                else:
                    self.leases.may_wait(service, asked, self._mono)
                    continue
            except RequestProblem:
                continue
            if self.rng.random() < 0.9:  # else the answer is lost
                self._etags[service, name] = answer.lease.etag
        with suppress(RequestProblem):
            self.leases.changed(service, list(requests.values()), self._mono)

    def _request(self, service: str, name: str) -> LeaseRequest:
        said = None
        if self.rng.random() < 0.3:
            classes = {"pay": float(self.rng.uniform(0.0, 60.0))}
            said = GatewayReport(float(self.rng.gamma(3.0, 40.0)), classes)
        etag = self._etags.get((service, name), "")
        # Now and then somebody else speaks in its name, who may have one gateway.
        if self._owner_rng.random() < 0.05:
            return LeaseRequest(name, etag, said, owner="rival", owner_instances=1)
        return LeaseRequest(name, etag, said, owner="shop")
