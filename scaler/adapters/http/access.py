"""Whose request it is, and whether it may ask for what it asks: 401 and 403.

A request's `AccessGrant` is kept in ``scope["state"]``, so that a route can show somebody only what
is theirs.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import dataclass, replace
from typing import Any

from scaler.adapters.http.auth import Tokens, is_loopback, token_of
from scaler.adapters.http.grants import CERTIFICATE, EVERYTHING, AccessGrant, AccessRole
from scaler.adapters.http.local_requests import check_local
from scaler.adapters.http.problems import RefusalReason, RequestProblem

# Keys of a scope's state.
GRANT, PEER_NAMES, REFUSED = "grant", "peer_names", "refused"
NOTHING = AccessGrant(roles=frozenset(), namespaces=frozenset())

# Probes have no token. The page itself is public; it asks for a token to read data with.
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz"})
OPEN_PREFIX = "/assets/"
LIMITS_PREFIX = "/v1/limits/"
# Below these a path goes on with "namespace/name".
_SERVICE_PREFIXES = {
    LIMITS_PREFIX: AccessRole.GATEWAY,
    "/v1/forecasts/": AccessRole.READ,
    "/v1/plans/": AccessRole.READ,
    "/v1/explain/": AccessRole.READ,
    "/v1/services/": AccessRole.READ,
}
# Which namespaces these are about, only what they hold says.
_PATHS = {
    "/v1/services": AccessRole.READ,
    "/v1/stream": AccessRole.READ,
    "/json": AccessRole.GATEWAY,
    "/metrics": AccessRole.METRICS,
}

_Scope = MutableMapping[str, Any]


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may send requests.

    Attributes:
        tokens: and certificates, of which each request must have one; None: only loopback is
            served.
        anonymous: serve everybody, without a token.
    """

    tokens: Tokens | None
    anonymous: bool

    def admit(self, scope: _Scope) -> None:
        """Note the grant of a request in its scope.

        Raises:
            RequestProblem: 401 if nobody knows who asks, 403 if they may not ask for this, 403 or
                415 if a page of elsewhere may have caused it.
        """
        path = scope["path"]
        if path in OPEN_PATHS or path.startswith(OPEN_PREFIX):
            return
        state = scope.setdefault("state", {})
        grant = state[GRANT] = self._grant(scope, state.get(PEER_NAMES, ()))
        if grant is NOTHING:
            raise RequestProblem(401, "unauthorized")
        _check_path(grant, path)

    def _grant(self, scope: _Scope, peer_names: tuple[str, ...]) -> AccessGrant:
        if self.tokens is None:
            client = scope.get("client")
            if self.anonymous:
                return anybody(peer_names)
            if not (client is None or is_loopback(client[0])):
                return NOTHING
            check_local(scope["method"], scope["scheme"], scope["headers"])
            return anybody(peer_names)
        for name, value in scope["headers"]:
            if name == b"authorization":
                return self.tokens.of_token(token_of(value)) or NOTHING
        return self.tokens.of_certificate(peer_names) or NOTHING


def anybody(peer_names: tuple[str, ...]) -> AccessGrant:
    """Return the grant of who need not show a token; a verified certificate still says who it is.

    >>> anybody(("gw.shop",)).owner, anybody(()).owner
    ('cert:gw.shop', '')
    """
    return replace(EVERYTHING, owner=CERTIFICATE + peer_names[0]) if peer_names else EVERYTHING


def grant_of(scope: _Scope) -> AccessGrant:
    """Return what the sender of an admitted request may do."""
    found: AccessGrant = scope["state"].get(GRANT, NOTHING)
    return found


def refusal_reason(scope: _Scope) -> RefusalReason | None:
    """Return why a request was refused for who sent it, if it was."""
    reason: RefusalReason | None = scope.get("state", {}).get(REFUSED)
    return reason


def _check_path(grant: AccessGrant, path: str) -> None:
    for prefix, role in _SERVICE_PREFIXES.items():
        if path.startswith(prefix):
            grant.check_role(role)
            grant.check_service(path[len(prefix) :])
            return
    known = _PATHS.get(path)
    # The description and paths that do not exist are for everybody but who comes for metrics.
    grant.check_role(*((known,) if known else (AccessRole.READ, AccessRole.GATEWAY)))
