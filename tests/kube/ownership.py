"""Field ownership: server-side apply, and the effect of other writes on it.

A field is the path to a leaf, such as ``("f:spec", "f:minReplicas")``; a list is one leaf, but for
finalizers, which are a set. Source: kubernetes.io, "Server-Side Apply", and structured-merge-diff.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass

Path = tuple[str, ...]
# Of the server, or of the request rather than of the object.
_NOBODYS = {
    *("name", "namespace", "uid", "resourceVersion", "generation", "managedFields", "selfLink"),
    *("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generateName"),
}


class ConflictError(Exception):
    """Another manager owns fields that the apply would change."""

    def __init__(self, owners):
        super().__init__(owners)
        self.owners = owners  # [(manager, operation, path)]


@dataclass(frozen=True)
class Writer:
    manager: str
    operation: str  # Apply or Update
    subresource: str = ""


def leaves(found, at: Path = ()) -> Iterator[tuple[Path, object]]:
    for key, value in found.items():
        if (not at and key in ("apiVersion", "kind")) or (
            at == ("f:metadata",) and key in _NOBODYS
        ):
            continue
        path = (*at, f"f:{key}")
        if isinstance(value, dict) and value:
            yield from leaves(value, path)
        elif path == ("f:metadata", "f:finalizers"):
            for name in value or ():
                yield (*path, f"v:{json.dumps(name)}"), name
        else:
            yield path, value


def managed(found) -> dict[Writer, tuple[set[Path], str]]:
    """Return the fields of each writer, and when they were last written."""
    return {
        Writer(e["manager"], e["operation"], e.get("subresource", "")): (
            set(_unfolded(e.get("fieldsV1") or {})),
            e.get("time", ""),
        )
        for e in found["metadata"].get("managedFields") or ()
        if e
    }


def _unfolded(fields, at: Path = ()) -> Iterator[Path]:
    for key, below in fields.items():
        if below:
            yield from _unfolded(below, (*at, key))
        else:
            yield (*at, key)


def write_managed(found, owners) -> None:
    entries = []
    for writer, (fields, time) in owners.items():
        if not fields:
            continue
        folded: dict = {}
        for path in sorted(fields):
            place = folded
            for part in path:
                place = place.setdefault(part, {})
        entry = {
            "manager": writer.manager,
            "operation": writer.operation,
            "apiVersion": found["apiVersion"],
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": folded,
        }
        entries.append(entry | ({"subresource": writer.subresource} if writer.subresource else {}))
    found["metadata"]["managedFields"] = entries


def applied(live, config, writer: Writer, now: str, *, force: bool):
    """Return the object after an apply; ``live`` is empty if there is none yet.

    Raises:
        ConflictError: another manager owns a changed field, and the apply is not forced.
    """
    owners = managed(live)
    before, values = owners.get(writer, (set(), now))[0], dict(leaves(live))
    wanted = dict(leaves(config))
    changed = {path for path, value in wanted.items() if values.get(path, writer) != value}
    taken = [
        (other, path)
        for other, (fields, _) in owners.items()
        for path in sorted(fields & changed)
        if other != writer
    ]
    if taken and not force:
        raise ConflictError([(other.manager, other.operation, path) for other, path in taken])
    for other, path in taken:
        owners[other][0].discard(path)
    result = _merged(deepcopy(live), config)
    for path in before - set(wanted):
        if not any(path in fields for other, (fields, _) in owners.items() if other != writer):
            _remove(result, path)
    moved = changed or set(wanted) != before
    owners[writer] = (set(wanted), now if moved else owners[writer][1])
    write_managed(result, owners)
    return result


def updated(live, new, writer: Writer, now: str) -> None:
    """Make the writer the only owner of the fields that it has changed."""
    entries = new["metadata"].get("managedFields")
    owners = {} if entries == [{}] else managed(new) or managed(live)  # [{}]: to be reset
    old, fresh = dict(leaves(live)), dict(leaves(new))
    changed = {path for path, value in fresh.items() if old.get(path, writer) != value}
    for fields, _ in owners.values():
        fields.intersection_update(fresh)
    if changed:
        for other, (fields, _) in owners.items():
            if other != writer:
                fields.difference_update(changed)
        owners[writer] = (owners.get(writer, (set(), now))[0] | changed, now)
    write_managed(new, owners)


def _merged(live, config):
    for key, value in config.items():
        if isinstance(value, dict) and isinstance(live.get(key), dict):
            _merged(live[key], value)
        elif key == "finalizers":
            live[key] = [*(live.get(key) or []), *(n for n in value if n not in live.get(key, []))]
        elif key != "managedFields":
            live[key] = deepcopy(value)
    return live


def _remove(found, path: Path) -> None:
    place = found
    for part in path[:-1]:
        place = place.get(part[2:])
        if not isinstance(place, dict | list):
            return
    if isinstance(place, list):
        place.remove(json.loads(path[-1][2:]))
    else:
        place.pop(path[-1][2:], None)
