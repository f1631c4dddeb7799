"""What `deploy/base/rbac.yaml` grants."""

from __future__ import annotations

from pathlib import Path

import yaml

from tests.kube.routes import Grant

RBAC = Path(__file__).parents[2] / "deploy" / "base" / "rbac.yaml"


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
