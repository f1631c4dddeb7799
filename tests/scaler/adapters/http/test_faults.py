"""The endpoint under malformed requests, slow clients and stops."""

from __future__ import annotations

import asyncio
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from scaler.adapters.http import header_timeout, middleware
from tests.scaler.adapters.http.conftest import served
from tests.scaler.adapters.http.snapshots import PATIENT
from tests.waiting import PATIENCE_S, eventually

LIMITS = "/v1/limits/prod/shop"
GATEWAYS = 20
PATHS = (
    "/v1/limits/prod/shop", "/v1/limits/prod/shop/reports", "/v1/limits/", "/v1/limits/%00/%ff",
    "/v1/forecasts/prod/shop", "/v1/plans/" + "x" * 3000, "/v1/explain/..%2f..", "/v1/services/a/b",
    "/v1/services", "/healthz", "/readyz", "/openapi.json", "/", "//", "/v1/limits/prod%2fshop",
)  # fmt: skip
NAMES = ("instance", "wait", "view", "service", "x")
VALUES = ("gw-1", "", "-1", "nan", "1e308", "%00", "%ff", "haproxy", "a" * 500, "%F0%9F%98%80")
# Without the stream, which does not end, and without long waits.
METHODS = ("GET", "GET", "POST", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "BREW")
HEADERS = (
    'If-None-Match: "c0ff-1-1.000"', "If-None-Match: *", "If-None-Match: " + '"' * 200,
    "Authorization: Basic !!!", *["Content-Type: application/json"] * 3, "Content-Type: text/plain",
    "Origin: http://evil.example", "Sec-Fetch-Site: cross-site",
    "Accept: nothing/at-all", "Cookie: " + "a=b; " * 50, "Range: bytes=0-1", "Expect: 1",
)  # fmt: skip
TOKENS = (
    "{", "}", "[", "]", '"instance"', ":", ",", '"gw-1"', "null", "NaN", "-1e999", "1", '"\\ud800"',
    '"classes"', '"client_rates"', '"client_histogram"', '"bounds"', '"counts"', "\x00", "é",
)  # fmt: skip


def nonsense(rng: np.random.Generator) -> bytes:
    """Return a request that is valid HTTP, with random content."""

    def pick(choices: tuple[str, ...]) -> str:
        return choices[rng.integers(len(choices))]

    query = "&".join(f"{pick(NAMES)}={pick(VALUES)}" for _ in range(rng.integers(0, 4)))
    headers = [pick(HEADERS) for _ in range(rng.integers(0, 3))]
    method = pick(METHODS)
    body = b""
    if method in ("POST", "PUT", "PATCH"):
        words = [pick(TOKENS) for _ in range(rng.integers(0, 30))]
        body = "".join(words).encode()
        if rng.random() < 0.3:
            body = b'{"instance": "gw-1", "client_rates": [%s]}' % body
        headers.append(f"Content-Length: {len(body)}")
    head = f"{method} {pick(PATHS)}?{query} HTTP/1.1\r\nHost: localhost\r\n" + "".join(
        f"{header}\r\n" for header in headers
    )
    return head.encode() + b"\r\n" + body


async def status_of(reader: asyncio.StreamReader, method: bytes) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    if method != b"HEAD":
        await reader.readexactly(length)
    return int(head[9:12])


async def statuses(port: int, requests: list[bytes]) -> list[int]:
    found: list[int] = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for request in requests:
        try:
            writer.write(request)
            found.append(await status_of(reader, request.split(b" ")[0]))
        except (
            asyncio.IncompleteReadError,
            ConnectionError,
        ):  # closing the connection is a valid reply, too
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.close()
    return found


