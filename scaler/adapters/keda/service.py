"""The gRPC service with KEDA's four calls, which reads the latest snapshot.

KEDA reads NaN as 0, and a response without values as "nothing to do". So a value that is not known
is an error, on which KEDA keeps the replicas or uses its fallback:

* INVALID_ARGUMENT: the trigger's metadata is wrong. NOT_FOUND: there is no such policy.
* PERMISSION_DENIED: the caller may not read it. UNAVAILABLE: the value is not known now; try again.

Confined to the server's event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import grpc

from scaler.adapters.http.grants import EVERYTHING, AccessGrant
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
# A stream checks this often whether the snapshot has gone stale.
CHECK_S = 2.0

NO_TICK = "there has been no tick yet"

Call = Callable[[Any, Any], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _ServiceAt:
    """A service as of the latest snapshot, and the age of that snapshot."""

    view: ServiceView
    age_s: float


class ExternalScaler:
    """Serves the triggers of all ScaledObjects.

    Args:
        holder: of the snapshots.
        stale_after_s: age from which on the values of a snapshot are not passed on.
        grant_of: what a caller may do, by the context of its call.
    """

    def __init__(
        self,
        holder: SnapshotHolder,
        stale_after_s: float = STALE_AFTER_S,
        grant_of: Callable[[Any], AccessGrant] = lambda _: EVERYTHING,
    ) -> None:
        self._holder, self._stale_after_s, self._grant_of = holder, stale_after_s, grant_of
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
        """End all streams; KEDA reopens them where a server replies."""
        self._closed = True
        for ticked in self._streams:
            ticked.set()

    async def is_active(self, request: pb.ScaledObjectRef, context: object) -> pb.IsActiveResponse:
        trigger = self._trigger(request, context)
        current = self._current(trigger, context)
        if current is None:
            raise NotKnownError(NO_TICK)
        return pb.IsActiveResponse(result=self._active(trigger, current))

    async def stream_is_active(
        self, request: pb.ScaledObjectRef, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[pb.IsActiveResponse]:
        """Send at once whether the service is active, and again at each change.

        If the policy is deleted the stream ends with an error, so that the service is not stopped.
        """
        ticked = asyncio.Event()
        self._streams.add(ticked)
        self._holder.subscribe(ticked.set)
        try:
            trigger, sent = self._trigger(request, context), None
            while not self._closed:
                ticked.clear()
                current = self._current(trigger, context)
                if current is not None and (now := self._active(trigger, current)) is not sent:
                    sent = now
                    yield pb.IsActiveResponse(result=now)
                with suppress(TimeoutError):
                    async with asyncio.timeout(CHECK_S):
                        await ticked.wait()
        except (TriggerError, RequestProblem) as error:
            await context.abort(*_status(error))
        finally:
            self._streams.discard(ticked)
            self._holder.unsubscribe(ticked.set)

    async def metric_spec(
        self, request: pb.ScaledObjectRef, context: object
    ) -> pb.GetMetricSpecResponse:
        """Return the target; for a policy that is not known too, if it does not depend on that.

        KEDA leaves a trigger out of the HPA if it cannot get the target when it writes the HPA, and
        never comes to the trigger's fallback. Source: `GetMetricSpecForScaling` in kedacore/keda,
        `pkg/scalers/external_scaler.go`, and issue 8056.
        """
        trigger = self._trigger(request, context)
        try:
            current = self._current(trigger, context)
        except RequestProblem as missing:
            try:
                target = target_milli(trigger, None)
            except NotKnownError:
                raise missing from None
        else:
            target = target_milli(trigger, None if current is None else current.view)
        spec = pb.MetricSpec(
            metricName=trigger.metric_name,
            targetSize=wire_int(target),
            targetSizeFloat=wire_float(target),
        )
        return pb.GetMetricSpecResponse(metricSpecs=[spec])

    async def metrics(
        self, request: pb.GetMetricsRequest, context: object
    ) -> pb.GetMetricsResponse:
        trigger = self._trigger(request.scaledObjectRef, context)
        if request.metricName != trigger.metric_name:
            raise TriggerError(
                f"metricName is {request.metricName[:100]!r}, but must be {trigger.metric_name}, "
                "as the trigger's metric says"
            )
        current = self._current(trigger, context)
        if current is None:
            raise NotKnownError(NO_TICK)
        if current.age_s >= self._stale_after_s:
            raise NotKnownError(
                f"the last tick was {current.age_s:.0f} s ago, but after {self._stale_after_s:g} s "
                "nothing of it may be acted on"
            )
        value = value_milli(trigger, current.view)
        metric_value = pb.MetricValue(
            metricName=trigger.metric_name,
            metricValue=wire_int(value),
            metricValueFloat=wire_float(value),
        )
        return pb.GetMetricsResponse(metricValues=[metric_value])

    def _trigger(self, request: pb.ScaledObjectRef, context: object) -> Trigger:
        """Return the trigger of a call.

        Raises:
            RequestProblem: the caller may not read its service.
        """
        trigger = read_trigger(request.namespace, request.name, request.scalerMetadata)
        self._grant_of(context).check_service(trigger.service)
        return trigger

    def _current(self, trigger: Trigger, context: object) -> _ServiceAt | None:
        """Return the service as of the latest tick; None before the first tick.

        Raises:
            RequestProblem: there is no such service.
        """
        held = self._holder.latest()
        if held is None:
            return None
        try:
            view = known_service(held.snapshot, trigger.service)
        except RequestProblem as problem:
            raise problem.seen_by(self._grant_of(context).reaches) from None
        return _ServiceAt(view, held.age_s(self._holder.clock()))

    def _active(self, trigger: Trigger, current: _ServiceAt) -> bool:
        return is_active(trigger, current.view, fresh=current.age_s < self._stale_after_s)


def _unary(call: Call, request: type[Any]) -> grpc.RpcMethodHandler:
    """Return the handler of a unary call, which turns errors into a status."""

    async def handle(message: object, context: grpc.aio.ServicerContext) -> object:
        try:
            return await call(message, context)
        except (TriggerError, NotKnownError, RequestProblem) as error:
            return await context.abort(*_status(error))

    return grpc.unary_unary_rpc_method_handler(
        handle,
        request_deserializer=request.FromString,
        response_serializer=lambda answer: answer.SerializeToString(),
    )


def _status(error: Exception) -> tuple[grpc.StatusCode, str]:
    if isinstance(error, TriggerError):
        return grpc.StatusCode.INVALID_ARGUMENT, str(error)
    if isinstance(error, RequestProblem):
        denied = error.status == 403
        code = grpc.StatusCode.PERMISSION_DENIED if denied else grpc.StatusCode.NOT_FOUND
        return code, str(error)
    return grpc.StatusCode.UNAVAILABLE, str(error)
