"""Access to the endpoint: tokens, loopback, certificates."""

from __future__ import annotations

import ssl

import httpx
import pytest

from scaler.adapters.http.app import create_app
from scaler.adapters.http.auth import Tokens
from scaler.adapters.http.grants import EVERYTHING
from scaler.adapters.http.server import Address, ApiServer, Tls, check_access
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.errors import ServingError
from tests.scaler.adapters.http.conftest import served
from tests.scaler.adapters.http.snapshots import Clock

PATH = "/v1/limits/prod/shop?instance=gw-1"


def bearer(token):
    return {"authorization": f"Bearer {token}"}


def test_only_a_valid_token_is_accepted_and_a_refusal_reveals_nothing(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("# gateways\nopen-sesame\n\nanother\n")
    with served(ApiSettings(learns_shares=False, tokens=path)) as endpoint:
        client = endpoint.client
        assert client.get(PATH, headers=bearer("another")).status_code == 200
        assert client.get(PATH, auth=("", "open-sesame")).status_code == 200  # a browser
        for headers in ({}, bearer("open-sesam"), {"authorization": "Bearer"}):
            answer = client.get(PATH, headers=headers)
            assert (answer.status_code, answer.json()) == (401, {"detail": "unauthorized"})
        for other in ("/metrics", "/openapi.json", "/v1/nothing", "/v1/limits/no/where"):
            assert client.get(other).status_code == 401
        assert client.get("/healthz").status_code == 200  # a probe has no token


def test_tokens_are_rotated_while_serving(tmp_path):
    path, clock = tmp_path / "tokens", Clock()
    path.write_text("old\n")
    tokens = Tokens(path, clock)
    (tmp_path / "next").write_text("new\n")
    (tmp_path / "next").replace(path)
    clock.now += 1.0
    assert (tokens.of_token(b"new"), tokens.of_token(b"old")) == (EVERYTHING, None)


def test_a_token_file_that_cannot_be_read_leaves_the_tokens_as_they_were(tmp_path):
    path, clock = tmp_path / "tokens", Clock()
    path.write_text("old\n")
    tokens = Tokens(path, clock)
    path.unlink()
    clock.now += 1.0
    assert tokens.of_token(b"old") == EVERYTHING


def test_a_token_file_without_a_token_refuses_every_request(tmp_path):
    path, clock = tmp_path / "tokens", Clock()
    path.write_text("old\n")
    tokens = Tokens(path, clock)
    path.write_text("# none any more\n")
    clock.now += 1.0
    assert tokens.of_token(b"old") is None
    assert tokens.of_token(b"") is None


@pytest.mark.parametrize(
    "content", [pytest.param(None, id="no file"), pytest.param("\n", id="none")]
)
def test_a_start_without_any_token_is_refused(tmp_path, content):
    path = tmp_path / "tokens"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ServingError, match="token"):
        Tokens(path)


@pytest.mark.parametrize(
    ("host", "settings"),
    [
        pytest.param("0.0.0.0", ApiSettings(allow_anonymous=True), id="allowed explicitly"),
        pytest.param("127.0.0.1", ApiSettings(), id="loopback"),
        pytest.param("::1", ApiSettings(), id="loopback, version 6"),
    ],
)
def test_anonymous_access_is_served(host, settings):
    check_access(Address(host), settings)


def test_anonymous_access_from_elsewhere_is_refused():
    with pytest.raises(ServingError, match="neither a token file nor a client CA"):
        check_access(Address("0.0.0.0"), ApiSettings())


def test_mutual_tls_accepts_only_certificates_of_the_ca(certificates):
    tls = Tls(certificates / "server.pem", certificates / "server.key", certificates / "ca.pem")
    trusting = ssl.create_default_context(cafile=certificates / "ca.pem")
    trusting.load_cert_chain(certificates / "client.pem", certificates / "client.key")
    with served(address=Address(port=0, tls=tls), verify=trusting) as endpoint:
        assert endpoint.client.get(PATH).status_code == 200
        for certificate in ((), (certificates / "stranger.pem", certificates / "stranger.key")):
            other = ssl.create_default_context(cafile=certificates / "ca.pem")
            if certificate:
                other.load_cert_chain(*certificate)
            with (
                httpx.Client(base_url=endpoint.server.url, verify=other) as client,
                pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)),
            ):
                client.get(PATH)


def test_an_invalid_certificate_file_is_named(tmp_path):
    (tmp_path / "no.pem").write_text("nothing")
    with pytest.raises(ServingError, match=r"no\.pem"):
        Tls(tmp_path / "no.pem", tmp_path / "no.pem").context()


def test_an_address_that_is_in_use_is_named(endpoint):
    second = ApiServer(create_app(SnapshotHolder(), ApiSettings()), Address(port=endpoint.port))
    with pytest.raises(ServingError, match=str(endpoint.port)):
        second.start()
