"""What gateways of 0.1.0 say and are told is what the endpoint, and the Python gateway, speak."""

from __future__ import annotations

import json
import re

import pytest

from scaler.adapters.http.settings import ApiSettings
from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings
from tests.scaler.adapters.http.conftest import served
from tests.upgrade.shapes import uncovered
from tests.upgrade.v0_1_0 import FIXTURES, read, unpacked

HTTP = {path.stem: read(f"http/{path.name}") for path in (FIXTURES / "http").iterdir()}
LEASES = ("lease", "reported", "plain")
REPORTS = read("reports.json")
SHOP = "/v1/limits/prod/shop"
ETAG = re.compile(r'"[0-9a-z]+-[0-9]+-[0-9]+\.[0-9]{3}"')


@pytest.fixture(scope="module")
def endpoint():
    """Serves prod/shop with classes, in force at once."""
    with served(ApiSettings(learns_shares=False)) as running:
        yield running


def held(name: str) -> LeaseLimiter:
    """Return a limiter of today that was answered what 0.1.0 said."""
    body = HTTP[name]["body"]
    limiter = LeaseLimiter(LimiterSettings(body["service"], "gw-1"))
    assert limiter.receive(json.dumps(body).encode(), sent_at=100.0)
    return limiter


@pytest.mark.parametrize("name", LEASES)
def test_a_lease_of_before_is_acted_on_as_it_says(name):
    body, limiter = HTTP[name]["body"], held(name)
    snapshot = limiter.snapshot(100.0)
    assert (snapshot.epoch, snapshot.version) == (body["epoch"], body["version"])
    assert snapshot.limit_rps == pytest.approx(body["share"]["rps"])
    assert limiter.refresh_s == body["refresh_s"]
    for one in body["classes"]:
        if "match" in one:
            assert limiter.class_by_headers([(one["match"]["header"], "1")]) == one["name"]
    admitted = [limiter.admit(None, None, 101.0).allowed for _ in range(2000)]
    # The spare alone, as much of it as the burst is of the share, and what drained since.
    assert 0 < sum(admitted) < 2000
    steps_end = body["valid_for_s"] + body["schedule"][-1]["in_s"]
    assert limiter.snapshot(100.0 + steps_end + 1).limit_rps == body["on_expiry"]["safe_rps"]


def test_a_lease_of_before_with_a_level_for_clients_is_obeyed_but_for_that():
    limiter = held("reported")
    verdicts = [limiter.admit(None, "client", 100.0 + i / 50) for i in range(500)]
    assert HTTP["reported"]["body"]["per_client"] is not None
    assert all(one.allowed for one in verdicts)  # for all of them fit


@pytest.mark.parametrize("name", LEASES)
def test_a_lease_of_today_has_every_key_that_gateways_of_before_read(endpoint, name):
    old = HTTP[name]
    if name == "reported":
        report = {**old["request"]["body"], "instance": "gw-r"}
        new = endpoint.client.post(f"{SHOP}/reports", json=report)
    else:
        new = endpoint.client.get(f"{SHOP}?instance=gw-{name}")
    assert new.status_code == old["status"] == 200
    # Nobody is called abusive any more: where there is no level, gateways of before refuse nobody.
    assert uncovered({**old["body"], "per_client": None}, new.json()) == []
    assert new.json()["per_client"] is None
    by_name = {one["name"]: one for one in new.json()["classes"]}
    for one in old["body"]["classes"]:
        assert uncovered(one, by_name["stress" if "match" in one else "pay"]) == []
    assert new.json()["schema"] == old["body"]["schema"]
    assert_same_headers(old, new)


def test_a_key_that_was_withdrawn_was_always_null_and_no_gateway_of_before_reads_it(tmp_path):
    for name in LEASES:
        assert HTTP[name]["body"]["global"]["max_inflight"] is None
    for name in ("plan", "service"):
        assert HTTP[name]["body"]["limit"]["max_inflight"] is None
    for file in unpacked("gateways", tmp_path).rglob("*.lua"):
        assert "inflight" not in file.read_text()


def assert_same_headers(old: dict, new) -> None:
    for name, value in old["headers"].items():
        if name.lower() in ("connection", "content-length"):
            continue
        if name == "etag":
            assert ETAG.fullmatch(value)
            assert ETAG.fullmatch(new.headers[name])
        else:
            assert new.headers[name] == value


def test_a_lease_is_renewed_without_a_body_by_its_etag(endpoint):
    old = HTTP["renewed"]
    new = endpoint.client.get(f"{SHOP}?instance=gw-e")
    for _ in range(10):  # a newcomer's share grows until it has its own
        headers = {"If-None-Match": new.headers["etag"]}
        new = endpoint.client.get(f"{SHOP}?instance=gw-e", headers=headers)
    assert (new.status_code, new.text) == (old["status"], old["body"]) == (304, "")
    assert_same_headers(old, new)


