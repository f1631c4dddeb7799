"""Whose call it is, and whether it may be made, by the rules of the HTTP endpoint.

A token is in the metadata, so a call without a valid one is refused before its first message is
read. By which names a certificate was verified is only known to the handler of the call, which asks
`CallAccess.grant_of`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import grpc

from scaler.adapters.http.access import NOTHING, anybody
from scaler.adapters.http.auth import Tokens, token_of
from scaler.adapters.http.grants import AccessGrant, AccessRole
from scaler.adapters.http.problems import RefusalReason, RequestProblem

# Probes have no token, as over HTTP.
HEALTH = "grpc.health.v1.Health"
_NAMES = ("x509_subject_alternative_name", "x509_common_name")


@dataclass(frozen=True, slots=True)
class CallRule:
    """What a service asks of its callers.

    Attributes:
        role: that is needed.
        by_certificate: whether a verified certificate suffices that no line names.
    """

    role: AccessRole = AccessRole.GATEWAY
    by_certificate: bool = False


LIMITS_RULE = CallRule()


class CallAccess:
    """Says what a caller may do.

    Without tokens everybody may do everything: `check_access` ensures that such a server listens on
    loopback, verifies client certificates, or is meant to serve everybody.

    Args:
        tokens: and certificates, of which each call must have one; None demands nothing.
        verified: whether the server verifies client certificates.
        count_refusal: called with why a call is refused.
    """

    def __init__(
        self,
        tokens: Tokens | None,
        *,
        verified: bool = False,
        count_refusal: Callable[[RefusalReason], None] = lambda _: None,
    ) -> None:
        self._tokens, self._verified, self.count_refusal = tokens, verified, count_refusal

    @property
    def open_to_all(self) -> bool:
        return self._tokens is None

    def by_token(self, metadata: Any) -> AccessGrant | None:  # noqa: ANN401 - pairs of name and value
        """Return the grant of the token in the metadata of a call; None: it has no token."""
        if self._tokens is None:
            return None
        for name, value in metadata or ():
            if name == "authorization":
                authorization = value.encode() if isinstance(value, str) else value
                return self._tokens.of_token(token_of(authorization)) or NOTHING
        return None

    def by_certificate(self, context: Any, rule: CallRule) -> AccessGrant:  # noqa: ANN401 - the library's own
        """Return the grant of a caller that shows no token."""
        names = certificate_names_of(context) if self._verified else ()
        if self._tokens is None:
            return anybody(names)
        found = self._tokens.of_certificate(names)
        if found is None and rule.by_certificate and self._verified:
            return anybody(names)
        return found or NOTHING

    def needs_token(self, rule: CallRule) -> bool:
        """Whether no certificate could do in place of a token."""
        assert self._tokens is not None
        return not (self._verified and (rule.by_certificate or self._tokens.names_certificates()))

    def grant_of(self, context: Any, rule: CallRule) -> AccessGrant:  # noqa: ANN401 - the library's own
        by_token = self.by_token(context.invocation_metadata())
        return self.by_certificate(context, rule) if by_token is None else by_token


def certificate_names_of(context: Any) -> tuple[str, ...]:  # noqa: ANN401 - the library's own
    """Return the names of a caller's verified certificate, alternative names first."""
    known = context.auth_context()
    return tuple(one.decode("utf-8", "replace") for key in _NAMES for one in known.get(key, ()))


class AccessCheck(grpc.aio.ServerInterceptor):  # type: ignore[misc]  # the library has no types
    """Refuses calls that may not be made: UNAUTHENTICATED, or PERMISSION_DENIED.

    Args:
        access: says what a caller may do.
        rules: by the full name of a service; the others need the default.
    """

    def __init__(self, access: CallAccess, rules: Mapping[str, CallRule]) -> None:
        self._access, self._rules = access, rules

    async def intercept_service(
        self,
        continuation: Callable[[Any], Awaitable[Any]],
        handler_call_details: Any,  # noqa: ANN401 - the library's own
    ) -> Any:  # noqa: ANN401 - the library's own
        details = handler_call_details
        service = details.method.removeprefix("/").partition("/")[0]
        if service == HEALTH or self._access.open_to_all:
            return await continuation(details)
        rule = self._rules.get(service, LIMITS_RULE)
        grant = self._access.by_token(details.invocation_metadata)
        if grant is None and self._access.needs_token(rule):
            grant = NOTHING
        if grant is not None:
            refusal = self._refusal(grant, rule)
            return await continuation(details) if refusal is None else _refusing(*refusal)
        handler = await continuation(details)
        return None if handler is None else self._checked(handler, rule)

    def _refusal(self, grant: AccessGrant, rule: CallRule) -> tuple[grpc.StatusCode, str] | None:
        if grant is NOTHING:
            self._access.count_refusal(RefusalReason.TOKEN)
            words = "the metadata authorization must be: Bearer TOKEN"
            return grpc.StatusCode.UNAUTHENTICATED, words
        try:
            grant.check_role(rule.role)
        except RequestProblem as problem:
            self._access.count_refusal(RefusalReason.ROLE)
            return grpc.StatusCode.PERMISSION_DENIED, str(problem)
        return None

    def _checked(self, handler: Any, rule: CallRule) -> Any:  # noqa: ANN401 - the library's own
        """Return a handler that looks at the caller's certificate before it does anything."""

        async def check(context: Any) -> None:  # noqa: ANN401 - the library's own
            refusal = self._refusal(self._access.by_certificate(context, rule), rule)
            if refusal is not None:
                await context.abort(*refusal)

        kinds = (handler.request_streaming, handler.response_streaming)
        make, behaviour = {
            (False, False): (grpc.unary_unary_rpc_method_handler, handler.unary_unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, handler.unary_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, handler.stream_unary),
            (True, True): (grpc.stream_stream_rpc_method_handler, handler.stream_stream),
        }[kinds]

        async def answer(request: Any, context: Any) -> Any:  # noqa: ANN401 - as above
            await check(context)
            return await behaviour(request, context)

        async def stream(request: Any, context: Any) -> Any:  # noqa: ANN401 - as above
            await check(context)
            async for one in behaviour(request, context):
                yield one

        return make(
            stream if handler.response_streaming else answer,
            handler.request_deserializer,
            handler.response_serializer,
        )


def _refusing(code: grpc.StatusCode, words: str) -> Any:  # noqa: ANN401 - the library's own
    """Return a handler that refuses a stream before its first message, and other kinds of calls."""

    async def refuse(_: object, context: Any) -> None:  # noqa: ANN401 - the library's own
        await context.abort(code, words)

    return grpc.stream_stream_rpc_method_handler(refuse)
