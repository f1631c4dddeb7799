"""The permissions that `deploy/base/rbac.yaml` grants."""

from __future__ import annotations

import yaml

from tests.kube.routes import Grant
from tests.paths import ROOT

RBAC = ROOT / "deploy" / "base" / "rbac.yaml"


def shipped_grants() -> frozenset[Grant]:
    """Return verb, group, resource and name ("" for any) of every rule."""
    return frozenset(
        (verb, group, resource, name)
        for document in yaml.safe_load_all(RBAC.read_text())
        for rule in document.get("rules", ())
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for name in rule.get("resourceNames", [""])
    )
