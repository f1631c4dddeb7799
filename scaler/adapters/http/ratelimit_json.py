"""`POST /json`: one rate limit decision, with the HTTP interface of envoyproxy/ratelimit."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from scaler.adapters.http.access import grant_of
from scaler.adapters.http.middleware import as_response, refusal
from scaler.adapters.http.openapi import Responses, problems
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.ratelimit_schemas import RateLimitRequestBody, RateLimitResponseBody
from scaler.adapters.http.schemas import Problem
from scaler.limits.descriptors import DescriptorCall, DescriptorReply, call_error, questions

_DECIDED: Responses = {
    200: {"model": RateLimitResponseBody, "description": "The request may pass."},
    429: {
        "model": RateLimitResponseBody | Problem,
        "description": "The request may not pass; `Retry-After` says when to try again.",
    },
}


class _ReadAsJson(APIRoute):
    """A route that reads its body as JSON whatever its type: ``curl --data`` sends a form's."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def read_as_json(request: Request) -> Response:
            others = [one for one in request.scope["headers"] if one[0] != b"content-type"]
            headers = [*others, (b"content-type", b"application/json")]
            return await handle(Request({**request.scope, "headers": headers}, request.receive))

        return read_as_json


def add_rate_limit(app: FastAPI, decide: Callable[[DescriptorCall], DescriptorReply]) -> None:
    """Serve rate limit decisions.

    Args:
        app: of `create_app`.
        decide: called on the server's event loop; raises `RequestProblem` if it cannot decide.
    """

    async def should_rate_limit(request: Request, body: RateLimitRequestBody) -> Response:
        """Decide whether a request may pass, and count it if so; as envoyproxy/ratelimit does."""
        call, grant = body.to_call(), grant_of(request.scope)
        fault = call_error(call)
        if fault is not None:
            return as_response(refusal(RequestProblem(422, fault, field="body")))
        grant.check_services(one.service for one in questions(call))
        reply = decide(call)
        text = RateLimitResponseBody.of(reply).model_dump_json(by_alias=True, exclude_none=True)
        headers = dict(reply.headers)
        return Response(text, 429 if reply.over else 200, headers, "application/json")

    app.router.add_api_route(
        "/json", should_rate_limit, methods=["POST"], response_model=None,
        responses={**_DECIDED, **problems(400, 401, 403, 408, 413, 422, 503)}, tags=["limits"],
        route_class_override=_ReadAsJson,
    )  # fmt: skip
