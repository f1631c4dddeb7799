"""A client that behaves like KEDA's operator, and a server for it to call.

It calls as `external_scaler.go` of KEDA 2.20 does: a poll is GetMetricSpec, then GetMetrics with
the name it has for the autoscaler less its index, then IsActive; numbers are cut to thousandths.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import grpc

from scaler.adapters.http.grants import EVERYTHING, AccessGrant
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.keda import externalscaler_pb2 as pb
from scaler.adapters.keda.service import ExternalScaler
from tests.waiting import PATIENCE_S

PATH = "/externalscaler.ExternalScaler/"


@contextmanager
def served(
    holder: SnapshotHolder,
    credentials: grpc.ServerCredentials | None = None,
    stale_after_s: float = 45,
    grant: AccessGrant = EVERYTHING,
) -> Iterator[str]:
    """Serve on loopback in a thread of its own; yield the address."""
    ready, place = threading.Event(), []

    async def serve() -> None:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        scaler = ExternalScaler(holder, stale_after_s, lambda _: grant)
        scaler.add(server)
        if credentials is None:
            port = server.add_insecure_port("127.0.0.1:0")
        else:
            port = server.add_secure_port("127.0.0.1:0", credentials)
        await server.start()
        stop = asyncio.Event()
        place[:] = [port, asyncio.get_running_loop(), stop]
        ready.set()
        await stop.wait()
        scaler.close()
        await server.stop(2.0)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(PATIENCE_S)
    port, loop, stop = place
    try:
        yield f"127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@dataclass(frozen=True)
class Poll:
    """The result of a poll: the name in the HPA, target and values of each metric."""

    targets: dict[str, int]
    values: dict[str, list[int]]
    active: bool


@dataclass
class Keda:
    """A ScaledObject with one trigger of type external."""

    channel: grpc.Channel
    metadata: dict[str, str] = field(default_factory=dict)
    name: str = "shop"
    namespace: str = "prod"
    index: int = 0

    @property
    def reference(self) -> pb.ScaledObjectRef:
        metadata = {"scalerAddress": "tidegate.tidegate.svc:9090", **self.metadata}
        return pb.ScaledObjectRef(name=self.name, namespace=self.namespace, scalerMetadata=metadata)

    def specs(self) -> dict[str, int]:
        """Return the targets in thousandths, by the metric's name in the HPA."""
        answer = self._call("GetMetricSpec", self.reference, pb.GetMetricSpecResponse)
        return {
            f"s{self.index}-{spec.metricName}": milli(spec.targetSizeFloat, spec.targetSize)
            for spec in answer.metricSpecs
        }

    def values(self, name: str) -> list[int]:
        prefix = f"s{self.index}-"
        assert name.startswith(prefix)
        request = pb.GetMetricsRequest(
            scaledObjectRef=self.reference, metricName=name.removeprefix(prefix)
        )
        answer = self._call("GetMetrics", request, pb.GetMetricsResponse)
        return [milli(one.metricValueFloat, one.metricValue) for one in answer.metricValues]

    def is_active(self) -> bool:
        return self._call("IsActive", self.reference, pb.IsActiveResponse).result

    def poll(self) -> Poll:
        targets = self.specs()
        values = {name: self.values(name) for name in targets}
        return Poll(targets, values, self.is_active())

    def stream(self) -> grpc.Call:
        """Open the stream of an external-push trigger."""
        return self.channel.unary_stream(
            PATH + "StreamIsActive",
            pb.ScaledObjectRef.SerializeToString,
            pb.IsActiveResponse.FromString,
        )(self.reference, timeout=PATIENCE_S)

    def _call(self, method, message, answer):
        call = self.channel.unary_unary(
            PATH + method, type(message).SerializeToString, answer.FromString
        )
        return call(message, timeout=PATIENCE_S)


def milli(real: float, whole: int) -> int:
    """Return the number that KEDA reads from the two fields."""
    return int(real * 1000) if real > 0 else whole * 1000


@contextmanager
def asking(
    holder: SnapshotHolder,
    metadata: dict[str, str] | None = None,
    grant: AccessGrant = EVERYTHING,
    **more,
) -> Iterator[Keda]:
    with served(holder, grant=grant) as place, grpc.insecure_channel(place) as channel:
        yield Keda(channel, metadata or {}, **more)
