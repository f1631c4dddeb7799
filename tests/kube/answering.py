"""The responses of the API server in memory: changes of objects, or a Status with the error."""

from __future__ import annotations

import base64
import json

from tests.kube.ownership import ConflictError, Writer
from tests.kube.routes import ApiCall, Discovery
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


def too_old(store: Store, call: ApiCall) -> Reply | None:
    """Return 410 to a watch from a version that is compacted."""
    version = int(call.query.get("resourceVersion") or 0)
    if 0 < version < store.compacted:
        return status(410, "Expired", f"too old resource version: {version} ({store.compacted})")
    return None


def respond(store: Store, call: ApiCall | Discovery | None) -> Reply:
    if call is None:
        return status(404, "NotFound", "the server could not find the requested resource")
    if isinstance(call, Discovery):
        return _discovered(store, call)
    try:
        return _execute(store, call)
    except (AbsentError, MovedError, ConflictError, UnreadableError, InvalidError) as error:
        return _refusal(call, error)


def _refusal(call: ApiCall, error: Exception) -> Reply:
    match error:
        case ConflictError():
            return _contested(error)
        case InvalidError():
            causes = [
                {"field": field, "message": message_text} for field, message_text in error.causes
            ]
            message_text = f'{call.kind.kind} "{call.name}" is invalid: {error}'
            return status(422, "Invalid", message_text, causes=causes)
        case MovedError():
            return status(409, error.reason, str(error))
        case UnreadableError():
            return status(400, "BadRequest", str(error))
    return status(404, "NotFound", str(error))


def _execute(store: Store, call: ApiCall) -> Reply:
    manager = call.query.get("fieldManager", "unknown")
    applies = call.content_type.startswith(APPLY)
    writer = Writer(manager, "Apply" if applies else "Update", call.sub)
    write = Write(call.kind, call.namespace or "", call.name, writer)
    if call.sub == "scale" and call.kind.scale:
        return _scale(store, call, write)
    if call.sub and not (call.sub == "status" and call.kind.status):
        raise AbsentError("the server could not find the requested resource")
    if call.method == "GET" and not call.name:
        return _list(store, call)
    one = (call.kind, call.namespace or "", call.name)
    ways = {
        "GET": lambda: (200, store.get(*one)),
        "DELETE": lambda: (200, store.delete(*one)),
        "POST": lambda: (201, store.create(write, dict(call.body or {}))),
        "PUT": lambda: (200, store.replace(write, dict(call.body or {}))),
        "PATCH": lambda: _patch(store, call, write),
    }
    return ways[call.method]()


def _patch(store: Store, call: ApiCall, write: Write) -> Reply:
    body = dict(call.body or {})
    if write.writer.operation == "Apply":
        return 200, store.apply(write, body, force=call.query.get("force") == "true")
    if call.content_type.split(";")[0] not in MERGES[: 1 if call.kind.schema else 2]:
        return status(415, "UnsupportedMediaType", f"{call.content_type} is not supported")
    return 200, store.merge(write, body)


def _list(store: Store, call: ApiCall) -> Reply:
    version, found = store.listed(call.kind, call.namespace)
    label, _, value = call.query.get("labelSelector", "").partition("=")
    if label:
        found = [one for one in found if one["metadata"].get("labels", {}).get(label) == value]
    start = 0
    if "continue" in call.query:
        version, start = json.loads(base64.b64decode(call.query["continue"]))
        if version < store.compacted:
            return status(410, "Expired", "The provided continue parameter is too old")
    limit = int(call.query.get("limit") or 0) or len(found) + 1
    meta = {"resourceVersion": str(version)}
    if start + limit < len(found):
        token = json.dumps([version, start + limit]).encode()
        meta["continue"] = base64.b64encode(token).decode()
    items = found[start : start + limit]
    if call.kind.schema is None:  # of built-in kinds, items do not repeat what they are
        items = [{k: v for k, v in one.items() if k not in ("kind", "apiVersion")} for one in items]
    head = {"kind": f"{call.kind.kind}List", "apiVersion": call.kind.api_version}
    return 200, {**head, "metadata": meta, "items": items}


def _scale(store: Store, call: ApiCall, write: Write) -> Reply:
    found = store.get(call.kind, call.namespace or "", call.name)
    if call.method in ("PATCH", "PUT"):
        sent = call.body or {}
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


def _discovered(store: Store, call: Discovery) -> Reply:
    here = [k for (g, v, _), k in store.kinds.items() if (g, v) == (call.group, call.version)]
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
        message_text = f'conflict with "{manager}"{using}'
        causes.append({"reason": "FieldManagerConflict", "message": message_text, "field": field})
    named = ", ".join(f"{one['message']}: {one['field']}" for one in causes)
    message_text = f"Apply failed with {count} conflict{'s' if count > 1 else ''}: {named}"
    return status(409, "Conflict", message_text, causes=causes)
