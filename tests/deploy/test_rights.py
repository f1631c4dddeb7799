"""The components that change what tidegate may do."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from scaler.cli import COMMAND_LINE
from tests.deploy.manifests import (
    ARGO_ROLLOUTS,
    BASE,
    ONE_NAMESPACE,
    container_of,
    documents,
    one,
    rendered,
)
from tests.kube.grants import RBAC

ROLLOUTS = {
    "apiGroups": ["argoproj.io"],
    "resources": ["rollouts/scale"],
    "verbs": ["get", "patch"],
}


def overlay(folder: Path, *components: Path, **more):
    def up_to(place: Path) -> str:
        return str(Path(*[".."] * len(folder.parts[1:])) / place.relative_to("/"))

    whole = {"resources": [up_to(BASE)], "components": [up_to(one) for one in components], **more}
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(whole))
    return rendered(folder)


def test_rollouts_may_be_read_and_woken(tmp_path):
    (shipped,) = (item for item in documents(RBAC) if item["kind"] == "ClusterRole")
    rules = one(overlay(tmp_path, ARGO_ROLLOUTS), "ClusterRole")["rules"]
    assert rules == [*shipped["rules"], ROLLOUTS]


@pytest.mark.parametrize("components", [[], [ARGO_ROLLOUTS]], ids=["alone", "with rollouts"])
def test_in_one_namespace_there_are_the_same_rights_there_and_none_elsewhere(tmp_path, components):
    objects = overlay(tmp_path, ONE_NAMESPACE, *components, namespace="shop")
    (shipped,) = (item for item in documents(RBAC) if item["kind"] == "ClusterRole")

    kinds = {item["kind"] for item in objects}
    assert kinds.isdisjoint({"ClusterRole", "ClusterRoleBinding", "Namespace"})
    expected = [*shipped["rules"], *([ROLLOUTS] if components else [])]
    assert one(objects, "Role", "tidegate-workloads")["rules"] == expected
    for name in ("tidegate", "tidegate-workloads"):
        binding = one(objects, "RoleBinding", name)
        assert binding["roleRef"] == {**binding["roleRef"], "kind": "Role", "name": name}
        assert binding["subjects"] == [
            {"kind": "ServiceAccount", "name": "tidegate", "namespace": "shop"}
        ]
    inside = [item for item in objects if item["kind"] != "CustomResourceDefinition"]
    assert {item["metadata"]["namespace"] for item in inside} == {"shop"}


def test_in_one_namespace_that_is_the_one_that_is_watched(tmp_path):
    container = container_of(overlay(tmp_path, ONE_NAMESPACE, namespace="shop"), "Deployment")
    plain = [argument for argument in container["args"] if "$(ACCESS)" not in argument]
    assert COMMAND_LINE.parser().parse_args(plain).namespace == "$(NAMESPACE)"
    (found,) = (one for one in container["env"] if one["name"] == "NAMESPACE")
    assert found["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.namespace"
