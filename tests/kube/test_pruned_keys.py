"""Keys of a policy that the CRD or this version does not know: they are named in a warning."""

from __future__ import annotations

import json

import pytest

from scaler.adapters.kube.client import Request
from scaler.adapters.kube.policies import read_policy
from scaler.adapters.kube.pruned_keys import LAST_APPLIED, pruned_keys
from tests.kube.objects import policy
from tests.waiting import eventually


def applied(spec, there, **meta):
    """Return an object that kubectl has applied, of which ``there`` remains."""
    made = policy()
    text = json.dumps({**made, "spec": spec})
    return {"metadata": {"annotations": {LAST_APPLIED: text}, **meta}, "spec": there}


def owned(fields, there, **entry):
    return {"metadata": {"managedFields": [{"fieldsV1": fields, **entry}]}, "spec": there}


CLASS = {"name": "pay", "priority": 0}
KEYED = {"f:limit": {"f:classes": {'k:{"name":"pay"}': {".": {}, "f:name": {}, "f:weight": {}}}}}


@pytest.mark.parametrize(
    ("found", "pruned"),
    [
        pytest.param(applied({"a": 1}, {"a": 2}), (), id="all of it is there, edited since"),
        pytest.param(applied({"a": 1, "b": {"c": 2}}, {"a": 1}), ("spec.b",), id="a section"),
        pytest.param(
            applied({"b": {"c": 2, "d": 3}}, {"b": {"d": 3}}), ("spec.b.c",), id="a key of one"
        ),
        pytest.param(applied({"a": 1, "b": None}, {"a": 1}), (), id="null is no key"),
        pytest.param(
            applied({"list": [{**CLASS, "weight": 1}]}, {"list": [CLASS]}),
            ("spec.list[pay].weight",),
            id="a key of an entry",
        ),
        pytest.param(
            applied({"list": [CLASS, {"name": "bulk"}]}, {"list": [CLASS]}), (),
            id="an entry that is gone was removed by somebody",
        ),
        pytest.param(applied({"list": [1, 2]}, {"list": [1]}), (), id="entries without a name"),
        pytest.param(
            {"metadata": {"annotations": {LAST_APPLIED: "{"}}, "spec": {}}, (), id="no JSON"
        ),
        pytest.param(
            {"metadata": {"annotations": {LAST_APPLIED: "[1]"}}, "spec": {}}, (), id="no object"
        ),
        pytest.param({"metadata": {}}, (), id="nothing was applied, and there is no spec"),
        pytest.param(
            owned({"f:spec": {"f:a": {}, "f:b": {"f:c": {}}}}, {"a": 1, "b": {}}), ("spec.b.c",),
            id="a field that is managed under a CRD that was there before",
        ),
        pytest.param(
            owned({"f:spec": KEYED}, {"limit": {"classes": [CLASS]}}),
            ("spec.limit.classes[pay].weight",),
            id="a field of an entry with a key",
        ),
        pytest.param(
            owned({"f:spec": KEYED}, {"limit": {"classes": []}}), (), id="of an entry that is gone"
        ),
        pytest.param(
            owned({"f:status": {"f:floor": {}}}, {}, subresource="status"), (), id="of the status"
        ),
        pytest.param(owned({"f:metadata": {"f:labels": {}}}, {}), (), id="of the metadata"),
    ],
)  # fmt: skip
def test_applied_keys_that_are_missing_were_pruned(found, pruned):
    assert pruned_keys(found) == pruned


def test_a_key_unknown_to_an_older_crd_is_a_warning_with_the_remedy(caplog):
    made = policy()
    spec = {**made["spec"], "limit": {"jitter": "1s"}}
    made["metadata"]["annotations"] = {LAST_APPLIED: json.dumps({**made, "spec": spec})}
    entry = read_policy(made)
    stored = entry.policy_object
    assert stored.policy is not None
    (warning,) = stored.warnings
    assert warning.startswith("spec.limit was applied, but the CRD in the cluster")
    assert "scaler crd | kubectl apply --server-side -f -" in warning
    read_policy(made, entry)
    assert caplog.text.count("prod/shop: spec.limit was applied") == 1  # once for each edition


def test_a_key_of_a_newer_crd_is_a_warning_and_the_rest_of_the_policy_is_used():
    made = policy(mode="Enforce", limit={"headroom": 0.9, "jitter": "1s"}, budget={"euros": 5})
    stored = read_policy(made).policy_object
    assert (stored.policy.limit.headroom, stored.policy.mode.value) == (0.9, "Enforce")
    (warning,) = stored.warnings
    assert warning.startswith("spec.limit.jitter, spec.budget is ignored, for this version")


def test_a_key_of_the_api_server_is_no_warning():
    made = policy()
    made["metadata"]["generateName"] = "shop-"
    stored = read_policy(made).policy_object
    assert (stored.policy is not None, stored.warnings) == (True, ())


def test_an_invalid_value_beside_an_unknown_key_is_a_fault():
    stored = read_policy(policy(budget=5, replicas={"max": 0})).policy_object
    assert stored.policy is None
    assert [fault.partition(":")[0] for fault in stored.faults] == ["spec.replicas.max"]
    assert "spec.budget is ignored" in stored.warnings[0]


@pytest.fixture
def path(playground):
    return playground.listing("demandpolicies", "/apis/tidegate.dev/v1alpha1")


def test_keys_pruned_by_the_api_server_are_detected_on_the_wire(cluster, playground, path):
    made = policy(budget={"euros": 5})
    made["metadata"]["annotations"] = {LAST_APPLIED: json.dumps(made)}
    playground.put(path, made)
    name = f"{playground.namespace}/shop"
    eventually(lambda: name in cluster.policies())
    stored = cluster.policies()[name]
    assert "budget" not in playground.policy()["spec"]
    assert stored.policy is not None
    assert stored.warnings[0].startswith("spec.budget was applied")
    # Applied again without it, as kubectl does: the annotation changes, the spec does not.
    made["spec"].pop("budget")
    text = json.dumps(made)
    change = {"metadata": {"annotations": {LAST_APPLIED: text}}}
    playground.admin.call(
        Request("PATCH", f"{path}/shop", (), change, "application/merge-patch+json")
    )
    eventually(lambda: cluster.policies()[name].warnings == ())


def test_a_key_that_nothing_obeys_any_more_is_told_once_with_its_policy(caplog):
    made = policy(limit={"perClient": {"deviations": 4}})
    entry = read_policy(made)
    stored = entry.policy_object
    read_policy(made, entry)
    assert (stored.policy is not None, stored.warnings) == (True, ())  # it is complete without
    told = "prod/shop: spec.limit.perClient.deviations has no effect since 0.2; remove it"
    assert caplog.text.count(told) == 1
