"""What each role reaches over HTTP, and what a namespace shows of others."""

from __future__ import annotations

import ssl

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scaler.adapters.http.auth import Tokens
from scaler.adapters.http.grants import EVERYTHING
from scaler.adapters.http.server import Address, Tls
from scaler.adapters.http.settings import ApiSettings
from tests.scaler.adapters.http.conftest import Endpoint, served
from tests.scaler.adapters.http.snapshots import Clock, snapshot, view

FILE = """
all
scrape  role=metrics
page    role=read     namespaces=prod
wide    role=read
gw      role=gateway  namespaces=prod  name=prod-gateways
other   role=gateway  namespaces=pay
both    role=gateway,read namespaces=prod
"""
LIMIT = "/v1/limits/prod/shop?instance=gw-1"
REPORT = "/v1/limits/prod/shop/reports"


def bearer(token):
    return {"authorization": f"Bearer {token}"}


def decide(service):
    entries = [{"key": "service", "value": service}]
    return {"domain": "tidegate", "descriptors": [{"entries": entries}]}


@pytest.fixture(scope="module")
def shared(tmp_path_factory) -> Endpoint:
    path = tmp_path_factory.mktemp("tokens") / "tokens"
    path.write_text(FILE)
    with served(ApiSettings(learns_shares=False, tokens=path)) as running:
        running.holder.publish(snapshot(view("prod/shop"), view("pay/api"), view("prod/cart")))
        yield running


def status(endpoint: Endpoint, token: str, method: str, path: str, body=None) -> int:
    return endpoint.client.request(method, path, headers=bearer(token), json=body).status_code


@pytest.mark.parametrize(
    ("method", "path", "body", "allowed"),
    [
        pytest.param("GET", LIMIT, None, {"all", "gw", "both"}, id="a limit"),
        pytest.param(
            "POST", REPORT, {"instance": "gw-1"}, {"all", "gw", "both"}, id="a report"
        ),
        pytest.param("POST", "/json", decide("prod/shop"), {"all", "gw", "both"}, id="a decision"),
        pytest.param("POST", "/json", decide("pay/api"), {"all", "other"}, id="one of pay"),
        pytest.param(
            "GET", "/v1/explain/prod/shop", None, {"all", "page", "wide", "both"}, id="reasons"
        ),
        pytest.param("GET", "/v1/forecasts/pay/api", None, {"all", "wide"}, id="another's"),
        pytest.param(
            "GET", "/v1/plans/prod/shop", None, {"all", "page", "wide", "both"}, id="a plan"
        ),
        pytest.param("GET", "/v1/services/pay/api", None, {"all", "wide"}, id="one service"),
        pytest.param("GET", "/v1/services", None, {"all", "page", "wide", "both"}, id="the board"),
        pytest.param("GET", "/metrics", None, {"all", "scrape"}, id="metrics"),
        pytest.param(
            "GET", "/openapi.json", None,
            {"all", "page", "wide", "gw", "other", "both"}, id="the description",
        ),
        pytest.param(
            "GET", "/healthz", None,
            {"all", "scrape", "page", "wide", "gw", "other", "both"}, id="a probe",
        ),
    ],
)  # fmt: skip
def test_a_role_reaches_what_it_is_for_and_nothing_else(shared, method, path, body, allowed):
    tokens = [line.split()[0] for line in FILE.split("\n") if line]
    # The gateway's name belongs to who says it first, so each token has a name of its own.
    found = {}
    for token in tokens:
        own = path.replace("gw-1", f"gw-{token}")
        named = {**body, "instance": f"gw-{token}"} if body and "instance" in body else body
        found[token] = status(shared, token, method, own, named)
    # A decision may be that no more requests fit: 429.
    assert {token for token, code in found.items() if code != 403} == allowed
    assert set(found.values()) <= {200, 403, 429}


def test_an_unknown_path_does_not_exist_for_who_may_read(shared):
    assert status(shared, "page", "GET", "/v1/nothing") == 404
    assert status(shared, "scrape", "GET", "/v1/nothing") == 403


def test_the_board_and_the_stream_show_the_services_of_the_namespaces(shared):
    listed = shared.client.get("/v1/services", headers=bearer("page")).json()
    assert [one["service"] for one in listed["services"]] == ["prod/cart", "prod/shop"]
    path = "/v1/stream?service=pay/api"
    with shared.client.stream("GET", path, headers=bearer("page")) as answer:
        told = ""
        for line in answer.iter_lines():
            told += line + "\n"
            if line.startswith("data:"):
                break
    assert "prod/shop" in told
    assert "pay/api" not in told


@pytest.mark.parametrize(
    ("path", "token"),
    [
        pytest.param("/v1/limits/prod/shp?instance=x", "gw", id="a limit"),
        pytest.param("/v1/plans/prod/shp", "page", id="a plan"),
    ],
)
def test_similar_names_of_other_namespaces_are_not_told(shared, path, token):
    shared.holder.publish(
        snapshot(view("prod/shop"), view("pay/shp"), view("pay/api"), view("prod/cart"))
    )
    answer = shared.client.get(path, headers=bearer(token))
    assert (answer.status_code, answer.json()["near"]) == (404, ["prod/shop", "prod/cart"])
    assert "pay" not in answer.text


