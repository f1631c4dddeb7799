"""Envoy's rate limit descriptors: how a call is read, and how it is answered.

Rules of this file:

* The domain is `DOMAIN`. The entries of a descriptor select the limit::

      service                       "namespace/name"; without it, there is no limit
      class                         the request's priority class; optional
      client                        the client that sent the request; optional. Envoy's own keys
                                    remote_address and masked_remote_address have the same meaning
      any other key                 name and value of a header. A class whose lease names that
                                    header applies to the request

* Where no limit applies (another domain, no service, an unknown service, no lease yet), the status
  is OK without a limit, as envoyproxy/ratelimit answers where no rule matches: a typo must not stop
  traffic. The status UNKNOWN would count as an error in Envoy.
* There is one status per descriptor, in order. The call is over the limit where one of them is.
* The ``RateLimit`` fields follow draft-ietf-httpapi-ratelimit-headers-11, and 10 as well.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from scaler.limits.lease import MAX_QPS

DOMAIN = "tidegate"
SERVICE, CLASS, CLIENT = "service", "class", "client"
CLIENT_KEYS = (CLIENT, "remote_address", "masked_remote_address")
MAX_DESCRIPTORS = 64
MAX_HITS = 1_000_000
# Upper bound on waiting times that are reported: after that long, the limit is another one.
MAX_RESET_S = 3600


class Unit(IntEnum):
    """The time unit of a limit, with Envoy's numbers."""

    SECOND = 1
    MINUTE = 2
    HOUR = 3


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One descriptor; ``hits`` is how many requests it counts as, None: as many as the call."""

    entries: tuple[tuple[str, str], ...]
    hits: int | None = None


@dataclass(frozen=True, slots=True)
class DescriptorCall:
    """One call of a gateway; ``hits`` is how many requests it counts as, 0 means 1."""

    domain: str
    descriptors: tuple[Descriptor, ...]
    hits: int = 0


@dataclass(frozen=True, slots=True)
class DescriptorQuestion:
    """The question of one descriptor: may ``hits`` requests pass?

    Attributes:
        service: ``"namespace/name"``; empty: no limit applies.
        class_name: the priority class; None: the descriptor names none.
        headers: values by header name in lower case, from which the class may follow.
        client: the client that sent the requests; None: unknown.
        hits: requests that pass together or not at all; 0: only report the state.
    """

    service: str
    class_name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    client: str | None = None
    hits: int = 1


@dataclass(frozen=True, slots=True)
class DescriptorStatus:
    """The answer to one descriptor.

    Attributes:
        over: whether the request is over the limit, and so may not pass.
        limit_qps: the limit that applies; None: no limit.
        remaining: requests that may pass right after it.
        reset_s: seconds until the whole burst may pass again.
        retry_s: seconds until the same request may pass.
        window_s: seconds until one more than ``remaining`` may pass.
    """

    over: bool = False
    limit_qps: float | None = None
    remaining: int = 0
    reset_s: float = 0.0
    retry_s: float = 0.0
    window_s: float = 0.0


NO_LIMIT = DescriptorStatus()


@dataclass(frozen=True, slots=True)
class DescriptorReply:
    """The answer to a call: one status per descriptor, and header fields for the response."""

    statuses: tuple[DescriptorStatus, ...]
    headers: tuple[tuple[str, str], ...]

    @property
    def over(self) -> bool:
        return any(status.over for status in self.statuses)


def call_error(call: DescriptorCall) -> str | None:
    """Return why a call is invalid; None: it is valid.

    An empty domain and a call without descriptors are errors in envoyproxy/ratelimit as well.
    """
    if not call.domain:
        return f"the domain is empty, but must be {DOMAIN!r}"
    if not call.descriptors:
        return "there is no descriptor, but at least one is needed"
    if len(call.descriptors) > MAX_DESCRIPTORS:
        return f"there are {len(call.descriptors)} descriptors, but at most {MAX_DESCRIPTORS}"
    hits = max(call.hits, *(one.hits or 0 for one in call.descriptors))
    if hits > MAX_HITS:
        return f"hits_addend is {hits}, but must be at most {MAX_HITS}"
    return None


def questions(call: DescriptorCall) -> tuple[DescriptorQuestion, ...]:
    """Return the question of each descriptor, in order.

    >>> shop = Descriptor((("service", "prod/shop"), ("class", "pay"), ("x-stress-test", "1")))
    >>> questions(DescriptorCall("tidegate", (shop,)))[0]
    ... # doctest: +NORMALIZE_WHITESPACE
    DescriptorQuestion(service='prod/shop', class_name='pay',
                       headers={'x-stress-test': '1'}, client=None, hits=1)
    """
    default_hits = call.hits or 1
    return tuple(
        _question(one, default_hits) if call.domain == DOMAIN else DescriptorQuestion("")
        for one in call.descriptors
    )


def _question(descriptor: Descriptor, default_hits: int) -> DescriptorQuestion:
    entries: dict[str, str] = {}
    for key, value in descriptor.entries:
        if value:
            entries.setdefault(key.lower(), value)
    client = next((entries[key] for key in CLIENT_KEYS if key in entries), None)
    headers = {k: v for k, v in entries.items() if k not in (SERVICE, CLASS, *CLIENT_KEYS)}
    hits = default_hits if descriptor.hits is None else descriptor.hits
    return DescriptorQuestion(entries.get(SERVICE, ""), entries.get(CLASS), headers, client, hits)


def requests_per_unit(qps: float) -> tuple[int, Unit]:
    """Return a rate as whole requests per time unit, rounded down.

    The unit is the shortest one in which at least one request may pass.

    >>> [requests_per_unit(qps) for qps in (20.7, 0.5)]
    [(20, <Unit.SECOND: 1>), (30, <Unit.MINUTE: 2>)]
    >>> requests_per_unit(0.01), requests_per_unit(0.0)
    ((36, <Unit.HOUR: 3>), (0, <Unit.SECOND: 1>))
    """
    for unit, seconds in ((Unit.SECOND, 1), (Unit.MINUTE, 60), (Unit.HOUR, 3600)):
        requests = math.floor(min(qps, MAX_QPS) * seconds + 1e-9)
        if requests:
            return requests, unit
    return 0, Unit.SECOND


def reply_of(statuses: Sequence[DescriptorStatus]) -> DescriptorReply:
    """Return the reply with these statuses; its header fields describe the tightest limit."""
    limited = [one for one in statuses if one.over or one.limit_qps is not None]
    tightest = min(limited, key=lambda one: (not one.over, one.remaining), default=None)
    return DescriptorReply(tuple(statuses), () if tightest is None else tuple(_fields(tightest)))


def _fields(status: DescriptorStatus) -> Iterator[tuple[str, str]]:
    seconds = math.ceil(min(status.retry_s if status.over else status.window_s, MAX_RESET_S))
    if status.limit_qps is not None:
        quota, window_s = _policy(status.limit_qps)
        yield "RateLimit-Policy", f'"default";q={quota};w={window_s}'
        yield "RateLimit", f'"default";r={status.remaining};t={max(seconds, int(status.over))}'
    if status.over:
        yield "Retry-After", str(max(seconds, 1))  # not shorter than t of the field above


def _policy(qps: float) -> tuple[int, int]:
    """Return a quota of whole requests and its window in seconds: 1, or more for lower rates."""
    if qps >= 1:
        return math.floor(qps), 1
    return (1, min(math.ceil(1 / qps), MAX_RESET_S)) if qps > 1 / MAX_RESET_S else (0, 1)
