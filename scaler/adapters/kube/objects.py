"""Parsers of API server responses, which return plain values; no network, no clock.

Source of the shapes: kubernetes.io, "API Concepts" and the references of the kinds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from scaler.control.observations import Pod
from scaler.hpa.floor_ownership import MANAGER, ORIGINAL, RAISED, Autoscaler, Target

_MANAGER = re.compile(r'conflict with "([^"]*)"')
_FLOOR = ("f:spec", "f:minReplicas")


def status_message(answer: Mapping[str, Any]) -> str:
    """Return the message of a Status, in one line."""
    return " ".join(str(answer.get("message") or answer.get("reason") or "(no reason)").split())


def conflict_managers(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the managers named by a conflict of a server-side apply; none for other conflicts."""
    causes = (answer.get("details") or {}).get("causes") or []
    found = (
        _MANAGER.search(str(cause.get("message")))
        for cause in causes
        if cause.get("reason") == "FieldManagerConflict"
    )
    return tuple(dict.fromkeys(match[1] for match in found if match))


def retry_after_s(headers: Mapping[str, str]) -> float:
    """Return the Retry-After header in seconds; 0 without one. The API server sends integers."""
    text = headers.get("Retry-After") or "0"
    return float(text) if text.isdigit() else 0.0


def parse_time(text: str | None) -> float | None:
    """Return the seconds since the epoch of a Time or MicroTime."""
    if not text:
        return None
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        return None


def micro_time(at: float) -> str:
    """Return a MicroTime; without its six digits a Lease is refused with 400.

    >>> micro_time(0.0)
    '1970-01-01T00:00:00.000000Z'
    """
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def time_text(at: float) -> str:
    """Return a Time, which has whole seconds.

    >>> time_text(0.9)
    '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def floor_entries(found: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the entries of managedFields that own ``spec.minReplicas``."""
    for entry in found["metadata"].get("managedFields") or ():
        fields = entry.get("fieldsV1") or {}
        if not entry.get("subresource") and _FLOOR[1] in fields.get(_FLOOR[0], {}):
            yield entry


def autoscaler(found: Mapping[str, Any]) -> Autoscaler:
    """Return an `autoscaling/v2` HorizontalPodAutoscaler as a value."""
    meta, spec, status = found["metadata"], found["spec"], found.get("status") or {}
    owners = [
        owner["name"]
        for owner in meta.get("ownerReferences") or ()
        if owner.get("kind") == "ScaledObject"
        and str(owner.get("apiVersion", "")).startswith("keda.sh/")
    ]
    # Only an Apply makes us a manager; an Update under our name is left over from a restore.
    managers = dict.fromkeys(
        entry["manager"]
        for entry in floor_entries(found)
        if entry["manager"] != MANAGER or entry.get("operation") == "Apply"
    )
    return Autoscaler(
        target=Target(meta["namespace"], meta["name"]),
        min_replicas=1 if spec.get("minReplicas") is None else spec["minReplicas"],
        max_replicas=spec["maxReplicas"],
        original_min_replicas=_original_floor(meta),
        raised_floor=_copied_floor(meta),
        managers=tuple(managers),
        scaled_object=owners[0] if owners else None,
        replicas=status.get("currentReplicas") or 0,
        slept=any(
            one.get("type") == "ScaledToZero" and one.get("status") == "True"
            for one in status.get("conditions") or ()
        ),
        uid=meta.get("uid", ""),
        version=meta["resourceVersion"],
    )


def _original_floor(meta: Mapping[str, Any]) -> int | None:
    text = (meta.get("annotations") or {}).get(ORIGINAL, "")
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None


def _copied_floor(meta: Mapping[str, Any]) -> int | None:
    """Return the floor that we raised in the object of which this is a copy; None: it is none."""
    uid, _, floor = (meta.get("annotations") or {}).get(RAISED, "").rpartition("/")
    if uid in ("", meta.get("uid")) or not re.fullmatch("[0-9]{1,9}", floor):
        return None
    return int(floor)


def pod(found: Mapping[str, Any]) -> Pod | None:
    """Return a pod; None if it is being deleted or has ended."""
    meta, status = found["metadata"], found.get("status") or {}
    created = parse_time(meta.get("creationTimestamp"))
    if meta.get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    if created is None:
        return None
    ready = (one for one in status.get("conditions") or () if one.get("type") == "Ready")
    since = [parse_time(one.get("lastTransitionTime")) for one in ready if one["status"] == "True"]
    return Pod(meta["uid"], created, since[0] if since else None)


def to_camel(key: str) -> str:
    """Return a name as Kubernetes writes it.

    >>> to_camel("replica_hours_half")
    'replicaHoursHalf'
    """
    first, *rest = key.split("_")
    return first + "".join(map(str.capitalize, rest))


def from_camel(key: str) -> str:
    """Return the name that `to_camel` has written.

    >>> from_camel("replicaHoursHalf")
    'replica_hours_half'
    """
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", key)
