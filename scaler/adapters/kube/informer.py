"""A list and a watch that keep a store as the cluster is.

The informer of kubernetes 37.0.2 is not used, for it does not hold here: it reads ``resp.items``,
which of a custom object's list is the method of a dict; it asks again at once and for ever where a
watch fails, so that a server that is down gets one request after the other; it sets no time limit,
so that a cut connection is waited on for ever (as `stop` then is); and it asks for no bookmarks,
so that a quiet watch expires. What splits a stream into lines does hold and is used.
"""

from __future__ import annotations

import json
import logging
import math
import random
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from typing import Protocol

from kubernetes.watch.watch import iter_resp_lines
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError

from forecaster.adapters.backoff import backoff_s
from scaler.adapters.kube.client import KubernetesApi, Object
from scaler.errors import ClusterAbsentError, ClusterError, ClusterUnreachableError

_log = logging.getLogger(__name__)
_SHORT_S = 1.0
# What is raised by reading an answer that is not what the API promises.
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)


class Store(Protocol):
    """What is kept of the objects; called by one thread, read by many."""

    def replace(self, found: Iterable[Object]) -> None:
        """Forget all and keep these; where the iteration fails, nothing changes."""

    def put(self, found: Object) -> None: ...

    def drop(self, found: Object) -> None: ...


@dataclass(frozen=True, slots=True)
class WatchTimes:
    """``window_s``: the server ends a watch; after ``grace_s`` more the line counts as cut.

    ``first_s`` and ``most_s``: between tries, doubled and jittered.
    """

    window_s: int = 45  # shorter than the minute in which the server sends a bookmark
    grace_s: float = 5.0
    first_s: float = 0.2
    most_s: float = 15.0


class Informer:
    """Keeps ``store`` as what lies at ``path`` is, from `start` until `close`."""

    def __init__(
        self,
        api: KubernetesApi,
        path: str,
        store: Store,
        times: WatchTimes = WatchTimes(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._api, self._path, self._store, self._times = api, path, store, times
        self._clock, self._heard = clock, -math.inf
        self._version: str | None = None
        self._stopped, self._synced = threading.Event(), threading.Event()
        self._open: HTTPResponse | None = None
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Return whether the store was filled once, within so many seconds."""
        return self._synced.wait(seconds)

    def silent_s(self) -> float:
        """Return for how long the server was not heard of; infinite before the first list."""
        return self._clock() - self._heard

    def close(self) -> None:
        self._stopped.set()
        answer = self._open
        sock = getattr(getattr(answer, "connection", None), "sock", None)
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
        if self._thread.is_alive():
            self._thread.join(1.0)  # it is a daemon: it may end by itself

    def _run(self) -> None:
        failed = 0
        while not self._stopped.is_set():
            try:
                if self._version is None:
                    self._list()
                began = self._clock()
                self._watch(self._version or "0")
                # A watch that ends as soon as it begins is cut by somebody in between.
                failed = failed + 1 if self._clock() - began < _SHORT_S else 0
            except ClusterAbsentError as gone:  # 410: the version is too old to watch from
                _log.info("watch=%s relisted=%s", self._path, gone)
                failed += 1
                self._version = None
            except ClusterError as error:
                if self._stopped.is_set():
                    return  # we have cut the line ourselves
                failed += 1
                _log.warning("watch=%s failed=%d error=%s", self._path, failed, error)
            if failed:
                self._stopped.wait(self._backoff_s(failed))

    def _backoff_s(self, failures: int) -> float:
        return backoff_s(
            failures,
            first_s=self._times.first_s,
            longest_s=self._times.most_s,
            share=random.uniform(0.5, 1.0),  # noqa: S311 - jitter
        )

    def _list(self) -> None:
        version: list[str] = []

        def found() -> Iterator[Object]:
            for page in self._api.pages(self._path):
                version.append(page["metadata"]["resourceVersion"])
                yield from page["items"]

        try:
            self._store.replace(found())
        except _MALFORMED as error:
            raise ClusterUnreachableError(f"list {self._path}: malformed: {error!r}") from error
        # A page may be newer than the first; only what came after the first is watched for sure.
        self._version = version[0]
        self._hear()
        self._synced.set()

    def _watch(self, version: str) -> None:
        window = self._times.window_s
        answer = self._api.stream(
            self._path,
            window + self._times.grace_s,
            watch="true",
            resourceVersion=version,
            allowWatchBookmarks="true",
            timeoutSeconds=str(window),
        )
        self._open = answer
        try:
            if self._stopped.is_set():
                return  # before there was a line that `close` could have cut
            self._hear()
            for line in iter_resp_lines(answer):  # type: ignore[no-untyped-call]
                if self._stopped.is_set():
                    return
                self._take(line)
            self._hear()
        except (HTTPError, HTTPException, OSError, *_MALFORMED) as error:
            raise ClusterUnreachableError(f"watch {self._path}: {error!r}") from error
        finally:
            self._open = None
            answer.close()

    def _take(self, line: str) -> None:
        if not line.strip():
            return
        event = json.loads(line)
        kind, found = event["type"], event["object"]
        if kind == "ERROR":
            message = f"watch {self._path}: {found.get('code')} {found.get('message')}"
            if found.get("code") == 410:
                raise ClusterAbsentError(message)
            raise ClusterUnreachableError(message)
        self._hear()
        if kind in ("ADDED", "MODIFIED"):
            self._store.put(found)
        elif kind == "DELETED":
            self._store.drop(found)
        self._version = found["metadata"]["resourceVersion"]

    def _hear(self) -> None:
        self._heard = self._clock()
