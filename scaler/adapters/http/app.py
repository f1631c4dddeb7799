"""The ASGI application: all routes, the access middleware and the error handlers."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from functools import cache, partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import Lifespan

from scaler.adapters.http.access import AccessRules
from scaler.adapters.http.auth import Tokens
from scaler.adapters.http.connections import file_limit, most_streams
from scaler.adapters.http.events import EventStream
from scaler.adapters.http.lease_routes import LeaseRoutes
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.long_poll import LongPoll
from scaler.adapters.http.metrics import Telemetry
from scaler.adapters.http.middleware import AccessMiddleware, as_response, refusal, refused
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.routes import add_lease_routes, add_process_routes, add_view_routes
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder

# The hash is that of an empty <style>, into which the chart library puts its rules by script: no
# other style and no script is run that is not a file of the page's own.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
NO_SNIFFING = {"x-content-type-options": "nosniff"}


def create_app(
    holder: SnapshotHolder,
    settings: ApiSettings,
    *,
    telemetry: Telemetry | None = None,
    epoch: str | None = None,
    lease_service: LeaseService | None = None,
    trusted_peers: bool = False,
) -> FastAPI:
    """Return the application that serves the snapshots in ``holder``.

    Args:
        holder: of the snapshots that the control loop publishes.
        settings: how leases are issued, and who may send requests.
        telemetry: the metrics that the control loop counts in; None creates them.
        epoch: names the version numbers of this process; None draws a random name.
        lease_service: hands out leases; None creates one.
        trusted_peers: whether the server verifies every client's certificate, so that no token
            is needed where none is configured, or where a line of the file names the certificate.
    """
    lease_service = lease_service or LeaseService(holder, settings, epoch or new_epoch())
    long_poll = LongPoll(lease_service, holder.clock)
    stream = EventStream(holder, most_streams(file_limit()))
    telemetry = telemetry or Telemetry(holder)
    telemetry.gateways = lease_service.gateways

    app = _empty_app(_lifespan(holder, long_poll, stream))
    app.state.close = partial(_close, long_poll, stream)
    # For what runs on the same event loop.
    app.state.lease_service = lease_service
    rules = app.state.access = _access_rules(settings, holder.clock, trusted_peers=trusted_peers)
    app.state.count_refusal = telemetry.count_refusal
    limits = LeaseRoutes(long_poll, lease_service.epoch)
    add_lease_routes(app, limits)
    add_view_routes(app, lease_service, stream)
    add_process_routes(app, holder, telemetry, settings.stale_after_s)
    app.add_middleware(
        AccessMiddleware, rules=rules, count_response=telemetry.count_response, direct=limits.get
    )
    _add_error_handlers(app)
    return app


def new_epoch() -> str:
    """Return a random name for the version numbers of this process."""
    return secrets.token_hex(4)


def _empty_app(lifespan: Lifespan[FastAPI]) -> FastAPI:
    return FastAPI(
        title="tidegate",
        summary="Limits for gateways, and why they are what they are.",
        version="1",
        lifespan=lifespan,
        # These pages would load scripts from a CDN; /openapi.json is served.
        docs_url=None,
        redoc_url=None,
    )


def _access_rules(
    settings: ApiSettings, clock: Callable[[], float], *, trusted_peers: bool
) -> AccessRules:
    tokens = None
    if settings.tokens is not None:
        tokens = Tokens(settings.tokens, clock, peers_verified=trusted_peers)
    anonymous = settings.allow_anonymous or (trusted_peers and tokens is None)
    return AccessRules(tokens, anonymous)


def _lifespan(
    holder: SnapshotHolder, long_poll: LongPoll, stream: EventStream
) -> Lifespan[FastAPI]:
    """Return the lifespan: while the application runs, each tick wakes long polls and streams."""

    def ticked() -> None:
        long_poll.schedule_all()
        stream.tick()

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        holder.subscribe(ticked)
        checks = asyncio.create_task(long_poll.run())
        try:
            yield
        finally:
            holder.unsubscribe(ticked)
            checks.cancel()
            _close(long_poll, stream)

    return lifespan


def _close(long_poll: LongPoll, stream: EventStream) -> None:
    long_poll.close()
    stream.close()


def add_page(
    app: FastAPI, load: Callable[[], tuple[bytes, Mapping[str, tuple[str, bytes]]]]
) -> None:
    """Serve the page at ``/`` and its files at ``/assets/{name}``.

    Args:
        app: made by `create_app`.
        load: is called once, when the page is first asked for; returns the page, whose policy lets
            it load nothing but what is served here, and by name the content type and content of
            each of its files.
    """
    loaded = cache(load)
    headers = {
        **NO_SNIFFING,
        "content-security-policy": PAGE_POLICY,
    }

    async def page(_: Request) -> Response:
        html, _files = await run_in_threadpool(loaded)
        return Response(html, headers=headers, media_type="text/html")

    async def asset(request: Request) -> Response:
        _html, assets = await run_in_threadpool(loaded)
        shown_asset = assets.get(request.path_params["name"])
        if shown_asset is None:
            return Response(status_code=404)
        cached = {**NO_SNIFFING, "cache-control": "max-age=3600"}
        return Response(shown_asset[1], headers=cached, media_type=shown_asset[0])

    app.add_route("/", page, include_in_schema=False)
    app.add_route("/assets/{name}", asset, include_in_schema=False)


def _add_error_handlers(app: FastAPI) -> None:
    async def problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestProblem)
        return as_response(refused(request.scope, error))

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return as_response(refusal(_first_error(error)))

    async def other(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        body = json.dumps({"detail": str(error.detail)})
        headers = dict(error.headers or {})
        return Response(body, error.status_code, headers, "application/json")

    app.add_exception_handler(RequestProblem, problem)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, other)


def _first_error(error: RequestValidationError) -> RequestProblem:
    """Return the first error in a report; the value that was sent is shortened."""
    fault: dict[str, Any] = error.errors()[0]
    place = [str(part) for part in fault["loc"] if part not in ("body", "query", "path")]
    if fault["type"] == "json_invalid":
        return RequestProblem(422, "the body must be JSON", field="body")
    field = ".".join(place)[:200] or "body"
    found = "" if fault["type"] == "missing" else f" (got {ascii(fault.get('input'))[:60]})"
    return RequestProblem(422, f"{field}: {fault['msg']}{found}", field=field)
