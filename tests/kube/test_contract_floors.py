"""The contract of floors: raised, contested, restored."""

from __future__ import annotations

import pytest

from scaler.errors import ClusterAbsentError
from scaler.hpa.floor_ownership import ORIGINAL, DesiredFloor, Refusal, Target
from tests.kube.objects import deployment, hpa, pod
from tests.waiting import eventually


@pytest.fixture
def target(playground):
    path = playground.listing("horizontalpodautoscalers")
    playground.put(path, hpa())
    return Target(playground.namespace, "shop")


@pytest.fixture
def edit(playground):
    def change(least, manager="kubectl-edit"):
        path = f"{playground.listing('horizontalpodautoscalers')}/shop"
        playground.edit(path, {"spec": {"minReplicas": least}}, manager)

    return change


def floor(playground):
    found = playground.hpa()
    return found["spec"]["minReplicas"], found["metadata"].get("annotations", {}).get(ORIGINAL)


def owners(playground):
    return {e["manager"] for e in playground.hpa()["metadata"]["managedFields"]}


def test_a_floor_is_raised_and_the_users_own_is_kept_in_the_annotation(cluster, playground, target):
    outcome = cluster.set_floor(DesiredFloor(target, 8))

    assert (outcome.floor, outcome.moved, outcome.refusal) == (8, True, None)
    assert floor(playground) == (8, "3")


def test_a_raised_floor_can_change_and_keeps_the_first_original(cluster, playground, target):
    for replicas in (8, 12, 5):
        cluster.set_floor(DesiredFloor(target, replicas))

    assert floor(playground) == (5, "3")


@pytest.mark.parametrize(
    ("wished", "stands"),
    [
        pytest.param(25, 20, id="never above the autoscaler's ceiling of 20"),
        pytest.param(1, 3, id="never below the user's own floor of 3"),
    ],
)
def test_a_floor_stays_within_the_users_bounds(cluster, playground, target, wished, stands):
    cluster.set_floor(DesiredFloor(target, 8))

    assert cluster.set_floor(DesiredFloor(target, wished)).floor == stands
    assert floor(playground) == (stands, "3")


def test_a_floor_that_need_not_be_raised_is_left_untouched(cluster, playground, target):
    before = playground.hpa()

    assert not cluster.set_floor(DesiredFloor(target, 2)).moved
    assert playground.hpa() == before


def test_an_unchanged_floor_is_not_written_again(cluster, playground, target):
    cluster.set_floor(DesiredFloor(target, 8))
    before = playground.hpa()["metadata"]["resourceVersion"]

    assert not cluster.set_floor(DesiredFloor(target, 8)).moved
    assert playground.hpa()["metadata"]["resourceVersion"] == before


def test_the_manager_that_reverts_the_floor_is_named_and_not_overwritten(
    cluster, playground, target, edit
):
    cluster.set_floor(DesiredFloor(target, 8))
    edit(4, "argocd-controller")

    outcome = cluster.set_floor(DesiredFloor(target, 9))

    assert (outcome.refusal, outcome.manager) == (Refusal.CONTESTED, "argocd-controller")
    assert "ignoreDifferences" in outcome.message
    assert floor(playground)[0] == 4


def test_a_revert_that_removes_the_annotation_is_detected(cluster, playground, target):
    cluster.set_floor(DesiredFloor(target, 8))
    path = f"{playground.listing('horizontalpodautoscalers')}/shop"
    change = {"metadata": {"annotations": None}, "spec": {"minReplicas": 3}}
    playground.edit(path, change, "argocd-controller")

    # Wait for the watch event: a floor that is unchanged in the cache is not read again.
    eventually(lambda: cluster.set_floor(DesiredFloor(target, 8)).manager == "argocd-controller")


def test_a_reverted_value_becomes_the_users_own_when_the_floor_is_reclaimed(
    cluster, playground, target, edit
):
    cluster.set_floor(DesiredFloor(target, 8))
    edit(4)

    cluster.set_floor(DesiredFloor(target, 9, reclaim=True))
    assert floor(playground) == (9, "4")
    cluster.restore(target)
    assert floor(playground) == (4, None)


def test_a_raised_floor_without_its_annotation_is_not_taken_for_the_users(
    cluster, playground, target
):
    cluster.set_floor(DesiredFloor(target, 8))
    path = f"{playground.listing('horizontalpodautoscalers')}/shop"
    playground.edit(path, {"metadata": {"annotations": None}})

    cluster.set_floor(DesiredFloor(target, 9, policy_min=2))

    assert floor(playground) == (9, "2")


