"""The access middleware: checks who sends every request, and limits the size of its body.

It is plain ASGI, for every renewal passes through it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from scaler.adapters.http.access import (
    LIMITS_PREFIX,
    REFUSED,
    AccessRules,
    grant_of,
    refusal_reason,
)
from scaler.adapters.http.local_requests import BODY_METHODS
from scaler.adapters.http.problems import RefusalReason, RequestProblem

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

# A report has at most 10,000 rates of some 20 characters, and 64 classes.
MAX_BODY_BYTES = 256 * 1024
# A gateway gives its report up after about 3 s.
BODY_S = 5.0
JSON_TYPE = (b"content-type", b"application/json")
CLOSE = (b"connection", b"close")


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
CountResponse = Callable[[int, RefusalReason | None], None]


def refusal(problem: RequestProblem) -> PlainResponse:
    headers = [JSON_TYPE]
    if problem.retry_after_s is not None:
        headers.append((b"retry-after", b"%d" % problem.retry_after_s))
    return PlainResponse(problem.status, headers, json.dumps(problem.body).encode())


def refused(scope: Message, problem: RequestProblem) -> PlainResponse:
    """Return the refusal of an admitted request, as its sender may see it."""
    scope["state"][REFUSED] = problem.reason
    return refusal(problem.seen_by(grant_of(scope).reaches))


def as_response(reply: PlainResponse) -> Response:
    headers = {name.decode(): value.decode() for name, value in reply.headers}
    return Response(reply.body, reply.status, headers)


class AccessMiddleware:
    """Passes a request on to ``app``, or refuses it.

    Args:
        app: the application.
        rules: who may send requests.
        count_response: called with the status of each response, and why it is refused for who asks.
        direct: handles GET below `LIMITS_PREFIX`, given the rest of the path. It bypasses routing,
            which costs more than a renewal itself.
    """

    def __init__(
        self, app: App, rules: AccessRules, count_response: CountResponse, direct: Direct
    ) -> None:
        self._app, self._rules, self._direct = app, rules, direct
        self._count_response = count_response

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        try:
            _check_framing(scope["headers"])
            self._rules.admit(scope)
        except RequestProblem as problem:
            reply = _REFUSED_UNREAD.get(problem.status) or refusal(problem)
            unknown = RefusalReason.TOKEN if problem.status == 401 else None
            self._count_response(reply.status, problem.reason or unknown)
        else:
            if scope["method"] != "GET" or not path.startswith(LIMITS_PREFIX):
                await self._by_routing(scope, receive, send)
                return
            reply = await self._direct(path[len(LIMITS_PREFIX) :], scope, receive)
            self._count_response(reply.status, refusal_reason(scope))
        await reply(scope, receive, send)

    async def _by_routing(self, scope: Message, receive: Receive, send: Send) -> None:
        async def counting_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._count_response(message["status"], refusal_reason(scope))
            await send(message)

        if scope["method"] in BODY_METHODS:
            try:
                receive = await self._with_whole_body(scope, receive)
            except RequestProblem as problem:
                await refusal(problem)(scope, receive, counting_send)
                return
        await self._app(scope, receive, counting_send)

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


def _check_framing(headers: Headers) -> None:
    """Raise `RequestProblem` 400 where a proxy may see another end of the body than we do.

    Source: RFC 9112, 6.1: request smuggling.
    """
    names = {name for name, _ in headers}
    if b"transfer-encoding" in names and b"content-length" in names:
        raise RequestProblem(400, "framing")


# The connection is closed: nobody unknown keeps one, and nothing behind such a body is read.
_REFUSED_UNREAD = {
    400: PlainResponse(
        400,
        [JSON_TYPE, CLOSE],
        b'{"detail": "Content-Length and Transfer-Encoding exclude each other"}',
    ),
    401: PlainResponse(
        401,
        [JSON_TYPE, CLOSE, (b"www-authenticate", b'Bearer, Basic realm="tidegate"')],
        b'{"detail": "unauthorized"}',
    ),
}
