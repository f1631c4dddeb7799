"""The CRD is structural, agrees with the model, and is committed as it is printed."""

from __future__ import annotations

import pytest
import yaml

from scaler.cli import main
from scaler.policy.crd import crd, crd_yaml
from scaler.policy.faults import validated
from scaler.policy.yaml_documents import documents
from tests.kube.objects import policy
from tests.kube.rules import InvalidError, _not_structural, defined, prepared
from tests.paths import ROOT
from tests.scaler.policy.probes import PROBES
from tests.seams.policy_leaves import leaves
from tests.seams.policy_rows import MISSING
from tests.seams.policy_rows import policy as policy_with

SCHEMA = crd()["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
CUSTOM = defined(crd())
EVENT = {"name": "sale", "starts": "2026-11-27T09:00:00Z", "ends": "2026-11-27T12:00:00Z"}


def test_the_committed_crd_is_what_the_command_prints(capsys):
    assert main(["crd"]) == 0

    assert capsys.readouterr().out == (ROOT / "deploy/base/crd.yaml").read_text()


def test_the_crd_is_one_yaml_document():
    assert yaml.safe_load(crd_yaml()) == crd()


def test_the_schema_is_structural():
    assert list(_not_structural(SCHEMA, "")) == []


def test_kubectl_prints_mode_floor_plan_demand_limit_and_trust():
    columns = crd()["spec"]["versions"][0]["additionalPrinterColumns"]

    assert [one["name"] for one in columns] == [
        *("MODE", "FLOOR", "PLAN", "DEMAND", "LIMIT", "TRUSTED", "AGE")
    ]
    assert crd()["spec"]["names"]["shortNames"] == ["dp"]


def test_durations_are_strings_with_a_pattern_and_a_documented_default():
    found = SCHEMA["properties"]["spec"]["properties"]["replicas"]["properties"]["payback"]

    pattern = "^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?([0-9]{1,5}ms)?$"
    assert (found["type"], found["pattern"]) == ("string", pattern)
    assert found["description"].endswith("1m30s if not given.")


def test_bounds_are_those_of_openapi():
    risk = SCHEMA["properties"]["spec"]["properties"]["demand"]["properties"]["risk"]

    assert (risk["minimum"], risk["exclusiveMinimum"]) == (0, True)


def accepted_by_the_schema(found) -> bool:
    try:
        prepared(CUSTOM, found)
    except InvalidError:
        return False
    return True


def accepted_by_the_model(found) -> bool:
    (document,) = documents(yaml.safe_dump(found).encode())
    return validated(document)[0] is not None


def target(kind, key):
    return {"metric": {"name": "rps"}, "target": {"type": kind, key: "40"}}


RATE = {"type": "Pods", "pods": target("AverageValue", "averageValue")}
MEMORY = {"type": "Resource", "resource": {"name": "memory", "target": RATE["pods"]["target"]}}
OBJECT = {"type": "Object", "object": target("Value", "value")}


def metrics(*found):
    return {"hpa": {"maxReplicas": 9, "metrics": list(found)}}


def limit(**keys):
    return {"limit": keys}


def classes(*guaranteed, **keys):
    made = [{"name": f"c{n}", "priority": n, "guaranteed": g} for n, g in enumerate(guaranteed)]
    return limit(classes=made, **keys)


def matched(*matches):
    return [{"name": f"c{n}", "priority": n, "match": m} for n, m in enumerate(matches)]


@pytest.mark.parametrize(
    ("spec", "right"),
    [
        pytest.param({}, True, id="the least"),
        pytest.param({"replicas": {"min": 10, "max": 10}}, True, id="min equals max"),
        pytest.param({"replicas": {"min": 11, "max": 10}}, False, id="min above max"),
        pytest.param({"replicas": {"max": 10}}, True, id="no min"),
        pytest.param({"replicas": {"min": 0, "max": 10}}, False, id="min 0"),
        pytest.param({"replicas": {"min": 1}}, False, id="no max"),
        pytest.param({"capacity": {}}, False, id="no capacity and no SLO"),
        pytest.param({"capacity": {}, "slo": {"query": "q"}}, True, id="an SLO to learn it from"),
        pytest.param({"slo": {"latency": "1s"}}, False, id="an SLO without its query"),
        pytest.param({"slo": {"latency": 1, "query": "q"}}, False, id="a length as a number"),
        pytest.param({"mode": "Off"}, False, id="an unknown mode"),
        pytest.param({"demand": {"risk": 1}}, False, id="a risk of 1"),
        pytest.param({"demand": {"risk": 0}}, False, id="a risk of 0"),
        pytest.param({"demand": {"events": [EVENT | {"qps": 5}]}}, True, id="an event's qps"),
        pytest.param({"demand": {"events": [EVENT | {"multiplier": 2}]}}, True, id="multiplier"),
        pytest.param({"demand": {"events": [EVENT]}}, False, id="neither of both"),
        pytest.param(
            {"demand": {"events": [EVENT | {"qps": 5, "multiplier": 2}]}}, False, id="both"
        ),
        pytest.param(
            {"demand": {"events": [EVENT | {"qps": 5, "ends": EVENT["starts"]}]}},
            False,
            id="an event without length",
        ),
        pytest.param(
            {"demand": {"events": [EVENT | {"qps": 5}] * 2}}, False, id="two events of one name"
        ),
        pytest.param(
            limit(safeRequestsPerSecond=5, ceilingRequestsPerSecond=5), True, id="safe at ceiling"
        ),
        pytest.param(
            limit(safeRequestsPerSecond=6, ceilingRequestsPerSecond=5), False, id="safe above"
        ),
        pytest.param(classes(3, 2, ceilingRequestsPerSecond=5), True, id="guarantees that fit"),
        pytest.param(limit(lease={"validFor": "4s", "refresh": "2s"}), True, id="half a lease"),
        pytest.param(limit(lease={"validFor": "4s", "refresh": "3s"}), False, id="more of it"),
        pytest.param(limit(lease={"validFor": "1m"}), True, id="the usual refresh"),
        pytest.param(limit(onExpiry="Ajar"), False, id="an unknown end"),
        pytest.param(
            limit(classes=[{"name": "a", "priority": 0, "match": {"header": "x", "value": "y"}}]),
            True,
            id="a header and its value",
        ),
        pytest.param(
            limit(classes=[{"name": "a", "priority": 0, "match": {"value": "y"}}]),
            False,
            id="a value of no header",
        ),
        pytest.param(classes(3, 3, ceilingRequestsPerSecond=5), False, id="too many guarantees"),
        pytest.param(
            limit(classes=[{"name": "a", "priority": 0, "guaranteed": 2, "ceiling": 1}]),
            False,
            id="a class whose ceiling is below its guarantee",
        ),
        pytest.param(limit(classes=matched({"header": "X"}, {"header": "x"})), False, id="twice"),
        pytest.param(
            limit(classes=matched({"header": "X", "value": "a"}, {"header": "x", "value": "b"})),
            True,
            id="two values of a header",
        ),
        pytest.param(
            limit(classes=matched({"header": "X", "value": "a"}, {"header": "x"})),
            True,
            id="a value of a header, and any other",
        ),
        pytest.param(
            limit(
                classes=[*matched({"header": "X-Stress-Test"}), {"name": "stress", "priority": 9}]
            ),
            False,
            id="the header of stress",
        ),
        pytest.param(
            classes(400, 101, headroom=1) | {"replicas": {"max": 10}},
            False,
            id="guarantees beyond the limit of all replicas",
        ),
        pytest.param(
            classes(400, 100) | {"replicas": {"max": 10}}, True, id="guarantees up to that limit"
        ),
        pytest.param(
            classes(400, 100, headroom=0.9) | {"replicas": {"max": 10}},
            False,
            id="guarantees beyond the headroom of that",
        ),
        pytest.param({"hpa": {"minReplicas": 3, "maxReplicas": 2}}, False, id="a wrong hpa"),
        pytest.param(metrics(RATE, RATE), True, id="several metrics"),
        pytest.param(metrics(RATE, MEMORY, OBJECT), True, id="others beside one"),
        pytest.param(metrics(MEMORY, OBJECT), False, id="others alone"),
        pytest.param(metrics(RATE, RATE | {"type": "Queue"}), False, id="an unknown one beside"),
        pytest.param(metrics(RATE, RATE | {"object": {}}), False, id="one and another in one"),
        pytest.param(metrics(), True, id="no metrics"),
        pytest.param({"hpa": {"minReplicas": 2, "maxReplicas": 2}}, True, id="a right hpa"),
    ],
)
def test_the_schema_and_the_model_agree(spec, right):
    found = policy(**spec)

    assert (accepted_by_the_model(found), accepted_by_the_schema(found)) == (right, right)


LEAVES = [leaf for leaf in leaves() if leaf.startswith("spec.")]


def test_there_are_probes_of_every_key():
    assert set(PROBES) == set(LEAVES)


@pytest.mark.parametrize("leaf", LEAVES)
def test_the_schema_and_the_model_agree_on_every_value(leaf):
    """Null is no value: it is read as if the key were not there."""
    probe = PROBES[leaf]
    wanted = [*((value, True) for value in probe.good), *((value, False) for value in probe.bad)]
    for value, right in wanted:
        found = policy_with({**probe.given, leaf.removesuffix("[]"): value})
        both = (accepted_by_the_model(found), accepted_by_the_schema(found))
        assert both == (right, right), f"{value!r}: model, schema"
    null, without = (
        policy_with({**probe.given, leaf.removesuffix("[]"): none}) for none in (None, MISSING)
    )
    assert accepted_by_the_model(null) == accepted_by_the_schema(null)
    assert accepted_by_the_model(null) == accepted_by_the_model(without)


def overlapping(*starts):
    return [
        {"name": str(n), "starts": at, "ends": "2026-12-24T00:00:00+00:00", "qps": 5}
        for n, at in enumerate(starts)
    ]


@pytest.mark.parametrize(
    ("spec", "by_the_model", "by_the_schema"),
    [
        pytest.param(
            {"demand": {"events": [*overlapping("2026-11-27T09:00:00Z"), {
                "name": "b", "starts": "2026-11-27T09:00:00+02:00",
                "ends": "2026-12-24T02:00:00+02:00", "qps": 5}]}},
            False, True, id="a schema does not see in which zone a time is written",
        ),
        pytest.param(
            {"demand": {"events": [EVENT | {"qps": 5, "name": name} for name in ("a", " a")]}},
            False, True, id="nor that two names differ by blanks around them alone",
        ),
        pytest.param(
            {"simulation": {"serviceTime": "2s"}}, False, True, id="nor has it gamma functions",
        ),
        pytest.param(
            {"demand": {"timezone": "Mars"}}, False, True, id="nor does it know all time zones",
        ),
        pytest.param(
            {"demand": {"events": overlapping(*["2026-11-27T09:00:00Z"] * 65)}},
            True, False, id="rules across a list cost, so lists in a cluster have an end",
        ),
        pytest.param(
            {"demand": {"events": overlapping("2026-11-27T09:00Z")}},
            True, False, id="a time is RFC 3339 there, and ISO 8601 in a file",
        ),
        pytest.param(
            metrics({"type": "Resource",
                     "resource": {"name": "cpu", "targetAverageUtilization": 60}}),
            True, False, id="a manifest of an older version is converted in a file",
        ),
        pytest.param(
            {"hpa": {"maxReplicas": 9, "behavior": {"scaleUp": {"tolerance": 0.1}}}},
            True, False, id="and a quantity is no fraction without quotes",
        ),
    ],
)  # fmt: skip
def test_where_they_differ_is_known(spec, by_the_model, by_the_schema):
    """What a schema cannot say becomes a condition; what only a file may say is no fault in one."""
    found = policy(**spec)

    seen = accepted_by_the_model(found), accepted_by_the_schema(found)
    assert seen == (by_the_model, by_the_schema)


@pytest.mark.parametrize("file", sorted((ROOT / "examples").rglob("*.yaml")), ids=lambda f: f.name)
def test_every_example_is_valid_under_the_schema(file):
    # As kubectl reads them: moments stay text.
    for document in documents(file.read_bytes()):
        assert accepted_by_the_schema(document.data)
