"""The ScaledObjects in `deploy/keda`: KEDA and the external scaler can read them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from scaler.adapters.keda.trigger import KEDA_KEYS, KEYS, TriggerMetric, read_trigger
from scaler.policy.files import examine_policies
from scaler.policy.policy import Mode
from tests.deploy.manifests import DEPLOY, documents

KEDA = DEPLOY / "keda"
POLICY = KEDA / "demandpolicy.yaml"
README = (KEDA / "README.md").read_text()
OBJECTS = {path.name: one for path in sorted(KEDA.glob("*.yaml")) for one in documents(path)}
SCALED = {name: one for name, one in OBJECTS.items() if one["kind"] == "ScaledObject"}
# What there is, level by level: KEDA 2.20, "ScaledObject specification". None: anything.
RULES = {
    "tolerance": None, "stabilizationWindowSeconds": None, "selectPolicy": None,
    "policies": {"type": None, "value": None, "periodSeconds": None},
}  # fmt: skip
FIELDS: dict[str, Any] = {
    "scaleTargetRef": {"apiVersion": None, "kind": None, "name": None},
    "pollingInterval": None,
    "cooldownPeriod": None,
    "initialCooldownPeriod": None,
    "minReplicaCount": None,
    "maxReplicaCount": None,
    "fallback": {"failureThreshold": None, "replicas": None, "behavior": None},
    "advanced": {
        "horizontalPodAutoscalerConfig": {"behavior": {"scaleUp": RULES, "scaleDown": RULES}},
        "scalingModifiers": {
            "formula": None, "target": None, "activationTarget": None, "metricType": None,
        },
    },
    "triggers": {
        "type": None, "name": None, "metadata": None, "authenticationRef": {"name": None},
        "useCachedMetrics": None, "metricType": None,
    },
}  # fmt: skip


def unknown(found: Any, known: Any, at: str = "") -> list[str]:
    """Return the places of fields that there are not."""
    if known is None:
        return []
    if isinstance(found, list):
        return [place for one in found for place in unknown(one, known, at)]
    return [
        place
        for key, value in found.items()
        for place in (
            unknown(value, known[key], f"{at}.{key}") if key in known else [f"{at}.{key}"]
        )
    ]


def triggers(scaled, *kinds: str):
    return [one for one in scaled["spec"]["triggers"] if one["type"] in kinds]


def ours(scaled):
    """Return the trigger that asks tidegate, as the server reads it, and as it is written."""
    (trigger,) = triggers(scaled, "external", "external-push")
    meta = scaled["metadata"]
    return read_trigger(meta["namespace"], meta["name"], trigger["metadata"]), trigger


@pytest.fixture(scope="module")
def policy():
    ((document,), wrong) = examine_policies([POLICY])
    assert wrong == ()
    return document.policy


each = pytest.mark.parametrize("scaled", SCALED.values(), ids=SCALED)


@each
def test_it_has_only_fields_that_there_are(scaled):
    assert scaled["apiVersion"] == "keda.sh/v1alpha1"
    assert unknown(scaled["spec"], FIELDS) == []


def test_a_field_that_there_is_not_is_found():
    assert unknown({"fallback": {"replica": 1}, "triggers": [{"kind": "x"}]}, FIELDS) == [
        ".fallback.replica", ".triggers.kind",
    ]  # fmt: skip


@each
def test_the_server_reads_its_metadata_and_has_the_policy(scaled, policy):
    trigger, written = ours(scaled)
    assert trigger.service == policy.item_id
    assert written["metadata"]["scalerAddress"] == "tidegate.tidegate.svc:8081"
    assert all(isinstance(value, str) for value in written["metadata"].values())


@each
def test_the_autoscaler_averages(scaled):
    """A metric of type Value would be multiplied by the replicas that run."""
    _, written = ours(scaled)
    assert written.get("metricType", "AverageValue") == "AverageValue"


@each
def test_the_trigger_knows_the_tolerance_of_the_autoscaler(scaled):
    config = scaled["spec"].get("advanced", {}).get("horizontalPodAutoscalerConfig", {})
    rules = config.get("behavior", {}).get("scaleUp", {})
    trigger, _ = ours(scaled)
    assert trigger.tolerance == float(rules.get("tolerance", "0.1"))


@each
def test_it_shows_the_certificates(scaled):
    _, written = ours(scaled)
    auth = OBJECTS["authentication.yaml"]
    assert auth["metadata"]["namespace"] == scaled["metadata"]["namespace"]
    assert written["authenticationRef"]["name"] == auth["metadata"]["name"]
    parameters = {one["parameter"] for one in auth["spec"]["secretTargetRef"]}
    assert parameters == {"caCert", "tlsClientCert", "tlsClientKey"} <= KEDA_KEYS


@each
def test_what_is_reactive_has_the_policys_target(scaled, policy):
    target = policy.capacity_qps * policy.scale.target_utilization
    for one in triggers(scaled, "prometheus"):
        assert float(one["metadata"]["threshold"]) == pytest.approx(target)
        assert one["metadata"]["query"] == policy.demand_query


@each
def test_while_tidegate_is_down_something_else_scales(scaled, policy):
    """KEDA's `fallback` does not come then (keda#8056)."""
    least = scaled["spec"]["minReplicaCount"]
    (second,) = triggers(scaled, "prometheus")
    if least == 0:  # then the second trigger must start it, at the demand at which ours would
        trigger, _ = ours(scaled)
        assert float(second["metadata"]["activationThreshold"]) == trigger.activation_qps
    else:
        assert least == policy.scale.min_replicas


@each
def test_no_fallback_takes_replicas_away_at_a_peak(scaled):
    fallback = scaled["spec"].get("fallback")
    if fallback is not None:
        assert fallback["behavior"] in ("currentReplicasIfHigher", "scalingModifiers")


def test_a_formula_has_a_whole_target_and_a_way_out_for_each_trigger():
    spec = SCALED["modifiers.yaml"]["spec"]
    modifiers, replicas = spec["advanced"]["scalingModifiers"], spec["fallback"]["replicas"]
    target = int(modifiers["target"])
    formula = modifiers["formula"]
    names = {one["name"] for one in spec["triggers"]}
    assert names == set(re.findall(r"[a-z]+", formula)) - {"max"}
    assert {int(literal) for literal in re.findall(r"\d+", formula)} == {target * replicas}
    assert len(re.findall(r"\?\? \d+", formula)) == len(names)
    trigger, _ = ours(SCALED["modifiers.yaml"])
    assert (trigger.metric, trigger.target_qps) == (TriggerMetric.QPS, target)


def test_a_service_may_sleep_only_where_it_is_said_when():
    for scaled in SCALED.values():
        trigger, written = ours(scaled)
        sleeps = scaled["spec"]["minReplicaCount"] == 0
        assert sleeps == (trigger.activation_qps is not None)
        assert sleeps == (written["type"] == "external-push")


def test_the_policy_leaves_acting_to_the_trigger(policy):
    assert policy.mode is Mode.RECOMMEND
    assert policy.target == "keda-hpa-" + SCALED["exact.yaml"]["metadata"]["name"]


def test_the_readme_tells_every_file_and_every_key():
    for name in OBJECTS:
        assert f"| `{name}` |" in README
    for key in KEYS:
        assert f"| `{key}` |" in README
