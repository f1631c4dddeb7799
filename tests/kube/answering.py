"""Answers to requests: what becomes of the objects, and the Status where nothing does."""

from __future__ import annotations

import base64
import json

from tests.kube.ownership import ConflictError, Writer
from tests.kube.routes import Asked, Discovery
from tests.kube.rules import InvalidError, UnreadableError
from tests.kube.store import AbsentError, MovedError, Store, Write

Reply = tuple[int, dict]
APPLY = "application/apply-patch+yaml"
MERGES = ("application/merge-patch+json", "application/strategic-merge-patch+json")


def status(code: int, reason: str, message: str, **details) -> Reply:
    found = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code}
    return code, {**found, "reason": reason, "message": message, "details": details}


def gone_event() -> dict:
    return {"type": "ERROR", "object": status(410, "Expired", "too old resource version")[1]}


def too_old(store: Store, asked: Asked) -> Reply | None:
    """Return 410 to a watch of a version that is forgotten."""
    version = int(asked.query.get("resourceVersion") or 0)
    if 0 < version < store.compacted:
        return status(410, "Expired", f"too old resource version: {version} ({store.compacted})")
    return None


def answered(store: Store, asked: Asked | Discovery | None) -> Reply:
    if asked is None:
        return status(404, "NotFound", "the server could not find the requested resource")
    if isinstance(asked, Discovery):
        return _discovered(store, asked)
    try:
        return _done(store, asked)
    except (AbsentError, MovedError, ConflictError, UnreadableError, InvalidError) as error:
        return _refused(asked, error)


def _refused(asked: Asked, error: Exception) -> Reply:
    match error:
        case ConflictError():
            return _contested(error)
        case InvalidError():
            causes = [{"field": field, "message": said} for field, said in error.causes]
            said = f'{asked.kind.kind} "{asked.name}" is invalid: {error}'
            return status(422, "Invalid", said, causes=causes)
        case MovedError():
            return status(409, error.reason, str(error))
        case UnreadableError():
            return status(400, "BadRequest", str(error))
    return status(404, "NotFound", str(error))


def _done(store: Store, asked: Asked) -> Reply:
    manager = asked.query.get("fieldManager", "unknown")
    applies = asked.content_type.startswith(APPLY)
    writer = Writer(manager, "Apply" if applies else "Update", asked.sub)
    write = Write(asked.kind, asked.namespace or "", asked.name, writer)
    if asked.sub == "scale" and asked.kind.scale:
        return _scaled(store, asked, write)
    if asked.sub and not (asked.sub == "status" and asked.kind.status):
        raise AbsentError("the server could not find the requested resource")
    if asked.method == "GET" and not asked.name:
        return _listed(store, asked)
    one = (asked.kind, asked.namespace or "", asked.name)
    ways = {
        "GET": lambda: (200, store.get(*one)),
        "DELETE": lambda: (200, store.delete(*one)),
        "POST": lambda: (201, store.create(write, dict(asked.body or {}))),
        "PUT": lambda: (200, store.replace(write, dict(asked.body or {}))),
        "PATCH": lambda: _patched(store, asked, write),
    }
    return ways[asked.method]()


def _patched(store: Store, asked: Asked, write: Write) -> Reply:
    body = dict(asked.body or {})
    if write.writer.operation == "Apply":
        return 200, store.apply(write, body, force=asked.query.get("force") == "true")
    if asked.content_type.split(";")[0] not in MERGES[: 1 if asked.kind.schema else 2]:
        return status(415, "UnsupportedMediaType", f"{asked.content_type} is not supported")
    return 200, store.merge(write, body)


def _listed(store: Store, asked: Asked) -> Reply:
    version, found = store.listed(asked.kind, asked.namespace)
    label, _, value = asked.query.get("labelSelector", "").partition("=")
    if label:
        found = [one for one in found if one["metadata"].get("labels", {}).get(label) == value]
    start = 0
    if "continue" in asked.query:
        version, start = json.loads(base64.b64decode(asked.query["continue"]))
        if version < store.compacted:
            return status(410, "Expired", "The provided continue parameter is too old")
    limit = int(asked.query.get("limit") or 0) or len(found) + 1
    meta = {"resourceVersion": str(version)}
    if start + limit < len(found):
        token = json.dumps([version, start + limit]).encode()
        meta["continue"] = base64.b64encode(token).decode()
    items = found[start : start + limit]
    if asked.kind.schema is None:  # of built-in kinds, items do not repeat what they are
        items = [{k: v for k, v in one.items() if k not in ("kind", "apiVersion")} for one in items]
    head = {"kind": f"{asked.kind.kind}List", "apiVersion": asked.kind.api_version}
    return 200, {**head, "metadata": meta, "items": items}


def _scaled(store: Store, asked: Asked, write: Write) -> Reply:
    found = store.get(asked.kind, asked.namespace or "", asked.name)
    if asked.method in ("PATCH", "PUT"):
        sent = asked.body or {}
        change = {
            "metadata": {"resourceVersion": sent.get("metadata", {}).get("resourceVersion")},
            "spec": {"replicas": sent["spec"]["replicas"]},
        }
        if change["metadata"]["resourceVersion"] is None:
            del change["metadata"]
        found = store.merge(write, change)
    meta = {
        key: found["metadata"][key]
        for key in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
    }
    labels = found["spec"].get("selector", {}).get("matchLabels", {})
    selector = ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return 200, {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": meta,
        "spec": {"replicas": found["spec"].get("replicas", 1)},
        "status": {
            "replicas": found.get("status", {}).get("replicas", 0),
            "selector": found.get("status", {}).get("selector", selector),
        },
    }


def _discovered(store: Store, asked: Discovery) -> Reply:
    here = [k for (g, v, _), k in store.kinds.items() if (g, v) == (asked.group, asked.version)]
    if not here:
        return status(404, "NotFound", "the server could not find the requested resource")
    resources = [{"name": kind.plural, "kind": kind.kind} for kind in here]
    resources += [{"name": f"{kind.plural}/status", "kind": kind.kind} for kind in here]
    return 200, {"kind": "APIResourceList", "resources": resources}


def _contested(error: ConflictError) -> Reply:
    causes, count = [], len(error.owners)
    for manager, operation, path in error.owners:
        using = "" if operation == "Apply" else " using autoscaling/v2"
        field = "".join(f".{part[2:]}" for part in path)
        said = f'conflict with "{manager}"{using}'
        causes.append({"reason": "FieldManagerConflict", "message": said, "field": field})
    named = ", ".join(f"{one['message']}: {one['field']}" for one in causes)
    said = f"Apply failed with {count} conflict{'s' if count > 1 else ''}: {named}"
    return status(409, "Conflict", said, causes=causes)
