"""The shipped Role grants exactly the permissions that are used."""

from __future__ import annotations

import pytest

from scaler.adapters.kube.cluster import ClusterSettings, KubernetesCluster
from scaler.adapters.kube.leader_election import Election, ElectionSettings
from scaler.adapters.kube.leader_label import LeaderLabel
from scaler.adapters.kube.workloads_port import ClusterWorkloads
from scaler.adapters.policy_sources import ClusterPolicies
from scaler.control.cluster_port import AlwaysLeading, Notice, PolicyStatus
from scaler.control.observations import Workload
from scaler.errors import ClusterForbiddenError
from scaler.hpa.floor_ownership import DesiredFloor, Target
from tests.kube.conftest import Playground, connect, install_crd
from tests.kube.grants import shipped_grants
from tests.kube.objects import deployment, hpa, pod, policy
from tests.kube.rules import Kind
from tests.waiting import PATIENCE_S, eventually

ROLLOUTS = Kind("argoproj.io", "v1alpha1", "rollouts", "Rollout", scale=True)
NOW = 1_767_225_600.0
ASKED = {"query": "up"}
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


def rollout(server, tmp_path, *, replicas=1):
    """Return a cluster in which an HPA scales an Argo Rollout, and the policy for it."""
    admin, api = connect(server, tmp_path, "admin"), connect(server, tmp_path)
    install_crd(admin)
    server.store.kinds[ROLLOUTS.group, ROLLOUTS.version, ROLLOUTS.plural] = ROLLOUTS
    ground = Playground(admin, api, "prod", server)
    found = hpa()
    found["spec"]["scaleTargetRef"] |= {"apiVersion": ROLLOUTS.api_version, "kind": ROLLOUTS.kind}
    ground.put(ground.listing("horizontalpodautoscalers"), found)
    made = deployment(replicas=replicas)
    made |= {"apiVersion": ROLLOUTS.api_version, "kind": ROLLOUTS.kind}
    ground.put(ground.listing("rollouts", "/apis/argoproj.io/v1alpha1"), made)
    ground.put(ground.listing("pods", "/api/v1"), pod("shop-0"))
    ground.put(
        ground.listing("demandpolicies", "/apis/tidegate.dev/v1alpha1"), policy(demand=ASKED)
    )
    cluster = KubernetesCluster(api, ClusterSettings())
    cluster.start(PATIENCE_S)
    return cluster


def observed(cluster):
    """Return what the loop is told of the service: its pods, or the text of its condition."""
    workloads = ClusterWorkloads(cluster, AlwaysLeading(), workers=1)
    watched = ClusterPolicies(cluster).current()
    found = workloads.observe(watched, NOW)["prod/shop"]
    workloads.close()
    return found


def test_a_right_that_is_missing_is_named_with_what_grants_it(server, tmp_path):
    cluster = rollout(server, tmp_path)

    told = observed(cluster)
    assert isinstance(told, str)
    assert "tidegate may not get rollouts/scale in the API group 'argoproj.io'" in told
    assert "add deploy/components/argo-rollouts to your overlay" in told
    cluster.close()


def test_the_component_grants_it_while_tidegate_runs(server, tmp_path):
    cluster = rollout(server, tmp_path)
    assert isinstance(observed(cluster), str)
    server.grants |= {(verb, "argoproj.io", "rollouts/scale", "") for verb in ("get", "patch")}

    found = observed(cluster)
    assert isinstance(found, Workload)
    assert len(found.pods) == 1
    cluster.close()


def test_the_right_to_wake_is_named_too(server, tmp_path):
    cluster = rollout(server, tmp_path, replicas=0)
    server.grants |= {("get", "argoproj.io", "rollouts/scale", "")}

    with pytest.raises(ClusterForbiddenError, match="may not patch rollouts/scale"):
        cluster.wake(Target("prod", "shop"), 2)
    cluster.close()


def test_with_one_namespace_nothing_is_asked_beyond_it(server, tmp_path):
    """So a Role suffices; which, `tests/deploy/test_rights.py` says."""
    admin, api = connect(server, tmp_path, "admin"), connect(server, tmp_path)
    install_crd(admin)
    ground = Playground(admin, api, "prod", server)
    ground.put(ground.listing("horizontalpodautoscalers"), hpa())
    ground.put(ground.listing("deployments", "/apis/apps/v1"), deployment())
    ground.put(
        ground.listing("demandpolicies", "/apis/tidegate.dev/v1alpha1"), policy(demand=ASKED)
    )
    before = len(server.requests)
    cluster = KubernetesCluster(api, ClusterSettings(namespace="prod"))
    cluster.start(PATIENCE_S)
    observed(cluster)
    assert cluster.set_floor(DesiredFloor(Target("prod", "shop"), 8)).moved
    cluster.find_raised()
    cluster.find_policies()
    assert cluster.restore(Target("prod", "shop")).moved
    cluster.close()

    outside = [one for one in server.requests[before:] if "/namespaces/prod/" not in one]
    assert outside == []
