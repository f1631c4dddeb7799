"""OpenTelemetry traces of ticks and of HTTP requests; needs the extra `otel`.

Spans: ``tick`` with ``measure``, ``histories``, ``predict``, ``observe`` and ``apply`` below it,
and one for each HTTP request. The standard environment variables apply (OTEL_SERVICE_NAME,
OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES, OTEL_EXPORTER_OTLP_HEADERS). Spans are sent by a
thread of their own: if the collector is down spans are lost, but no tick is delayed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import TYPE_CHECKING

from forecaster.data.series import Series
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.ports import (
    BatchForecast,
    ForecastModels,
    TrafficQuery,
    TrafficSource,
    WatchedPolicy,
    Workloads,
    World,
)
from scaler.control.snapshot import Condition, ServiceView, Snapshot
from scaler.errors import ServingError

if TYPE_CHECKING:
    from fastapi import FastAPI

try:
    from opentelemetry.exporter.otlp.json.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware
    from opentelemetry.sdk.resources import (
        SERVICE_NAME,
        SERVICE_VERSION,
        OTELResourceDetector,
        Resource,
    )
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace import Tracer
except ImportError as error:  # pragma: no cover - the tests have it
    raise ServingError(
        f"--otlp needs OpenTelemetry ({error}); install it: pip install 'tidegate[otel]'"
    ) from error

SEND_S = 2.0  # a stop must not wait for a collector that is down
UNTRACED = "healthz,readyz,metrics"


class Tracing:
    """Sends spans to a collector until it is closed.

    Args:
        endpoint: base URL of OTLP over HTTP (JSON), such as http://otel-collector:4318.

    Raises:
        ServingError: ``endpoint`` is not a URL.
    """

    def __init__(self, endpoint: str) -> None:
        if not endpoint.startswith(("http://", "https://")):
            raise ServingError(
                f"--otlp is {endpoint!r}, but must be a URL such as http://otel-collector:4318"
            )
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=SEND_S)
        own = Resource({SERVICE_NAME: "tidegate", SERVICE_VERSION: version("tidegate")})
        resource = Resource.get_empty().merge(own).merge(OTELResourceDetector().detect())
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("tidegate")

    def close(self) -> None:
        """Send the remaining spans; takes seconds at most."""
        self._provider.shutdown()

    def instrument(self, app: FastAPI) -> None:
        """Trace every request to an application, except those of probes."""
        app.add_middleware(
            OpenTelemetryMiddleware,
            tracer_provider=self._provider,
            excluded_urls=UNTRACED,
            exclude_spans=["receive", "send"],
        )

    def tick(self, tick: Callable[[], Snapshot]) -> Callable[[], Snapshot]:
        @functools.wraps(tick)
        def traced() -> Snapshot:
            with self._tracer.start_as_current_span("tick") as span:
                snapshot = tick()
                span.set_attribute("tidegate.services", len(snapshot.services))
                span.set_attribute("tidegate.leader", snapshot.leader)
                failed = sum(view.error is not None for view in snapshot.services.values())
                span.set_attribute("tidegate.undecided", failed)
                return snapshot

        return traced

    def instrument_ports(self, world: World) -> World:
        """Return the same ports, with a span for each slow call."""
        tracer = self._tracer
        return World(
            _Traffic(tracer, world.traffic),
            _Models(tracer, world.models),
            _Workloads(tracer, world.workloads),
        )


class _Traffic:
    def __init__(self, tracer: Tracer, inner: TrafficSource) -> None:
        self._tracer, self._inner = tracer, inner

    def measure(self, queries: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:
        with self._tracer.start_as_current_span("measure") as span:
            measured = self._inner.measure(queries, now)
            span.set_attribute("tidegate.queries", len(queries))
            span.set_attribute("tidegate.faults", sum(one.fault is not None for one in measured))
            return measured

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]:
        if not queries:
            return []
        with self._tracer.start_as_current_span("histories") as span:
            span.set_attribute("tidegate.queries", len(queries))
            return self._inner.histories(queries, length, now)


class _Models:
    def __init__(self, tracer: Tracer, inner: ForecastModels) -> None:
        self._tracer, self._inner = tracer, inner

    def reload(self, names: Sequence[str]) -> None:
        self._inner.reload(names)

    def predict(self, name: str, series: Sequence[Series]) -> BatchForecast:
        with self._tracer.start_as_current_span("predict") as span:
            span.set_attribute("tidegate.model", name)
            span.set_attribute("tidegate.items", len(series))
            return self._inner.predict(name, series)


class _Workloads:
    def __init__(self, tracer: Tracer, inner: Workloads) -> None:
        self._tracer, self._inner = tracer, inner

    def observe(self, watched: Sequence[WatchedPolicy], now: float) -> Mapping[str, Workload | str]:
        with self._tracer.start_as_current_span("observe"):
            return self._inner.observe(watched, now)

    def apply(self, views: Sequence[ServiceView], now: float) -> Mapping[str, Condition]:
        with self._tracer.start_as_current_span("apply"):
            return self._inner.apply(views, now)
