"""What stands before every request: who may ask, and how much of a body is read.

Plain ASGI, for it is on the way of each renewal.
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

# A probe has no token; the page asks for one, and what it is made of is no secret.
OPEN_PATHS = frozenset({"/", "/healthz", "/readyz"})
OPEN_BELOW = "/assets/"
DIRECT = "/v1/limits/"
WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
JSON_TYPE = (b"content-type", b"application/json")


@dataclass(frozen=True, slots=True)
class PlainResponse:
    """A whole answer, ready to be sent: status, headers but the length, body."""

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


def refusal(refused: RequestProblem) -> PlainResponse:
    headers = [JSON_TYPE]
    if refused.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % refused.retry_after_s))
    return PlainResponse(refused.status, headers, json.dumps(refused.body).encode())


def as_response(reply: PlainResponse) -> Response:
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, headers)


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Who may ask: ``tokens`` None: nobody needs one, but from afar only if ``anonymous``."""

    tokens: Tokens | None
    anonymous: bool
    body_bytes: int
    body_s: float


class AccessMiddleware:
    """Lets a request through to ``app``, or refuses it.

    Args:
        app: that answers.
        rules: who may ask.
        answered: is told the status of each answer.
        direct: answers GET below `DIRECT`, given what follows it. It does without routing, which
            costs more than a renewal itself.
    """

    def __init__(
        self, app: App, rules: AccessRules, answered: Callable[[int], None], direct: Direct
    ) -> None:
        self._app, self._rules, self._answered, self._direct = app, rules, answered, direct

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        is_open = path in OPEN_PATHS or path.startswith(OPEN_BELOW)
        if not is_open and not self._may(scope):
            reply = _UNAUTHORIZED
        elif scope["method"] == "GET" and path.startswith(DIRECT):
            reply = await self._direct(path[len(DIRECT) :], scope, receive)
        else:
            await self._indirect(scope, receive, send)
            return
        self._answered(reply.status)
        await reply(scope, receive, send)

    async def _indirect(self, scope: Message, receive: Receive, send: Send) -> None:
        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._answered(message["status"])
            await send(message)

        if scope["method"] in WITH_BODY:
            try:
                receive = await self._received(scope, receive)
            except RequestProblem as refused:
                await refusal(refused)(scope, receive, counted)
                return
        await self._app(scope, receive, counted)

    def _may(self, scope: Message) -> bool:
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

    async def _received(self, scope: Message, receive: Receive) -> Receive:
        """Return a ``receive`` that hands out the whole body, once it has come.

        Raises:
            Refused: it is too large, or does not come.
        """
        most = self._rules.body_bytes
        too_large = RequestProblem(413, f"the body is longer than {most} bytes")
        for name, value in scope["headers"]:
            if name == b"content-length" and (not value.isdigit() or int(value[:19]) > most):
                raise too_large
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(self._rules.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        break
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > most:
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
