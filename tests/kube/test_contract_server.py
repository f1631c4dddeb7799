"""The API server behaviour that tidegate depends on, of the one in memory and of a real one."""

from __future__ import annotations

import json

import pytest

from scaler.adapters.kube.client import APPLY, Request
from scaler.errors import ClusterAbsentError, ClusterConflictError, ClusterRefusedError
from tests.kube.objects import deployment, hpa, policy


@pytest.fixture
def api(playground):
    return playground.admin


@pytest.fixture
def hpas(playground):
    path = playground.listing("horizontalpodautoscalers")
    playground.put(path, hpa())
    return path


def config(namespace, least=None, name="shop", **meta):
    found = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": namespace, **meta},
    }
    return found | ({"spec": {"minReplicas": least}} if least is not None else {})


def test_a_forced_apply_owns_what_it_names_and_nothing_else(api, hpas, playground):
    sent = config(playground.namespace, 5)

    made = api.patch(f"{hpas}/shop", sent, APPLY, force="true")

    ours = [e for e in made["metadata"]["managedFields"] if e["manager"] == "tidegate"]
    assert [e["fieldsV1"] for e in ours] == [{"f:spec": {"f:minReplicas": {}}}]
    assert made["spec"]["maxReplicas"] == 20


def test_an_apply_of_what_another_owns_is_a_conflict_that_names_the_manager(api, hpas, playground):
    with pytest.raises(ClusterConflictError) as refused:
        api.patch(f"{hpas}/shop", config(playground.namespace, 5), APPLY)

    assert refused.value.managers == ("kubectl",)
    assert playground.hpa()["spec"]["minReplicas"] == 3


def test_an_apply_of_the_same_value_shares_it(api, hpas, playground):
    made = api.patch(f"{hpas}/shop", config(playground.namespace, 3), APPLY)

    owners = {
        e["manager"]
        for e in made["metadata"]["managedFields"]
        if "f:minReplicas" in e["fieldsV1"].get("f:spec", {})
    }
    assert owners == {"kubectl", "tidegate"}


def test_an_update_by_another_takes_the_field_from_us(api, hpas, playground):
    api.patch(f"{hpas}/shop", config(playground.namespace, 5), APPLY, force="true")
    playground.edit(f"{hpas}/shop", {"spec": {"minReplicas": 4}})

    with pytest.raises(ClusterConflictError) as refused:
        api.patch(f"{hpas}/shop", config(playground.namespace, 6), APPLY)

    assert refused.value.managers == ("kubectl-edit",)


def test_a_field_that_is_not_applied_any_more_and_has_no_other_owner_is_removed(
    api, hpas, playground
):
    api.patch(f"{hpas}/shop", config(playground.namespace, 5), APPLY, force="true")

    made = api.patch(f"{hpas}/shop", config(playground.namespace), APPLY)

    assert made["spec"]["minReplicas"] == 1  # removed, so defaulted


def test_a_write_for_an_older_version_is_a_conflict_without_a_manager(api, hpas, playground):
    version = playground.hpa()["metadata"]["resourceVersion"]
    playground.edit(f"{hpas}/shop", {"metadata": {"labels": {"a": "b"}}})

    sent = config(playground.namespace, 5, resourceVersion=version)
    with pytest.raises(ClusterConflictError) as refused:
        api.patch(f"{hpas}/shop", sent, APPLY, force="true")

    assert refused.value.managers == ()


@pytest.mark.parametrize(
    ("least", "message"),
    [
        pytest.param(21, "minReplicas", id="min above max is 422"),
        pytest.param(-1, "minReplicas", id="min below 0 is 422"),
        pytest.param(0, "Object or External", id="min 0 without a metric of others is 422"),
    ],
)
def test_an_invalid_floor_is_refused(api, hpas, playground, least, message):
    with pytest.raises(ClusterRefusedError, match=f"422.*{message}"):
        api.patch(f"{hpas}/shop", config(playground.namespace, least), APPLY, force="true")


def test_applying_a_floor_alone_creates_no_hpa(api, hpas, playground):
    with pytest.raises(ClusterRefusedError, match="422"):
        api.patch(f"{hpas}/other", config(playground.namespace, 5, name="other"), APPLY)


