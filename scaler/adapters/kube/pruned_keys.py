"""Keys that somebody has applied and the API server has dropped: its CRD does not know them.

An object does not say what was pruned. But kubectl keeps what it applied in an annotation, and
managedFields go on naming fields that were there under a CRD that was replaced by an older one.
Source: kubernetes.io, "Custom Resources", field pruning, and "Server-Side Apply", managedFields.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


def pruned_keys(found: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the keys of an object's spec that were applied and are not there, as paths.

    An entry of a list that is missing as a whole was removed by somebody: no schema prunes it.

    >>> managed = [{"fieldsV1": {"f:spec": {"f:limit": {"f:burst": {}, "f:jitter": {}}}}}]
    >>> meta = {"managedFields": managed}
    >>> pruned_keys({"metadata": meta, "spec": {"limit": {"burst": "1s"}}})
    ('spec.limit.jitter',)
    """
    meta, spec = found["metadata"], found.get("spec") or {}
    missing = set(_lost(_applied(meta).get("spec"), spec, "spec"))
    for entry in meta.get("managedFields") or ():
        fields = (entry.get("fieldsV1") or {}).get("f:spec") or {}
        if not entry.get("subresource"):
            missing.update(_disowned(fields, spec, "spec"))
    return tuple(sorted(missing))


def _applied(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what kubectl applied last; nothing where it did not, or where that was edited."""
    try:
        applied = json.loads((meta.get("annotations") or {}).get(LAST_APPLIED, "{}"))
    except ValueError:
        return {}
    return applied if isinstance(applied, dict) else {}


def _lost(applied: object, there: object, path: str) -> Iterator[str]:
    """Yield the keys of ``applied`` that are not ``there``; a null is as good as no key."""
    if isinstance(applied, dict) and isinstance(there, dict):
        for key, value in applied.items():
            if key in there:
                yield from _lost(value, there[key], f"{path}.{key}")
            elif value is not None:
                yield f"{path}.{key}"
    elif isinstance(applied, list) and isinstance(there, list):
        names = {one["name"]: one for one in there if isinstance(one, dict) and "name" in one}
        for entry in applied:
            name = entry.get("name") if isinstance(entry, dict) else None
            if isinstance(name, str) and name in names:
                yield from _lost(entry, names[name], f"{path}[{name}]")


def _disowned(fields: Mapping[str, Any], there: object, path: str) -> Iterator[str]:
    """Yield the keys of a set of managed fields that are not ``there``."""
    for mark, below in fields.items():
        kind, _, text = mark.partition(":")
        if kind == "f" and isinstance(there, dict):
            if text in there:
                yield from _disowned(below, there[text], f"{path}.{text}")
            else:
                yield f"{path}.{text}"
        elif kind == "k" and isinstance(there, list):
            keys = json.loads(text)
            same = [e for e in there if isinstance(e, dict) and keys.items() <= e.items()]
            for entry in same:
                names = ", ".join(str(value) for value in keys.values())
                yield from _disowned(below, entry, f"{path}[{names}]")
