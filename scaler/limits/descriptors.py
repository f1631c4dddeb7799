"""Envoy's rate limit descriptors: what a request asks, and what it is told.

Rules of this file:

* The domain is `DOMAIN`. A descriptor's entries say whose limit is asked for::

      service                       "namespace/name"; without it no limit is meant
      class                         the request's priority class; optional
      client                        whom it comes from; optional. So do Envoy's own keys for an
                                    address, remote_address and masked_remote_address
      any other                     a header's name and value: where a class of the lease is known
                                    by that header, the request is of that class

* Where no limit is meant (another domain, no service, a service that nobody knows, no lease yet)
  the status is OK without a limit, as envoyproxy/ratelimit answers where no rule matches: a typo
  must not stop traffic. UNKNOWN would count as an error in Envoy, and say less.
* One status per descriptor, in their order; the whole is over the limit where one of them is.
* ``RateLimit`` fields: draft-ietf-httpapi-ratelimit-headers-10.
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
MOST_DESCRIPTORS = 64
MOST_HITS = 1_000_000
# Whoever is sent away for longer comes back to another limit.
LONGEST_S = 3600


class Unit(IntEnum):
    """Of a limit, numbered as Envoy numbers them."""

    SECOND = 1
    MINUTE = 2
    HOUR = 3


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One descriptor; ``hits`` of its own, None: those of the call."""

    entries: tuple[tuple[str, str], ...]
    hits: int | None = None


@dataclass(frozen=True, slots=True)
class DescriptorCall:
    """What a gateway asks in one call; ``hits`` 0: one."""

    domain: str
    descriptors: tuple[Descriptor, ...]
    hits: int = 0


@dataclass(frozen=True, slots=True)
class DescriptorQuestion:
    """Whether so many requests may pass.

    Attributes:
        service: ``"namespace/name"``; empty: no limit is meant.
        class_name: as the descriptor says; None: it does not.
        headers: by which a class may be known, names in lower case.
        client: whom the requests come from.
        hits: of them, which pass together or not at all; 0: only look.
    """

    service: str
    class_name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    client: str | None = None
    hits: int = 1


@dataclass(frozen=True, slots=True)
class DescriptorStatus:
    """What one descriptor is told.

    Attributes:
        over: the request may not pass.
        limit_qps: that it is measured against; None: there is none.
        remaining: requests that would pass right after it.
        reset_s: until as much is left as ever; retry_s: until the same request would pass.
    """

    over: bool = False
    limit_qps: float | None = None
    remaining: int = 0
    reset_s: float = 0.0
    retry_s: float = 0.0


NO_LIMIT = DescriptorStatus()


@dataclass(frozen=True, slots=True)
class DescriptorReply:
    """What a call is told: a status per descriptor, and fields for the response."""

    statuses: tuple[DescriptorStatus, ...]
    headers: tuple[tuple[str, str], ...]

    @property
    def over(self) -> bool:
        return any(status.over for status in self.statuses)


def fault_of(call: DescriptorCall) -> str | None:
    """Return why a call cannot be answered; None: it can. The first two as envoyproxy/ratelimit."""
    if not call.domain:
        return f"the domain is empty, but must be {DOMAIN!r}"
    if not call.descriptors:
        return "there is no descriptor, but at least one is needed"
    if len(call.descriptors) > MOST_DESCRIPTORS:
        return f"there are {len(call.descriptors)} descriptors, but at most {MOST_DESCRIPTORS}"
    hits = max(call.hits, *(one.hits or 0 for one in call.descriptors))
    if hits > MOST_HITS:
        return f"hits_addend is {hits}, but must be at most {MOST_HITS}"
    return None


def questions(call: DescriptorCall) -> tuple[DescriptorQuestion, ...]:
    """Return what each descriptor asks.

    >>> shop = Descriptor((("service", "prod/shop"), ("class", "pay"), ("x-stress-test", "1")))
    >>> questions(DescriptorCall("tidegate", (shop,)))[0]
    ... # doctest: +NORMALIZE_WHITESPACE
    DescriptorQuestion(service='prod/shop', class_name='pay',
                       headers={'x-stress-test': '1'}, client=None, hits=1)
    """
    usual = call.hits or 1
    return tuple(
        _question(one, usual) if call.domain == DOMAIN else DescriptorQuestion("")
        for one in call.descriptors
    )


def _question(descriptor: Descriptor, usual: int) -> DescriptorQuestion:
    said: dict[str, str] = {}
    for key, value in descriptor.entries:
        if value:
            said.setdefault(key.lower(), value)
    client = next((said[key] for key in CLIENT_KEYS if key in said), None)
    headers = {k: v for k, v in said.items() if k not in (SERVICE, CLASS, *CLIENT_KEYS)}
    hits = usual if descriptor.hits is None else descriptor.hits
    return DescriptorQuestion(said.get(SERVICE, ""), said.get(CLASS), headers, client, hits)


def as_limit(qps: float) -> tuple[int, Unit]:
    """Return a rate as whole requests per unit, rounded down: the shortest unit that holds one.

    >>> as_limit(20.7), as_limit(0.5), as_limit(0.01), as_limit(0.0)
    ((20, <Unit.SECOND: 1>), (30, <Unit.MINUTE: 2>), (36, <Unit.HOUR: 3>), (0, <Unit.SECOND: 1>))
    """
    for unit, seconds in ((Unit.SECOND, 1), (Unit.MINUTE, 60), (Unit.HOUR, 3600)):
        requests = math.floor(min(qps, MAX_QPS) * seconds + 1e-9)
        if requests:
            return requests, unit
    return 0, Unit.SECOND


def replied(statuses: Sequence[DescriptorStatus]) -> DescriptorReply:
    """Return the reply of these statuses; its fields are those of the tightest of them."""
    telling = [one for one in statuses if one.over or one.limit_qps is not None]
    tightest = min(telling, key=lambda one: (not one.over, one.remaining), default=None)
    return DescriptorReply(tuple(statuses), () if tightest is None else tuple(_fields(tightest)))


def _fields(status: DescriptorStatus) -> Iterator[tuple[str, str]]:
    seconds = math.ceil(min(status.retry_s if status.over else status.reset_s, LONGEST_S))
    if status.limit_qps is not None:
        quota, window_s = _policy(status.limit_qps)
        yield "RateLimit-Policy", f'"default";q={quota};w={window_s}'
        yield "RateLimit", f'"default";r={status.remaining};t={max(seconds, int(status.over))}'
    if status.over:
        yield "Retry-After", str(max(seconds, 1))  # never before t of the field above


def _policy(qps: float) -> tuple[int, int]:
    """Return a quota of whole requests, and its window: one second, longer where less is let in."""
    if qps >= 1:
        return math.floor(qps), 1
    return (1, min(math.ceil(1 / qps), LONGEST_S)) if qps > 1 / LONGEST_S else (0, 1)
