"""The token check of gRPC calls, with the rules of the HTTP endpoint."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from scaler.adapters.http.auth import Tokens, token_of

# Probes have no token, as over HTTP.
HEALTH = "grpc.health.v1.Health"


class TokenCheck(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # the library has no types
    """Refuses a call whose ``authorization`` metadata holds none of the tokens.

    A server without tokens has no such check: `check_access` ensures that it listens on loopback,
    verifies client certificates, or is meant to serve everybody.

    Args:
        tokens: one of which each call must carry.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens, self._exempt = tokens, {HEALTH}

    def exempt(self, service: str) -> None:
        """Let a service, given by its full name, be called without a token."""
        self._exempt.add(service)

    async def intercept_service(
        self,
        continuation: Callable[[Any], Awaitable[Any]],
        handler_call_details: Any,  # noqa: ANN401 - the library's own
    ) -> Any:  # noqa: ANN401 - the library's own
        details = handler_call_details
        service = details.method.removeprefix("/").partition("/")[0]
        if service in self._exempt or self._is_allowed(details.invocation_metadata):
            return await continuation(details)
        return _REFUSED

    def _is_allowed(self, metadata: tuple[tuple[str, str | bytes], ...]) -> bool:
        for name, value in metadata:
            if name == "authorization":
                authorization = value.encode() if isinstance(value, str) else value
                return self._tokens.accept(token_of(authorization))
        return False


async def _refuse(_: object, context: Any) -> None:  # noqa: ANN401 - the library's own
    await context.abort(
        grpc.StatusCode.UNAUTHENTICATED, "the metadata authorization must be: Bearer TOKEN"
    )


# A stream is refused before its first message; this handler serves other kinds of calls as well.
_REFUSED = grpc.stream_stream_rpc_method_handler(_refuse)
