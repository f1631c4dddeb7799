"""The header fields and problem details by which a gateway informs clients of their limit.

Source: draft-ietf-httpapi-ratelimit-headers-10; RFC 9457 for problems; RFC 9110, 10.2.3 for
Retry-After.
"""

from __future__ import annotations

import json
import math

from scaler.gateway.lease_limiter import Admission

POLICY = "default"
TYPES = "https://iana.org/assignments/http-problem-types"
Headers = list[tuple[bytes, bytes]]


def limit_field(admission: Admission) -> Headers:
    """Return the RateLimit field; none where there is no limit.

    >>> limit_field(Admission(True, limit_rps=20.0, remaining=3.2, reset_s=0.4))
    [(b'ratelimit', b'"default";r=3;t=1')]
    """
    if math.isinf(admission.limit_rps):
        return []
    remaining, reset_s = math.floor(admission.remaining), math.ceil(admission.reset_s)
    return [(b"ratelimit", f'"{POLICY}";r={remaining};t={reset_s}'.encode())]


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