def test_a_gateway_s_name_belongs_to_who_said_it_first(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("one role=gateway name=a\ntwo role=gateway name=b\nthree role=gateway name=a\n")
    with served(ApiSettings(learns_shares=False, tokens=path)) as endpoint:
        assert status(endpoint, "one", "GET", LIMIT) == 200
        refused = endpoint.client.get(LIMIT, headers=bearer("two"))
        assert (refused.status_code, refused.json()["reason"]) == (409, "instance_taken")
        assert "'gw-1' belongs to another token" in refused.json()["detail"]
        assert (
            status(endpoint, "two", "POST", REPORT, {"instance": "gw-1", "offered_rps": 0}) == 409
        )
        assert status(endpoint, "three", "GET", LIMIT) == 200  # the same name: a rotated token


def test_refusals_are_counted_by_why(tmp_path):
    path = tmp_path / "tokens"
    path.write_text(
        "one role=gateway namespaces=prod instances=1\n"
        "two role=gateway namespaces=prod\n"
        "m role=metrics\n"
    )
    with served(ApiSettings(learns_shares=False, tokens=path)) as endpoint:
        for token, where in (
            ("nobody", LIMIT), ("m", LIMIT), ("one", LIMIT.replace("prod", "pay")), ("one", LIMIT),
            ("two", LIMIT), ("one", LIMIT.replace("gw-1", "gw-2")),
        ):  # fmt: skip
            endpoint.client.get(where, headers=bearer(token))
        status(endpoint, "two", "POST", REPORT, {"instance": "gw-1"})
        text = endpoint.client.get("/metrics", headers=bearer("m")).text
    counted = {
        sample.labels["reason"]: sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "tidegate_refused_requests_total"
    }
    assert counted == {
        "token": 1, "role": 1, "namespace": 1, "instance_taken": 2, "instances": 1, "host": 0,
        "origin": 0,
    }  # fmt: skip


def test_a_wrong_line_leaves_the_tokens_as_they_were_and_is_told_once(tmp_path, caplog):
    path, clock = tmp_path / "tokens", Clock()
    path.write_text("old role=read\n")
    tokens = Tokens(path, clock)
    path.write_text("old role=read\nnew rol=read\n")
    for _ in range(3):
        clock.now += 1.0
        assert tokens.of_token(b"old") is not None
        assert tokens.of_token(b"new") is None
    assert caplog.text.count("tokens kept as they were") == 1
    assert "line 2: word 2 must be one of" in caplog.text
    path.write_text("new role=read\n")
    clock.now += 1.0
    assert tokens.of_token(b"new") is not None
    assert tokens.of_token(b"old") is None


def test_a_file_of_the_format_before_goes_on_with_one_warning(tmp_path, caplog):
    path = tmp_path / "tokens"
    path.write_text("first\n# a comment\nsecond\nthird role=read\n")
    path.chmod(0o600)
    tokens = Tokens(path, Clock())
    assert tokens.of_token(b"first") == tokens.of_token(b"second") == EVERYTHING
    (told,) = [one.getMessage() for one in caplog.records]
    assert "lines=1,3:" in told
    assert "TOKEN role=gateway namespaces=shop" in told
    assert "first" not in told


@pytest.mark.parametrize(
    ("mode", "told"), [(0o644, 1), (0o604, 1), (0o640, 0), (0o440, 0), (0o600, 0)]
)
def test_a_token_file_that_everybody_can_read_is_warned_of(tmp_path, caplog, mode, told):
    path = tmp_path / "tokens"
    path.write_text("secret role=read\n")
    path.chmod(mode)
    Tokens(path, Clock())
    warned = [one.getMessage() for one in caplog.records]
    assert len(warned) == told
    assert all(f"path={path} mode={mode:04o}: chmod o-r" in one for one in warned)
    assert "secret" not in caplog.text


def trusting(certificates, name):
    made = ssl.create_default_context(cafile=certificates / "ca.pem")
    made.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
    return made


@pytest.mark.parametrize(
    ("lines", "headers", "code"),
    [
        pytest.param("cert:client role=gateway", {}, 200, id="named by its subject"),
        pytest.param("cert:127.0.0.1 role=gateway", {}, 200, id="named by an alternative name"),
        pytest.param("cert:client role=read", {}, 403, id="for something else"),
        pytest.param("cert:client role=gateway namespaces=pay", {}, 403, id="for others"),
        pytest.param("cert:else role=gateway", {}, 401, id="not named"),
        pytest.param("gw role=gateway", {}, 401, id="a token is asked for"),
        pytest.param("gw role=gateway", bearer("gw"), 200, id="a token beside it"),
        pytest.param(
            "cert:client role=read\ngw role=gateway", bearer("gw"), 200, id="the token decides"
        ),
        pytest.param("cert:client role=gateway", bearer("no"), 401, id="a wrong token is wrong"),
    ],
)
def test_a_certificate_may_do_what_a_line_says_of_it(certificates, tmp_path, lines, headers, code):
    (tmp_path / "tokens").write_text(lines + "\n")
    tls = Tls(certificates / "server.pem", certificates / "server.key", certificates / "ca.pem")
    settings = ApiSettings(learns_shares=False, tokens=tmp_path / "tokens")
    verify = trusting(certificates, "client")
    with served(settings, Address(port=0, tls=tls), verify=verify) as endpoint:
        assert endpoint.client.get(LIMIT, headers=headers).status_code == code


def test_without_a_file_a_certificate_still_says_whose_a_gateway_is(certificates):
    tls = Tls(certificates / "server.pem", certificates / "server.key", certificates / "ca.pem")
    with served(address=Address(port=0, tls=tls), verify=trusting(certificates, "client")) as here:
        assert here.client.get(LIMIT).status_code == 200
        with httpx.Client(
            base_url=here.server.url, verify=trusting(certificates, "server"), trust_env=False
        ) as other:
            assert other.get(LIMIT).status_code == 409
