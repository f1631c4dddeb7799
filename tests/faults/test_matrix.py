"""The fault matrix: what fails, and what holds meanwhile and afterwards.

The rows of this file fail one thing under the real loop, with the real adapters over real HTTP, and
hold every row to the same: the tick ends in time, every service has a limit, the floor that stands
is not lowered, the user's own is not lost, and once all is well the scaler acts again.

What else may fail is proved where the part is that it befalls:

| fails | proved by |
|---|---|
| Prometheus comes back with rates falsely low | test_loop::test_an_outage_holds_the_plan_* |
| the API server: each call alone, retries, Retry-After, lost answers | kube/test_faults.py |
| a watch expires, breaks, goes quiet | kube/test_watches.py |
| the line of a leader is cut | kube/test_faults::test_leaders_never_overlap_* |
| the API server is away for 10 to 30 s, and longer | kube/test_caretaker.py, faults/test_ends.py |
| the leader alone is cut off, and gateways reach both sides | kube/test_caretaker.py |
| a follower is cut off | kube/test_contract_lease::test_a_follower_that_was_cut_off_* |
| taking the leader label away has to wait | kube/test_caretaker::test_after_an_outage_the_* |
| the Lease is deleted by hand | kube/test_contract_lease::test_a_new_leader_knows_until_* |
| two leaders' clocks are a minute apart | kube/test_contract_lease::test_clocks_apart_* |
| a leader is killed in the middle of a write; a stop during a tick | faults/test_ends.py |
| a policy is edited every second | below; kube/test_watches::test_a_policy_that_is_edited_* |
| a model is corrupted under a running scaler | faults/test_models_on_disk.py |
| the disk is full: of a scaler | every scaler of faults/scene.py may write no byte to any file |
| the disk is full: of a training | adapters/test_registry_faults::test_on_a_full_disk_* |
| 10,000 bad requests, no HTTP, slow clients | api/test_faults.py, api/test_openapi.py |
| a token for something else, made-up gateways, another's name | seams/test_who_may_ask.py |
| a line of the token file is wrong | http/test_roles::test_a_wrong_line_* |
| a token is rotated | api/test_access::test_tokens_are_rotated_*, test_prometheus_access.py |
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta

import pytest

from forecaster.adapters.prometheus.settings import PrometheusSettings
from scaler.adapters.kube.client import RetryPolicy
from scaler.adapters.kube.cluster import ClusterSettings, KubernetesCluster
from scaler.adapters.kube.informer import WatchTimes
from scaler.adapters.kube.workloads_port import ClusterWorkloads
from scaler.adapters.policy_sources import ClusterPolicies
from scaler.adapters.prometheus_traffic import PrometheusTraffic
from scaler.adapters.registry_models import RegistryModels
from scaler.control import ports
from scaler.control.cluster_port import AlwaysLeading
from scaler.control.loop import ControlLoop
from scaler.control.snapshot import ConditionKind, Snapshot
from tests.faults.scene import OWN_FLOOR, Scene
from tests.forecaster.adapters.prometheus.server import FakeSeries, Reply, failure, matrix, success
from tests.kube.conftest import connect
from tests.kube.faults import Fault, Harm
from tests.waiting import PATIENCE_S, eventually

NOW = 1_770_000_000
TICK_S = 15
# Requests per second, 40 a replica: 23, 30 and 3, also of a forecast that is one percent higher.
BEFORE, MORE, CALM = 900.0, 1180.0, 100.0
RAISED, HIGHER = (23, str(OWN_FLOOR)), (30, str(OWN_FLOOR))
UNTOUCHED = (OWN_FLOOR, None)
# What does not answer here never will: that a tick ends at all shows that it was given up.
HASTY = RetryPolicy(attempts=4, budget_s=1.0, first_s=0.01, connect_s=0.3, read_s=0.3)
FLOORS = "PATCH .*horizontalpodautoscalers/shop"


class World:
    """A scene, and a loop over it whose clock is ours."""

    def __init__(self, scene: Scene, stack: ExitStack) -> None:
        self.scene, self.now, self.qps = scene, float(NOW), BEFORE
        self.known_until = float("inf")
        scene.add("shop", self._demand)
        scene.add("calm", lambda _: CALM)
        settings = PrometheusSettings(
            scene.prometheus.url, timeout=timedelta(seconds=0.3), retries=1
        )
        traffic = PrometheusTraffic(settings, timedelta(minutes=1), workers=4)
        stack.callback(traffic.close)
        times = WatchTimes(2, 1.0, 0.01, 0.05)
        api = connect(scene.server, scene.folder, retry_policy=HASTY)
        cluster = KubernetesCluster(api, ClusterSettings("prod", times=times))
        cluster.start(PATIENCE_S)
        stack.callback(cluster.close)
        clustered = ClusterWorkloads(cluster, AlwaysLeading(), workers=4)
        stack.callback(clustered.close)
        self.policies = ClusterPolicies(cluster)
        world = ports.World(traffic, RegistryModels(scene.models), clustered)
        self._loop = ControlLoop(world, timedelta(minutes=1), lambda _: None)
        for name in ("shop", "calm"):
            scene.ask_for(name)
        eventually(lambda: len(self.policies.current()) == 2)

    def _demand(self, stamp: int) -> float | None:
        if stamp > self.known_until:
            return None
        return BEFORE if stamp < NOW + 60 else self.qps

    def tick(self) -> Snapshot:
        self.now += TICK_S
        return self._loop.tick(self.policies.current(), self.now)

    def least(self, name: str) -> int:
        """Return the minimum of a policy as the scaler knows it."""
        (found,) = [
            one.policy for one in self.policies.current() if one.policy.item_id == f"prod/{name}"
        ]
        return found.scale.min_replicas

    def ticks(self, count: int) -> Snapshot:
        snapshots = [self.tick() for _ in range(count)]
        return snapshots[-1]


@pytest.fixture
def world(scene):
    with ExitStack() as stack:
        made = World(scene, stack)
        # On a busy machine a call may take longer than the time that there is here: then the next.
        eventually(lambda: made.tick() and scene.floor("shop") == RAISED)
        assert scene.floor("calm") == UNTOUCHED
        yield made


def reason(snapshot: Snapshot, kind: ConditionKind, name: str = "shop") -> tuple[bool, str]:
    (found,) = [one for one in snapshot.services[f"prod/{name}"].conditions if one.kind is kind]
    return found.status, found.reason


@dataclass(frozen=True)
class Row:
    """What fails, what a condition says of it, and which floor stands meanwhile."""

    breaks: Callable[[World], object]
    kind: ConditionKind = ConditionKind.DATA_FRESH
    says: tuple[bool, str] = (False, "QueryFailed")
    meanwhile: tuple[int, str] = RAISED


def prometheus(reply: Reply) -> Row:
    """A Prometheus that answers each question about shop in this way."""

    def breaks(world: World) -> None:
        world.scene.prometheus.mood = lambda query: reply if "shop" in query else None

    return Row(breaks)


def partial(**beside: object) -> Row:
    """A store that lacks half of shop's demand, and says so in this way."""

    def breaks(world: World) -> None:
        world.scene.prometheus.partial = lambda query: beside if "shop" in query else {}

    return Row(breaks, says=(False, "PartialAnswer"))


