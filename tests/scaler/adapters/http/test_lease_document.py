"""The lease on the wire: its keys, and one gateway's part of limit and classes."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.report import (
    NO_REPORT,
    GatewayReport,
)
from scaler.adapters.http.schemas import LEASE, REPORT, LeaseBody, ReportBody
from scaler.limits.header_match import HeaderMatch
from scaler.limits.priority_classes import PriorityClass
from tests.scaler.adapters.http.gateways import SHOP, Gateway, Site
from tests.scaler.adapters.http.snapshots import snapshot, view


def body(site: Site | None = None, report: GatewayReport | None = None) -> dict:
    site, gateway = site or Site(), Gateway("gw-1")
    answer = site.ask(gateway)
    if report is not None:
        answer = site.lease_service.reply(
            SHOP, LeaseRequest("gw-1", gateway.etag, report), site.clock.now
        )
    return json.loads(answer.lease.json_body)


def test_a_lease_has_all_keys_of_the_contract():
    lease = body()
    LeaseBody.model_validate(lease)
    assert set(lease) == set(LEASE)


def test_the_documented_examples_are_valid():
    LeaseBody.model_validate(LEASE)
    ReportBody.model_validate(REPORT)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        pytest.param("binding", "capacity", id="what bound it"),
        pytest.param("ready_replicas", 8, id="how many are ready"),
        pytest.param("rps_per_replica", 155.0, id="what each sustains"),
        pytest.param("forecast_p50", 1100.0, id="the highest median step of the lead time"),
        pytest.param("forecast_p90", 1460.0, id="the highest 0.9 step of the lead time"),
        pytest.param("trusted", True, id="whether the forecast is acted on"),
    ],
)
def test_the_lease_explains(key, value):
    assert body()["why"][key] == value


def test_a_new_forecast_alone_changes_no_lease():
    site, gateway = Site(), Gateway("gw-1")
    site.ask(gateway)
    now = view()
    site.holder.publish(
        snapshot(replace(now, forecast=replace(now.forecast, values=now.forecast.values * 2)))
    )
    assert not site.ask(gateway).changed


def test_one_gateway_alone_has_the_classes_of_the_policy():
    pay, stress = body(report=GatewayReport(900.0, {"pay": 500.0, "stress": 400.0}))["classes"]
    assert pay["guaranteed_rps"] == pytest.approx(120)
    assert pay["rps"] == pytest.approx(500.0, rel=0.03)  # with what one report may be off
    assert pay["reason"] == "demand"
    assert stress["match"] == {"header": "x-stress-test"}
    assert (stress["rps"], stress["ceiling_rps"], stress["reason"]) == (40.0, 40.0, "ceiling")
    assert stress["then"] == "closed"


def test_class_rates_and_spare_add_up_to_the_share():
    lease = body(report=GatewayReport(900.0, {"pay": 500.0, "stress": 400.0}))
    parts = sum(one["rps"] for one in lease["classes"]) + lease["spare_rps"]
    assert parts == pytest.approx(lease["share"]["rps"], abs=0.01)


def test_without_ready_replicas_the_share_is_zero():
    lease = body(Site(ready=0))
    assert (lease["global"]["rps"], lease["share"]["rps"], lease["share"]["burst"]) == (0.0, 0.0, 0)
    assert lease["why"]["binding"] == "nothing_ready"


def test_the_safe_limit_of_the_policy_wins_over_the_derived_one():
    site, now = Site(), view()
    site.holder.publish(snapshot(replace(now, policy=replace(now.policy, safe_qps=100.0))))
    assert body(site)["on_expiry"]["safe_rps"] == pytest.approx(98.0, abs=0.1)  # x 0.98


@pytest.mark.parametrize(
    ("report", "wants"),
    [
        pytest.param({"offered_rps": 7.0, "admitted": 100}, 7.0, id="offered_rps takes precedence"),
        pytest.param({"admitted": 30, "denied": 10, "interval_s": 2}, 20.0, id="by the interval"),
        pytest.param(
            {"classes": {"a": {"admitted": 3}, "b": {"denied": 5}}},
            8.0,
            id="the sum of all classes",
        ),
        pytest.param({}, None, id="unknown is not zero"),
    ],
)
def test_the_demand_of_a_gateway_follows_from_its_report(report, wants):
    assert ReportBody.model_validate({"instance": "gw-1", **report}).to_report().wants_qps == wants


def test_a_report_without_a_notable_change_keeps_the_one_before():
    before = NO_REPORT.updated_by(GatewayReport(100.0, {"pay": 50.0}))
    assert before.updated_by(GatewayReport(109.0, {"pay": 50.5})) is before
    assert before.updated_by(GatewayReport(None)) is before
    assert before.updated_by(GatewayReport(120.0, {"pay": 50.0})).wants_qps == 120.0


def test_a_class_is_matched_by_the_header_and_the_value_that_the_policy_names():
    gold = PriorityClass("gold", 0, match=HeaderMatch("x-tier", "gold"))
    plain, any_value = PriorityClass("plain", 1), PriorityClass("any", 2, match=HeaderMatch("x-a"))
    site, shop = Site(), view()
    limit = replace(shop.published_limit, classes=(gold, plain, any_value))
    site.holder.publish(snapshot(replace(shop, published_limit=limit)))
    matches = {one["name"]: one.get("match") for one in body(site)["classes"]}
    assert matches == {
        "gold": {"header": "x-tier", "value": "gold"},
        "plain": None,
        "any": {"header": "x-a"},
    }


def test_the_window_over_which_clients_are_compared_is_the_policy_s():
    site, shop = Site(), view()
    policy = replace(shop.policy, client_window_s=20.0)
    site.holder.publish(snapshot(replace(shop, policy=policy)))
    assert body(site)["client_window_s"] == 20.0
