"""What OpenAPI says of the routes whose requests are parsed by hand."""

from __future__ import annotations

from typing import Any

from scaler.adapters.http.report import INSTANCE
from scaler.adapters.http.schemas import LeaseBody, Problem

Described = dict[int | str, dict[str, Any]]

_WORDS = {
    400: "The request cannot be read.",
    401: "No token, or a wrong one.",
    404: "No such service; `near` has names that are alike.",
    408: "The body did not come in time.",
    413: "The body is too long.",
    422: "`field` is wrong; `detail` says what it must be.",
    429: "As many gateways hold a share as may.",
    503: "Nothing is known yet, or any more: come back after `Retry-After`.",
}
_HAPROXY = "version 812\nenforce 1\nshare 335\nburst 34\nsafe 310\nvalid_for 10\nmax_stale 120\n"


def problems(*codes: int) -> Described:
    """Return the answers of these codes."""
    return {code: {"model": Problem, "description": _WORDS[code]} for code in codes}


LEASE: Described = {
    200: {
        "model": LeaseBody,
        "description": "The lease; its ETag names it.",
        "headers": {"ETag": {"schema": {"type": "string"}}},
        "content": {"text/plain": {"schema": {"type": "string"}, "example": _HAPROXY}},
    },
}
RENEWED: Described = {304: {"description": "What is held is true from now on; reset nothing."}}

SERVICE = {
    "name": "service", "in": "path", "required": True, "example": "prod/shop",
    "description": "namespace/name; the slash is part of it", "schema": {"type": "string"},
}  # fmt: skip
VIEW = {
    "name": "view", "in": "query", "required": False,
    "description": "`haproxy`: lines of a HAProxy map",
    "schema": {"type": "string", "enum": ["json", "haproxy"], "default": "json"},
}  # fmt: skip
ASKING: dict[str, Any] = {
    "parameters": [
        SERVICE,
        {
            "name": "instance", "in": "query", "required": True, "example": "gw-3",
            "description": "name of the gateway, its own",
            "schema": {"type": "string", "pattern": f"^{INSTANCE.pattern}$"},
        },
        {
            "name": "wait", "in": "query", "required": False,
            "description": "seconds to wait for a change of what If-None-Match names; it ends "
            "while the lease is fresh, whatever is asked for",
            "schema": {"type": "number", "minimum": 0, "maximum": 300, "default": 0},
        },
        VIEW,
        {
            "name": "If-None-Match", "in": "header", "required": False,
            "example": '"c0ff-812-335.000"', "description": "ETag of the lease that is held",
            "schema": {"type": "string"},
        },
    ]
}  # fmt: skip
