"""A real Prometheus behind a relay that can fail, and the demand that it scrapes."""

from __future__ import annotations

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.peers.prometheus import Samples, backfill, running

SCRAPE = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: services
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
DAYS = 1
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class PrometheusRelay:
    """Passes requests on to a Prometheus, unless it is told to fail.

    Attributes:
        demand: QPS at a stamp by query, as `tests.faults.scene` has it.
        fails: answers 503 instead of asking; hangs: hangs up instead.
    """

    def __init__(self) -> None:
        self.demand: dict[str, Callable[[int], float | None]] = {}
        self.behind = ""
        self.fails = self.hangs_up = False
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Relay,), {"of": self}))
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()

    def exposition(self) -> bytes:
        """Return the demand of now, as Prometheus scrapes it."""
        now = time.time()  # noqa: TID251 - a real Prometheus scrapes now
        lines = ["# TYPE demand_qps gauge"]
        for query, demand in self.demand.items():
            value = demand(int(now))
            if value is not None:
                lines.append(f"{query.removeprefix('sum(').removesuffix(')')} {value:.3f}")
        return ("\n".join(lines) + "\n").encode()


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    of: PrometheusRelay

    def do_GET(self) -> None:
        if self.path == "/metrics":
            self._answer(200, self.of.exposition(), "text/plain; version=0.0.4")
            return
        self._pass_on(None)

    def do_POST(self) -> None:
        self._pass_on(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _pass_on(self, body: bytes | None) -> None:
        if self.of.hangs_up:
            self.close_connection = True
            return
        if self.of.fails:
            self._answer(503, b"told to", "text/plain")
            return
        kept = {k: v for k, v in self.headers.items() if k.lower() in ("content-type", "accept")}
        asked = urllib.request.Request(self.of.behind + self.path, body, kept)
        try:
            with _OPENER.open(asked, timeout=30) as answer:
                self._answer(answer.status, answer.read(), answer.headers["Content-Type"])
        except urllib.error.HTTPError as refused:
            self._answer(refused.code, refused.read(), "application/json")

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        with suppress(OSError):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def relayed(relay: PrometheusRelay, services: dict[str, Callable[[int], float]], folder: Path):
    """Run a Prometheus behind the relay, with a day of each service's demand."""
    end = int(time.time()) // 60 * 60  # noqa: TID251 - as above
    stamps = range(end - DAYS * 86_400, end, 60)
    past = [
        Samples("demand_qps", {"service": name}, tuple((at, round(qps(at), 3)) for at in stamps))
        for name, qps in services.items()
    ]
    backfill(past, folder / "tsdb")
    port = relay.url.rpartition(":")[2]
    with running(folder / "tsdb", SCRAPE.format(port=port)) as url:
        relay.behind = url
        yield


@contextmanager
def relay() -> Iterator[PrometheusRelay]:
    made = PrometheusRelay()
    try:
        yield made
    finally:
        made.close()
