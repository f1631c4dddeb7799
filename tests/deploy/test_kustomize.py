"""Every kustomization renders, and an overlay's values arrive where they are meant to."""

from __future__ import annotations

import re

import pytest
import yaml

from scaler.adapters.http.grants import read_grants
from tests.deploy.manifests import (
    BASE,
    COMPONENTS,
    DEPLOY,
    EXAMPLE,
    FOLDERS,
    MONITORING,
    OBJECT_STORE,
    Object,
    container_of,
    documents,
    kustomization,
    one,
    rendered,
    resources,
    template_of,
)

RENDERED = (DEPLOY, BASE, MONITORING, EXAMPLE)
NOT_LISTED = {"demandpolicy.yaml", "kustomization.yaml"}  # a policy comes after its CRD
folders = pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: path.name)


def _patches(folder):
    return [entry["path"] for entry in kustomization(folder).get("patches", ()) if "path" in entry]


def _key(item: Object) -> tuple[str, str]:
    return item["kind"], item["metadata"]["name"]


@folders
def test_whatever_a_kustomization_names_is_there(folder):
    whole = kustomization(folder)
    named = [*whole.get("resources", ()), *whole.get("components", ()), *_patches(folder)]
    named += [
        file.partition("=")[2] or file
        for generator in whole.get("configMapGenerator", ())
        for file in generator.get("files", ())
    ]
    assert [name for name in named if not (folder / name).exists()] == []


@folders
def test_every_manifest_belongs_to_its_kustomization(folder):
    listed = {*kustomization(folder).get("resources", ()), *_patches(folder)}
    assert {path.name for path in folder.glob("*.yaml")} - NOT_LISTED <= listed


@folders
def test_a_patch_changes_something_that_is_there(folder):
    base = resources(BASE) if folder in COMPONENTS else resources(folder)
    patched = [_key(item) for path in _patches(folder) for item in documents(folder / path)]
    patched += [
        (entry["target"]["kind"], entry["target"]["name"])
        for entry in kustomization(folder).get("patches", ())
        if "name" in entry.get("target", ())
    ]
    assert [key for key in patched if key not in {_key(item) for item in base}] == []


def test_no_two_objects_have_one_name():
    keys = [_key(item) for item in resources(EXAMPLE)]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("folder", RENDERED, ids=lambda path: path.name)
def test_it_renders_into_one_namespace(folder):
    objects = rendered(folder)
    outside = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "Namespace"}
    inside = [o for o in objects if o["kind"] not in outside]
    assert {o["metadata"]["namespace"] for o in inside} == {"tidegate"}
    assert {s["namespace"] for o in objects for s in o.get("subjects", ())} == {"tidegate"}


def test_the_role_still_names_the_lease_when_names_carry_hashes():
    """kustomize rewrites resourceNames that equal the name of something that is generated."""
    rules = one(rendered(DEPLOY), "Role")["rules"]
    assert [rule.get("resourceNames") for rule in rules] == [None, ["tidegate"], None]


def test_pods_read_the_settings_that_are_generated():
    objects = rendered(DEPLOY)
    (made,) = (o["metadata"]["name"] for o in objects if o["kind"] == "ConfigMap")
    for kind in ("Deployment", "CronJob"):
        env = container_of(objects, kind)["env"]
        read = {entry["valueFrom"].get("configMapKeyRef", {"name": made})["name"] for entry in env}
        assert read == {made}


def test_the_example_changes_what_a_user_changes():
    objects = rendered(EXAMPLE)
    deployment = one(objects, "Deployment")
    volumes = {v["name"]: v for v in template_of(objects, "Deployment")["spec"]["volumes"]}
    claim = one(objects, "PersistentVolumeClaim", "tidegate-models")["spec"]
    (values,) = (o["data"] for o in objects if o["kind"] == "ConfigMap" and "access" in o["data"])
    assert deployment["spec"]["replicas"] == 3
    assert volumes["tokens"]["secret"]["secretName"] == "gateway-tokens"
    assert claim["storageClassName"] == "nfs"
    assert values["prometheus"] == "http://prometheus-k8s.observability.svc:9090"
    assert values["models"] == "/models"  # what it leaves out is the base's
    images = {container_of(objects, kind)["image"] for kind in ("Deployment", "CronJob")}
    assert images == {"registry.example/tidegate:0.2.0"}


def test_the_tokens_to_fill_in_are_each_for_one_thing():
    text = (EXAMPLE / "tokens.example").read_text()
    grants = read_grants(text, "tokens.example")
    assert grants.open_lines == ()
    found = {grant.owner: set(grant.roles) for grant in grants.tokens.values()}
    assert found == {"gateways": {"gateway"}, "people": {"read"}, "prometheus": {"metrics"}}
    for placeholder in ("GATEWAYS", "PEOPLE", "METRICS"):
        assert f"s/{placeholder}/" in (DEPLOY / "README.md").read_text()
        assert len(re.findall(rf"^{placeholder}\b", text, re.MULTILINE)) == 1


@pytest.mark.parametrize("folder", [MONITORING, EXAMPLE], ids=lambda path: path.name)
def test_prometheus_shows_a_token_of_the_secret_that_is_mounted(folder):
    objects = rendered(folder)
    (endpoint,) = one(objects, "ServiceMonitor")["spec"]["endpoints"]
    (secret,) = (
        v["secret"] for v in template_of(objects, "Deployment")["spec"]["volumes"] if "secret" in v
    )
    assert endpoint["authorization"]["credentials"]["name"] == secret["secretName"]


def test_with_an_object_store_there_is_no_volume_of_models(tmp_path):
    """Rendered in a folder of its own beside a copy, for kustomize reads nothing above its root."""
    mine = {"resources": ["deploy/base"], "components": ["deploy/components/object-store"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(mine))
    for folder in (BASE, OBJECT_STORE):
        copy = tmp_path / "deploy" / folder.relative_to(DEPLOY)
        copy.mkdir(parents=True)
        for file in folder.glob("*.yaml"):
            (copy / file.name).write_text(file.read_text())
    objects = rendered(tmp_path)
    assert not [o for o in objects if o["kind"] == "PersistentVolumeClaim"]
    for kind in ("Deployment", "CronJob"):
        spec, container = template_of(objects, kind)["spec"], container_of(objects, kind)
        mounts = {mount["name"] for mount in container["volumeMounts"]}
        assert mounts == {volume["name"] for volume in spec["volumes"]}
        assert "models" not in mounts
        assert container["envFrom"] == [
            {"secretRef": {"name": "tidegate-registry", "optional": True}}
        ]
