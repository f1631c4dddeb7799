"""The HTTP routes, with their OpenAPI descriptions."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, cast

from fastapi import FastAPI, Path, Query, Request
from fastapi.routing import APIRoute
from starlette.responses import JSONResponse, Response

from scaler.adapters.http.access import grant_of
from scaler.adapters.http.events import EventStream
from scaler.adapters.http.lease_routes import LeaseRoutes
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.metrics import CONTENT_TYPE, Telemetry
from scaler.adapters.http.middleware import PlainResponse, as_response
from scaler.adapters.http.openapi import ASKING, LEASE, RENEWED, problems
from scaler.adapters.http.schemas import ReportBody
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.http.views import (
    Json,
    explanation_view,
    forecast_view,
    number,
    plan_view,
    service_view,
    snapshot_view,
)
from scaler.control.reign import Tenure
from scaler.control.snapshot import ServiceView

LIMITS_BY_TENURE = {
    Tenure.LEADS: "handed out",
    Tenure.CARETAKES: "handed out, but not raised: no leader is known",
    Tenure.LAPSED: "limits are not handed out: the API server has been away for too long",
    Tenure.FOLLOWS: "handed out by the leader, not here",
}
ServiceName = Annotated[
    str, Path(description="namespace/name; the slash is part of it", examples=["prod/shop"])
]


class _DirectRoute(APIRoute):
    """A route whose handler is called with the request itself, without FastAPI's parsing."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        return cast("Callable[[Request], Any]", self.endpoint)


def add_lease_routes(app: FastAPI, limits: LeaseRoutes) -> None:
    """Add the routes of gateways."""

    async def report_counts(
        request: Request,
        service: ServiceName,
        report: ReportBody,
        view: Annotated[str, Query(description="`haproxy`: a HAProxy map")] = "json",  # noqa: ARG001
    ) -> Response:
        """Report what was counted; the response is the whole lease."""
        return as_response(await limits.post(request, service, report))

    app.add_api_route(
        "/v1/limits/{service:path}/reports",
        report_counts,
        methods=["POST"],
        response_model=None,
        responses={**LEASE, **problems(400, 401, 403, 404, 408, 409, 413, 422, 429, 503)},
        tags=["limits"],
    )

    async def read_limit(request: Request) -> PlainResponse:
        """Read the lease, or wait until it changes."""
        # `AccessMiddleware` handles this path itself, unless it is spelt in an unusual way.
        service = request.path_params["service"]
        return await limits.get(service, request.scope, request.receive)

    app.router.routes.append(
        _DirectRoute(
            "/v1/limits/{service:path}",
            read_limit,
            methods=["GET"],
            response_model=None,
            responses={**LEASE, **RENEWED, **problems(400, 401, 403, 404, 409, 422, 429, 503)},
            openapi_extra=ASKING,
            tags=["limits"],
        )
    )


def add_view_routes(app: FastAPI, lease_service: LeaseService, stream: EventStream) -> None:
    """Add the routes that people and the page read."""
    refusals = problems(401, 403, 404, 422, 503)

    def add(path: str, name: str, text: str, render: Callable[[ServiceView], Json]) -> None:
        async def read(service: ServiceName) -> Response:
            return JSONResponse(render(lease_service.view(service)))

        app.add_api_route(
            path + "/{service:path}", read, name=name, operation_id=name, description=text,
            response_model=None, responses={200: {"model": dict[str, Any]}, **refusals},
            tags=["services"],
        )  # fmt: skip

    add("/v1/forecasts", "read_forecast", "The forecast, and how far it is trusted.", forecast_view)
    add("/v1/plans", "read_plan", "The floor and the limit, and what bound them.", plan_view)
    add("/v1/explain", "explain", "Why the decision is as it is.", explanation_view)
    add("/v1/services", "read_service", "All that the page shows.", service_view)

    async def list_services(request: Request) -> Response:
        """Return a summary of each service that the token reaches."""
        snapshot = lease_service.latest().snapshot
        return JSONResponse(snapshot_view(snapshot, grant_of(request.scope).reaches))

    app.add_api_route(
        "/v1/services", list_services, response_model=None,
        responses={200: {"model": dict[str, Any]}, **problems(401, 403, 503)}, tags=["services"],
    )  # fmt: skip

    async def follow(
        request: Request,
        service: Annotated[str | None, Query(description="also send all of this one")] = None,
    ) -> Response:
        """Follow every tick as server-sent events: `board`, and `service` where one is named."""
        return stream.response(service, grant_of(request.scope))

    app.add_api_route(
        "/v1/stream", follow, response_model=None, tags=["services"],
        responses={200: {"content": {"text/event-stream": {}}}, **problems(401, 403, 422, 503)},
    )  # fmt: skip


def add_process_routes(
    app: FastAPI, holder: SnapshotHolder, telemetry: Telemetry, stale_after_s: float
) -> None:
    """Add the routes for probes and for Prometheus."""

    async def healthz() -> Response:
        """Whether the process is alive."""
        return JSONResponse({"status": "ok"})

    async def readyz() -> Response:
        """Whether a recent tick has been published, and whether limits are handed out here.

        A follower is ready: it serves all but limits. Who led last is not once it hands out none.
        """
        held = holder.latest()
        age_s = held.age_s(holder.clock()) if held else math.inf
        fault = "no tick yet" if held is None else f"the last tick was {age_s:.0f} s ago"
        if held is not None and age_s < stale_after_s:
            if held.tenure is not Tenure.LAPSED:
                limits = LIMITS_BY_TENURE[held.tenure]
                ready = {"status": "ok", "tick_age_s": number(age_s), "limits": limits}
                return JSONResponse(ready)
            fault = LIMITS_BY_TENURE[held.tenure]
        return JSONResponse({"detail": fault}, 503, {"retry-after": "2"})

    async def metrics() -> Response:
        """The metrics of this process, in the text format of Prometheus."""
        return Response(telemetry.exposition(), headers={"content-type": CONTENT_TYPE})

    ok: dict[int | str, dict[str, Any]] = {200: {"model": dict[str, Any]}}
    for path, endpoint, responses in (
        ("/healthz", healthz, ok),
        ("/readyz", readyz, {**ok, **problems(503)}),
        ("/metrics", metrics, {200: {"content": {"text/plain": {}}}, **problems(401, 403)}),
    ):
        handler = cast("Callable[..., Awaitable[Response]]", endpoint)
        app.add_api_route(
            path, handler, response_model=None, response_class=Response, responses=responses,
            tags=["process"],
        )  # fmt: skip
