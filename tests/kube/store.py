"""The objects of an API server: versions, history to watch, and every way to change them."""

from __future__ import annotations

import copy
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.kube import ownership, rules
from tests.kube.ownership import Writer
from tests.kube.rules import BUILT_IN, InvalidError, Kind

Key = tuple[str, str, str, str]  # group, plural, namespace, name


class AbsentError(Exception):
    """404."""


class MovedError(Exception):
    """409: the object has another version than the write names, or exists already."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True)
class Change:
    version: int
    type: str
    kind: Kind
    namespace: str
    found: dict


@dataclass(frozen=True)
class Write:
    """A change of one existing object."""

    kind: Kind
    namespace: str
    name: str
    writer: Writer


@dataclass
class Store:
    """All objects, in the order of their changes.

    Attributes:
        now: the clock of the server.
        compacted: changes up to this version are dropped; a watch from there gets 410.
    """

    now: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    compacted: int = 0
    version: int = 100
    objects: dict[Key, dict] = field(default_factory=dict)
    history: list[Change] = field(default_factory=list)
    kinds: dict[tuple[str, str, str], Kind] = field(default_factory=dict)
    changed: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        self.kinds = {(one.group, one.version, one.plural): one for one in BUILT_IN}

    @contextmanager
    def locked(self):
        with self.changed:
            yield

    def get(self, kind: Kind, namespace: str, name: str) -> dict:
        with self.locked():
            try:
                return copy.deepcopy(self.objects[kind.group, kind.plural, namespace, name])
            except KeyError:
                raise AbsentError(f'{kind.plural}.{kind.group} "{name}" not found') from None

    def listed(self, kind: Kind, namespace: str | None) -> tuple[int, list[dict]]:
        with self.locked():
            found = [
                copy.deepcopy(one)
                for (group, plural, within, _), one in sorted(self.objects.items())
                if (group, plural) == (kind.group, kind.plural) and namespace in (None, within)
            ]
            return self.version, found

    def create(self, write: Write, found: dict) -> dict:
        kind, meta = write.kind, found.setdefault("metadata", {})
        with self.locked():
            if "name" not in meta and "generateName" in meta:
                meta["name"] = meta["generateName"] + uuid.uuid4().hex[:5]
            if kind.namespaced:
                meta["namespace"] = write.namespace
            key = (kind.group, kind.plural, write.namespace, meta["name"])
            if key in self.objects:
                message_text = f'{kind.plural}.{kind.group} "{meta["name"]}" already exists'
                raise MovedError("AlreadyExists", message_text)
            if kind.status and kind.schema is not None:
                found.pop("status", None)
            meta |= {"uid": str(uuid.uuid4()), "creationTimestamp": self._stamp(), "generation": 1}
            found = rules.prepared(kind, found)
            # An apply has set the owners already.
            if not meta.get("managedFields"):
                ownership.updated({"metadata": {}}, found, write.writer, self._stamp())
            self._commit("ADDED", kind, found)
            if kind.plural == "customresourcedefinitions":
                made = rules.defined(found)
                self.kinds[made.group, made.version, made.plural] = made
            return copy.deepcopy(found)

    def replace(self, write: Write, found: dict) -> dict:
        with self.locked():
            live = self.get(write.kind, write.namespace, write.name)
            version = found.get("metadata", {}).get("resourceVersion")
            if not version and not write.kind.unconditional:
                message_text = "Invalid value: 0: must be specified for an update"
                raise InvalidError(("metadata.resourceVersion", message_text))
            return self._changed(write, live, found)

    def merge(self, write: Write, patch: dict) -> dict:
        with self.locked():
            live = self.get(write.kind, write.namespace, write.name)
            return self._changed(write, live, merged(copy.deepcopy(live), patch))

    def apply(self, write: Write, config: dict, *, force: bool) -> dict:
        with self.locked():
            try:
                live = self.get(write.kind, write.namespace, write.name)
            except AbsentError:
                empty = {"apiVersion": config["apiVersion"], "kind": config["kind"], "metadata": {}}
                stamp = self._stamp()
                made = ownership.applied(empty, config, write.writer, stamp, force=force)
                return self.create(write, made)
            self._is_current(live, config)
            made = ownership.applied(live, config, write.writer, self._stamp(), force=force)
            return self._changed(write, live, made, owned=True)

    def delete(self, kind: Kind, namespace: str, name: str) -> dict:
        with self.locked():
            live = self.get(kind, namespace, name)
            if live["metadata"].get("finalizers"):
                if "deletionTimestamp" not in live["metadata"]:
                    live["metadata"] |= {
                        "deletionTimestamp": self._stamp(),
                        "deletionGracePeriodSeconds": 0,
                        "generation": live["metadata"]["generation"] + 1,
                    }
                    self._commit("MODIFIED", kind, live)
                return live
            self._commit("DELETED", kind, live)
            return live

    def compact(self) -> None:
        """Drop all changes so far, so that no watch can start before them."""
        with self.locked():
            self.compacted = self.version

    def _changed(self, write: Write, live: dict, found: dict, *, owned: bool = False) -> dict:
        self._is_current(live, found)
        sub = write.writer.subresource
        if sub == "status":
            found = {
                **live,
                "status": found.get("status", {}),
                "metadata": {
                    **live["metadata"],
                    "managedFields": found["metadata"].get("managedFields"),
                },
            }
        elif write.kind.status:
            found = {**found, "status": live["status"]} if "status" in live else dict(found)
            if "status" not in live:
                found.pop("status", None)
        kept = ("uid", "creationTimestamp", "name", "namespace", "generation", "resourceVersion")
        found["metadata"] |= {k: live["metadata"][k] for k in kept if k in live["metadata"]}
        found = rules.prepared(write.kind, found, live)
        if not owned:
            ownership.updated(live, found, write.writer, self._stamp())
        if found == live:
            return copy.deepcopy(live)
        if found.get("spec") != live.get("spec"):
            found["metadata"]["generation"] += 1
        gone = "deletionTimestamp" in live["metadata"]
        if gone and not found["metadata"].get("finalizers"):
            self._commit("DELETED", write.kind, found)
        else:
            self._commit("MODIFIED", write.kind, found)
        return copy.deepcopy(found)

    def _is_current(self, live: dict, found: dict) -> None:
        version = found.get("metadata", {}).get("resourceVersion")
        if version and version != live["metadata"]["resourceVersion"]:
            name = live["metadata"]["name"]
            raise MovedError(
                "Conflict",
                f'Operation cannot be fulfilled on "{name}": the object has been modified; please '
                "apply your changes to the latest version and try again",
            )

    def _commit(self, change: str, kind: Kind, found: dict) -> None:
        self.version += 1
        found["metadata"]["resourceVersion"] = str(self.version)
        namespace, name = found["metadata"].get("namespace", ""), found["metadata"]["name"]
        key = (kind.group, kind.plural, namespace, name)
        if change == "DELETED":
            self.objects.pop(key, None)
        else:
            self.objects[key] = copy.deepcopy(found)
        self.history.append(Change(self.version, change, kind, namespace, copy.deepcopy(found)))
        self.changed.notify_all()

    def _stamp(self) -> str:
        return rules.stamp(self.now)


def merged(value, patch):
    """Apply a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(value) if isinstance(value, dict) else {}
    for key, one in patch.items():
        if one is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), one)
    return result
