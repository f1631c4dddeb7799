"""The endpoint over real HTTP: leases, waits, reports, refusals."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from scaler.adapters.http.app import create_app
from scaler.adapters.http.server import Address, ApiServer
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from tests.scaler.adapters.http.conftest import Endpoint, served
from tests.scaler.adapters.http.snapshots import PATIENT, snapshot, view
from tests.waiting import eventually

LIMITS = "/v1/limits/prod/shop"
REPORTS = f"{LIMITS}/reports"


def ask(endpoint, etag="", **query):
    headers = {"if-none-match": etag} if etag else {}
    return endpoint.client.get(LIMITS, params={"instance": "gw-1", **query}, headers=headers)


def test_a_lease_comes_with_its_etag_and_a_304_renews_it(endpoint):
    first = ask(endpoint)
    assert (first.status_code, first.json()["service"]) == (200, "prod/shop")
    second = ask(endpoint, first.headers["etag"])
    assert (second.status_code, second.content) == (304, b"")
    assert second.headers["etag"] == first.headers["etag"]


def test_responses_are_not_stored_by_caches(endpoint):
    assert ask(endpoint).headers["cache-control"] == "no-store"


@pytest.fixture
def patient() -> Iterator[Endpoint]:
    """An endpoint at which a wait may take longer than any test."""
    with served(lease=PATIENT) as endpoint:
        yield endpoint


def test_a_wait_ends_at_once_when_the_limit_changes(patient):
    etag = ask(patient).headers["etag"]
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(ask, patient, etag, wait=300)
        time.sleep(0.3)
        assert not waiting.done()
        patient.holder.publish(snapshot(view(ready=4)))
        answer = waiting.result()
    assert answer.json()["global"]["rps"] == 4 * 155.0


def test_a_wait_without_a_change_ends_in_a_renewal(endpoint):
    etag = ask(endpoint).headers["etag"]
    answer = ask(endpoint, etag, wait=0.2)
    assert (answer.status_code, answer.headers["etag"]) == (304, etag)


def test_a_second_request_of_a_gateway_ends_its_first_wait(patient):
    etag = ask(patient).headers["etag"]
    with ThreadPoolExecutor() as pool:
        older = pool.submit(ask, patient, etag, wait=300)
        # Until the older question has come before a younger one.
        eventually(lambda: ask(patient, etag, wait=0.1).status_code == 304 and older.done())
        assert older.result().status_code == 304


def test_waiting_gateways_get_the_shares_that_others_have_given_up(endpoint):
    fair = pytest.approx(1240 * 0.98 / 4, rel=1e-3)

    def waits_for_its_share(name):
        etag, share = "", 0.0
        for _ in range(50):  # a few suffice; the bound ends a gateway that never gets its share
            headers = {"if-none-match": etag}
            params = {"instance": name, "wait": 2}
            answer = endpoint.client.get(LIMITS, params=params, headers=headers)
            etag = answer.headers["etag"]
            if answer.status_code == 200:
                share = answer.json()["share"]["rps"]
            elif share == fair:  # all have their shares, so nothing changes any more
                break
        return share

    with ThreadPoolExecutor() as pool:
        names = ["gw-1", "gw-2", "gw-3", "gw-4"]
        assert list(pool.map(waits_for_its_share, names)) == [fair] * 4


def test_a_report_is_answered_with_the_lease(endpoint):
    report = {"instance": "gw-1", "interval_s": 2, "classes": {"pay": {"admitted": 100}}}
    answer = endpoint.client.post(REPORTS, json=report)
    assert answer.status_code == 200
    assert answer.json()["classes"][0]["reason"] == "demand"
    held = {"version": answer.json()["version"], "epoch": "c0ff"}
    again = endpoint.client.post(REPORTS, json={**report, **held})
    assert again.content == answer.content


@pytest.mark.parametrize(
    ("report", "field"),
    [
        pytest.param({}, "instance", id="missing"),
        pytest.param({"instance": "a b"}, "instance", id="a name with a space"),
        pytest.param({"instance": "a", "offerd_rps": 1}, "offerd_rps", id="unknown"),
        pytest.param({"instance": "a", "offered_rps": -1}, "offered_rps", id="below zero"),
        pytest.param({"instance": "a", "offered_rps": 1e300}, "offered_rps", id="absurd"),
        pytest.param({"instance": "a", "interval_s": 0}, "interval_s", id="no time at all"),
        pytest.param(
            {"instance": "a", "classes": {"pay": {"admitted": "3"}}},
            "classes.pay.admitted",
            id="a number in quotes",
        ),
        pytest.param([], "body", id="no object"),
    ],
)
def test_a_malformed_report_is_refused_naming_the_field(standing, report, field):
    answer = standing.client.post(REPORTS, json=report)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert answer.json()["detail"].startswith(field)


@pytest.mark.parametrize(
    ("query", "field"),
    [
        pytest.param({"instance": ""}, "instance", id="no name"),
        pytest.param({"wait": "soon"}, "wait", id="no number"),
        pytest.param({"wait": "nan"}, "wait", id="not a number"),
        pytest.param({"wait": "1e9"}, "wait", id="longer than the maximum"),
        pytest.param({"view": "xml"}, "view", id="no such view"),
    ],
)
def test_a_malformed_query_is_refused_naming_the_field(standing, query, field):
    answer = ask(standing, **query)
    assert (answer.status_code, answer.json()["field"]) == (422, field)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b'{"instance": NaN}', id="NaN"),
        pytest.param(b"[" * 100_000, id="deeply nested"),
        pytest.param(b'{"instance": "\xff"}', id="not UTF-8"),
        pytest.param(
            b'{"instance": "a", "offered_rps": 1' + b"0" * 5000 + b"}", id="a long number"
        ),
    ],
)
def test_a_body_that_is_not_json_is_a_client_error(standing, content):
    headers = {"content-type": "application/json"}
    answer = standing.client.post(REPORTS, content=content, headers=headers)
    assert answer.status_code in (400, 422)
    assert "detail" in answer.json()


def test_a_body_that_is_too_long_is_refused_with_and_without_a_content_length(standing):
    long = b"x" * (256 * 1024 + 1)
    headers = {"content-type": "application/json"}
    for content in (long, iter([long])):
        answer = standing.client.post(REPORTS, content=content, headers=headers)
        assert answer.status_code == 413


def test_an_unknown_service_is_404_with_similar_names(standing):
    answer = standing.client.get("/v1/limits/prod/shup", params={"instance": "gw-1"})
    assert (answer.status_code, answer.json()["near"]) == (404, ["prod/shop"])
    for path in ("forecasts", "plans", "explain", "services"):
        assert standing.client.get(f"/v1/{path}/prod/shup").status_code == 404


def test_the_haproxy_view_is_a_map_of_whole_numbers(endpoint):
    lines = dict(line.split(" ") for line in ask(endpoint, view="haproxy").text.splitlines())
    assert (lines["share"], lines["class.stress.ceiling_rps"]) == ("1215", "40")
    assert all(value.isdigit() for value in lines.values())


def test_before_the_first_tick_the_process_is_alive_but_not_ready():
    with served(ticked=False) as endpoint:
        codes = {
            path: endpoint.client.get(path).status_code
            for path in ("/healthz", "/readyz", "/v1/services", LIMITS + "?instance=a", "/metrics")
        }
        assert list(codes.values()) == [200, 503, 503, 503, 200]
        assert ask(endpoint).headers["retry-after"] == "2"
        endpoint.holder.publish(snapshot())
        assert endpoint.client.get("/readyz").status_code == 200


def test_the_views_of_a_tick_can_be_read(endpoint):
    forecast = endpoint.client.get("/v1/forecasts/prod/shop").json()["fan"]
    assert forecast["values"][1] == [1100.0, 1460.0]
    plan = endpoint.client.get("/v1/plans/prod/shop").json()
    assert (plan["floor"], plan["why"]["plan"], plan["hpa_replicas"]) == (8, "wanted", 9)
    words = endpoint.client.get("/v1/explain/prod/shop").json()["words"]
    assert any("1240 requests per second" in sentence for sentence in words)
    whole = endpoint.client.get("/v1/services/prod/shop").json()
    assert whole["recent"]["limit"] == [None, 1240.0]  # unknown is not zero
    assert whole["ledger"]["saved_replica_hours"] == 1.0  # 9 - 8


def test_where_there_is_no_forecast_nothing_is_said_of_its_trust(endpoint):
    endpoint.holder.publish(snapshot(replace(view(), forecast=None), tick=2))
    words = endpoint.client.get("/v1/explain/prod/shop").json()["words"]
    assert "There is no forecast now." in words
    assert not [sentence for sentence in words if "trusted" in sentence or "covered" in sentence]


def test_every_tick_is_sent_on_the_stream(endpoint):
    with endpoint.client.stream("GET", "/v1/stream?service=prod/shop") as answer:
        lines = answer.iter_lines()
        assert _next_event(lines) == ("board", 1)
        assert _next_event(lines) == ("service", None)
        endpoint.holder.publish(snapshot(tick=2))
        assert _next_event(lines) == ("board", 2)


def _next_event(lines):
    name = ""
    for line in lines:
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        if line.startswith("data: "):
            return name, json.loads(line.removeprefix("data: ")).get("tick")
    raise AssertionError("the stream ended")


def test_the_description_is_made_before_the_first_request():
    """FastAPI silences a warning meanwhile, with a filter of the whole process."""
    app = create_app(SnapshotHolder(), ApiSettings())
    with ApiServer(app, Address(port=0)):
        assert app.openapi_schema is not None


def test_openapi_describes_every_route_with_examples(standing):
    description = standing.client.get("/openapi.json").json()
    assert {"/v1/limits/{service}", "/v1/limits/{service}/reports"} <= set(description["paths"])
    examples = [
        name for name, schema in description["components"]["schemas"].items() if "example" in schema
    ]
    assert set(examples) >= {"LeaseBody", "ReportBody", "Problem"}
    assert standing.client.get("/docs").status_code == 404  # it would load scripts from a CDN
