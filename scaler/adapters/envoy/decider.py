"""The rate limit decider: answers rate limit calls with the limiters of their services.

Confined to one event loop.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Protocol

from scaler.gateway.lease_limiter import Admission, LeaseLimiter
from scaler.gateway.responses import whole_requests, window_s
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
# Unknown service names are logged once each, and no more than this many.
MAX_WARNINGS = 1000


class Limiters(Protocol):
    """The limiters of one gateway, by service."""

    def limiter(self, service: str) -> LeaseLimiter | None:
        """Return the limiter of a service; None if there is no such service."""
        ...


class RateLimitDecider:
    """Decides rate limit calls.

    Args:
        limiters: the limiters of this gateway.
        clock: monotonic seconds.
    """

    def __init__(self, limiters: Limiters, clock: Callable[[], float]) -> None:
        self._limiters, self._clock = limiters, clock
        self._unknown: set[str] = set()

    def decide(self, call: DescriptorCall) -> DescriptorReply:
        """Return the reply to a valid call, and count the requests that it admits."""
        now = self._clock()
        return reply_of([self._status(one, now) for one in questions(call)])

    def _status(self, question: DescriptorQuestion, now: float) -> DescriptorStatus:
        # Without hits there is nothing to decide: Envoy counts them when the response is done.
        if not question.service or not question.hits:
            return NO_LIMIT
        limiter = self._limiters.limiter(question.service)
        if limiter is None:
            self._warn(question.service)
            return NO_LIMIT
        name = limiter.class_by_headers(question.headers.items()) or question.class_name
        return _admission_status(limiter.admit(name, question.client, now, question.hits))

    def _warn(self, service: str) -> None:
        if service not in self._unknown and len(self._unknown) < MAX_WARNINGS:
            self._unknown.add(service)
            LOG.warning(
                "no such service, so no limit service=%s",
                ascii(service[:200]),
            )


def _admission_status(admission: Admission) -> DescriptorStatus:
    if not math.isfinite(admission.limit_rps):
        return DescriptorStatus(over=not admission.allowed, retry_s=admission.retry_after_s)
    return DescriptorStatus(
        over=not admission.allowed,
        limit_qps=admission.limit_rps,
        remaining=whole_requests(min(admission.remaining, 2**31)),
        reset_s=admission.reset_s,
        retry_s=admission.retry_after_s,
        window_s=window_s(admission),
    )
