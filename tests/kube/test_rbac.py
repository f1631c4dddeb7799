"""The shipped Role grants exactly the permissions that are used."""

from __future__ import annotations

from scaler.adapters.kube.cluster import ClusterSettings, KubernetesCluster
from scaler.adapters.kube.leader_election import Election, ElectionSettings
from scaler.adapters.kube.leader_label import LeaderLabel
from scaler.control.cluster_port import Notice, PolicyStatus
from scaler.hpa.floor_ownership import DesiredFloor, Target
from tests.kube.conftest import Playground, connect, install_crd
from tests.kube.grants import shipped_grants
from tests.kube.objects import deployment, hpa, pod, policy
from tests.waiting import PATIENCE_S, eventually

NOW = 1_767_225_600.0
KINDS = {"Deployment": "deployments", "ReplicaSet": "replicasets", "StatefulSet": "statefulsets"}


def test_exactly_the_granted_permissions_are_used(server, tmp_path):
    """The server replies 403 to everything else, so this shows that the permissions suffice."""
    admin, api = connect(server, tmp_path, "admin"), connect(server, tmp_path)
    install_crd(admin)
    ground = Playground(admin, api, "prod", server)
    for kind, plural in KINDS.items():
        found = hpa(plural)
        found["spec"]["scaleTargetRef"]["kind"] = kind
        ground.put(ground.listing("horizontalpodautoscalers"), found)
        at_zero = deployment(plural, replicas=0) | {"kind": kind}
        ground.put(ground.listing(plural, "/apis/apps/v1"), at_zero)
    ground.put(ground.listing("demandpolicies", "/apis/tidegate.dev/v1alpha1"), policy())
    cluster = KubernetesCluster(api, ClusterSettings())
    cluster.start(PATIENCE_S)

    for plural in KINDS.values():
        assert cluster.wake(Target("prod", plural), 2)
    assert cluster.guard("prod/shop")
    assert cluster.set_floor(DesiredFloor(Target("prod", "deployments"), 8)).moved
    assert [str(one.target) for one in cluster.find_raised()] == ["prod/deployments"]
    assert cluster.restore(Target("prod", "deployments")).moved
    assert cluster.release("prod/shop")
    assert cluster.publish("prod/shop", PolicyStatus(generation=1, floor=3), now=NOW)
    for minute in (0, 1):
        assert cluster.tell("prod/shop", Notice("FloorRaised", "3 -> 8"), now=NOW + 60 * minute)
    election = Election(api, ElectionSettings("prod", "tidegate", "a"), lambda: NOW)
    assert election.step()
    assert election.step()
    election.hand_over()
    ground.put(ground.listing("pods", "/api/v1"), pod("tidegate-0"))
    label = LeaderLabel(api, "prod", "tidegate-0")
    label.start()
    label.changed(True)
    eventually(lambda: ("patch", "", "pods", "tidegate-0") in server.used)
    label.close()
    eventually(lambda: {one[2] for one in server.used if one[0] == "watch"} >= {"pods"})
    eventually(lambda: sum(one[0] == "watch" for one in server.used) == 3)
    cluster.close()

    named = {one[:3]: one[3] for one in shipped_grants()}
    used = {one[:3] for one in server.used}
    assert used == set(named)
    names = {one[3] for one in server.used if one[2] == "leases" and one[0] != "create"}
    assert names == {"tidegate"}
