"""KEDA's four calls, answered from the latest board. Confined to the server's event loop.

KEDA takes what is no number for 0, and an answer without values for "nothing to do". So what is not
known is an error, with which KEDA leaves the replicas as they are or takes its fallback:

* INVALID_ARGUMENT: the trigger's metadata is wrong; NOT_FOUND: there is no such policy.
* UNAVAILABLE: nothing is known now; it may be later.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc

from scaler.adapters.http.problems import RequestProblem, known_service
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.keda import externalscaler_pb2 as pb
from scaler.adapters.keda.metric import (
    NotKnownError,
    is_active,
    target_milli,
    value_milli,
    wire_float,
    wire_int,
)
from scaler.adapters.keda.trigger import Trigger, TriggerError, read_trigger
from scaler.control.snapshot import ServiceView

SERVICE = "externalscaler.ExternalScaler"
STALE_AFTER_S = ApiSettings().stale_after_s
# A board goes stale without a word, so a stream looks by itself this often.
LOOK_S = 2.0

NO_TICK = "there has been no tick yet"

Call = Callable[[Any, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _ServiceAt:
    """A service as of a tick, and how old that is."""

    view: ServiceView
    age_s: float


class ExternalScaler:
    """Answers for every ScaledObject that asks.

    Args:
        holder: of the boards.
        stale_after_s: age from which a board's values are not handed out.
    """

    def __init__(self, holder: SnapshotHolder, stale_after_s: float = STALE_AFTER_S) -> None:
        self._holder, self._stale_after_s = holder, stale_after_s
        self._streams: set[asyncio.Event] = set()
        self._closed = False

    def add(self, server: grpc.aio.Server) -> str:
        """Add the service to a server that has not started; return its full name."""
        handlers = {
            "IsActive": _unary(self.is_active, pb.ScaledObjectRef),
            "StreamIsActive": grpc.unary_stream_rpc_method_handler(
                self.stream_is_active,
                request_deserializer=pb.ScaledObjectRef.FromString,
                response_serializer=pb.IsActiveResponse.SerializeToString,
            ),
            "GetMetricSpec": _unary(self.metric_spec, pb.ScaledObjectRef),
            "GetMetrics": _unary(self.metrics, pb.GetMetricsRequest),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        return SERVICE

    def close(self) -> None:
        """End all streams; KEDA opens them anew, where somebody answers."""
        self._closed = True
        for ticked in self._streams:
            ticked.set()

    async def is_active(self, request: pb.ScaledObjectRef, _: object) -> pb.IsActiveResponse:
        trigger = _trigger(request)
        seen = self._seen(trigger)
        if seen is None:
            raise NotKnownError(NO_TICK)
        return pb.IsActiveResponse(result=self._active(trigger, seen))

    async def stream_is_active(
        self, request: pb.ScaledObjectRef, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.IsActiveResponse]:
        """Say at once whether it is active, and again at each change.

        A policy that goes ends the stream with an error: its end is no reason to stop a service.
        """
        ticked = asyncio.Event()
        self._streams.add(ticked)
        self._holder.listen(ticked.set)
        try:
            trigger, told = _trigger(request), None
            while not self._closed:
                ticked.clear()
                seen = self._seen(trigger)
                if seen is not None and (now := self._active(trigger, seen)) is not told:
                    told = now
                    yield pb.IsActiveResponse(result=now)
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await ticked.wait()
        except (TriggerError, RequestProblem) as error:
            await context.abort(*_status(error))
        finally:
            self._streams.discard(ticked)
            self._holder.forget(ticked.set)

    async def metric_spec(self, request: pb.ScaledObjectRef, _: object) -> pb.GetMetricSpecResponse:
        """Return the target, even before the first tick if it needs none.

        KEDA leaves a trigger out of the autoscaler whose target it cannot get when it writes it.
        """
        trigger = _trigger(request)
        seen = self._seen(trigger)
        target = target_milli(trigger, None if seen is None else seen.view)
        spec = pb.MetricSpec(
            metricName=trigger.metric_name,
            targetSize=wire_int(target),
            targetSizeFloat=wire_float(target),
        )
        return pb.GetMetricSpecResponse(metricSpecs=[spec])

    async def metrics(self, request: pb.GetMetricsRequest, _: object) -> pb.GetMetricsResponse:
        trigger = _trigger(request.scaledObjectRef)
        if request.metricName != trigger.metric_name:
            raise TriggerError(
                f"metricName is {request.metricName[:100]!r}, but must be {trigger.metric_name}, "
                "as the trigger's metric says"
            )
        seen = self._seen(trigger)
        if seen is None:
            raise NotKnownError(NO_TICK)
        if seen.age_s >= self._stale_after_s:
            raise NotKnownError(
                f"the last tick was {seen.age_s:.0f} s ago, but after {self._stale_after_s:g} s "
                "nothing of it may be acted on"
            )
        value = value_milli(trigger, seen.view)
        told = pb.MetricValue(
            metricName=trigger.metric_name,
            metricValue=wire_int(value),
            metricValueFloat=wire_float(value),
        )
        return pb.GetMetricsResponse(metricValues=[told])

    def _seen(self, trigger: Trigger) -> _ServiceAt | None:
        """Return the service as of the latest tick, None before the first.

        Raises:
            Refused: the tick knows no such service.
        """
        posted = self._holder.latest()
        if posted is None:
            return None
        view = known_service(posted.snapshot, trigger.service)
        return _ServiceAt(view, posted.age_s(self._holder.clock()))

    def _active(self, trigger: Trigger, seen: _ServiceAt) -> bool:
        return is_active(trigger, seen.view, fresh=seen.age_s < self._stale_after_s)


def _trigger(request: pb.ScaledObjectRef) -> Trigger:
    return read_trigger(request.namespace, request.name, request.scalerMetadata)


def _unary(call: Call, request: type[Any]) -> grpc.RpcMethodHandler:
    """Return the handler of a call whose refusals become a status."""

    async def answered(message: object, context: grpc.aio.ServicerContext) -> object:
        try:
            return await call(message, context)
        except (TriggerError, NotKnownError, RequestProblem) as error:
            return await context.abort(*_status(error))

    return grpc.unary_unary_rpc_method_handler(
        answered,
        request_deserializer=request.FromString,
        response_serializer=lambda answer: answer.SerializeToString(),
    )


def _status(error: Exception) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, TriggerError):
        return grpc.StatusCode.INVALID_ARGUMENT, str(error)
    if isinstance(error, RequestProblem):
        return grpc.StatusCode.NOT_FOUND, str(error)
    return grpc.StatusCode.UNAVAILABLE, str(error)
