"""The fakes keep the protocols that they stand in for."""

from __future__ import annotations

from scaler.adapters.kube.cluster import KubernetesCluster
from scaler.adapters.kube.leader_election import LeaderElector
from scaler.control.cluster_port import AlwaysLeading, Cluster, Leadership
from scaler.decision.replicas import ScalePolicy
from scaler.hpa.floor_ownership import DesiredFloor, Refusal
from scaler.policy.policy import Mode, Policy
from tests.fakes import FakeCluster, FakeLeadership

POLICY = Policy(
    item_id="prod/shop",
    target="shop",
    scale=ScalePolicy(1, 10),
    capacity_qps=50.0,
    mode=Mode.ENFORCE,
)


def methods(protocol):
    return {name for name in vars(protocol) if not name.startswith("_")}


def test_a_fake_has_what_the_adapter_has():
    for one in (FakeCluster, KubernetesCluster):
        assert methods(Cluster) <= set(dir(one))
    for one in (FakeLeadership, LeaderElector, AlwaysLeading):
        assert methods(Leadership) <= set(dir(one))


def test_a_fake_cluster_keeps_the_rules_of_floors():
    cluster = FakeCluster()
    target = cluster.put(POLICY)
    cluster.edit(target, 3, "kubectl")

    assert cluster.set_floor(DesiredFloor(target, 8)).floor == 8
    cluster.edit(target, 4, "argocd-controller")
    assert cluster.set_floor(DesiredFloor(target, 8)).refusal is Refusal.CONTESTED
    assert cluster.set_floor(DesiredFloor(target, 8, reclaim=True)).moved
    assert cluster.restore(target).floor == 4


def test_a_guarded_policy_of_a_fake_cluster_waits():
    cluster = FakeCluster()
    cluster.put(POLICY)
    cluster.guard("prod/shop")

    cluster.delete("prod/shop")

    assert cluster.policies()["prod/shop"].deleting
    assert cluster.release("prod/shop")
    assert cluster.policies() == {}
