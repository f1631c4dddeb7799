"""What is kept in memory of the objects that are watched: little of each, found fast."""

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
Requirement = tuple[str, bool, frozenset[str] | None]  # label, wanted, among these; None: any
_PART = re.compile(r"\s*(?:([^,()=!\s]+)\s+(in|notin)\s*\(([^)]*)\)|([^,]*))\s*(?:,|$)")


def key_of(found: Mapping[str, Any]) -> str:
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"


def _version(found: Mapping[str, Any]) -> int:
    # Comparable as whole numbers: kubernetes.io, "API Concepts", resource versions (1.35).
    text = found["metadata"].get("resourceVersion", "")
    return int(text) if text.isdigit() else 0


class ObjectCache(Generic[T]):
    """What ``read`` makes of each object, by "namespace/name".

    What we have written ourselves is put at once, so an event may come that is older: it is passed
    over.
    """

    def __init__(self, read: Callable[[Object], T]) -> None:
        self._read = read
        self._kept: dict[str, tuple[int, T]] = {}
        self._lock = threading.Lock()

    def replace(self, found: Iterable[Object]) -> None:
        kept = {key_of(one): (_version(one), self._read(one)) for one in found}
        with self._lock:
            self._kept = kept

    def put(self, found: Object) -> None:
        key, version, value = key_of(found), _version(found), self._read(found)
        with self._lock:
            if key not in self._kept or self._kept[key][0] <= version:
                self._kept[key] = (version, value)

    def renew(self, found: Object) -> None:
        """Put what we have written; what was deleted meanwhile does not come back by it."""
        if self.get(key_of(found)) is not None:
            self.put(found)

    def drop(self, found: Object) -> None:
        with self._lock:
            self._kept.pop(key_of(found), None)

    def get(self, key: str) -> T | None:
        with self._lock:
            entry = self._kept.get(key)
        return entry[1] if entry else None

    def all(self) -> dict[str, T]:
        with self._lock:
            return {key: value for key, (_, value) in self._kept.items()}


def requirements(selector: str) -> tuple[Requirement, ...]:
    """Return what a selector asks for, as the scale subresource writes it.

    >>> requirements("app=web,tier notin (a),!old")[1:]
    (('tier', False, frozenset({'a'})), ('old', False, None))
    """
    found: list[Requirement] = []
    for label, how, among, plain in _PART.findall(selector):
        if label:
            values = frozenset(one.strip() for one in among.split(","))
            found.append((label, how == "in", values))
        elif plain.strip():
            found.append(_plain(plain.strip()))
    return tuple(found)


def _plain(text: str) -> Requirement:
    for sign, wanted in (("!=", False), ("==", True), ("=", True)):
        label, there, value = text.partition(sign)
        if there:
            return label.strip(), wanted, frozenset({value.strip()})
    return text.removeprefix("!").strip(), not text.startswith("!"), None


def matches(labels: Mapping[str, str], wanted: Iterable[Requirement]) -> bool:
    for label, positive, among in wanted:
        there = label in labels and (among is None or labels[label] in among)
        if there != positive:
            return False
    return True


class PodCache:
    """Pods by namespace and label, so that those of one workload are found among all at once."""

    def __init__(self) -> None:
        self._pods: dict[str, tuple[Mapping[str, str], Pod]] = {}
        self._by_label: dict[tuple[str, str, str], set[str]] = defaultdict(set)
        self._lock = threading.Lock()

    def replace(self, found: Iterable[Object]) -> None:
        fresh = PodCache()
        for one in found:
            fresh.put(one)
        with self._lock:
            self._pods, self._by_label = fresh._pods, fresh._by_label

    def put(self, found: Object) -> None:
        seen = pod(found)
        if seen is None:
            self.drop(found)
            return
        labels = found["metadata"].get("labels") or {}
        with self._lock:
            self._forget(key_of(found))
            self._pods[key_of(found)] = (labels, seen)
            for label, value in labels.items():
                self._by_label[found["metadata"]["namespace"], label, value].add(key_of(found))

    def drop(self, found: Object) -> None:
        with self._lock:
            self._forget(key_of(found))

    def _forget(self, key: str) -> None:
        labels, _ = self._pods.pop(key, ({}, None))
        for label, value in labels.items():
            place = (key.partition("/")[0], label, value)
            self._by_label[place].discard(key)
            if not self._by_label[place]:
                del self._by_label[place]

    def selected(self, namespace: str, selector: str) -> tuple[Pod, ...]:
        """Return the pods of a workload; an empty selector selects none, rather than all."""
        wanted = requirements(selector)
        if not wanted:
            return ()
        with self._lock:
            candidates = self._fewest(namespace, wanted)
            found = [self._pods[key] for key in candidates]
        return tuple(one for labels, one in found if matches(labels, wanted))

    def _fewest(self, namespace: str, wanted: Iterable[Requirement]) -> Iterable[str]:
        exact = [
            self._by_label.get((namespace, label, next(iter(among))), set())
            for label, positive, among in wanted
            if positive and among is not None and len(among) == 1
        ]
        if exact:
            return min(exact, key=len)
        return [key for key in self._pods if key.startswith(f"{namespace}/")]
