"""Calls to the Kubernetes API server, with time limits, retries with back-off, and our own errors.

Rules of this file:

* A call that is retried may already have been carried out. So every write names the version of the
  object that it was made for, or has the same effect if it is done twice.
* No exception of the client library or of its HTTP library leaves this file.
"""

from __future__ import annotations

import json
import math
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from kubernetes import client
from urllib3 import HTTPResponse
from urllib3.exceptions import HTTPError, SSLError

from forecaster.adapters.backoff import backoff_s
from scaler.adapters.kube.credentials import settings_of
from scaler.adapters.kube.objects import conflict_managers, retry_after_s, status_message
from scaler.clocks.steady import steady_seconds
from scaler.errors import (
    ClusterAbsentError,
    ClusterConflictError,
    ClusterError,
    ClusterForbiddenError,
    ClusterRefusedError,
    ClusterUnreachableError,
)
from scaler.hpa.floor_ownership import MANAGER

MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
JSON = "application/json"
_PAGE = 500  # objects in one answer, as kubectl asks for
_RETRIED = frozenset({429, 500, 502, 503, 504})
_UNAUTHORIZED = 401
# Not more often does a 401 have credentials read again, which may run a plugin.
_RECONNECT_S = 10.0

Object = dict[str, Any]
_Call = tuple[str, str, dict[str, str], Any]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how long a call is tried, with the back-off of `backoff_s` between attempts.

    Attributes:
        attempts: the first included.
        budget_s: no attempt begins later than this after the first.
        first_s: upper bound of the first wait; it doubles with each failure.
        connect_s, read_s: time limits of one attempt.
    """

    attempts: int = 4
    budget_s: float = 10.0
    first_s: float = 0.1
    connect_s: float = 2.0
    read_s: float = 5.0

    def wait_s(self, failures: int, share: float, retry_after_s: float) -> float:
        """Return the seconds to wait after so many failed attempts."""
        return backoff_s(
            failures,
            first_s=self.first_s,
            longest_s=self.budget_s,
            share=share,
            retry_after_s=retry_after_s,
        )


@dataclass(frozen=True, slots=True)
class Request:
    """One call; ``query`` and ``body`` are sent unchanged."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...] = ()
    body: Object | None = None
    content_type: str = JSON

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"{self.method} {self.path}"


