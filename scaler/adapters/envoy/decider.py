"""Decides calls by the limiters of the services that they are about. Confined to one event loop."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Protocol

from scaler.gateway.lease_limiter import Admission, LeaseLimiter
from scaler.limits.descriptors import (
    NO_LIMIT,
    DescriptorCall,
    DescriptorQuestion,
    DescriptorReply,
    DescriptorStatus,
    questions,
    reply_of,
)

LOG = logging.getLogger(__name__)
# So many names that nobody knows are said in the log, each once.
MOST_NAMES = 1000


class Limiters(Protocol):
    """Where a gateway's limiters come from."""

    def limiter(self, service: str) -> LeaseLimiter | None:
        """Return the limiter of a service, or None where nobody knows the service."""
        ...


class RateLimitDecider:
    """Answers calls.

    Args:
        limiters: of this gateway.
        clock: monotonic seconds.
    """

    def __init__(self, limiters: Limiters, clock: Callable[[], float]) -> None:
        self._limiters, self._clock = limiters, clock
        self._unknown: set[str] = set()

    def decide(self, call: DescriptorCall) -> DescriptorReply:
        """Return what a call without a fault is told, and count what passes."""
        now = self._clock()
        return reply_of([self._status(one, now) for one in questions(call)])

    def _status(self, question: DescriptorQuestion, now: float) -> DescriptorStatus:
        # No hits: Envoy counts when the response is done, and there is nothing to decide yet.
        if not question.service or not question.hits:
            return NO_LIMIT
        limiter = self._limiters.limiter(question.service)
        if limiter is None:
            self._say(question.service)
            return NO_LIMIT
        known = limiter.headers
        marked = (known[header] for header in question.headers if header in known)
        name = next(marked, question.class_name)
        return _told(limiter.admit(name, question.client, now, question.hits))

    def _say(self, service: str) -> None:
        if service not in self._unknown and len(self._unknown) < MOST_NAMES:
            self._unknown.add(service)
            LOG.warning("no such service, so no limit service=%s", ascii(service[:200]))


def _told(admission: Admission) -> DescriptorStatus:
    if not math.isfinite(admission.limit_rps):
        return DescriptorStatus(over=not admission.allowed, retry_s=admission.retry_after_s)
    return DescriptorStatus(
        over=not admission.allowed,
        limit_qps=admission.limit_rps,
        # What is left is a difference of sums: a millionth less than a request is a request.
        remaining=math.floor(min(admission.remaining, 2**31) + 1e-6),
        reset_s=admission.reset_s,
        retry_s=admission.retry_after_s,
    )
