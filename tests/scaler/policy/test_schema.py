"""The values that a policy file is converted to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from forecaster.data.series import utc
from forecaster.data.synthetic import SERVICES
from scaler.decision.demand import AnnouncedEvent
from scaler.decision.limit import LimitPolicy
from scaler.decision.replicas import ScalePolicy
from scaler.decision.trust import TrustRules
from scaler.limits.header_match import HeaderMatch
from scaler.limits.lease import AfterSafe, LeaseTerms
from scaler.limits.priority_classes import PriorityClass
from scaler.policy.files import PolicyDocument, read_policies
from scaler.policy.policy import Mode, Policy, Slo
from scaler.policy.replay_settings import ReplaySettings
from scaler.policy.schema import DemandPolicy
from scaler.policy.service_model import ServiceModel
from tests.paths import ROOT
from tests.scaler.policy.samples import accepted, bare, faults, text

EXAMPLES = ROOT / "examples" / "policies"


def example(name: str) -> PolicyDocument:
    (document,) = read_policies(EXAMPLES / name)
    return document


def test_a_key_that_is_left_out_has_the_default_of_the_core():
    policy = accepted(text())

    assert policy.to_policy() == Policy(
        item_id="shop/checkout",
        target="checkout",
        scale=ScalePolicy(2, 10),
        capacity_qps=50.0,
        mode=Mode.RECOMMEND,
        trust=TrustRules(),
        slo=Slo(),
        lead_s=None,
        payback_s=90.0,
        limit=LimitPolicy(),
        lease=LeaseTerms(),
        client_window_s=10.0,
    )
    assert policy.to_settings() == ReplaySettings()
    assert policy.to_settings().service_model(Slo(), 50.0) == ServiceModel(50.0)


def test_every_value_of_a_file_reaches_the_policy():
    policy = example("search.yaml").policy

    assert policy.item_id == "shop/search"
    assert policy.demand_query is not None
    assert policy.demand_query.startswith("sum(rate(")
    assert policy.model == "web"
    assert policy.events == (
        AnnouncedEvent(
            "black-friday",
            utc("2026-11-27T09:00:00Z").timestamp(),
            utc("2026-11-27T12:00:00Z").timestamp(),
            multiplier=2.5,
        ),
        AnnouncedEvent(
            "tv-spot",
            utc("2026-12-04T19:15:00Z").timestamp(),
            utc("2026-12-04T19:45:00Z").timestamp(),
            qps=2400.0,
        ),
    )
    assert policy.slo.query is not None
    assert policy.capacity_qps == 120.0
    assert policy.scale == ScalePolicy(3, 40, max_step_up=10, max_step_down=5)
    assert (policy.lead_s, policy.payback_s, policy.safe_qps) == (120.0, 90.0, 300.0)
    assert policy.limit == LimitPolicy(ceiling_qps=4500.0)
    assert policy.classes == (
        PriorityClass("interactive", 0, 600.0),
        PriorityClass("crawlers", 5, 0.0, 200.0, match=HeaderMatch("x-client-kind", "crawler")),
        PriorityClass("stress", 9, 0.0, 40.0, AfterSafe.CLOSED, HeaderMatch("x-stress-test")),
    )
    hpa = example("search.yaml").replay.hpa
    assert hpa is not None
    assert (hpa.min_replicas, hpa.max_replicas, hpa.target) == (3, 40, 0.6)


def test_every_key_of_a_section_reaches_its_own_field():
    policy = accepted(
        bare(
            "slo: {latency: 1s, objective: 0.9, query: up}\n"
            "capacity: {requestsPerReplica: 100, targetUtilization: 0.7}\n"
            "replicas: {min: 2, max: 30, leadTime: 3s, payback: 4s, stabilization: 5s,"
            " maxStepUp: 6, maxStepDown: 7, lifetime: 8s, halfLife: 9s}\n"
            "limit: {headroom: 0.6, burst: 2s, onExpiry: Closed,"
            " lease: {validFor: 30s, refresh: 3s, maxStale: 4m},"
            " perClient: {window: 1s, deviations: 2, leastRatio: 3, leastClients: 4,"
            " abusiveShare: 0.5}}\n"
            "simulation: {startUp: 1s, startUpSpread: 0.2, ramp: 3s, rampInitial: 0.4,"
            " serviceTime: 50ms, concurrency: 6, timeout: 7s, retryShare: 0.8, collapse: 0.9}\n"
        )
    )
    service = policy.to_policy()

    assert service.slo == Slo(1.0, 0.9, "up")
    assert service.scale == ScalePolicy(2, 30, 0.7, 5.0, 6, 7, 8.0, 9.0)
    assert (service.lead_s, service.payback_s) == (3.0, 4.0)
    assert service.limit == LimitPolicy(0.6, burst_s=2.0)
    assert service.lease == LeaseTerms(
        valid_for_s=30.0, refresh_s=3.0, max_stale_s=240.0, then=AfterSafe.CLOSED
    )
    assert service.client_window_s == 1.0
    model = policy.to_settings().service_model(service.slo, 100.0)
    assert model == ServiceModel(
        100.0, 1.0, 0.9, 0.05, 6, 7.0, 0.8, 0.9, start_up_s=1.0, start_up_spread=0.2, ramp_s=3.0,
        ramp_initial=0.4,
    )  # fmt: skip


def test_the_full_example_shows_the_defaults():
    full, least = example("search.yaml"), example("checkout.yaml")

    shown, default = full.policy, least.policy
    assert (shown.mode, shown.trust, shown.payback_s) == (
        default.mode,
        default.trust,
        default.payback_s,
    )
    assert replace(shown.slo, query=None) == default.slo
    assert (shown.client_window_s, shown.lease) == (default.client_window_s, default.lease)
    given = {"min_replicas": 3, "max_replicas": 40, "max_step_up": 10, "max_step_down": 5}
    assert shown.scale == replace(default.scale, **given)
    assert replace(shown.limit, ceiling_qps=default.limit.ceiling_qps) == default.limit
    models = [one.replay.service_model(shown.slo, 120.0) for one in (full, least)]
    assert models[0] == models[1]


@pytest.mark.parametrize("name", ["checkout.yaml", "search.yaml"])
def test_the_examples_name_services_of_the_generated_traffic(name):
    assert example(name).policy.item_id in {service.item_id for service in SERVICES}


def test_an_slo_query_stands_in_for_a_capacity():
    policy = accepted(bare("slo: {query: up}\nreplicas: {max: 2}")).to_policy()

    assert (policy.capacity_qps, policy.slo.query) == (None, "up")


def test_an_autoscaler_of_another_name_can_be_given():
    policy = accepted(text("targetRef: {kind: HorizontalPodAutoscaler, name: web}")).to_policy()

    assert policy.target == "web"


def test_the_same_time_in_any_zone_is_the_same_second():
    east, utc_ = (
        accepted(text(f"demand: {{events: [{{name: a, starts: {s}, ends: {e}, qps: 1}}]}}"))
        for s, e in [
            ("2026-11-27T10:00:00+01:00", "2026-11-27T11:00:00+01:00"),
            ("2026-11-27T09:00:00Z", "2026-11-27T10:00:00Z"),
        ]
    )

    assert east.to_policy().events == utc_.to_policy().events


def test_an_object_as_the_api_server_prints_it_is_a_valid_policy():
    printed = text().replace(
        "name: checkout}",
        "name: checkout, uid: 1-2, resourceVersion: '7', generation: 1, managedFields: [],"
        " creationTimestamp: 2026-01-01T00:00:00Z, labels: {team: shop}}",
    )

    assert accepted(printed + "status: {floor: 3}\n").to_policy() == accepted(text()).to_policy()


def test_the_json_schema_describes_every_key_of_spec():
    definitions = DemandPolicy.model_json_schema()["$defs"]
    keys = definitions["Spec"]["properties"]

    assert [key for key, schema in keys.items() if not schema.get("description")] == []
    assert definitions["Spec"]["additionalProperties"] is False
    assert definitions["ReplicasSection"]["properties"]["payback"]["type"] == "string"


def test_the_default_service_time_keeps_a_strict_slo():
    # A tenth of 20 ms; 50 ms, which is usual at 500 ms, could not keep it.
    policy = accepted(text("slo: {latency: 20ms, query: up}"))

    model = policy.to_settings().service_model(policy.to_policy().slo, 50.0)
    assert model.service_time_s == pytest.approx(0.002)


@pytest.mark.parametrize("objective", ["0.5", "0.99", "0.99999", "0.9999999"])
def test_every_objective_has_a_service_time_that_keeps_it(objective):
    assert faults(text(f"slo: {{query: up, objective: {objective}}}")) == []
    policy = accepted(text(f"slo: {{query: up, objective: {objective}}}"))

    model = policy.to_settings().service_model(policy.to_policy().slo, 50.0)
    assert model.utilisation_at_slo > 0.2