@dataclass
class KubernetesApi:
    """One API server. Safe to use from several threads.

    A request that is answered with 401 is sent once more where credentials that are read again are
    others, or may be, as a client certificate may.

    Attributes:
        connect: returns a client with credentials as they are now.
        sleep: waits so many seconds between attempts.
        jitter: returns a number in [0, 1), see `backoff_s`.
        clock: monotonic seconds.
    """

    api: client.ApiClient
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    clock: Callable[[], float] = steady_seconds
    connect: Callable[[], client.ApiClient] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock, init=False, repr=False)
    _connected_at: float = field(default=-math.inf, init=False, repr=False)

    def call(self, request: Request) -> Object:
        """Return the answer as JSON.

        Raises:
            ClusterError: of the subclass that fits the status.
        """
        began, failed = self.clock(), 0
        while True:
            asked_to_wait_s = 0.0
            try:
                answer, status = self._send(request, self.retry_policy.read_s)
                body = self._read(request, answer)
                if status < 300:
                    return _decoded(request, body)
                error: ClusterError = _error(request, status, body)
                if status not in _RETRIED:
                    raise error
                asked_to_wait_s = retry_after_s(answer.headers)
            except ClusterUnreachableError as unreachable:
                error = unreachable
            failed += 1
            wait = self.retry_policy.wait_s(failed, self.jitter(), asked_to_wait_s)
            spent = self.clock() - began
            if failed >= self.retry_policy.attempts or spent + wait > self.retry_policy.budget_s:
                raise ClusterUnreachableError(
                    f"{error}; gave up after {failed} attempts"
                ) from error
            self.sleep(wait)

    def get(self, path: str, **query: str) -> Object:
        return self.call(Request("GET", path, tuple(query.items())))

    def pages(self, path: str, **query: str) -> Iterator[Object]:
        """Yield the pages of a list: each has ``items`` and ``metadata``."""
        more: dict[str, str] = {}
        while True:
            page = self.get(path, limit=str(_PAGE), **query, **more)
            yield page
            token = page.get("metadata", {}).get("continue")
            if not token:
                return
            more = {"continue": token}

    def patch(self, path: str, body: Object, content_type: str = MERGE, **query: str) -> Object:
        query = {"fieldManager": MANAGER, **query}
        return self.call(Request("PATCH", path, tuple(query.items()), body, content_type))

    def post(self, path: str, body: Object) -> Object:
        return self.call(Request("POST", path, body=body))

    def put(self, path: str, body: Object) -> Object:
        return self.call(Request("PUT", path, body=body))

    def stream(self, path: str, read_s: float, **query: str) -> HTTPResponse:
        """Return an open response, which the caller closes; nothing is retried.

        Args:
            path: what to watch.
            read_s: longest time without data.
            query: parameters of the watch.
        """
        request = Request("GET", path, tuple(query.items()))
        answer, status = self._send(request, read_s)
        if status != 200:
            body = self._read(request, answer)
            raise _error(request, status, body)
        return answer

    def _send(self, request: Request, read_s: float) -> tuple[HTTPResponse, int]:
        api = self.api
        call = _serialized(api, request)
        answer, status = self._answer(api, call, request, read_s)
        if status == _UNAUTHORIZED and self._reconnected(api):
            again = _serialized(self.api, request)
            if "authorization" not in again[2] or again[2] != call[2]:
                answer.close()
                return self._answer(self.api, again, request, read_s)
        return answer, status

    def _answer(
        self, api: client.ApiClient, call: _Call, request: Request, read_s: float
    ) -> tuple[HTTPResponse, int]:
        timeout = (self.retry_policy.connect_s, read_s)
        try:
            answer = api.call_api(*call, _request_timeout=timeout)
        except (HTTPError, HTTPException, OSError, client.ApiException) as error:
            raise _unreachable(request, error) from error
        return answer.response, int(answer.status)

    def _reconnected(self, refused: client.ApiClient) -> bool:
        """Read the credentials again; return whether there is another client than was refused."""
        with self._lock:
            if self.api is not refused:  # another thread has done it
                return True
            if self.connect is None or self.clock() < self._connected_at + _RECONNECT_S:
                return False
            self._connected_at = self.clock()
            try:
                self.api = self.connect()
            except ClusterError:  # what was refused is told
                return False
            return True

    def _read(self, request: Request, answer: HTTPResponse) -> bytes:
        try:
            return bytes(answer.data)
        except (HTTPError, HTTPException, OSError) as error:
            raise _unreachable(request, error) from error
        finally:
            answer.release_conn()


def connected(
    kubeconfig: Path | None = None,
    context: str | None = None,
    retry_policy: RetryPolicy | None = None,
) -> KubernetesApi:
    """Return the API server of a kubeconfig file and context; without both, of the pod we run in.

    Raises:
        ClusterError: there is no such configuration, or it cannot be used.
    """

    def connect() -> client.ApiClient:
        return client.ApiClient(settings_of(kubeconfig, context))

    return KubernetesApi(connect(), retry_policy or RetryPolicy(), connect=connect)


def _serialized(api: client.ApiClient, request: Request) -> _Call:
    """Return method, URL, headers with the credentials of now, and body."""
    method, url, headers, body, _ = api.param_serialize(
        request.method,
        request.path,
        query_params=list(request.query),
        header_params={"Accept": JSON, "Content-Type": request.content_type},
        body=request.body,
        auth_settings=["BearerToken"],
    )
    return method, url, headers, body


def _unreachable(request: Request, error: Exception) -> ClusterError:
    if isinstance(error, SSLError):
        return ClusterRefusedError(f"{request.name}: {error}; check the CA")
    reason = " ".join(str(error).split())
    return ClusterUnreachableError(f"{request.name}: {type(error).__name__}: {reason}")


def _decoded(request: Request, body: bytes) -> Object:
    try:
        found = json.loads(body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ClusterUnreachableError(f"{request.name}: the answer is no JSON object")
    return found


def _error(request: Request, status: int, body: bytes) -> ClusterError:
    answer: Mapping[str, Any] = {}
    try:
        decoded = json.loads(body)
        answer = decoded if isinstance(decoded, dict) else {}
    except ValueError:
        pass  # the answer of a proxy in between is HTML
    message = f"{request.name}: {status} {status_message(answer)}"
    if status == 403:
        return ClusterForbiddenError(message)
    if status in (404, 410):
        return ClusterAbsentError(message)
    if status == 409:
        return ClusterConflictError(message, conflict_managers(answer))
    if status in _RETRIED:
        return ClusterUnreachableError(message)
    return ClusterRefusedError(message)
