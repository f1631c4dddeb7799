"""Envoy's rate limit service (RLS), version 3: one decision per call."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
from envoy.config.core.v3 import base_pb2
from envoy.service.ratelimit.v3 import rls_pb2

from scaler.adapters.envoy.messages import read_by
from scaler.adapters.http.grants import EVERYTHING, AccessGrant
from scaler.adapters.http.problems import RequestProblem
from scaler.limits.descriptors import (
    Descriptor,
    DescriptorCall,
    DescriptorReply,
    DescriptorStatus,
    call_error,
    questions,
    requests_per_unit,
)

NAME = "envoy.service.ratelimit.v3.RateLimitService"
# The header of a request on which tidegate has decided. Where it is missing, tidegate was not asked
# or knows no limit: a second, local limit in Envoy can apply to just those requests.
CHECKED = ("x-tidegate", "checked")

GrantOf = Callable[[Any], AccessGrant]
_Response = rls_pb2.RateLimitResponse


def add_rate_limit_service(
    server: Any,  # noqa: ANN401 - the library has no types
    decide: Callable[[DescriptorCall], DescriptorReply],
    grant_of: GrantOf = lambda _: EVERYTHING,
) -> str:
    """Add the service to a `grpc.aio.Server`; return its full name.

    Args:
        server: calls ``decide`` on its event loop.
        decide: raises `RequestProblem` if it cannot decide.
        grant_of: what a caller may do, by the context of its call.
    """

    async def should_rate_limit(request: Any, context: Any) -> Any:  # noqa: ANN401 - as above
        if request is None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "this is no RateLimitRequest")
        call = _call(request)
        fault = call_error(call)
        if fault is not None:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault)
        try:
            grant_of(context).check_services(one.service for one in questions(call))
            return _response(decide(call))
        except RequestProblem as problem:
            # Envoy applies its failure mode; its health check finds the replica that can decide.
            denied, away = grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.UNAVAILABLE
            await context.abort(denied if problem.status == 403 else away, str(problem))

    method = grpc.unary_unary_rpc_method_handler(
        should_rate_limit,
        request_deserializer=partial(read_by, rls_pb2.RateLimitRequest),
        response_serializer=_Response.SerializeToString,
    )
    methods = {"ShouldRateLimit": method}
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(NAME, methods)])
    return NAME


def _call(request: Any) -> DescriptorCall:  # noqa: ANN401 - the messages have no types
    return DescriptorCall(
        request.domain,
        tuple(
            Descriptor(
                tuple((entry.key, entry.value) for entry in one.entries),
                one.hits_addend.value if one.HasField("hits_addend") else None,
            )
            for one in request.descriptors
        ),
        request.hits_addend,
    )


def _response(reply: DescriptorReply) -> Any:  # noqa: ANN401 - as above
    checked = all(status.limit_qps is not None for status in reply.statuses)
    return _Response(
        overall_code=_code(reply.over),
        statuses=[_status(status) for status in reply.statuses],
        response_headers_to_add=[_header(*one) for one in reply.headers],
        request_headers_to_add=[_header(*CHECKED)] if checked else [],
    )


def _status(status: DescriptorStatus) -> Any:  # noqa: ANN401 - as above
    descriptor_status = _Response.DescriptorStatus(code=_code(status.over))
    if status.limit_qps is None:
        return descriptor_status
    requests, unit = requests_per_unit(status.limit_qps)
    descriptor_status.current_limit.requests_per_unit = requests
    descriptor_status.current_limit.unit = int(unit)
    descriptor_status.limit_remaining = status.remaining
    descriptor_status.duration_until_reset.FromMilliseconds(round(status.reset_s * 1000))
    return descriptor_status


def _header(key: str, value: str) -> Any:  # noqa: ANN401 - as above
    return base_pb2.HeaderValue(key=key, value=value)


def _code(over: bool) -> int:
    return int(_Response.OVER_LIMIT if over else _Response.OK)
