"""Traces as a collector receives them: OTLP over HTTP on loopback."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from scaler.adapters.http.app import create_app
from scaler.adapters.http.server import Address, ApiServer
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.tracing import Tracing
from scaler.control.loop import ControlLoop
from scaler.control.ports import World
from scaler.errors import ServingError
from tests.scaler.adapters.http.snapshots import snapshot
from tests.scaler.control.test_loop import START, STEP, Demand, Flat, Replicas, watched


class Collector:
    """A collector that stores the spans that it gets."""

    def __init__(self) -> None:
        self.spans: list = []
        self.resource: dict[str, str] = {}

    def take(self, body: bytes) -> None:
        for sent in json.loads(body)["resourceSpans"]:
            self.resource = attributes(sent["resource"])
            self.spans += [span for scope in sent["scopeSpans"] for span in scope["spans"]]

    def named(self, name: str):
        return [span for span in self.spans if span["name"] == name]


@contextmanager
def collecting() -> Iterator[tuple[str, Collector]]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/json"
            collector.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", collector
    finally:
        server.shutdown()
        server.server_close()


def attributes(of) -> dict:
    """Return the attributes of a span or a resource; OTLP writes integers as strings."""
    attributes = {}
    for one in of["attributes"]:
        ((kind, value),) = one["value"].items()
        attributes[one["key"]] = int(value) if kind == "intValue" else value
    return attributes


def test_a_tick_is_a_trace_with_a_span_for_each_slow_call():
    traffic = Demand(shop_web=200.0, shop_api=400.0)
    traffic.faults["shop/api"] = "no answer within 5 s"
    with collecting() as (url, collector):
        tracing = Tracing(url)
        world = tracing.instrument_ports(World(traffic, Flat(), Replicas()))
        loop = ControlLoop(world, STEP, lambda _: None)
        tracing.tick(lambda: loop.tick([watched(), watched("shop/api")], START))()
        tracing.close()
    (tick,) = collector.named("tick")
    below = [span["name"] for span in collector.spans if span.get("parentSpanId") == tick["spanId"]]
    assert sorted(below) == ["apply", "histories", "measure", "observe", "predict"]
    assert attributes(tick) == {
        "tidegate.services": 2, "tidegate.leader": True, "tidegate.undecided": 0,
    }  # fmt: skip
    assert attributes(collector.named("measure")[0]) == {
        "tidegate.queries": 2,
        "tidegate.faults": 1,
    }
    assert collector.resource["service.name"] == "tidegate"


def test_a_request_joins_the_trace_of_its_client():
    holder = SnapshotHolder()
    holder.publish(snapshot())
    with collecting() as (url, collector):
        tracing = Tracing(url)
        app = create_app(holder, ApiSettings(learns_shares=False), epoch="c0ff")
        tracing.instrument(app)
        headers = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}
        with ApiServer(app, Address(port=0)) as server:
            for path in ("/v1/limits/prod/shop?instance=gw-1", "/healthz"):
                httpx.get(f"{server.url}{path}", headers=headers, trust_env=False)
        tracing.close()
    (span,) = collector.spans  # none for the probe
    assert span["traceId"] == "0af7651916cd43dd8448eb211c80319c"
    assert attributes(span)["http.target"].startswith("/v1/limits/prod/shop")


def test_a_collector_that_does_not_answer_delays_nothing():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tracing = Tracing(f"http://127.0.0.1:{silent.getsockname()[1]}")
        for _ in range(100):
            tracing.tick(snapshot)()
        tracing.close()  # it still does not answer


def test_an_endpoint_that_is_not_a_url_is_refused():
    with pytest.raises(ServingError, match="--otlp is 'collector:4318', but must be a URL"):
        Tracing("collector:4318")
