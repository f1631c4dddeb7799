"""ASGI middleware that enforces tidegate's limit in front of an application."""

from __future__ import annotations

import asyncio
import os
import random
import re
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from pathlib import Path
from typing import Any

from scaler.clocks.steady import steady_seconds
from scaler.gateway.http_endpoint import HttpEndpoint
from scaler.gateway.lease_limiter import Admission, LeaseLimiter, LimiterSettings, LimiterSnapshot
from scaler.gateway.poller import Poller
from scaler.gateway.responses import limit_field, refusal

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Reader = Callable[[Scope], str | None]

MAX_NAME = 128  # characters of an instance name that the endpoint accepts


def by_header(name: str) -> Reader:
    """Return a function that reads one request header, for ``classify`` or ``client_key``.

    Use it only for a header that a proxy in front of this application sets: a client may send any.
    """
    wanted = name.lower().encode("latin-1")

    def read(scope: Scope) -> str | None:
        for key, value in scope["headers"]:
            if key == wanted:
                return str(value.decode("latin-1"))
        return None

    return read


def by_address(scope: Scope) -> str | None:
    """Return the address of the peer, for ``client_key``.

    Behind a proxy that is the proxy's, unless the server is set to trust X-Forwarded-For.
    """
    client = scope.get("client")
    return str(client[0]) if client else None


class TidegateLimit:
    """ASGI middleware that admits no more requests than tidegate allows.

        app = FastAPI()
        app.add_middleware(
            TidegateLimit,
            endpoint="http://tidegate-limits.tidegate:8080",
            service="prod/shop",
            classify=lambda scope: "pay" if scope["path"].startswith("/pay") else None,
            client_key=by_address,
        )

    A refused request is answered with status 429, Retry-After and the RateLimit fields, and never
    reaches the application. No request waits for tidegate: the lease is fetched in the background.
    Until the first lease arrives, everything is admitted. WebSockets are not limited.

    Args:
        app: the application behind the middleware.
        endpoint: URL of tidegate, without a path.
        service: the service whose limit applies, ``namespace/name``.
        instance: name of this gateway; None: the host name. The process id is appended, as each
            worker process has a share of its own.
        classify: returns the priority class of a request, None for no class. A header that the
            lease names for a class (``match``) takes precedence.
        client_key: returns the client that sent a request. Without it, or where it returns None, no
            client is compared.
        dry_run: decide and count, but refuse nothing.
        fail_open: admit everything until the first lease arrives.
        token_file: file with the bearer token for the endpoint.
    """

    def __init__(  # noqa: PLR0913 - what a user may set, each by its name
        self,
        app: App,
        *,
        endpoint: str,
        service: str,
        instance: str | None = None,
        classify: Reader | None = None,
        client_key: Reader | None = None,
        dry_run: bool = False,
        fail_open: bool = True,
        token_file: str | Path | None = None,
    ) -> None:
        if not endpoint.startswith(("http://", "https://")):
            raise ValueError(f"endpoint is {endpoint!r}, but must be http://... or https://...")
        self.app = app
        self._endpoint = endpoint
        self._service, self._instance = service, instance or socket.gethostname()
        self._classify, self._client_key = classify, client_key
        self._dry_run, self._fail_open = dry_run, fail_open
        self._token_file = Path(token_file) if token_file is not None else None
        self._polling: asyncio.Task[None] | None = None

    def stats(self) -> LimiterSnapshot:
        """Return the counts of requests and the limit that applies now."""
        return self._limiter.snapshot(steady_seconds())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        admission = self._admit(scope)
        if not admission.allowed:
            headers, body = refusal(admission)
            await send({"type": "http.response.start", "status": 429, "headers": headers})
            await send({"type": "http.response.body", "body": body})
            return
        # Only a refusal has the RateLimit-Policy field: to check one more field may cost a server
        # as much time as the whole decision.
        fields = limit_field(admission)

        async def send_with_limit(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *fields]
            await send(message)

        await self.app(scope, receive, send_with_limit if fields else send)

    def _admit(self, scope: Scope) -> Admission:
        self._keep_polling()
        limiter = self._limiter
        client = self._client_key(scope) if self._client_key else None
        return limiter.admit(self._class_of(scope, limiter), client, steady_seconds())

    def _class_of(self, scope: Scope, limiter: LeaseLimiter) -> str | None:
        headers = (
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        )
        found = limiter.class_by_headers(headers)
        return found or (self._classify(scope) if self._classify else None)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Poll during the lifespan of the application."""
        self._keep_polling()

        async def send_once_stopped(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):
                # A server may end its event loop after this message.
                await self._stop_polling()
            await send(message)

        try:
            await self.app(scope, receive, send_once_stopped)
        finally:
            await self._stop_polling()

    @cached_property
    def _limiter(self) -> LeaseLimiter:
        """The limiter; created at first use, as a worker may be forked after the middleware."""
        name = re.sub(r"[^A-Za-z0-9._:-]", "-", self._instance)
        suffix = f"-{os.getpid()}"
        instance = name[: MAX_NAME - len(suffix)].lstrip("._:-") + suffix
        return LeaseLimiter(
            LimiterSettings(
                self._service, instance, fail_open=self._fail_open, dry_run=self._dry_run
            )
        )

    def _keep_polling(self) -> None:
        """Start the poller if it does not run: not every server sends lifespan events.

        Nor does it run on an event loop that another one has replaced.
        """
        loop, polling = asyncio.get_running_loop(), self._polling
        if polling is None or polling.done() or polling.get_loop() is not loop:
            settings = self._limiter.settings
            endpoint = HttpEndpoint(
                self._endpoint, settings.service, settings.instance, self._token_file
            )
            rng = random.Random()  # noqa: S311 - jitter
            poller = Poller(self._limiter, endpoint, clock=steady_seconds, rng=rng)
            self._polling = loop.create_task(poller.run())

    async def _stop_polling(self) -> None:
        polling, self._polling = self._polling, None
        if polling is not None:
            polling.cancel()
            await asyncio.gather(polling, return_exceptions=True)
