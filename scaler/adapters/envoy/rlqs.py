"""Envoy's rate limit quota service (RLQS), version 3: the gRPC side.

Each stream is a gateway that counts by itself; `rlqs_stream` decides on its quotas.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any
from urllib.parse import unquote

import grpc
from envoy.service.rate_limit_quota.v3 import rlqs_pb2
from envoy.type.v3 import ratelimit_strategy_pb2, token_bucket_pb2

from scaler.adapters.envoy.messages import read_by
from scaler.adapters.envoy.quotas import Quota
from scaler.adapters.envoy.rlqs_stream import Action, Assignment, BucketId, QuotaStream
from scaler.adapters.http.grants import EVERYTHING, AccessGrant
from scaler.adapters.http.lease_service import LeaseService
from scaler.limits.descriptors import DOMAIN

NAME = "envoy.service.rate_limit_quota.v3.RateLimitQuotaService"
# How often a stream checks its lease: a lower limit must not wait for the next report.
CHECK_S = 0.5
MAX_STREAMS = 1000

_Strategy = ratelimit_strategy_pb2.RateLimitStrategy
_Response = rlqs_pb2.RateLimitQuotaResponse


class QuotaService:
    """Serves the streams of Envoys.

    Args:
        lease_service: issues the leases; streams are served on its event loop.
        clock: the clock of ``lease_service``.
        grant_of: what a caller may do, by the context of its call.
    """

    def __init__(
        self,
        lease_service: LeaseService,
        clock: Callable[[], float],
        grant_of: Callable[[Any], AccessGrant] = lambda _: EVERYTHING,
    ) -> None:
        self._lease_service, self._clock, self._grant_of = lease_service, clock, grant_of
        self._instances: set[str] = set()
        self._closed = asyncio.Event()

    def add(self, server: Any) -> str:  # noqa: ANN401 - the library has no types
        """Add the service to a `grpc.aio.Server`; return its full name."""
        method = grpc.stream_stream_rpc_method_handler(
            self.stream,
            request_deserializer=partial(read_by, rlqs_pb2.RateLimitQuotaUsageReports),
            response_serializer=_Response.SerializeToString,
        )
        methods = {"StreamRateLimitQuotas": method}
        server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(NAME, methods)])
        return NAME

    def close(self) -> None:
        """End all streams; Envoys keep their assignments and reconnect."""
        self._closed.set()

    async def stream(
        self,
        reports: AsyncIterator[Any],
        context: Any,  # noqa: ANN401 - the library has no types
    ) -> AsyncIterator[Any]:
        """Answer usage reports with assignments until Envoy ends the stream."""
        if len(self._instances) >= MAX_STREAMS:
            full = f"{MAX_STREAMS} streams are open already; come back later"
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, full)
        grant = self._grant_of(context)
        instance = self._instance(context.peer(), grant.owner)
        self._instances.add(instance)
        stream, arrived = QuotaStream(self._lease_service, instance, grant), asyncio.Event()
        reading = asyncio.create_task(self._read(reports, stream, arrived))
        closing = asyncio.create_task(self._closed.wait())
        try:
            while not (reading.done() or closing.done()):
                actions = stream.actions(self._clock())
                if actions:
                    yield _response(actions)
                news = asyncio.create_task(arrived.wait())
                await asyncio.wait((news, closing), timeout=CHECK_S, return_when="FIRST_COMPLETED")
                news.cancel()
                arrived.clear()
            fault = reading.result() if reading.done() else None
        finally:
            reading.cancel()
            closing.cancel()
            self._instances.discard(instance)
        if fault:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, fault)

    async def _read(
        self, reports: AsyncIterator[Any], stream: QuotaStream, arrived: asyncio.Event
    ) -> str | None:
        """Record reports until the stream ends; return what is wrong with an invalid report."""
        domain = ""
        try:
            async for report in reports:
                if report is None:
                    return "this is no RateLimitQuotaUsageReports"
                domain = domain or report.domain
                if domain != DOMAIN:
                    return f"the domain is {domain[:80]!r}, but must be {DOMAIN!r}"
                for usage in report.bucket_quota_usages:
                    bucket = tuple(sorted(usage.bucket_id.bucket.items()))
                    requests = usage.num_requests_allowed + usage.num_requests_denied
                    stream.record_usage(bucket, requests, self._clock())
                arrived.set()
        finally:
            arrived.set()
        return None

    def _instance(self, peer: str, owner: str) -> str:
        """Return the name of a gateway: an Envoy that reconnects gets its name and share again.

        No gateway that names itself can have it: such names begin with a letter or digit.
        """
        host = unquote(peer).partition(":")[2].rpartition(":")[0].strip("[]") or "local"
        shown = "".join(c if c.isalnum() or c in ".:" else "-" for c in host)[:100]
        name = "-".join(("@rlqs", *([owner] if owner else []), shown))
        return next(
            n for i in range(MAX_STREAMS + 1) if (n := f"{name}-{i}") not in self._instances
        )


def _response(actions: list[Action]) -> Any:  # noqa: ANN401 - the messages have no types
    return _Response(bucket_action=[_action(*action) for action in actions])


def _action(bucket: BucketId, assignment: Assignment | None) -> Any:  # noqa: ANN401 - as above
    name = rlqs_pb2.BucketId(bucket=dict(bucket))
    actions = _Response.BucketAction
    if assignment is None:
        return actions(bucket_id=name, abandon_action=actions.AbandonAction())
    assign = actions.QuotaAssignmentAction(
        assignment_time_to_live={"seconds": assignment.ttl_s},
        rate_limit_strategy=_strategy(assignment.quota),
    )
    return actions(bucket_id=name, quota_assignment_action=assign)


def _strategy(quota: Quota | None) -> Any:  # noqa: ANN401 - as above
    if quota is None:
        return _Strategy(blanket_rule=_Strategy.ALLOW_ALL)
    if not quota.tokens:
        return _Strategy(blanket_rule=_Strategy.DENY_ALL)
    bucket = token_bucket_pb2.TokenBucket(
        max_tokens=quota.most,
        tokens_per_fill={"value": quota.tokens},
        fill_interval={"seconds": quota.interval_s},
    )
    return _Strategy(token_bucket=bucket)
