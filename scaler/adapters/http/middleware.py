"""The access middleware: checks the token of every request and limits the size of its body.

It is plain ASGI, for every renewal passes through it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from scaler.adapters.http.auth import Tokens, is_loopback, token_of
from scaler.adapters.http.problems import RequestProblem

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# Probes have no token. The page itself is public; it asks for a token to read data with.
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz"})
OPEN_PREFIX = "/assets/"
DIRECT_PREFIX = "/v1/limits/"
BODY_METHODS = frozenset({"POST", "PUT", "PATCH"})
# A report has at most 10,000 rates of some 20 characters, and 64 classes.
MAX_BODY_BYTES = 256 * 1024
# A gateway gives its report up after about 3 s.
BODY_S = 5.0
JSON_TYPE = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class PlainResponse:
    """A whole response, ready to be sent; its length header is added on sending."""

    status: int
    headers: Headers
    body: bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:  # noqa: ARG002
        headers = self.headers
        if self.status != 304:
            headers = [*headers, (b"content-length", b"%d" % len(self.body))]
        start = {"type": "http.response.start", "status": self.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": self.body})


Direct = Callable[[str, Message, Receive], Awaitable[PlainResponse]]


def refusal(problem: RequestProblem) -> PlainResponse:
    headers = [JSON_TYPE]
    if problem.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % problem.retry_after_s))
    return PlainResponse(problem.status, headers, json.dumps(problem.body).encode())


def as_response(reply: PlainResponse) -> Response:
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, headers)


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may send requests.

    Attributes:
        tokens: one of which each request must carry; None: only loopback is served.
        anonymous: serve everybody, without a token.
    """

    tokens: Tokens | None
    anonymous: bool


class AccessMiddleware:
    """Passes a request on to ``app``, or refuses it.

    Args:
        app: the application.
        rules: who may send requests.
        count_response: called with the status of each response.
        direct: handles GET below `DIRECT_PREFIX`, given the rest of the path. It bypasses routing,
            which costs more than a renewal itself.
    """

    def __init__(
        self, app: App, rules: AccessRules, count_response: Callable[[int], None], direct: Direct
    ) -> None:
        self._app, self._rules, self._count_response, self._direct = (
            app,
            rules,
            count_response,
            direct,
        )

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        is_open = path in OPEN_PATHS or path.startswith(OPEN_PREFIX)
        if not is_open and not self._is_allowed(scope):
            reply = _UNAUTHORIZED
        elif scope["method"] == "GET" and path.startswith(DIRECT_PREFIX):
            reply = await self._direct(path[len(DIRECT_PREFIX) :], scope, receive)
        else:
            await self._by_routing(scope, receive, send)
            return
        self._count_response(reply.status)
        await reply(scope, receive, send)

    async def _by_routing(self, scope: Message, receive: Receive, send: Send) -> None:
        async def counting_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count_response(message["status"])
            await send(message)

        if scope["method"] in BODY_METHODS:
            try:
                receive = await self._with_whole_body(scope, receive)
            except RequestProblem as problem:
                await refusal(problem)(scope, receive, counting_send)
                return
        await self._app(scope, receive, counting_send)

    def _is_allowed(self, scope: Message) -> bool:
        rules = self._rules
        if rules.anonymous:
            return True
        if rules.tokens is None:
            client = scope.get("client")
            return client is None or is_loopback(client[0])
        for name, value in scope["headers"]:
            if name == b"authorization":
                return rules.tokens.accept(token_of(value))
        return False

    async def _with_whole_body(self, scope: Message, receive: Receive) -> Receive:
        """Return a ``receive`` that gives the whole body at once; it has arrived completely.

        Raises:
            RequestProblem: 413 if the body is too long, 408 if it does not arrive in time.
        """
        too_large = RequestProblem(413, f"the body is longer than {MAX_BODY_BYTES} bytes")
        for name, value in scope["headers"]:
            if name == b"content-length" and (
                not value.isdigit() or int(value[:19]) > MAX_BODY_BYTES
            ):
                raise too_large
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(BODY_S):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        break
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > MAX_BODY_BYTES:
                        raise too_large
                    if not message.get("more_body"):
                        break
        except TimeoutError:
            raise RequestProblem(408, "the body did not come in time") from None
        whole: list[Message] = [{"type": "http.request", "body": b"".join(chunks)}]

        async def replay() -> Message:
            return whole.pop() if whole else await receive()

        return replay


_UNAUTHORIZED = PlainResponse(
    401,
    [JSON_TYPE, (b"www-authenticate", b'Bearer, Basic realm="tidegate"')],
    b'{"detail": "unauthorized"}',
)
