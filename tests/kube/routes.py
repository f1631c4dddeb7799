"""The routes of the API server: kind, object and RBAC verb of a request."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.kube.rules import Kind
from tests.kube.store import Store

Grant = tuple[str, str, str, str]  # verb, group, resource, name or ""
_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True)
class ApiCall:
    """One request for objects of a kind; ``namespace`` None means all namespaces."""

    method: str
    kind: Kind
    namespace: str | None
    name: str = ""
    sub: str = ""
    query: dict = field(default_factory=dict)
    body: dict | None = None
    content_type: str = ""

    @property
    def watches(self) -> bool:
        return self.method == "GET" and self.query.get("watch") in ("true", "1")

    @property
    def grant(self) -> Grant:
        verb = _VERBS[self.method]
        if verb == "get" and not self.name:
            verb = "watch" if self.watches else "list"
        resource = f"{self.kind.plural}/{self.sub}" if self.sub else self.kind.plural
        return verb, self.kind.group, resource, self.name

    def granted(self, grants: frozenset[Grant]) -> bool:
        verb, group, resource, name = self.grant
        return not grants.isdisjoint({(verb, group, resource, ""), (verb, group, resource, name)})


@dataclass(frozen=True)
class Discovery:
    group: str
    version: str


def parse_call(
    store: Store, method: str, url: str, body: bytes, headers
) -> ApiCall | Discovery | None:
    """Return the parsed request; None if the path is unknown or the body is not JSON."""
    parts = urlsplit(url)
    steps = [unquote(step) for step in parts.path.split("/")[1:]]
    if steps[0] == "api":
        group, version, rest = "", steps[1], steps[2:]
    elif steps[0] == "apis" and len(steps) >= 3:
        group, version, rest = steps[1], steps[2], steps[3:]
    else:
        return None
    if not rest:
        return Discovery(group, version)
    namespace = None
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    kind = store.kinds.get((group, version, rest[0]))
    if kind is None:
        return None
    try:
        sent = json.loads(body) if body else None
    except ValueError:
        return None
    name, sub = [*rest[1:], "", ""][:2]
    return ApiCall(
        method,
        kind,
        namespace if kind.namespaced else "",
        name,
        sub,
        dict(parse_qsl(parts.query)),
        sent,
        {key.lower(): value for key, value in headers.items()}.get("content-type", ""),
    )
