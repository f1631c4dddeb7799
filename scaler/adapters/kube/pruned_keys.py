"""Pruned keys: keys that were applied, but that the API server dropped as unknown to its CRD.

An object does not show what was pruned. But kubectl stores what it applied in an annotation, and
managedFields still name fields that existed under a newer CRD, after an older one has replaced it.
Source: kubernetes.io, "Custom Resources", field pruning, and "Server-Side Apply", managedFields.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def pruned_keys(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the paths of spec keys that were applied and are missing.

    A whole missing entry of a list was removed by a client, for schemas prune no entries.

    >>> managed = [{"fieldsV1": {"f:spec": {"f:limit": {"f:burst": {}, "f:jitter": {}}}}}]
    >>> meta = {"managedFields": managed}
    >>> pruned_keys({"metadata": meta, "spec": {"limit": {"burst": "1s"}}})
    ('spec.limit.jitter',)
    """
    meta, spec = found["metadata"], found.get("spec") or {}
    missing = set(_pruned(_applied(meta).get("spec"), spec, "spec"))
    for entry in meta.get("managedFields") or ():
        fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if not entry.get("subresource"):
            missing.update(_unset_fields(fields, spec, "spec"))
    return tuple(sorted(missing))


def _applied(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what kubectl applied last; empty without the annotation, or if it is not valid."""
    try:
        applied = json.loads((meta.get("annotations") or {}).get(LAST_APPLIED, "{}"))
    except ValueError:
        return {}
    return applied if isinstance(applied, dict) else {}


def _pruned(applied: object, actual: object, path: str) -> Iterator[str]:
    """Yield the keys of ``applied`` that ``actual`` lacks; null counts as no key."""
    if isinstance(applied, dict) and isinstance(actual, dict):
        for key, value in applied.items():
            if key in actual:
                yield from _pruned(value, actual[key], f"{path}.{key}")
            elif value is not None:
                yield f"{path}.{key}"
    elif isinstance(applied, list) and isinstance(actual, list):
        names = {one["name"]: one for one in actual if isinstance(one, dict) and "name" in one}
        for entry in applied:
            name = entry.get("name") if isinstance(entry, dict) else None
            if isinstance(name, str) and name in names:
                yield from _pruned(entry, names[name], f"{path}[{name}]")


def _unset_fields(fields: Mapping[str, Any], actual: object, path: str) -> Iterator[str]:
    """Yield the keys of a set of managed fields that ``actual`` lacks."""
    for field, subfields in fields.items():
        kind, _, text = field.partition(":")
        if kind == "f" and isinstance(actual, dict):
            if text in actual:
                yield from _unset_fields(subfields, actual[text], f"{path}.{text}")
            else:
                yield f"{path}.{text}"
        elif kind == "k" and isinstance(actual, list):
            keys = json.loads(text)
            same = [e for e in actual if isinstance(e, dict) and keys.items() <= e.items()]
            for entry in same:
                names = ", ".join(str(value) for value in keys.values())
                yield from _unset_fields(subfields, entry, f"{path}[{names}]")