def all_of_prometheus(reply: Reply) -> Row:
    return Row(lambda world: setattr(world.scene.prometheus, "mood", lambda _: reply))


def api(
    *faults: Fault,
    says: tuple[bool, str] = (True, "Enforcing"),
    meanwhile: tuple[int, str] = HIGHER,
) -> Row:
    def breaks(world: World) -> None:
        for fault in faults:
            world.scene.server.faults.add(fault)

    return Row(breaks, ConditionKind.READY, says, meanwhile)


def cut_off(world: World) -> None:
    world.scene.server.faults.partition = True


def forgotten(world: World) -> None:
    world.scene.server.store.compact()
    world.scene.server.faults.add(Fault("GET .*watch=true", Harm.GONE, times=6))


def stale(world: World) -> None:
    world.known_until = world.now - 600


TWO = [FakeSeries({"pod": pod}, lambda _: "5") for pod in "ab"]
FAILED = (False, "ClusterFailed")
MATRIX = [
    pytest.param(all_of_prometheus(Reply(cut=0)), id="Prometheus hangs up on everybody"),
    pytest.param(all_of_prometheus(Reply(hold=True)), id="Prometheus says nothing to anybody"),
    pytest.param(prometheus(Reply(hold=True)), id="Prometheus is slow for one"),
    pytest.param(prometheus(failure(503, "timeout", "query timed out")), id="Prometheus is busy"),
    pytest.param(
        prometheus(failure(429, "", "too many", Retry_After="3600")),
        id="Prometheus asks for an hour",
    ),
    pytest.param(
        prometheus(failure(422, "execution", "too many samples")), id="Prometheus refuses"
    ),
    pytest.param(prometheus(Reply(body=b"<html>log in")), id="a login page answers"),
    pytest.param(prometheus(matrix([], ())), id="Prometheus is empty"),
    pytest.param(prometheus(matrix(TWO, (NOW,))), id="the query has two series"),
    pytest.param(prometheus(success({"resultType": "matrix"})), id="Prometheus answers nonsense"),
    pytest.param(partial(warnings=["store 2: deadline exceeded"]), id="Thanos lacks a store"),
    pytest.param(partial(isPartial=True), id="VictoriaMetrics lacks a storage node"),
    pytest.param(Row(stale), id="Prometheus has nothing new for ten minutes"),
    pytest.param(api(Fault(FLOORS, status=409, times=3)), id="the autoscaler changes meanwhile"),
    pytest.param(
        api(Fault(FLOORS, status=429, headers={"Retry-After": "0"}, times=2)), id="429 twice"
    ),
    pytest.param(api(Fault(FLOORS, status=500, times=2)), id="500 twice"),
    pytest.param(api(Fault(FLOORS, Harm.LOSE)), id="the floor is written, the answer lost"),
    pytest.param(
        api(Fault(FLOORS, status=500, times=999), says=FAILED, meanwhile=RAISED), id="500 for long"
    ),
    pytest.param(
        api(Fault(FLOORS, Harm.HOLD, times=999), says=FAILED, meanwhile=RAISED),
        id="the API server takes the floor and says nothing",
    ),
    pytest.param(
        api(
            Fault(FLOORS, status=403, times=999),
            says=(False, "AutoscalerInvalid"),
            meanwhile=RAISED,
        ),
        id="the right to write is taken away",
    ),
    pytest.param(
        Row(cut_off, ConditionKind.READY, FAILED), id="nobody reaches the API server: a partition"
    ),
    pytest.param(
        Row(forgotten, ConditionKind.READY, (True, "Enforcing"), HIGHER),
        id="all watches expire: 410",
    ),
    pytest.param(
        api(Fault("PATCH .*demandpolicies/.*/status", status=500, times=999), says=FAILED),
        id="no status can be written",
    ),
    pytest.param(api(Fault("POST .*events", status=500, times=999)), id="no Event can be written"),
]