@pytest.mark.parametrize("name", LEASES)
def test_an_etag_of_a_server_before_is_answered_by_a_lease(endpoint, name):
    """While versions are mixed a gateway may be sent from one server to another."""
    etag = HTTP[name]["headers"]["etag"]
    new = endpoint.client.get(f"{SHOP}?instance=gw-{name}-m", headers={"If-None-Match": etag})
    assert new.status_code == 200
    assert new.json()["epoch"] != HTTP[name]["body"]["epoch"]


@pytest.mark.parametrize(
    ("gateway", "report"),
    [pytest.param(name, one, id=name) for name, said in REPORTS.items() for one in said["reports"]],
)
def test_what_a_gateway_of_before_reports_is_taken_in(endpoint, gateway, report):
    answer = endpoint.client.post(f"{SHOP}/reports", json=report)
    assert answer.status_code == 200, answer.text
    classes = {one["name"]: one["reason"] for one in answer.json()["classes"]}
    # Its demand is known now: without a report the reason would be "unknown".
    assert {name: classes[name] for name in report["classes"]}.keys() == {"pay", "stress"}
    assert "unknown" not in classes.values()


@pytest.mark.parametrize("gateway", sorted(REPORTS))
def test_what_a_gateway_of_before_asks_is_answered(endpoint, gateway):
    for asked in REPORTS[gateway]["asked"]:
        path = f"{SHOP}?instance={asked['instance']}&wait=0.01"
        headers = {"If-None-Match": asked["etag"]} if asked["etag"] else {}
        assert endpoint.client.get(path, headers=headers).status_code in (200, 304)


def test_the_map_for_haproxy_has_every_line(endpoint):
    report = {**HTTP["reported"]["request"]["body"], "instance": "gw-h"}
    endpoint.client.post(f"{SHOP}/reports", json=report)
    new = endpoint.client.get(f"{SHOP}?instance=gw-h&view=haproxy")
    old = HTTP["haproxy"]
    assert_same_headers(old, new)
    names = [{line.split()[0] for line in text.splitlines()} for text in (old["body"], new.text)]
    before, now = ({_of_any_class(name) for name in found} for found in names)
    assert before - {one for one in before if one.startswith("per_client.")} <= now
    assert all(re.fullmatch(r"\S+ [0-9]+", line) for line in new.text.splitlines())


def _of_any_class(name: str) -> str:
    return re.sub(r"^class\.[^.]+\.", "class.*.", name)


@pytest.mark.parametrize("name", ["services", "service", "plan", "forecast", "explain", "ready"])
def test_what_people_and_programs_look_at_has_every_key(endpoint, name):
    path = HTTP[name]["request"]["path"]
    new = endpoint.client.get(path)
    assert new.status_code == 200
    assert uncovered(HTTP[name]["body"], new.json()) == []


def test_one_decision_is_answered_in_the_same_form():
    old = HTTP["decided"]
    call = json.loads(json.dumps(old["request"]["body"]).replace("every-key", "shop"))
    call["descriptors"][0]["entries"][1]["value"] = "pay"  # for which there is room
    with served(ApiSettings(learns_shares=False)) as alone:  # others would have their shares first
        new = alone.client.post("/json", json=call)
    assert new.status_code == old["status"]
    assert uncovered(old["body"], new.json()) == []


@pytest.mark.parametrize("name", ["unknown-service", "no-instance"])
def test_a_refusal_has_the_same_form(endpoint, name):
    old = HTTP[name]
    path = old["request"]["path"].replace("every-key", "shop")
    new = endpoint.client.get(path)
    assert new.status_code == old["status"]
    assert uncovered(old["body"], new.json()) == []


def test_every_series_of_before_is_there(endpoint):
    old, new = HTTP["metrics"]["body"], endpoint.client.get("/metrics").text
    pattern = re.compile(r"^# TYPE (tidegate_\w+(?<!_created) \w+)$", re.MULTILINE)
    types = [set(pattern.findall(text)) for text in (old, new)]
    assert types[0] <= types[1]
    before, now = _labels(old), _labels(new)
    both = before.keys() & now.keys()
    assert len(both) > 20  # the rest has no sample, for nothing of the kind has happened yet
    assert {name: now[name] for name in both} == {name: before[name] for name in both}


def _labels(text: str) -> dict[str, set[str]]:
    """Return the names of the labels of each series."""
    found = re.findall(r"^(tidegate_\w+?)(?:\{(.*)\})? ", text, re.MULTILINE)
    return {name: set(re.findall(r'(\w+)="', labels)) for name, labels in found}
