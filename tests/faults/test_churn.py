"""Services come and go for long: what is remembered is of those that are there."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import timedelta

import pytest

from forecaster.adapters.prometheus.settings import PrometheusSettings
from scaler.adapters.http.app import create_app
from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.metrics import Telemetry
from scaler.adapters.http.report import GatewayReport
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.kube.client import Request
from scaler.adapters.kube.cluster import ClusterSettings, KubernetesCluster
from scaler.adapters.kube.workloads_port import ClusterWorkloads
from scaler.adapters.logs import DecisionLog
from scaler.adapters.policy_sources import ClusterPolicies
from scaler.adapters.prometheus_traffic import PrometheusTraffic
from scaler.adapters.registry_models import RegistryModels
from scaler.control.cluster_port import AlwaysLeading
from scaler.control.loop import ControlLoop
from scaler.control.ports import World
from scaler.control.publication import in_turn
from tests.faults.reachable import reachable
from tests.faults.scene import PODS, POLICIES, Scene, query
from tests.forecaster.adapters.prometheus.server import failure
from tests.kube.conftest import connect
from tests.scaler.adapters.http.snapshots import Clock
from tests.waiting import eventually

NOW, TICK_S = 1_770_000_000.0, 15.0
SERVICES, LIVES = 4, 4  # rounds between two that come and go
# The longest that anything is remembered that is not there any more.
SETTLED, LATER = 288, 432
GONE = (LATER - SETTLED) // LIVES


class Churn:
    """A scaler in a cluster where a service comes and one goes now and then."""

    def __init__(self, scene: Scene, stack: ExitStack) -> None:
        self.scene, self.rounds, self.clock = scene, 0, Clock()
        self.names: list[str] = []
        self.made = 0
        settings = PrometheusSettings(scene.prometheus.url, timeout=timedelta(seconds=5), retries=0)
        traffic = PrometheusTraffic(settings, timedelta(minutes=1), workers=2)
        stack.callback(traffic.close)
        cluster = KubernetesCluster(
            connect(scene.server, scene.folder), ClusterSettings("prod", "one"), self.clock
        )
        stack.callback(cluster.close)
        workloads = ClusterWorkloads(cluster, AlwaysLeading(), workers=2)
        stack.callback(workloads.close)
        holder = SnapshotHolder(self.clock)
        telemetry = Telemetry(holder)
        self.leases = LeaseService(holder, ApiSettings(learns_shares=False), "c0ff")
        app = create_app(holder, ApiSettings(), telemetry=telemetry, lease_service=self.leases)
        publish = in_turn([holder.publish, telemetry.observe, DecisionLog().write])
        models = RegistryModels(scene.models)
        world = World(traffic, models, workloads, self.leases.reports)
        self.loop = ControlLoop(world, timedelta(minutes=1), publish, tick_s=TICK_S)
        self.policies, self.telemetry, self.cluster = ClusterPolicies(cluster), telemetry, cluster
        self.roots = [self.loop, self.policies, app, publish, world, cluster]
        scene.prometheus.mood = self._mood
        for _ in range(SERVICES):
            self.come()
        cluster.start()

    def come(self) -> None:
        """Add a service; of each four one has no demand, and one names a model of its own."""
        number, name = self.made, f"svc-{self.made:03d}"
        self.made += 1
        self.names.append(name)
        self.scene.add(name, lambda stamp: 300.0 + stamp % 720)
        demand = {"query": query(name), "model": "pretrained"}
        if number % 4 == 2:
            demand["query"] = f"fails_{number}"
        if number % 4 == 3:
            demand["model"] = f"absent-{number}"
        self.scene.ask_for(name, "Enforce" if number % 2 else "Recommend", demand=demand)

    def go(self) -> None:
        """Take the oldest service away: its policy, its autoscaler, its pods."""
        name, ground = self.names.pop(0), self.scene.ground
        paths = [
            f"{POLICIES}/{name}",
            f"{ground.listing('horizontalpodautoscalers')}/{name}",
            f"{ground.listing('deployments', '/apis/apps/v1')}/{name}",
            *(f"{ground.listing('pods', '/api/v1')}/{name}-{pod}" for pod in range(PODS)),
        ]
        for path in paths:
            ground.admin.call(Request("DELETE", path))

    def live(self, rounds: int) -> None:
        """Have services come and go, policies be edited, ticks be and gateways ask, until then."""
        while self.rounds < rounds:
            self.rounds += 1
            if self.rounds % LIVES == 0:
                self.come()
                self.go()
            edited = self.names[self.rounds % SERVICES]
            self.scene.edit(edited, replicas={"max": 40 + self.rounds % 20})
            eventually(self._is_seen)
            self.clock.now += TICK_S
            snapshot = self.loop.tick(self.policies.current(), NOW + self.rounds * TICK_S)
            for item, view in snapshot.services.items():
                if view.published_limit is not None:
                    for gateway in ("gw-1", "gw-2"):
                        asked = LeaseRequest(gateway, "", GatewayReport(50.0, {}))
                        self.leases.reply(item, asked, self.clock.now)
            self.leases.drop_empty(self.clock.now)
            self.telemetry.exposition()

    def _is_seen(self) -> bool:
        seen = {item for item, one in self.cluster.policies().items() if not one.deleting}
        return seen == {f"prod/{name}" for name in self.names}

    def _mood(self, asked: str):
        return failure(503, "unavailable", "no store") if asked.startswith("fails") else None


@pytest.fixture
def churn(scene):
    with ExitStack() as stack:
        yield Churn(scene, stack)


def test_what_is_remembered_depends_on_the_services_that_are_there(churn):
    churn.live(SETTLED)
    before = reachable(churn.roots)
    churn.live(LATER)
    after = reachable(churn.roots)
    grown = {
        kind: (before.counts[kind], count)
        for kind, count in after.counts.items()
        if count - before.counts[kind] > GONE / 2
    }
    assert grown == {}, f"{GONE} services have come and gone"
    assert after.size < 1.02 * before.size
