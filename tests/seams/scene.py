"""Half an hour of one service: its policy is read, decided on, carried out, told and replayed.

Everything is scripted: what queries answer, how pods start, who asks for leases. So what differs
between two of them is what differs between their policies.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from forecaster.data.series import Series
from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.metrics import Telemetry
from scaler.adapters.http.report import GatewayReport
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.kube.workloads_port import ClusterWorkloads
from scaler.control.cluster_port import AtZero, PolicyStatus
from scaler.control.loop import ControlLoop
from scaler.control.observations import Pod, ServiceMetrics
from scaler.control.ports import WatchedPolicy, Workloads, World
from scaler.control.publication import in_turn
from scaler.control.snapshot import ServiceView
from scaler.policy.files import PolicyDocument, read_policies
from scaler.policy.replay_settings import plain_hpa
from scaler.simulation.replay import replay
from tests.fakes import FakeCluster, FakeLeadership
from tests.scaler.adapters.http.snapshots import Clock
from tests.scaler.control.test_loop import START, STEP, Flat

TICK_S, TICKS = 15.0, 120
START_UP_S = 60.0
MINUTE = 60.0
# Of 40 clients 36 are normal and differ by a factor of four; the others offer up to a hundredfold.


def offered(seconds: float) -> float:
    """Return what is offered: a rise, a fall, six minutes of which nobody knows, a calm end."""
    minute = seconds / MINUTE
    if 16 <= minute < 22:
        return math.nan
    return float(np.interp(minute, [0, 4, 9, 12, 13], [200, 200, 600, 600, 150]))


def away(seconds: float) -> float:
    """Return what is offered while something upstream is away, from the fourth minute on."""
    return 200.0 if seconds < 4 * MINUTE else 5.0


def slow(seconds: float) -> float:
    """Return a latency that is over half a second while demand is high."""
    return 0.6 if 8 * MINUTE <= seconds < 12 * MINUTE else 0.1


# What a gateway says: that it is offered three classes.
SAID = GatewayReport(300.0, {"gold": 200.0, "pay": 150.0, "stress": 50.0})
SETTINGS = ApiSettings(learns_shares=False)

# What each query answers, by its text: there is no PromQL here.
DEMAND = {
    "offered": offered,
    "offered twice": lambda seconds: 2 * offered(seconds),
    "upstream is away": away,
}
# What is marked, from the minute in which demand falls on.
MASKS = {"incident": lambda seconds: seconds >= 12 * MINUTE, "no incident": lambda _: False}
LATENCY = {"p999": slow, "p999 of another": lambda _: 0.1}
REPLICAS = {"ready": 4.0, "ready elsewhere": 8.0}


class ScriptedTraffic:
    """A `TrafficSource` whose queries are names of `DEMAND`, `LATENCY`, `MASKS`, `REPLICAS`."""

    def measure(self, queries, now):
        return [self._measured(query, now - START) for query in queries]

    def _measured(self, ask, seconds):
        qps = DEMAND[ask.demand_query]
        latency = None if ask.slo_query is None else LATENCY[ask.slo_query](seconds)
        if math.isnan(qps(seconds)):
            return ServiceMetrics(math.nan, fault="no answer within 5 s")
        first = int((ask.since - START) // MINUTE + 1)
        stamps = [m * MINUTE for m in range(first, int(seconds // MINUTE) + 1)]
        samples = tuple((START + stamp, qps(stamp)) for stamp in stamps)
        marked = ask.mask_query is not None and MASKS[ask.mask_query](seconds)
        marks = (START + seconds,) if marked else ()
        return ServiceMetrics(qps(seconds), samples, latency, marks=marks)

    def histories(self, queries, length, now):
        return [self._history(item, query, length, now) for item, query in queries]

    def _history(self, item, query, length, now):
        count = length // STEP
        end = datetime.fromtimestamp(now // 60 * 60, UTC)
        # A day's wave; where replicas have more to do than 30 QPS each, they are slow.
        wave = 200 - 100 * np.cos(np.arange(count) * 2 * np.pi / 1440)
        if query in DEMAND:
            values = wave * (DEMAND[query](0.0) / 200)
        elif query in LATENCY:
            values = np.where(wave / 4 > 60, 0.6, 0.1) * (LATENCY[query](10 * MINUTE) / 0.6)
        elif query in MASKS:
            values = np.full(count, float(MASKS[query](0.0)))
        else:
            values = np.full(count, REPLICAS[query])
        return Series(item, end - (count - 1) * STEP, STEP, values)


class NamedModels:
    """Forecasts that demand stays, by the model ``flat``, or doubles, by ``double``.

    By ``zoned`` it doubles in Tokyo alone.
    """

    def __init__(self) -> None:
        self._models = {"flat": Flat(), "double": Flat(2.0), "third": Flat(0.3)}

    def reload(self, names):
        pass

    def predict(self, name, series):
        if name == "zoned":
            name = "double" if series[0].timezone == "Asia/Tokyo" else "flat"
        return self._models[name].predict(name, series)


class ScriptedCluster(FakeCluster):
    """Autoscalers that have as many pods as their floor says; each takes a minute to start."""

    def sync(self, now: float) -> None:
        for target, seen in self.scaled.items():
            pods = self.pods.get(target) or self._old_pods(target, now)
            wanted = max(seen.min_replicas, 1)
            new = [Pod(f"{target}-{now}-{n}", now) for n in range(max(wanted - len(pods), 0))]
            kept = [self._started(pod, now) for pod in [*pods, *new][:wanted]]
            self.pods[target] = tuple(kept)

    def _old_pods(self, target, now):
        return tuple(Pod(f"{target}-old-{n}", now - 3600, now - 3500) for n in range(5))

    def _started(self, pod: Pod, now: float) -> Pod:
        if pod.ready_at is None and now - pod.created_at >= START_UP_S:
            return replace(pod, ready_at=now)
        return pod


@dataclass
class Lived:
    """What was seen, tick by tick; leases once a minute, the last status."""

    plan: list[dict] = field(default_factory=list)
    lease: list[dict] = field(default_factory=list)
    status: dict = field(default_factory=dict)

    def of(self, channel: str) -> object:
        return getattr(self, channel)


def read(folder: Path, policy: dict) -> PolicyDocument:
    """Return a policy by way of a file."""
    file = folder / "policy.yaml"
    file.write_text(yaml.safe_dump(policy, sort_keys=False))
    (document,) = read_policies(file)
    return document


class Stage:
    """A policy in a cluster, tick by tick.

    Args:
        document: of the policy.
        cluster: it lives in; traffic: that is measured.
        checkpoint: that another process has left.
        settings: of the endpoint.
        workloads: where there is no cluster.
    """

    def __init__(
        self,
        document: PolicyDocument,
        cluster: ScriptedCluster | None = None,
        traffic: ScriptedTraffic | None = None,
        checkpoint: Mapping[str, object] | None = None,
        settings: ApiSettings = SETTINGS,
        workloads: Workloads | None = None,
    ) -> None:
        self.policy, self.cluster = document.policy, cluster or ScriptedCluster()
        self._hpa = document.replay.hpa or plain_hpa(document.policy)
        self._checkpoint = checkpoint
        for name in ("web", "other", "stopped"):
            stopped = self.cluster.put(replace(self.policy, target=name))
        self.cluster.at_zero[stopped] = AtZero.STOPPED
        self.others: list[WatchedPolicy] = []  # that are watched beside it
        self.target = self.cluster.put(self.policy)
        self.clock = Clock()
        self.holder = SnapshotHolder(self.clock)
        self.telemetry = Telemetry(self.holder)
        self.leases = LeaseService(self.holder, settings, "c0ff")
        self.workloads = ClusterWorkloads(self.cluster, FakeLeadership(), workers=1)
        world = World(traffic or ScriptedTraffic(), NamedModels(), workloads or self.workloads)
        publish = in_turn([self.holder.publish, self.telemetry.observe])
        self.loop = ControlLoop(world, STEP, publish, tick_s=TICK_S)
        self._ticks = 0

    def skip(self, ticks: int) -> None:
        """Let time pass without us."""
        self._ticks += ticks

    def tick(self) -> ServiceView:
        now = START + self._ticks * TICK_S
        self.clock.now = 1000.0 + self._ticks * TICK_S
        self.cluster.sync(now)
        watched = WatchedPolicy(self.policy, self._hpa, self._checkpoint)
        self._ticks += 1
        return self.loop.tick([watched, *self.others], now).services[self.policy.item_id]

    def lease(self, instance: str = "gw-1", report: GatewayReport = SAID, etag: str = "") -> dict:
        """Return the lease of a gateway that says this."""
        request = LeaseRequest(instance, etag, report)
        reply = self.leases.reply(self.policy.item_id, request, self.clock.now)
        return json.loads(reply.lease.json_body)

    def close(self) -> None:
        self.workloads.close()


def lived(document: PolicyDocument) -> Lived:
    """Return what comes of a policy in a cluster."""
    stage, seen = Stage(document), Lived()
    for tick in range(TICKS):
        view = stage.tick()
        seen.plan.append(told(view))
        if tick % 4 == 3 and view.published_limit is not None:
            seen.lease.append(stage.lease())
    seen.status = status_of(stage.cluster, document.policy.item_id)
    stage.close()
    return seen


def told(view: ServiceView) -> dict:
    """Return what a tick decided, as plain values."""
    if view.decision is None:
        return {"error": view.error}
    limit = view.published_limit
    return {
        **view.decision.why(),
        "safe_qps": limit.safe.qps,
        "schedule": [(step.in_s, step.qps) for step in limit.schedule],
        "lead_s": view.lead_time.seconds,
        "hpa_replicas": view.hpa_replicas,
        "service": view.item_id,
    }


def status_of(cluster: FakeCluster, item_id: str) -> dict:
    """Return what stands in the cluster: the status, whose floor was moved, and what was told."""
    status: PolicyStatus = cluster.statuses[item_id][-1]
    return {
        **asdict(replace(status, published=None)),
        "conditions": [asdict(one) for one in status.conditions],
        "published": json.loads(json.dumps(status.published)),
        "floors": {str(t): seen.min_replicas for t, seen in cluster.scaled.items()},
        "raised": sorted(str(seen.target) for seen in cluster.raised()),
        "item": item_id,
    }


@cache
def recorded() -> Series:
    """Return a day and a half in the shop, with a leap that no autoscaler is ready for."""
    count = 36 * 60
    values = 250 - 150 * np.cos(np.arange(count) * 2 * np.pi / 1440)
    values[-60:-40] *= 3.0
    start = datetime(2026, 3, 1, tzinfo=UTC)
    return Series("shop/checkout", start, timedelta(minutes=1), values)


def replayed(document: PolicyDocument) -> list[dict]:
    """Return what each contender comes to in the last two hours of that."""
    series = replace(recorded(), item_id=document.policy.item_id)
    start = series.end - timedelta(hours=2)
    found = replay(series, document.policy, document.replay, start=start, targets=())
    return [asdict(one) for one in found.table]


def picked(found: object, path: str) -> Iterator[object]:
    """Yield what stands at a path of plain values, in each entry of each list on the way."""
    if isinstance(found, list):
        for one in found:
            yield from picked(one, path)
    elif not path:
        yield found
    elif isinstance(found, dict):
        name, _, rest = path.partition(".")
        if name in found:
            yield from picked(found[name], rest)
