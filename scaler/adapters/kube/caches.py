"""The caches of watched objects: parsed objects by name, and pods by label."""

from __future__ import annotations

import re
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from scaler.adapters.kube.objects import pod
from scaler.control.observations import Pod

T = TypeVar("T")
Object = dict[str, Any]
Requirement = tuple[
    str, bool, frozenset[str] | None
]  # label, positive or negated, values; None: any value
_TERM = re.compile(r"\s*(?:([^,()=!\s]+)\s+(in|notin)\s*\(([^)]*)\)|([^,]*))\s*(?:,|$)")


def key_of(resource: Mapping[str, Any]) -> str:
    return f"{resource['metadata']['namespace']}/{resource['metadata']['name']}"


def _resource_version(resource: Mapping[str, Any]) -> int:
    # They can be compared as integers: kubernetes.io, "API Concepts", resource versions (1.35).
    text = resource["metadata"].get("resourceVersion", "")
    return int(text) if text.isdigit() else 0


class ObjectCache(Generic[T]):
    """Objects by "namespace/name".

    Objects that this process writes are put at once, so the watch may deliver an older version
    afterwards, which is ignored.

    Args:
        read: parses an object, given what it was parsed to before, if it was.
        gone: is called with the name of each object that is there no more.
    """

    def __init__(
        self, read: Callable[[Object, T | None], T], gone: Callable[[str], None] = lambda _: None
    ) -> None:
        self._read, self._gone = read, gone
        self._entries: dict[str, tuple[int, T]] = {}
        self._lock = threading.Lock()

    def replace(self, objects: Iterable[Object]) -> None:
        entries = {key_of(one): self._entry(one) for one in objects}
        with self._lock:
            before, self._entries = self._entries, entries
        for key in before.keys() - entries.keys():
            self._gone(key)

    def put(self, resource: Object) -> None:
        self._put(resource, anew=True)

    def renew(self, resource: Object) -> None:
        """Put an object that this process has written, unless it was deleted meanwhile."""
        self._put(resource, anew=False)

    def _put(self, resource: Object, *, anew: bool) -> None:
        key, entry = key_of(resource), self._entry(resource)
        with self._lock:
            known = self._entries.get(key)
            if anew if known is None else known[0] <= entry[0]:
                self._entries[key] = entry

    def _entry(self, resource: Object) -> tuple[int, T]:
        return _resource_version(resource), self._read(resource, self.get(key_of(resource)))

    def drop(self, resource: Object) -> None:
        key = key_of(resource)
        with self._lock:
            self._entries.pop(key, None)
        self._gone(key)

    def get(self, key: str) -> T | None:
        with self._lock:
            entry = self._entries.get(key)
        return entry[1] if entry else None

    def all(self) -> dict[str, T]:
        with self._lock:
            return {key: value for key, (_, value) in self._entries.items()}


def requirements(selector: str) -> tuple[Requirement, ...]:
    """Return the requirements of a label selector, as the scale subresource writes it.

    >>> requirements("app=web,tier notin (a),!old")[1:]
    (('tier', False, frozenset({'a'})), ('old', False, None))
    """
    parsed: list[Requirement] = []
    for label, operator, values, plain in _TERM.findall(selector):
        if label:
            allowed = frozenset(one.strip() for one in values.split(","))
            parsed.append((label, operator == "in", allowed))
        elif plain.strip():
            parsed.append(_plain(plain.strip()))
    return tuple(parsed)


def _plain(text: str) -> Requirement:
    for sign, required in (("!=", False), ("==", True), ("=", True)):
        label, present, value = text.partition(sign)
        if present:
            return label.strip(), required, frozenset({value.strip()})
    return text.removeprefix("!").strip(), not text.startswith("!"), None


def matches(labels: Mapping[str, str], required: Iterable[Requirement]) -> bool:
    for label, positive, values in required:
        present = label in labels and (values is None or labels[label] in values)
        if present != positive:
            return False
    return True


class PodCache:
    """Pods, indexed by namespace and label, so that the pods of a workload are found fast."""

    def __init__(self) -> None:
        self._pods: dict[str, tuple[Mapping[str, str], Pod]] = {}
        self._by_label: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._lock = threading.Lock()

    def replace(self, objects: Iterable[Object]) -> None:
        fresh = PodCache()
        for one in objects:
            fresh.put(one)
        with self._lock:
            self._pods, self._by_label = fresh._pods, fresh._by_label

    def put(self, resource: Object) -> None:
        entry = pod(resource)
        if entry is None:
            self.drop(resource)
            return
        labels = resource["metadata"].get("labels") or {}
        with self._lock:
            self._remove(key_of(resource))
            self._pods[key_of(resource)] = (labels, entry)
            for label, value in labels.items():
                self._by_label[resource["metadata"]["namespace"], label, value].add(
                    key_of(resource)
                )

    def drop(self, resource: Object) -> None:
        with self._lock:
            self._remove(key_of(resource))

    def _remove(self, key: str) -> None:
        labels, _ = self._pods.pop(key, ({}, None))
        for label, value in labels.items():
            index_key = (key.partition("/")[0], label, value)
            self._by_label[index_key].discard(key)
            if not self._by_label[index_key]:
                del self._by_label[index_key]

    def selected(self, namespace: str, selector: str) -> tuple[Pod, ...]:
        """Return the pods of a workload; an empty selector selects none, rather than all."""
        required = requirements(selector)
        if not required:
            return ()
        with self._lock:
            candidates = self._candidates(namespace, required)
            pods = [self._pods[key] for key in candidates]
        return tuple(one for labels, one in pods if matches(labels, required))

    def _candidates(self, namespace: str, required: Iterable[Requirement]) -> Iterable[str]:
        exact = [
            self._by_label.get((namespace, label, next(iter(values))), set())
            for label, positive, values in required
            if positive and values is not None and len(values) == 1
        ]
        if exact:
            return min(exact, key=len)
        return [key for key in self._pods if key.startswith(f"{namespace}/")]