@pytest.mark.parametrize("count", [1_000, pytest.param(10_000, marks=pytest.mark.nightly)])
def test_thousands_of_malformed_requests_cause_no_server_error(endpoint, count):
    rng = np.random.default_rng(0)
    requests = [nonsense(rng) for _ in range(count)]

    async def all_of_them() -> list[list[int]]:
        return await asyncio.gather(*(statuses(endpoint.port, requests[i::10]) for i in range(10)))

    codes = [code for some in asyncio.run(all_of_them()) for code in some]
    assert len(codes) > 0.9 * count
    assert {code // 100 for code in codes} == {2, 4}
    assert endpoint.client.get("/healthz").status_code == 200


def test_bytes_that_are_not_http_are_a_bad_request_and_do_no_harm(endpoint):
    rng = np.random.default_rng(1)
    for _ in range(200):
        with socket.create_connection(("127.0.0.1", endpoint.port), timeout=PATIENCE_S) as raw:
            raw.sendall(rng.bytes(200) + b"\r\n\r\n")
            raw.shutdown(socket.SHUT_WR)
            answer = raw.recv(100)
        assert answer == b"" or b" 400 " in answer.split(b"\r\n")[0]
    assert endpoint.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "drops",
    [
        pytest.param(b"", id="a client that sends nothing"),
        pytest.param(b"GET /v1/services HTTP/1.1\r\nHost: x\r\nX-Slow: ", id="an endless head"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /hea", id="a second request"),
    ],
)
def test_a_client_that_sends_headers_slowly_is_disconnected(monkeypatch, drops):
    monkeypatch.setattr(header_timeout, "HEAD_S", 0.2)
    with (
        served() as endpoint,
        socket.create_connection(("127.0.0.1", endpoint.port), timeout=PATIENCE_S) as slow,
    ):
        if drops:
            slow.sendall(drops)
        try:
            while slow.recv(1000):
                pass
        except ConnectionResetError:
            pass  # disconnected: a time-out would be another error


def test_a_body_that_does_not_arrive_in_time_is_refused(monkeypatch):
    monkeypatch.setattr(middleware, "BODY_S", 0.2)
    head = b"POST /v1/limits/prod/shop/reports HTTP/1.1\r\nHost: localhost\r\n"
    head += b"Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
    with (
        served() as endpoint,
        socket.create_connection(("127.0.0.1", endpoint.port), timeout=PATIENCE_S) as slow,
    ):
        slow.sendall(head)
        assert slow.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_slow_clients_do_not_delay_others(endpoint):
    slow = [socket.create_connection(("127.0.0.1", endpoint.port)) for _ in range(200)]
    for one in slow:
        one.sendall(b"GET / HTTP/1.1\r\n")
    assert endpoint.client.get(LIMITS, params={"instance": "gw-1"}).status_code == 200
    for one in slow:
        one.close()


def test_a_stop_answers_all_long_polls(caplog):
    answers: list[int] = []

    def hold(number: int) -> int:
        etag = ""
        while True:
            answer = client.get(
                LIMITS,
                params={"wait": 300, "instance": f"gw-{number}"},
                headers={"if-none-match": etag} if etag else {},
            )
            answers.append(answer.status_code)
            etag = answer.headers["etag"]
            if answer.status_code == 304:
                return 304

    def is_quiet() -> bool:
        """All have their shares, so nothing changes any more, and everybody waits."""
        before = len(answers)
        time.sleep(1.0)
        return len(answers) == before >= GATEWAYS

    with served(lease=PATIENT) as endpoint, ThreadPoolExecutor(GATEWAYS) as pool:
        client = endpoint.client
        waiting = [pool.submit(hold, number) for number in range(GATEWAYS)]
        eventually(is_quiet)
        endpoint.server.stop()
        assert {future.result() for future in waiting} == {304}
    assert "does not stop" not in caplog.text  # it stopped within the time limit


def test_a_stop_ends_streams(caplog):
    with served() as endpoint, endpoint.client.stream("GET", "/v1/stream") as answer:
        lines = answer.iter_lines()
        next(lines)
        endpoint.server.stop()
        list(lines)  # it ends
    assert "does not stop" not in caplog.text
