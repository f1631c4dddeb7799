"""The informer: a list and a watch that keep a cache up to date.

The informer of the Python client (kubernetes 37.0.2) is not used, for four reasons. It reads
``resp.items``, which is a dict's method for a list of custom objects. It retries a failed watch at
once and for ever, so a server that is down gets one request after the other. It sets no time limit,
so it waits for ever on a broken connection, and so does `stop`. It requests no bookmarks, so a
quiet watch expires. The client's splitting of a stream into lines is used.
"""

from __future__ import annotations

import json
import logging
import math
import random
import socket
import threading
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
from scaler.clocks.steady import steady_seconds
from scaler.errors import ClusterAbsentError, ClusterError, ClusterUnreachableError

_log = logging.getLogger(__name__)
_CUT_SHORT_S = 1.0
# Raised when a response is not what the API promises.
_MALFORMED = (AttributeError, KeyError, TypeError, ValueError)


class Store(Protocol):
    """A cache of objects, written by one thread and read by many."""

    def replace(self, objects: Iterable[Object]) -> None:
        """Replace all objects; if the iteration fails, nothing changes."""

    def put(self, resource: Object) -> None: ...

    def drop(self, resource: Object) -> None: ...


@dataclass(frozen=True, slots=True)
class WatchTimes:
    """The times of a watch.

    Attributes:
        window_s: after this time the server ends a watch.
        grace_s: a connection that is silent for this much longer counts as broken.
        first_s: the pause after the first failure; it doubles with each further one, jittered.
        max_s: the longest pause.
    """

    window_s: int = 45  # shorter than the minute in which the server sends a bookmark
    grace_s: float = 5.0
    first_s: float = 0.2
    max_s: float = 15.0


class Informer:
    """Keeps ``store`` equal to the objects at ``path``, from `start` until `close`."""

    def __init__(
        self,
        api: KubernetesApi,
        path: str,
        store: Store,
        times: WatchTimes = WatchTimes(),
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self._api, self._path, self._store, self._times = api, path, store, times
        self._clock, self._last_contact = clock, -math.inf
        self._version: str | None = None
        self._stopped, self._synced = threading.Event(), threading.Event()
        self._response: HTTPResponse | None = None
        self._thread = threading.Thread(target=self._run, name=f"watch {path}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wait(self, seconds: float) -> bool:
        """Wait for the first list; return whether it arrived within ``seconds``."""
        return self._synced.wait(seconds)

    def silent_s(self) -> float:
        """Return the seconds since the last contact; infinite before the first list."""
        return self._clock() - self._last_contact

    def close(self) -> None:
        self._stopped.set()
        answer = self._response
        sock = getattr(getattr(answer, "connection", None), "sock", None)
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)  # wakes the thread that reads it
        if self._thread.is_alive():
            self._thread.join(1.0)  # a daemon thread, which may end later

    def _run(self) -> None:
        failed = 0
        while not self._stopped.is_set():
            try:
                if self._version is None:
                    self._list()
                began = self._clock()
                self._watch(self._version or "0")
                # A watch that ends at once was cut by a proxy, and counts as a failure.
                failed = failed + 1 if self._clock() - began < _CUT_SHORT_S else 0
            except ClusterAbsentError as gone:  # 410: the version is too old to watch from
                _log.info("watch=%s relisted=%s", self._path, gone)
                failed += 1
                self._version = None
            except ClusterError as error:
                if self._stopped.is_set():
                    return  # `close` has shut the connection down
                failed += 1
                _log.warning("watch=%s failed=%d error=%s", self._path, failed, error)
            if failed:
                self._stopped.wait(self._backoff_s(failed))

    def _backoff_s(self, failures: int) -> float:
        return backoff_s(
            failures,
            first_s=self._times.first_s,
            longest_s=self._times.max_s,
            share=random.uniform(0.5, 1.0),  # noqa: S311 - jitter
        )

    def _list(self) -> None:
        version: list[str] = []

        def objects() -> Iterator[Object]:
            for page in self._api.pages(self._path):
                version.append(page["metadata"]["resourceVersion"])
                yield from page["items"]

        try:
            self._store.replace(objects())
        except _MALFORMED as error:
            raise ClusterUnreachableError(f"list {self._path}: malformed: {error!r}") from error
        # Later pages may be newer than the first: the watch starts from the version of the first.
        self._version = version[0]
        self._note_contact()
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
        self._response = answer
        try:
            if self._stopped.is_set():
                return  # `close` came before there was a connection to shut down
            self._note_contact()
            for line in iter_resp_lines(answer):  # type: ignore[no-untyped-call]
                if self._stopped.is_set():
                    return
                self._handle(line)
            self._note_contact()
        except (HTTPError, HTTPException, OSError, *_MALFORMED) as error:
            raise ClusterUnreachableError(f"watch {self._path}: {error!r}") from error
        finally:
            self._response = None
            answer.close()

    def _handle(self, line: str) -> None:
        if not line.strip():
            return
        event = json.loads(line)
        kind, resource = event["type"], event["object"]
        if kind == "ERROR":
            message = f"watch {self._path}: {resource.get('code')} {resource.get('message')}"
            if resource.get("code") == 410:
                raise ClusterAbsentError(message)
            raise ClusterUnreachableError(message)
        self._note_contact()
        if kind in ("ADDED", "MODIFIED"):
            self._store.put(resource)
        elif kind == "DELETED":
            self._store.drop(resource)
        self._version = resource["metadata"]["resourceVersion"]

    def _note_contact(self) -> None:
        self._last_contact = self._clock()
