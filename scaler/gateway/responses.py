"""The header fields and problem details by which a gateway informs clients of their limit.

Source: draft-ietf-httpapi-ratelimit-headers-11; RFC 9457 for problems; RFC 9110, 10.2.3 for
Retry-After. Draft 10 has the same syntax, and its words hold for these values as well: ``t`` there
is when more quota is made available, in draft 11 the time within which no more than ``r`` may be
used, and both end when one more request may pass.
"""

from __future__ import annotations

import json
import math

from scaler.gateway.lease_limiter import Admission

POLICY = "default"
TYPES = "https://iana.org/assignments/http-problem-types"
Headers = list[tuple[bytes, bytes]]
# So much may be missing from a whole request, as the rest of a bucket is a difference of sums.
TOLERANCE = 1e-6


def whole_requests(remaining: float) -> int:
    """Return how many whole requests the rest of a bucket is."""
    return math.floor(remaining + TOLERANCE)


def window_s(admission: Admission) -> float:
    """Return the seconds within which no more than the remaining requests may pass.

    They end when one more may pass.

    >>> round(window_s(Admission(True, limit_rps=0.5, remaining=2.5)), 3)
    1.0
    """
    if admission.would_deny:
        return admission.retry_after_s
    lacking = whole_requests(admission.remaining) + 1 - TOLERANCE - admission.remaining
    return lacking / admission.limit_rps


def limit_field(admission: Admission) -> Headers:
    """Return the RateLimit field; none where there is no limit.

    >>> limit_field(Admission(True, limit_rps=20.0, remaining=3.2))
    [(b'ratelimit', b'"default";r=3;t=1')]
    """
    if math.isinf(admission.limit_rps):
        return []
    remaining, seconds = whole_requests(admission.remaining), math.ceil(window_s(admission))
    return [(b"ratelimit", f'"{POLICY}";r={remaining};t={seconds}'.encode())]


def policy_field(admission: Admission) -> Headers:
    """Return the RateLimit-Policy field; none where there is no limit.

    >>> policy_field(Admission(True, limit_rps=20.5))
    [(b'ratelimit-policy', b'"default";q=20;w=1')]
    """
    if math.isinf(admission.limit_rps):
        return []
    # The field holds whole numbers only, so a lower quota than one per second is given as 1.
    quota = max(1, math.floor(admission.limit_rps)) if admission.limit_rps else 0
    return [(b"ratelimit-policy", f'"{POLICY}";q={quota};w=1'.encode())]


def refusal(admission: Admission) -> tuple[Headers, bytes]:
    """Return the header fields and the body of a 429 response."""
    problem = {
        "type": f"{TYPES}#quota-exceeded",
        "title": "Request cannot be satisfied as assigned quota has been exceeded",
        "status": 429,
        "violated-policies": [POLICY],
    }
    body = json.dumps(problem).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", str(max(1, math.ceil(admission.retry_after_s))).encode()),
        *policy_field(admission),
        *limit_field(admission),
    ]
    return headers, body
