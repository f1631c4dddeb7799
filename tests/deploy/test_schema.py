"""Every manifest has only fields that the API knows: the official client's models say which."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes import client

from scaler.policy.files import examine_policies
from scaler.policy.policy import Mode
from tests.deploy.manifests import EXAMPLE, MONITORING, OBJECT_STORE, documents, resources

# The Prometheus Operator's kinds are not the client's; the CRD is held to its model elsewhere.
OTHERS = {"CustomResourceDefinition", "PrometheusRule", "ServiceMonitor"}
OBJECTS = [item for item in resources(MONITORING) if item["kind"] not in OTHERS]


def faults(item: dict[str, Any]) -> list[tuple[str, str]]:
    """Return place and kind of everything that is wrong with an object."""
    version = item["apiVersion"].rpartition("/")[2]
    model = getattr(client, f"{version.capitalize()}{item['kind']}")
    try:
        model.model_validate(item)
    except ValueError as error:
        return [(".".join(map(str, one["loc"])), one["type"]) for one in error.errors()]  # type: ignore[attr-defined]
    return []


@pytest.mark.parametrize(
    "item", OBJECTS, ids=[f"{one['kind']}-{one['metadata']['name']}" for one in OBJECTS]
)
def test_a_manifest_has_only_fields_of_its_kind(item):
    assert faults(item) == []


@pytest.mark.parametrize(
    "file", [*EXAMPLE.glob("[rt]*.yaml"), *OBJECT_STORE.glob("[rs]*.yaml")], ids=lambda f: f.name
)
def test_a_patch_has_only_fields_of_its_kind(file):
    """What is missing is in what it patches; ``$patch`` is for kustomize."""
    (patch,) = documents(file)
    wrong = [place for place, kind in faults(patch) if kind == "extra_forbidden"]
    assert [place for place in wrong if not place.endswith("$patch")] == []


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        pytest.param(
            {"minAvailble": 1}, [("spec.minAvailble", "extra_forbidden")], id="a field misspelt"
        ),
        pytest.param(
            {"selector": {"matchLabels": "tidegate"}},
            [("spec.selector.matchLabels", "dict_type")],
            id="a value of another type",
        ),
    ],
)
def test_a_fault_is_found(spec, found):
    item = {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "spec": spec}
    assert faults(item) == found


def test_the_sample_policy_is_right_and_recommends():
    good, wrong = examine_policies([EXAMPLE / "demandpolicy.yaml"])
    assert not wrong
    assert [document.policy.mode for document in good] == [Mode.RECOMMEND]
