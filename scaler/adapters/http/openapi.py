"""OpenAPI descriptions of the routes whose requests are parsed by hand, and of all refusals."""

from __future__ import annotations

from typing import Any

from scaler.adapters.http.report import INSTANCE
from scaler.adapters.http.schemas import LeaseBody, Problem

Responses = dict[int | str, dict[str, Any]]

_DESCRIPTIONS = {
    400: "The request cannot be read.",
    401: "The token is missing or wrong.",
    403: "The token is for something else: `may` and `asked` say for what, and what this needs.",
    404: "There is no such service; `near` lists similar names.",
    408: "The body did not arrive in time.",
    409: "The gateway's name belongs to another token or certificate.",
    413: "The body is too long.",
    422: "`field` is wrong; `detail` says what it must be.",
    429: "The maximum number of gateways, in all or of this token, hold a share already.",
    503: "No limit is known now: try again after `Retry-After`.",
}
_HAPROXY = "version 812\nenforce 1\nshare 335\nburst 34\nsafe 310\nvalid_for 10\nmax_stale 120\n"


def problems(*codes: int) -> Responses:
    """Return the refusals with these status codes."""
    return {code: {"model": Problem, "description": _DESCRIPTIONS[code]} for code in codes}


LEASE: Responses = {
    200: {
        "model": LeaseBody,
        "description": "The lease; its ETag names it.",
        "headers": {"ETag": {"schema": {"type": "string"}}},
        "content": {"text/plain": {"schema": {"type": "string"}, "example": _HAPROXY}},
    },
}
RENEWED: Responses = {304: {"description": "The lease is renewed; reset no bucket."}}

SERVICE = {
    "name": "service", "in": "path", "required": True, "example": "prod/shop",
    "description": "namespace/name; the slash is part of it", "schema": {"type": "string"},
}  # fmt: skip
VIEW = {
    "name": "view", "in": "query", "required": False,
    "description": "`haproxy`: the lease as a HAProxy map",
    "schema": {"type": "string", "enum": ["json", "haproxy"], "default": "json"},
}  # fmt: skip
ASKING: dict[str, Any] = {
    "parameters": [
        SERVICE,
        {
            "name": "instance", "in": "query", "required": True, "example": "gw-3",
            "description": "unique name of the gateway",
            "schema": {"type": "string", "pattern": f"^{INSTANCE.pattern}$"},
        },
        {
            "name": "wait", "in": "query", "required": False,
            "description": "seconds to wait until the lease that If-None-Match names changes; the "
            "server ends the wait earlier if the lease would not stay fresh",
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
