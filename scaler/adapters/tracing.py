"""OpenTelemetry traces of ticks and of HTTP requests; needs the extra `otel`.

Spans: ``tick`` with ``measure``, ``histories``, ``predict``, ``observe`` and ``apply`` below it,
and one for each HTTP request. The standard environment variables apply (OTEL_SERVICE_NAME,
OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES, OTEL_EXPORTER_OTLP_HEADERS). Spans are sent by a
thread of their own: if the collector is down spans are lost, but no tick is delayed.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import timedelta
from importlib.metadata import version
from types import TracebackType
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
from scaler.control.snapshot import PlanOutcome, ServiceView, Snapshot
from scaler.control.unfailing_log import UnfailingLogger
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
    from opentelemetry.trace import Span, Tracer
except ImportError as error:  # pragma: no cover - the tests have it
    raise ServingError(
        f"--otlp needs OpenTelemetry ({error}); install it: pip install 'tidegate[otel]'"
    ) from error

LOGGER = UnfailingLogger(__name__)

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
        return traced_tick(self._tracer, tick)

    def instrument_ports(self, world: World) -> World:
        """Return the same ports, with a span for each slow call."""
        return traced_ports(self._tracer, world)


def traced_tick(tracer: Tracer, tick: Callable[[], Snapshot]) -> Callable[[], Snapshot]:
    """Return a tick with a span of its own, whatever becomes of the span."""

    @functools.wraps(tick)
    def traced() -> Snapshot:
        with _Span(tracer, "tick") as span:
            snapshot = tick()
            span.set("services", len(snapshot.services))
            span.set("leader", snapshot.leader)
            span.set("undecided", sum(v.error is not None for v in snapshot.services.values()))
        return snapshot

    return traced


def traced_ports(tracer: Tracer, world: World) -> World:
    """Return the same ports, with a span for each slow call, whatever becomes of the span."""
    return World(
        _Traffic(tracer, world.traffic),
        _Models(tracer, world.models),
        _Workloads(tracer, world.workloads),
        world.witness,
        world.seasonal_lows,
    )


class _Span:
    """A span of what is done inside. A tracer that fails loses the span and nothing else."""

    def __init__(self, tracer: Tracer, name: str) -> None:
        self._tracer, self._name = tracer, name
        self._context: AbstractContextManager[Span] | None = None
        self._span: Span | None = None

    def __enter__(self) -> _Span:
        try:
            self._context = self._tracer.start_as_current_span(self._name)
            self._span = self._context.__enter__()
        except Exception:
            LOGGER.exception("span %s could not be started", self._name)
        return self

    def set(self, attribute: str, value: str | float) -> None:
        try:
            if self._span is not None:
                self._span.set_attribute(f"tidegate.{attribute}", value)
        except Exception:
            LOGGER.exception("span %s could not be given %s", self._name, attribute)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if self._context is not None and self._span is not None:
                self._context.__exit__(kind, error, trace)
        except Exception as raised:
            if raised is not error:  # that one goes on by itself
                LOGGER.exception("span %s could not be ended", self._name)


class _Traffic:
    def __init__(self, tracer: Tracer, inner: TrafficSource) -> None:
        self._tracer, self._inner = tracer, inner

    def measure(self, queries: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:
        with _Span(self._tracer, "measure") as span:
            measured = self._inner.measure(queries, now)
            span.set("queries", len(queries))
            span.set("faults", sum(one.fault is not None for one in measured))
            return measured

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]:
        if not queries:
            return []
        with _Span(self._tracer, "histories") as span:
            span.set("queries", len(queries))
            return self._inner.histories(queries, length, now)


class _Models:
    def __init__(self, tracer: Tracer, inner: ForecastModels) -> None:
        self._tracer, self._inner = tracer, inner

    def reload(self, names: Sequence[str]) -> None:
        self._inner.reload(names)

    def predict(self, name: str, series: Sequence[Series]) -> BatchForecast:
        with _Span(self._tracer, "predict") as span:
            span.set("model", name)
            span.set("items", len(series))
            return self._inner.predict(name, series)


class _Workloads:
    def __init__(self, tracer: Tracer, inner: Workloads) -> None:
        self._tracer, self._inner = tracer, inner

    def observe(self, watched: Sequence[WatchedPolicy], now: float) -> Mapping[str, Workload | str]:
        with _Span(self._tracer, "observe"):
            return self._inner.observe(watched, now)

    def apply(self, views: Sequence[ServiceView], now: float) -> Mapping[str, PlanOutcome]:
        with _Span(self._tracer, "apply"):
            return self._inner.apply(views, now)