def test_an_hpa_of_keda_is_refused_with_the_remedy(cluster, playground):
    owner = {"apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject", "name": "so", "uid": "1"}
    playground.put(
        playground.listing("horizontalpodautoscalers"), hpa("keda", ownerReferences=[owner])
    )

    outcome = cluster.set_floor(DesiredFloor(Target(playground.namespace, "keda"), 8))

    assert outcome.refusal is Refusal.KEDA
    assert "trigger of type external" in outcome.message
    assert playground.hpa("keda")["spec"]["minReplicas"] == 3


def test_a_missing_hpa_is_not_created(cluster, playground):
    outcome = cluster.set_floor(DesiredFloor(Target(playground.namespace, "none"), 8))

    assert outcome.refusal is Refusal.MISSING
    with pytest.raises(ClusterAbsentError):
        playground.hpa("none")


def test_restoring_writes_the_users_floor_and_leaves_nothing_of_ours(cluster, playground, target):
    cluster.set_floor(DesiredFloor(target, 8))

    assert cluster.restore(target).moved
    assert floor(playground) == (3, None)
    assert owners(playground) == {"kubectl"}


def test_restoring_a_floor_that_equals_the_users_own_does_not_default_it_to_1(
    cluster, playground, target
):
    cluster.set_floor(DesiredFloor(target, 8))
    cluster.set_floor(DesiredFloor(target, 3))

    cluster.restore(target)

    assert floor(playground) == (3, None)
    assert owners(playground) == {"kubectl"}


def test_a_raised_floor_is_listed_until_it_is_restored(cluster, target):
    assert cluster.raised() == ()
    cluster.set_floor(DesiredFloor(target, 8))
    assert [one.target for one in cluster.raised()] == [target]
    cluster.restore(target)
    assert cluster.raised() == ()


def test_restoring_twice_changes_nothing_more(cluster, playground, target):
    cluster.set_floor(DesiredFloor(target, 8))
    cluster.restore(target)
    before = playground.hpa()

    cluster.restore(target)

    assert playground.hpa() == before


def test_restoring_keeps_a_value_that_another_manager_has_written_since(
    cluster, playground, target, edit
):
    cluster.set_floor(DesiredFloor(target, 8))
    edit(5)

    cluster.restore(target)

    assert floor(playground) == (5, None)


def test_a_user_applies_their_own_floor_again_after_it_was_restored(cluster, playground, target):
    cluster.set_floor(DesiredFloor(target, 8))
    cluster.restore(target)

    assert cluster.set_floor(DesiredFloor(target, 9)).floor == 9


def test_restoring_a_deleted_hpa_succeeds(cluster, playground):
    assert cluster.restore(Target(playground.namespace, "none")).refusal is None


def test_an_hpa_is_observed_with_the_pods_of_its_workload(cluster, playground, target):
    # At 0, so that no controller of a real cluster adds pods of its own.
    at_zero = deployment(replicas=0)
    playground.put(playground.listing("deployments", "/apis/apps/v1"), at_zero)
    pods = playground.listing("pods", "/api/v1")
    playground.put(pods, pod("a", ready="2026-01-01T00:01:00Z"))
    playground.put(pods, pod("b", ready=None))
    playground.put(pods, pod("c", app="other"))
    eventually(lambda: len(cluster.observe(target).pods) == 2)

    seen = cluster.observe(target)

    ready = [one.ready_at for one in seen.pods]
    assert sorted(ready, key=str) == [1767225660.0, None]  # 2026-01-01T00:01:00Z
    assert len({one.uid for one in seen.pods}) == 2
    assert (seen.autoscaler.min_replicas, seen.autoscaler.max_replicas) == (3, 20)


def test_a_workload_at_0_is_scaled_up_by_its_scale_subresource(cluster, playground, target):
    path = playground.listing("deployments", "/apis/apps/v1")
    playground.put(path, deployment(replicas=0))
    eventually(lambda: not cluster.observe(target).pods)

    assert cluster.wake(target, 4)

    assert playground.admin.get(f"{path}/shop")["spec"]["replicas"] == 4
    assert not cluster.wake(target, 6)  # not at 0, so it is left to its HPA
    assert playground.admin.get(f"{path}/shop")["spec"]["replicas"] == 4


def test_a_missing_hpa_is_reported_with_the_remedy(cluster, playground):
    with pytest.raises(ClusterAbsentError, match=r"spec\.targetRef\.name"):
        cluster.observe(Target(playground.namespace, "none"))
