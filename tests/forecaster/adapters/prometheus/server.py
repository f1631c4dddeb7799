"""A Prometheus on loopback that answers from memory, and misbehaves when it is told to."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

RANGE_PATH = "/api/v1/query_range"


@dataclass(frozen=True)
class FakeSeries:
    """Labels, and the text of the value at a stamp; None where there is no sample."""

    labels: Mapping[str, str]
    value: Callable[[int], str | None]


@dataclass(frozen=True)
class Reply:
    """What to say instead of the truth.

    Attributes:
        cut: send only so many bytes of the body, then hang up.
        hold: say nothing until the server is released.
    """

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int | None = None
    hold: bool = False


@dataclass(frozen=True)
class Asked:
    path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    length: int = 0  # of the URL

    @property
    def points(self) -> int:
        span = int(self.params["end"]) - int(self.params["start"])
        return span // int(self.params["step"]) + 1


class PrometheusServer:
    """Served data, the script of the next replies (None: the truth), and what was asked."""

    def __init__(
        self,
        answers: Mapping[str, Sequence[FakeSeries]] | None = None,
        script: Sequence[Reply | None] = (),
    ) -> None:
        self.answers = dict(answers or {})
        self.script = list(script)
        self.asked: list[Asked] = []
        self.released = threading.Event()
        self.url = ""

    def reply_to(self, asked: Asked) -> Reply:
        self.asked.append(asked)
        scripted = self.script.pop(0) if self.script else None
        if scripted is not None:
            return scripted
        if asked.path != RANGE_PATH:
            return Reply(404, b"404 page not found\n")
        return self._answer(asked)

    def _answer(self, asked: Asked) -> Reply:
        query = asked.params["query"]
        start, end, step = (int(asked.params[name]) for name in ("start", "end", "step"))
        if query.count("(") != query.count(")"):
            return failure(400, "bad_data", "1:12: parse error: unclosed left parenthesis")
        if (end - start) / step > 11_000:
            text = "exceeded maximum resolution of 11,000 points per timeseries."
            return failure(400, "bad_data", f"{text} Try decreasing the query resolution")
        return matrix(self.answers.get(query, ()), range(start, end + 1, step))


def matrix(series: Sequence[FakeSeries], stamps: Sequence[int], **beside: object) -> Reply:
    """Return a success as Prometheus writes it: a series without a sample is left out.

    ``beside`` the data stands what else is in the answer, e.g. warnings.
    """
    result = []
    for one in series:
        values = [[stamp, text] for stamp in stamps if (text := one.value(stamp)) is not None]
        if values:
            result.append({"metric": dict(one.labels), "values": values})
    return success({"resultType": "matrix", "result": result}, **beside)


def success(data: object, **more: object) -> Reply:
    return Reply(200, json.dumps({"status": "success", "data": data, **more}).encode())


def failure(status: int, kind: str, text: str, **headers: str) -> Reply:
    body = {"status": "error", "errorType": kind, "error": text}
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, json.dumps(body).encode(), fields)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one packet for an answer: a body on its own waits 40 ms for the head's ACK
    served: PrometheusServer

    def do_GET(self) -> None:
        self._reply_to(urlsplit(self.path).query)

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self._reply_to(self.rfile.read(length).decode())

    def _reply_to(self, params: str) -> None:
        path = urlsplit(self.path).path
        asked = Asked(path, dict(parse_qsl(params)), dict(self.headers), len(self.path))
        reply = self.served.reply_to(asked)
        with suppress(ConnectionError):  # the client has given up, or was killed
            self._send(reply)

    def _send(self, reply: Reply) -> None:
        if reply.hold:
            self.served.released.wait()
            self.close_connection = True
            return
        self.send_response(reply.status)
        fields = {"Content-Type": "application/json", **reply.headers}
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body[: reply.cut])
        self.wfile.flush()
        self.close_connection = reply.cut is not None

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing: the tests look at ``asked``."""


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the tests."""


@contextmanager
def serving(
    server: PrometheusServer, tls: ssl.SSLContext | None = None
) -> Iterator[PrometheusServer]:
    """Serve on a free loopback port until the block ends."""
    handler = type("Handler", (_Handler,), {"served": server})
    with _Quiet(("127.0.0.1", 0), handler) as httpd:
        if tls:
            # The handshake is left to the thread of each connection.
            httpd.socket = tls.wrap_socket(
                httpd.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "https" if tls else "http"
        server.url = f"{scheme}://127.0.0.1:{httpd.server_address[1]}"
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            httpd.shutdown()
            thread.join()
