"""The manifests in `deploy/`: as they are written, and as kustomize renders them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.missing import missing
from tests.paths import ROOT

DEPLOY = ROOT / "deploy"
BASE = DEPLOY / "base"
MONITORING = DEPLOY / "overlays" / "monitoring"
EXAMPLE = DEPLOY / "overlays" / "example"
OBJECT_STORE = DEPLOY / "components" / "object-store"
GRPC = DEPLOY / "components" / "grpc"
ARGO_ROLLOUTS = DEPLOY / "components" / "argo-rollouts"
ONE_NAMESPACE = DEPLOY / "components" / "one-namespace"
UNINSTALL = DEPLOY / "uninstall"
COMPONENTS = (OBJECT_STORE, GRPC, ARGO_ROLLOUTS, ONE_NAMESPACE)
FOLDERS = (DEPLOY, BASE, MONITORING, EXAMPLE, *COMPONENTS, UNINSTALL)

Object = dict[str, Any]


def kustomization(folder: Path) -> Object:
    found: Object = yaml.safe_load((folder / "kustomization.yaml").read_text())
    return found


def documents(file: Path) -> list[Object]:
    return [one for one in yaml.safe_load_all(file.read_text()) if one]


def resources(folder: Path) -> list[Object]:
    """Return all objects of a kustomization, without its patches."""
    found = []
    for entry in kustomization(folder).get("resources", ()):
        place = (folder / entry).resolve()
        found += resources(place) if place.is_dir() else documents(place)
    return found


def rendered(folder: Path) -> list[Object]:
    """Return what `kubectl kustomize` makes of a folder; outside CI, skips where there is none."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        missing("no kubectl here to render with")
    done = subprocess.run(
        [kubectl, "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def one(objects: list[Object], kind: str, name: str = "tidegate") -> Object:
    (found,) = (
        item for item in objects if item["kind"] == kind and item["metadata"]["name"] == name
    )
    return found


def pod_templates(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Yield each object that makes pods, with their template."""
    for item in objects:
        if item["kind"] == "Deployment":
            yield item, item["spec"]["template"]
        elif item["kind"] == "CronJob":
            yield item, item["spec"]["jobTemplate"]["spec"]["template"]


def template_of(objects: list[Object], kind: str) -> Object:
    (found,) = (template for item, template in pod_templates(objects) if item["kind"] == kind)
    return found


def container_of(objects: list[Object], kind: str) -> Object:
    (container,) = template_of(objects, kind)["spec"]["containers"]
    return container


def settings(folder: Path) -> dict[str, str]:
    """Return the literals of `tidegate-settings` in one kustomization."""
    (generator,) = (
        one
        for one in kustomization(folder)["configMapGenerator"]
        if one["name"] == "tidegate-settings"
    )
    return dict(literal.split("=", 1) for literal in generator["literals"])
