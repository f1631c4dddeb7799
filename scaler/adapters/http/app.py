"""The application: every route, put together."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Mapping
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Lifespan

from scaler.adapters.http.auth import Tokens
from scaler.adapters.http.events import EventStream
from scaler.adapters.http.lease_routes import LeaseRoutes
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.long_poll import LongPoll
from scaler.adapters.http.metrics import Telemetry
from scaler.adapters.http.middleware import AccessMiddleware, AccessRules, as_response, refusal
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.routes import add_limits, add_process, add_views
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder

NO_SNIFFING = {"x-content-type-options": "nosniff"}


def create_app(
    holder: SnapshotHolder,
    settings: ApiSettings,
    *,
    telemetry: Telemetry | None = None,
    lease_service: LeaseService | None = None,
    trusted_peers: bool = False,
) -> FastAPI:
    """Return the endpoint of what ``holder`` holds.

    Args:
        holder: of the boards that the loop publishes.
        settings: how limits are handed out, and to whom.
        telemetry: that the loop counts in; None: its own.
        lease_service: that hands out limits; None: one of its own, its epoch drawn by lot.
        trusted_peers: the server has verified every client's certificate: no token is needed
            where none is configured.
    """
    lease_service = lease_service or LeaseService(holder, settings, new_epoch())
    long_poll, stream = LongPoll(lease_service, holder.clock), EventStream(holder)
    telemetry = telemetry or Telemetry(holder)
    telemetry.gateways = lease_service.gateways

    app = FastAPI(
        title="tidegate",
        summary="Limits for gateways, and why they are what they are.",
        version="1",
        lifespan=_watching(holder, long_poll, stream),
        # Their pages load from a CDN; the description itself is served.
        docs_url=None,
        redoc_url=None,
    )
    app.state.close = partial(_close, long_poll, stream)
    app.state.lease_service = lease_service  # for whoever runs beside, on the same event loop
    limits = LeaseRoutes(lease_service, long_poll, settings.terms.longest_wait_s, holder.clock)
    add_limits(app, limits)
    add_views(app, lease_service, stream)
    add_process(app, holder, telemetry, settings.stale_after_s)
    tokens = Tokens(settings.tokens, holder.clock) if settings.tokens else None
    anonymous = settings.allow_anonymous or (trusted_peers and tokens is None)
    rules = AccessRules(tokens, anonymous, settings.body_bytes, settings.body_s)
    app.add_middleware(
        AccessMiddleware, rules=rules, answered=telemetry.answered, direct=limits.get
    )
    _add_refusals(app)
    return app


def new_epoch() -> str:
    """Return a name for this process's series of versions, drawn by lot."""
    return secrets.token_hex(4)


def _watching(
    holder: SnapshotHolder, long_poll: LongPoll, stream: EventStream
) -> Lifespan[FastAPI]:
    """Return what has everybody woken at each tick, as long as the application runs."""

    def ticked() -> None:
        long_poll.stir_all()
        stream.tick()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        holder.listen(ticked)
        beat = asyncio.create_task(long_poll.beat())
        try:
            yield
        finally:
            holder.forget(ticked)
            beat.cancel()
            _close(long_poll, stream)

    return lifespan


def _close(long_poll: LongPoll, stream: EventStream) -> None:
    long_poll.close()
    stream.close()


def add_page(app: FastAPI, html: bytes, assets: Mapping[str, tuple[str, bytes]]) -> None:
    """Serve the page at ``/`` and its files at ``/assets/{name}``.

    Args:
        app: of `create_app`.
        html: of the page; it may load nothing but what is served here.
        assets: content type and content of each file, by name.
    """
    headers = {
        **NO_SNIFFING,
        "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; "
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'; img-src 'self' data: blob:; "
        "frame-ancestors 'none'",
    }

    async def page(_: Request) -> Response:
        return Response(html, headers=headers, media_type="text/html")

    async def asset(request: Request) -> Response:
        found = assets.get(request.path_params["name"])
        if found is None:
            return Response(status_code=404)
        cached = {**NO_SNIFFING, "cache-control": "max-age=3600"}
        return Response(found[1], headers=cached, media_type=found[0])

    app.add_route("/", page, include_in_schema=False)
    app.add_route("/assets/{name}", asset, include_in_schema=False)


def _add_refusals(app: FastAPI) -> None:
    async def refused(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestProblem)
        return as_response(refusal(error))

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return as_response(refusal(_first_fault(error)))

    async def unserved(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        body = json.dumps({"detail": str(error.detail)})
        headers = dict(error.headers or {})
        return Response(body, error.status_code, headers, "application/json")

    app.add_exception_handler(RequestProblem, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, unserved)


def _first_fault(error: RequestValidationError) -> RequestProblem:
    """Return the first thing that is wrong with a report; what was sent is shown in short."""
    fault: dict[str, Any] = error.errors()[0]
    place = [str(part) for part in fault["loc"] if part not in ("body", "query", "path")]
    if fault["type"] == "json_invalid":
        return RequestProblem(422, "the body must be JSON", field="body")
    field = ".".join(place)[:200] or "body"
    found = "" if fault["type"] == "missing" else f" (got {ascii(fault.get('input'))[:60]})"
    return RequestProblem(422, f"{field}: {fault['msg']}{found}", field=field)
