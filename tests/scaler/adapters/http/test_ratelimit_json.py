"""`POST /json`: requests of envoyproxy/ratelimit's HTTP clients, and the responses."""

from __future__ import annotations

import json

import httpx
import pytest
from envoy.service.ratelimit.v3 import rls_pb2
from google.protobuf import json_format

from scaler.adapters.http.settings import ApiSettings
from tests.scaler.adapters.http.conftest import Endpoint, served
from tests.scaler.adapters.http.snapshots import snapshot, view

JSON = {"content-type": "application/json"}
SHOP = {"entries": [{"key": "service", "value": "prod/shop"}]}


def ask(endpoint: Endpoint, *descriptors: object, **more: object) -> httpx.Response:
    body = {"domain": "tidegate", "descriptors": list(descriptors or (SHOP,)), **more}
    return endpoint.client.post("/json", json=body)


def exhausted(endpoint: Endpoint) -> httpx.Response:
    """Send a call for more hits than fit, so that it is rejected."""
    return ask(endpoint, hitsAddend=1_000_000)


def test_an_admitted_request_is_answered_200(endpoint):
    answer = ask(endpoint)
    body = answer.json()

    assert answer.status_code == 200
    assert body["overallCode"] == "OK"
    assert body["statuses"][0]["code"] == "OK"
    assert body["statuses"][0]["currentLimit"]["unit"] == "SECOND"
    assert answer.headers["ratelimit"] == dict(_added(body))["RateLimit"]


def test_a_rejected_request_is_answered_429_with_retry_after(endpoint):
    answer = exhausted(endpoint)
    body = answer.json()

    assert answer.status_code == 429
    assert (body["overallCode"], body["statuses"][0]["code"]) == ("OVER_LIMIT", "OVER_LIMIT")
    assert (
        "limitRemaining" not in body["statuses"][0]
    )  # zeros are omitted, as in all JSON of protobuf
    assert int(answer.headers["retry-after"]) >= 1


@pytest.mark.parametrize("asking", [ask, exhausted])
def test_the_response_is_envoys_message(endpoint, asking):
    message = rls_pb2.RateLimitResponse()
    json_format.Parse(asking(endpoint).text, message)

    assert len(message.statuses) == 1


@pytest.mark.parametrize(
    "message",
    [
        pytest.param({"hits_addend": 2}, id="snake_case"),
        pytest.param({"hitsAddend": 2}, id="camelCase"),
    ],
)
def test_names_may_be_in_camel_case_or_snake_case(endpoint, message):
    assert ask(endpoint, **message).status_code == 200


def test_json_written_by_protobuf_is_accepted(endpoint):
    request = rls_pb2.RateLimitRequest(domain="tidegate", hits_addend=1)
    one = request.descriptors.add()
    one.hits_addend.value = 1  # 64 bits: a string in JSON
    one.limit.requests_per_unit = 3
    entry = one.entries.add()
    entry.key, entry.value = "service", "prod/shop"
    wire = json_format.MessageToJson(request)

    assert '"hitsAddend": "1"' in wire
    assert endpoint.client.post("/json", content=wire, headers=JSON).status_code == 200


def test_with_a_token_json_may_have_any_content_type(tmp_path):
    (tmp_path / "tokens").write_text("open-sesame role=gateway\n")
    headers = {"authorization": "Bearer open-sesame"}
    form = "application/x-www-form-urlencoded"  # as curl --data says
    with served(ApiSettings(learns_shares=False, tokens=tmp_path / "tokens")) as endpoint:
        body = json.dumps({"domain": "tidegate", "descriptors": [SHOP]})
        for kind in ({}, {"content-type": form}):
            answer = endpoint.client.post("/json", content=body, headers=headers | kind)
            assert answer.status_code == 200


@pytest.mark.parametrize(
    ("body", "field"),
    [
        pytest.param("{", "body", id="no JSON"),
        pytest.param({"descriptors": [SHOP]}, "domain", id="no domain"),
        pytest.param({"domain": "", "descriptors": [SHOP]}, "body", id="empty domain"),
        pytest.param({"domain": "tidegate", "descriptors": []}, "descriptors", id="no descriptor"),
        pytest.param({"domain": "tidegate", "descriptors": [SHOP], "hits": 1}, "hits", id="a typo"),
        pytest.param(
            {"domain": "tidegate", "descriptors": [SHOP], "hitsAddend": -1}, "hitsAddend", id="< 0"
        ),
        pytest.param(
            {"domain": "tidegate", "descriptors": [{"entries": [{"key": 7}]}]},
            "descriptors.0.entries.0.key",
            id="a number for a key",
        ),
    ],
)
def test_an_invalid_body_names_the_field(endpoint, body, field):
    content = body if isinstance(body, str) else json.dumps(body)
    answer = endpoint.client.post("/json", content=content, headers=JSON)

    assert (answer.status_code, answer.json()["field"]) == (422, field)


def test_a_request_without_a_known_service_passes(endpoint):
    answer = ask(endpoint, {"entries": [{"key": "service", "value": "prod/none"}]})

    assert (answer.status_code, answer.json()) == (
        200,
        {"overallCode": "OK", "statuses": [{"code": "OK"}]},
    )


def test_before_the_first_tick_it_is_unavailable():
    with served(ticked=False) as endpoint:
        assert ask(endpoint).status_code == 503


def test_a_token_is_required(tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("open-sesame\n")
    with served(ApiSettings(learns_shares=False, tokens=tokens)) as endpoint:
        assert ask(endpoint).status_code == 401


def test_decisions_take_a_share_of_the_same_limit(endpoint):
    endpoint.holder.publish(snapshot(view(ready=1, each_qps=40.0)))
    ask(endpoint)
    lease = endpoint.client.get("/v1/limits/prod/shop", params={"instance": "gw-1"}).json()

    assert lease["share"]["instances"] == 2


def _added(body) -> list[tuple[str, str]]:
    return [(one["key"], one["value"]) for one in body["responseHeadersToAdd"]]