def test_owners_can_be_removed_from_managed_fields_without_a_change_of_values(
    api, hpas, playground
):
    made = api.patch(f"{hpas}/shop", config(playground.namespace, 5), APPLY, force="true")
    others = [e for e in made["metadata"]["managedFields"] if e["manager"] != "tidegate"]

    made = api.patch(f"{hpas}/shop", {"metadata": {"managedFields": others}})

    assert "tidegate" not in {e["manager"] for e in made["metadata"]["managedFields"]}
    assert made["spec"]["minReplicas"] == 5


def test_times_of_a_lease_need_microseconds(api, playground):
    path = playground.listing("leases", "/apis/coordination.k8s.io/v1")
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "it"},
        "spec": {"renewTime": "2026-01-01T00:00:00Z"},
    }

    with pytest.raises(ClusterRefusedError, match="400"):
        api.post(path, lease)


def test_a_watch_sends_events_since_a_version_and_bookmarks(api, playground):
    path = playground.listing("horizontalpodautoscalers")
    before = api.get(path)["metadata"]["resourceVersion"]
    playground.put(path, hpa())

    query = {"resourceVersion": before, "timeoutSeconds": "1", "allowWatchBookmarks": "true"}
    answer = api.stream(path, 5.0, watch="true", **query)
    events = [json.loads(line) for line in answer.read().splitlines()]
    answer.close()

    assert events[0]["type"] == "ADDED"
    assert events[0]["object"]["metadata"]["name"] == "shop"
    assert {e["type"] for e in events[1:]} <= {"BOOKMARK"}


def test_a_list_comes_in_pages(api, playground):
    path = playground.listing("horizontalpodautoscalers")
    for name in "abc":
        playground.put(path, hpa(name))

    pages = list(_pages(api, path))

    assert [len(page["items"]) for page in pages] == [2, 1]


def _pages(api, path):
    page = api.get(path, limit="2")
    yield page
    yield api.get(path, limit="2", **{"continue": page["metadata"]["continue"]})


def test_a_deleted_object_waits_for_its_finalizers(api, playground):
    path = playground.listing("demandpolicies", "/apis/tidegate.dev/v1alpha1")
    found = policy()
    found["metadata"]["finalizers"] = ["tidegate.dev/restore-floor"]
    playground.put(path, found)

    api.call(Request("DELETE", f"{path}/shop"))
    assert "deletionTimestamp" in playground.policy()["metadata"]
    playground.edit(f"{path}/shop", {"metadata": {"finalizers": None}})

    with pytest.raises(ClusterAbsentError):
        playground.policy()


def test_only_its_subresource_changes_a_status(api, playground):
    path = playground.listing("demandpolicies", "/apis/tidegate.dev/v1alpha1")
    playground.put(path, policy())

    playground.edit(f"{path}/shop", {"status": {"floor": 3}})
    assert "status" not in playground.policy()
    playground.edit(f"{path}/shop/status", {"status": {"floor": 3}, "spec": {"mode": "Enforce"}})

    made = playground.policy()
    assert (made["status"], made["spec"]["mode"]) == ({"floor": 3}, "Recommend")
    assert made["metadata"]["generation"] == 1


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        pytest.param({"replicas": {"min": 3, "max": 2}}, "max must be at least", id="min > max"),
        pytest.param({"capacity": {}}, "requestsPerReplica is missing", id="no capacity, no SLO"),
        pytest.param({"mode": "Off"}, "Off", id="an unknown mode"),
        pytest.param({"slo": {"latency": 3, "query": "q"}}, "latency", id="a length as a number"),
    ],
)
def test_an_invalid_policy_is_refused_by_the_api_server(api, playground, spec, message):
    path = playground.listing("demandpolicies", "/apis/tidegate.dev/v1alpha1")

    with pytest.raises(ClusterRefusedError, match=f"422.*{message}"):
        playground.put(path, policy(**spec))


def test_the_scale_subresource_scales_and_has_the_selector(api, playground):
    path = playground.listing("deployments", "/apis/apps/v1")
    playground.put(path, deployment(replicas=0))

    api.patch(f"{path}/shop/scale", {"spec": {"replicas": 2}})

    scale = api.get(f"{path}/shop/scale")
    assert (scale["spec"]["replicas"], scale["status"]["selector"]) == (2, "app=shop")
