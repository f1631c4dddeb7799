"""On loopback without tokens a page of elsewhere reaches nothing, and no body has two ends."""

from __future__ import annotations

import socket

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scaler.adapters.http.settings import ApiSettings
from tests.scaler.adapters.http.conftest import Endpoint, served
from tests.waiting import PATIENCE_S

LIMIT = "/v1/limits/prod/shop?instance=gw-1"
REPORT = "/v1/limits/prod/shop/reports"
ORIGIN = "http://127.0.0.1:{port}"


def sent(endpoint: Endpoint, method: str, path: str, *lines: str, body: str = "") -> bytes:
    """Return all that comes back on a connection that ends with this request."""
    lines = tuple(line.replace("{port}", str(endpoint.port)) for line in lines)
    length = (f"Content-Length: {len(body)}",) if body else ()
    head = "\r\n".join([f"{method} {path} HTTP/1.1", *lines, *length, "Connection: close"])
    return raw(endpoint, f"{head}\r\n\r\n{body}".encode())


def raw(endpoint: Endpoint, request: bytes) -> bytes:
    """Return all that comes back; that the other side ends the connection is waited for."""
    with socket.create_connection(("127.0.0.1", endpoint.port), timeout=PATIENCE_S) as connection:
        connection.sendall(request)
        found = b""
        while part := connection.recv(65_536):
            found += part
    return found


def status(answer: bytes) -> int:
    return int(answer[9:12])


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        pytest.param(["Host: 127.0.0.1:{port}"], 200, id="the address"),
        pytest.param(["Host: LOCALHOST:{port}"], 200, id="localhost"),
        pytest.param(["Host: localhost"], 200, id="through a port-forward"),
        pytest.param(["Host: [::1]:{port}"], 200, id="version 6"),
        pytest.param(["Host: evil.example:{port}"], 403, id="a name that has become 127.0.0.1"),
        pytest.param(["Host: 127.0.0.1.evil.example"], 403, id="a name that looks like it"),
        pytest.param(["Host: localhost@evil.example"], 403, id="a name behind it"),
        pytest.param(["Host: 10.0.0.7"], 403, id="another address"),
        pytest.param(["Host: "], 403, id="none"),
        pytest.param(["Host: 127.0.0.1:{port}", f"Origin: {ORIGIN}"], 200, id="our own page"),
        pytest.param(["Host: localhost:1", f"Origin: {ORIGIN}"], 403, id="another name of it"),
        pytest.param(["Host: 127.0.0.1:{port}", "Origin: http://evil.example"], 403, id="a page"),
        pytest.param(["Host: 127.0.0.1:{port}", "Origin: null"], 403, id="a page in a sandbox"),
        pytest.param(
            ["Host: 127.0.0.1:{port}", "Origin: http://127.0.0.1:3000"], 403, id="another server"
        ),
        pytest.param(
            ["Host: localhost", "Sec-Fetch-Site: cross-site"], 403, id="an image of a page"
        ),
        pytest.param(
            ["Host: localhost", "Sec-Fetch-Site: same-site"], 403, id="one of another port"
        ),
        pytest.param(["Host: localhost", "Sec-Fetch-Site: none"], 200, id="typed by somebody"),
        pytest.param(["Host: localhost", "Sec-Fetch-Site: same-origin"], 200, id="our page's data"),
    ],
)
def test_only_who_knows_that_it_is_loopback_is_served(standing, lines, code):
    for path in (LIMIT, "/v1/services", "/metrics", "/openapi.json"):
        assert status(sent(standing, "GET", path, *lines)) == code


def test_a_refusal_says_what_to_do_and_probes_are_answered_all_the_same(standing):
    answer = sent(standing, "GET", LIMIT, "Host: shop.example")
    assert b"ask for one of these, or start with --token-file" in answer
    assert b"'shop.example'" in answer
    assert status(sent(standing, "GET", "/healthz", "Host: shop.example")) == 200


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        pytest.param("application/json", 200, id="JSON"),
        pytest.param("Application/JSON; charset=utf-8", 200, id="JSON, with its encoding"),
        pytest.param("text/plain", 415, id="what any page may send"),
        pytest.param("application/x-www-form-urlencoded", 415, id="a form"),
        pytest.param("multipart/form-data; boundary=application/json", 415, id="a form with files"),
        pytest.param("text/plain; application/json", 415, id="a parameter"),
        pytest.param(None, 415, id="none"),
    ],
)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        pytest.param(REPORT, '{"instance": "gw-1"}', id="a report"),
        pytest.param(
            "/json",
            '{"domain": "d", "descriptors": [{"entries": [{"key": "k", "value": "v"}]}]}',
            id="a decision",
        ),
    ],
)
def test_only_json_is_taken(standing, path, body, kind, code):
    lines = ["Host: localhost"] + ([] if kind is None else [f"Content-Type: {kind}"])
    assert status(sent(standing, "POST", path, *lines, body=body)) == code


def test_with_a_token_or_open_to_all_any_name_is_served(tmp_path):
    (tmp_path / "tokens").write_text("open-sesame\n")
    host = "Host: tidegate.example"
    with served(ApiSettings(learns_shares=False, tokens=tmp_path / "tokens")) as endpoint:
        line = "Authorization: Bearer open-sesame"
        assert status(sent(endpoint, "GET", LIMIT, host, line)) == 200
    with served(ApiSettings(learns_shares=False, allow_anonymous=True)) as endpoint:
        assert status(sent(endpoint, "GET", LIMIT, host)) == 200


def test_refusals_are_counted(endpoint):
    sent(endpoint, "GET", LIMIT, "Host: evil.example")
    sent(endpoint, "GET", LIMIT, "Host: localhost", "Origin: http://evil.example")
    counted = {
        sample.labels["reason"]: sample.value
        for family in text_string_to_metric_families(endpoint.client.get("/metrics").text)
        for sample in family.samples
        if sample.name == "tidegate_refused_requests_total"
    }
    assert (counted["host"], counted["origin"], counted["token"]) == (1, 1, 0)


SMUGGLED = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize(
    "framing",
    [
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: chunked", id="the length first"),
        pytest.param(b"Transfer-Encoding: chunked\r\nContent-Length: 5", id="the chunks first"),
        pytest.param(b"content-length: 0\r\ntransfer-encoding: chunked", id="no length"),
        pytest.param(b"Content-Length: 5\r\nTransfer-Encoding: gzip", id="no such coding"),
        pytest.param(b"Transfer-Encoding: gzip, chunked", id="two codings"),
        pytest.param(b"Content-Length: 5\r\nContent-Length: 6", id="two lengths"),
        pytest.param(b"Content-Length: +5", id="a sign"),
        pytest.param(b"Content-Length : 5", id="a space before the colon"),
    ],
)
@pytest.mark.parametrize("path", [REPORT, "/healthz", "/json"])
def test_a_body_with_two_ends_is_refused_and_nothing_behind_it_is_read(standing, path, framing):
    lines = b"Host: localhost\r\nContent-Type: application/json"
    head = b"POST %s HTTP/1.1\r\n%s\r\n%s\r\n\r\n" % (path.encode(), lines, framing)
    answer = raw(standing, head + b"0\r\n\r\n" + SMUGGLED)
    assert status(answer) in (400, 501)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert b'"ok"' not in answer
