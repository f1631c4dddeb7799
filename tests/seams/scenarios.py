"""Small scripted scenarios that between them reach whatever can be reached."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import replace

import httpx

from scaler.adapters.dry_run_workloads import DryRunWorkloads
from scaler.adapters.http.app import create_app
from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.report import GatewayReport
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.kube.floors import FloorWriter
from scaler.control.checkpoint import ServiceCheckpoint, to_plain
from scaler.control.cluster_port import AtZero
from scaler.control.observations import Pod, ServiceMetrics
from scaler.control.ports import WatchedPolicy
from scaler.decision.earned_trust import AutoStanding, FloorEvidence, PairedDay
from scaler.decision.sequential_test import BettingTest
from scaler.errors import ClusterError, ClusterRefusedError
from scaler.policy.replay_settings import plain_hpa
from tests.kube.objects import hpa
from tests.scaler.control.test_loop import START
from tests.seams.faulty import OddError
from tests.seams.policy_rows import AWAY, BLIND, EVENT, LEARNS, MISSING
from tests.seams.reached import Reached, Scenario
from tests.seams.scene import SETTINGS, ScriptedCluster, ScriptedTraffic, Stage

_CLASSES = {
    "spec.limit.classes": [
        {"name": "pay", "priority": 0, "guaranteed": 190},
        {"name": "gold", "priority": 1},
        {"name": "stress", "priority": 9, "ceiling": 40},
    ]
}
CROWD = GatewayReport(5000.0)
QUIET = GatewayReport(10.0, {"pay": 5.0})


def asks(stage: Stage, tick: int, reached: Reached) -> None:
    if tick % 8 == 3:
        reached.lease(stage.lease())


def several_gateways(stage: Stage, tick: int, reached: Reached) -> None:
    """The second joins later and wants as much; the first has said nothing of what it holds."""
    reached.lease(stage.lease("gw-1", GatewayReport(1000.0)))
    if tick >= 2:
        reached.lease(stage.lease("gw-2", CROWD))
        reached.lease(stage.lease("gw-2", CROWD))
    if tick >= 4:
        reached.lease(stage.lease("gw-3", QUIET))
        reached.lease(stage.lease("gw-4", GatewayReport()))


def after_another(stage: Stage, tick: int, reached: Reached) -> None:
    """A gateway that still holds what another process has given it."""
    if tick == 0:
        request = LeaseRequest("gw-1", '"beef-7-20.000"')
        stage.leases.reply(stage.policy.item_id, request, stage.clock.now)
        reached.lease(stage.lease("gw-1", GatewayReport(1000.0), '"beef-7-20.000"'))


def served(stage: Stage) -> None:
    """A gateway asks the endpoint itself."""
    app = create_app(stage.holder, SETTINGS, telemetry=stage.telemetry)
    stage.telemetry.certificate_expiries = lambda: {"server": stage.clock.now + 86_400.0}
    path = f"http://localhost/v1/limits/{stage.policy.item_id}?instance=gw-1"

    async def ask() -> int:
        transport = httpx.ASGITransport(app, client=("127.0.0.1", 4711))
        async with httpx.AsyncClient(transport=transport) as client:
            return (await client.get(path)).status_code

    assert asyncio.run(ask()) == 200


class Elastic(ScriptedCluster):
    """An autoscaler that has more pods than its floor."""

    def sync(self, now: float) -> None:
        for target in self.scaled:
            self.pods.setdefault(target, self._old_pods(target, now))


class Narrow(ScriptedCluster):
    """An autoscaler that allows few replicas."""

    def sync(self, now: float) -> None:
        for target, seen in self.scaled.items():
            self.scaled[target] = replace(seen, max_replicas=5)
        super().sync(now)


class NothingReady(ScriptedCluster):
    """Pods never get ready."""

    def _started(self, pod: Pod, now: float) -> Pod:
        return replace(pod, ready_at=None)


class Failing(ScriptedCluster):
    """An API server that answers no write."""

    def set_floor(self, wish, guard):
        raise ClusterError("the API server did not answer within 5 s")


class Odd(ScriptedCluster):
    """One over which something of ours fails."""

    def set_floor(self, wish, guard):
        raise OddError("odd")


class Vanishing(ScriptedCluster):
    """An autoscaler that is deleted after it was observed."""

    def set_floor(self, wish, guard):
        del self.scaled[wish.target]
        return super().set_floor(wish, guard)


class Refusing(ScriptedCluster):
    """An API server that refuses the write, for an admission webhook says no."""

    class Api:
        def get(self, path):
            return hpa("checkout", "shop", resourceVersion="1")

        def patch(self, path, body, *how, **options):
            raise ClusterRefusedError("denied by the webhook")

    def set_floor(self, wish, guard):
        return FloorWriter(self.Api(), lambda found: None).set(wish, guard)


class Deleted(ScriptedCluster):
    """A policy that is deleted after it was read."""

    def guard(self, item_id):
        del self.kept[item_id]
        return super().guard(item_id)


class Blank(ScriptedTraffic):
    """A query that has no sample, and says nothing of why."""

    def _measured(self, ask, seconds):
        return ServiceMetrics(math.nan)


class Partial(ScriptedTraffic):
    """A store of which a part is away."""

    def _measured(self, ask, seconds):
        return ServiceMetrics(math.nan, partial="store-2 is away", least_qps=100.0)


class Early(ScriptedTraffic):
    """Of an hour ago, for our clock is behind."""

    def _measured(self, ask, seconds):
        return replace(super()._measured(ask, seconds), clock_offset_s=-3600.0)


class Absurd(ScriptedTraffic):
    """A query that says a thousand times what it said before."""

    def _measured(self, ask, seconds):
        found = super()._measured(ask, seconds)
        return replace(found, observed_qps=1000 * found.observed_qps) if seconds < 60 else found


class Garbled(ScriptedTraffic):
    """Samples that are none."""

    def _measured(self, ask, seconds):
        return ServiceMetrics(200.0, (("noon", None),))


class Noisy(ScriptedTraffic):
    """Demand that rises and falls for hours, so that a forecast can be judged."""

    def _measured(self, ask, seconds):
        def qps(at: float) -> float:
            return 300.0 + 100.0 * math.sin(at / 600)

        first = int((ask.since - 1_772_442_000.0) // 60 + 1)
        stamps = [minute * 60.0 for minute in range(first, int(seconds // 60) + 1)]
        samples = tuple((1_772_442_000.0 + stamp, qps(stamp)) for stamp in stamps)
        return ServiceMetrics(qps(seconds), samples)


def contest(stage: Stage, tick: int) -> None:
    if tick == 30:
        stage.cluster.edit(stage.target, 1)


def owned_by_keda(stage: Stage, tick: int) -> None:
    if tick == 2:
        seen = stage.cluster.scaled[stage.target]
        stage.cluster.scaled[stage.target] = replace(seen, scaled_object="checkout")


def asked_for_twice(stage: Stage, tick: int) -> None:
    """An older policy asks for the floor of the same autoscaler."""
    if tick == 2:
        older = replace(stage.policy, item_id="shop/older", target=stage.policy.target)
        stage.cluster.put(older)
        mine = stage.cluster.kept[stage.policy.item_id]
        stage.cluster.kept[stage.policy.item_id] = replace(mine, created=9.0)
        stage.others = [WatchedPolicy(older, plain_hpa(older))]


def stopped_by_hand(stage: Stage, tick: int) -> None:
    if tick == 2:
        stage.cluster.at_zero[stage.target] = AtZero.STOPPED


def left_alone(stage: Stage, tick: int) -> None:
    """Somebody has `scaler restore` put the floor back."""
    if tick == 3:
        kept = stage.cluster.kept[stage.policy.item_id]
        stage.cluster.kept[stage.policy.item_id] = replace(kept, left_until=4e9)


def misspelt(stage: Stage, tick: int) -> None:
    """The policy is edited to something wrong, some of which only a newer CRD knows."""
    if tick == 2:
        kept = stage.cluster.kept[stage.policy.item_id]
        stage.cluster.kept[stage.policy.item_id] = replace(
            kept, policy=None, faults=("spec.mode: must be Enforce",), warnings=("spec.limit.x",)
        )


def in_auto(evidence: FloorEvidence) -> Callable[[], Mapping[str, object]]:
    """Return a stage that goes on with the evidence that another process has left."""
    return lambda: {"checkpoint": to_plain(ServiceCheckpoint(evidence=evidence))}


def an_hour_later(stage: Stage, tick: int) -> None:
    """The hour is over, and with it the day before counts."""
    if tick == 2:
        stage.skip(240)


_YESTERDAY = PairedDay(int(START // 86400) - 1, 24, 0.0, 0.0, 480.0, 0.0, 1e6)
_SHOWN = BettingTest((100.0, 20.0, 5.0, 2.0))
_SAVES = replace(_YESTERDAY, extra=-240.0)
_COSTS, _BREAKS = replace(_YESTERDAY, extra=240.0), replace(_YESTERDAY, broken=1e5)
SLOW_START = to_plain(ServiceCheckpoint(start_ups=(1000.0,) * 20))
SCENARIOS: dict[str, Scenario] = {
    "as usual": Scenario(_CLASSES, ask=asks, last=served),
    "small steps": Scenario({"spec.replicas.maxStepUp": 1, "spec.replicas.maxStepDown": 1}),
    "narrow bounds": Scenario({"spec.replicas.min": 6, "spec.replicas.max": 10}),
    "upstream is away": Scenario({**AWAY, "spec.demand.hold.for": "10m"}),
    "blind": Scenario({**BLIND, "spec.replicas.lifetime": "1m", "spec.replicas.halfLife": "1m"}),
    "an event": Scenario(EVENT),
    "an incident that is marked": Scenario({"spec.demand.maskQuery": "incident"}, ticks=60),
    "a capacity to be learned": Scenario({**LEARNS, "spec.capacity.replicasQuery": "ready"}),
    "one that is never reached": Scenario(
        {**LEARNS, "spec.capacity.replicasQuery": "ready", "spec.slo.query": "p999 of another"}
    ),
    "a ceiling": Scenario({"spec.limit.ceilingRequestsPerSecond": 60}, ask=several_gateways),
    "nothing is ready": Scenario(stage=lambda: {"cluster": NothingReady()}, ticks=20),
    "a given lead time": Scenario({"spec.replicas.leadTime": "60s"}, ticks=8),
    "pods that start slowly": Scenario(stage=lambda: {"checkpoint": SLOW_START}, ticks=8),
    "many gateways": Scenario(_CLASSES, ask=several_gateways, ticks=20),
    "a new leader": Scenario(stage=lambda: {"settings": ApiSettings()}, ask=after_another, ticks=3),
    "recommend": Scenario(
        {"spec.mode": "Recommend"}, stage=lambda: {"cluster": Elastic()}, ticks=8
    ),
    "a floor that is proved to save": Scenario(
        {"spec.mode": "Auto"},
        stage=in_auto(FloorEvidence(AutoStanding.ON_TRIAL, 44, _SHOWN, _SHOWN, _SAVES)),
        each=an_hour_later,
        ticks=8,
    ),
    "one that costs more": Scenario(
        {"spec.mode": "Auto"},
        stage=in_auto(FloorEvidence(AutoStanding.EARNED, 9, _SHOWN, day=_COSTS)),
        each=an_hour_later,
        ticks=8,
    ),
    "one that breaks more": Scenario(
        {"spec.mode": "Auto"},
        stage=in_auto(FloorEvidence(AutoStanding.EARNED, 9, day=_BREAKS)),
        each=an_hour_later,
        ticks=8,
    ),
    "an autoscaler that is another": Scenario(
        {"spec.mode": "Auto"},
        stage=in_auto(FloorEvidence(day=replace(_SAVES, apart=48.0))),
        each=an_hour_later,
        ticks=8,
    ),
    "a contested floor": Scenario(each=contest),
    "two policies": Scenario(each=asked_for_twice, ticks=8),
    "a floor that was put back": Scenario(each=left_alone, ticks=8),
    "a low ceiling of the autoscaler": Scenario(stage=lambda: {"cluster": Narrow()}, ticks=40),
    "a stopped workload": Scenario(each=stopped_by_hand, ticks=8),
    "KEDA": Scenario(each=owned_by_keda, ticks=8),
    "no answer": Scenario(stage=lambda: {"cluster": Failing()}, ticks=4),
    "a fault of ours": Scenario(stage=lambda: {"cluster": Odd()}, ticks=4),
    "no autoscaler": Scenario(stage=lambda: {"cluster": Vanishing()}, ticks=4),
    "a webhook": Scenario(stage=lambda: {"cluster": Refusing()}, ticks=4),
    "a policy that goes": Scenario(stage=lambda: {"cluster": Deleted()}, ticks=4),
    "a wrong edit": Scenario(each=misspelt, ticks=8),
    "no sample": Scenario(stage=lambda: {"traffic": Blank()}, ticks=4),
    "half of it": Scenario(stage=lambda: {"traffic": Partial()}, ticks=4),
    "a clock that is behind": Scenario(stage=lambda: {"traffic": Early()}, ticks=4),
    "no cluster": Scenario(
        stage=lambda: {"workloads": DryRunWorkloads(ScriptedTraffic())}, ask=asks, ticks=4
    ),
    "demand that cannot be": Scenario(stage=lambda: {"traffic": Absurd()}, ticks=4),
    "samples that are none": Scenario(stage=lambda: {"traffic": Garbled()}, ticks=4),
    "a broken model": Scenario(
        {"spec.demand.model": "third", "spec.slo": MISSING},
        stage=lambda: {"traffic": Noisy()},
        ticks=900,
    ),
}
