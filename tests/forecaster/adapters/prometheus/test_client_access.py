"""Who asks: credentials, tenants, and settings that cannot work."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest

from forecaster.adapters.prometheus.settings import PrometheusSettings
from forecaster.errors import ConfigError
from tests.forecaster.adapters.prometheus.server import PrometheusServer, serving
from tests.forecaster.adapters.prometheus.test_client import GRID, QUERY, TRUTH, ask, source


def test_the_token_is_read_again_for_every_request_since_it_rotates(tmp_path: Path) -> None:
    token = tmp_path / "token"
    server = PrometheusServer(TRUTH)
    token.write_text("one")
    with serving(server), source(server.url, bearer_token_file=token) as prometheus:
        prometheus.query_range(QUERY, GRID)
        token.write_text("two")
        prometheus.query_range(QUERY, GRID)
    assert [a.headers["Authorization"] for a in server.asked] == ["Bearer one", "Bearer two"]


def test_user_and_tenant_are_sent_and_netrc_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login wrong password wrong\n")
    monkeypatch.setenv("NETRC", str(netrc))
    password = tmp_path / "password"
    password.write_text("pass\n")
    server = PrometheusServer(TRUTH)
    tenant = (("X-Scope-OrgID", "team-a"),)
    with (
        serving(server),
        source(server.url, username="u", password_file=password, headers=tenant) as signed,
        source(server.url) as anonymous,
    ):
        signed.query_range(QUERY, GRID)
        anonymous.query_range(QUERY, GRID)
    assert server.asked[0].headers["Authorization"] == "Basic dTpwYXNz"  # u:pass
    assert server.asked[0].headers["X-Scope-OrgID"] == "team-a"
    assert "Authorization" not in server.asked[1].headers


@pytest.mark.parametrize("content", [b"", b"s3cret\ntwo lines", b"\xff\xfes3cret"])
def test_a_credential_file_with_nonsense_is_refused_without_showing_it(
    content: bytes, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        ask([], bearer_token_file=token)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "settings", "words"),
    [
        pytest.param("prometheus:9090", {}, "http://prometheus:9090", id="no scheme"),
        pytest.param("ftp://prometheus", {}, "must look like", id="another scheme"),
        pytest.param("http://u:s3cret@prom", {}, "--password-file", id="password in the URL"),
        pytest.param("http://[::1:9090", {}, "cannot be read", id="half an address"),
        pytest.param("http://prom:99999", {}, "cannot be read", id="no such port"),
        pytest.param("http://prom..svc", {}, "cannot be read", id="two dots"),
        pytest.param("http://u:s3cret/x@prom", {}, "cannot be read", id="a slash in the password"),
        pytest.param("http://prom/?a=b", {}, "do not belong", id="a query in the URL"),
        pytest.param("http://p", {"username": "u"}, "belong together", id="user, no password"),
        pytest.param("http://p", {"client_key": Path("k")}, "--client-cert", id="key, no cert"),
        pytest.param("http://p", {"ca_file": Path("/nowhere")}, "/nowhere", id="no such CA"),
        pytest.param("http://p", {"headers": (("a b", "c"),)}, "'a b'", id="a header's name"),
        pytest.param("http://p", {"headers": (("a", "b\nc"),)}, "one line", id="a header's value"),
        pytest.param("http://p", {"timeout": timedelta(0)}, "must be > 0", id="no timeout"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_any_request(
    url: str, settings: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        source(url, **settings)
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_the_identity_of_a_cache_tells_tenants_apart_and_holds_no_secret(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("s3cret")
    tenants = [
        PrometheusSettings("http://p", None, "u", password, headers=(("X-Scope-OrgID", name),))
        for name in ("a", "b")
    ]
    assert tenants[0].identity != tenants[1].identity
    assert "s3cret" not in json.dumps(tenants[0].identity)