@pytest.mark.parametrize("row", MATRIX)
def test_nothing_is_lost_while(world, row):
    scene = world.scene
    row.breaks(world)
    world.qps = MORE
    world.ticks(4)  # a minute, after which more is needed
    eventually(
        lambda: reason(world.tick(), row.kind) == row.says and scene.floor("shop") == row.meanwhile
    )
    assert scene.floor("calm") == UNTOUCHED
    assert all(view.published_limit is not None for view in world.tick().services.values())

    scene.prometheus.mood, scene.prometheus.partial = lambda _: None, lambda _: {}
    scene.prometheus.released.set()
    world.known_until = float("inf")
    scene.server.faults.end()
    eventually(lambda: reason(world.tick(), ConditionKind.READY) == (True, "Enforcing"))
    eventually(lambda: scene.floor("shop") == HIGHER or world.tick() is None)
    assert reason(world.tick(), ConditionKind.DATA_FRESH) == (True, "Observed")
    assert scene.floors_written("shop") == [OWN_FLOOR, 23, 30]
    scene.edit("shop", mode="Recommend")
    eventually(lambda: world.tick() and scene.floor("shop") == UNTOUCHED)


def test_what_ails_one_service_ails_no_other(world):
    world.scene.prometheus.mood = lambda query: Reply(hold=True) if "shop" in query else None
    assert reason(world.ticks(3), ConditionKind.DATA_FRESH) == (False, "QueryFailed")
    # A busy machine may be late for the calm one, too, within the time that there is here.
    eventually(lambda: reason(world.tick(), ConditionKind.DATA_FRESH, "calm") == (True, "Observed"))
    assert reason(world.tick(), ConditionKind.DATA_FRESH) == (False, "QueryFailed")


def test_a_policy_that_is_edited_at_every_tick_moves_no_floor_that_need_not_move(world):
    for minimum in (2, 5, 4, 9, 3, 8, 2, 7):
        world.scene.edit("shop", replicas={"min": minimum, "max": 60})
        eventually(lambda least=minimum: world.least("shop") == least)
        world.tick()
    assert world.scene.floors_written("shop") == [OWN_FLOOR, 23]
    world.scene.edit("shop", replicas={"min": 40, "max": 60})
    eventually(lambda: world.tick() and world.scene.floor("shop") == (40, str(OWN_FLOOR)))
