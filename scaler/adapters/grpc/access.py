"""Who may call: the rules of the HTTP endpoint, for gRPC."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from scaler.adapters.http.auth import Tokens, token_of

# A probe has no token, as over HTTP.
HEALTH = "grpc.health.v1.Health"


class TokenCheck(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # the library has no types
    """Refuses a call whose metadata ``authorization`` holds none of the tokens.

    Without tokens nobody is asked: `check_access` has seen to it that a server without them listens
    on loopback, verifies certificates, or was told to serve everybody.

    Args:
        tokens: of which one is to be shown.
    """

    def __init__(self, tokens: Tokens) -> None:
        self._tokens, self._exempt = tokens, {HEALTH}

    def exempt(self, service: str) -> None:
        """Ask those who call a service, by its full name, for no token."""
        self._exempt.add(service)

    async def intercept_service(
        self,
        continuation: Callable[[Any], Awaitable[Any]],
        handler_call_details: Any,  # noqa: ANN401 - the library's own
    ) -> Any:  # noqa: ANN401 - the library's own
        details = handler_call_details
        service = details.method.removeprefix("/").partition("/")[0]
        if service in self._exempt or self._may(details.invocation_metadata):
            return await continuation(details)
        return _REFUSED

    def _may(self, metadata: tuple[tuple[str, str | bytes], ...]) -> bool:
        for name, value in metadata:
            if name == "authorization":
                given = value.encode() if isinstance(value, str) else value
                return self._tokens.accept(token_of(given))
        return False


async def _refuse(_: object, context: Any) -> None:  # noqa: ANN401 - the library's own
    await context.abort(
        grpc.StatusCode.UNAUTHENTICATED, "the metadata authorization must be: Bearer TOKEN"
    )


# A stream is refused before its first message; a call of any other kind may be answered so too.
_REFUSED = grpc.stream_stream_rpc_method_handler(_refuse)
