"""Good and bad values of each key of a policy, for whatever reads one.

``given`` is what else the policy says, by path; `tests.seams.policy_rows.policy` adds both up.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.seams.policy_rows import (
    AGAIN,
    CLASS,
    COST,
    CPU,
    EVENT,
    EXTERNAL,
    MISSING,
    OBJECTIVE,
    PODS,
    PRICED,
    WHOLE,
)


@dataclass(frozen=True)
class Probe:
    good: tuple[Any, ...]
    bad: tuple[Any, ...]
    given: Mapping[str, Any] = field(default_factory=dict)


def _named(most: int, good: tuple[str, ...], bad: tuple[Any, ...]) -> Probe:
    return Probe(("a", "a" * most, *good), ("", " ", "a" * (most + 1), "a\n", "é", "a b", 5, *bad))


def _given(probe: Probe, given: Mapping[str, Any]) -> Probe:
    return Probe(probe.good, probe.bad, given)


_NOT_LONG = (
    *("", "s", "1s1h", "1s1s", "1.5s", "-1s", "+1s", "1 s", "1S", "1d", "100000s", "١s", "1s\n"),
    *(5, 1.5, True, [], {}),
)
_LENGTH = Probe(("0s", "90s", "1h30m", "500ms", "1h1m1s1ms", "99999h"), _NOT_LONG)
_LONG = Probe(("90s", "1ms", "0h10m"), ("0s", "0h0m0s0ms", *_NOT_LONG))
_WHOLE = Probe((1, 7), (0, -1, 1.5, "1", True, [], {}))
_COUNT = Probe((0, 7), (-1, 1.5, "1", True, [], {}))
_RATE = Probe((0.001, 5, 7.5), (0, -1, "1", True, [], {}))
_MAYBE_NONE = Probe((0, 0.001, 5), (-0.001, "1", True, [], {}))
_OPEN = Probe((0.001, 0.999), (0, 1, -0.1, 5, "0.5", True, {}))
_SHARE = Probe((0, 0.5, 1), (-0.1, 1.1, "0.5", True, {}))
_PART = Probe((0.001, 1), (0, 1.1, "0.5", True, {}))
_FLAG = Probe((True, False), ("true", 1, {}))
_TEXT = Probe(("up", " up\n", "é", "\u00a0"), ("", " ", "\t\n", "\x0b\x1c", 5, True, [], {}))
_FREE = Probe(({"a": "b"}, {}), ("a", 5, []))
_OBJECT = _named(253, ("a.b", "a-1.b2", "0"), ("A", "-a", "a-", "a..b", ".a", "a_b"))
_LABEL = _named(63, ("a-1", "0"), ("A", "-a", "a-", "a.b", "a_b"))
_EXPIRY = Probe(("Open", "Closed"), ("open", "", "Ajar", True))
_MILLI = Probe(
    (
        *("1", "55", "0.5", ".5", "5.", "+5", "1500m", "1m", "0.001", "1k", "2Ki", "1E", "1e3"),
        *("1E3", "1000u", "1000000n", 1),
    ),
    (
        *("", "0", "-1", "0.0001", "0.5m", "999u", "999999n", "1 k", "1K", "5x", "1e", "NaN", "١"),
        *("1\n", 0, -1, True, [], {}),
    ),
)
_TOLERANCE = Probe(
    (0, 1, "0", "0.1", ".1", "1", "1.0", "100m", "1000m", "50000u"),
    ("", "1.1", "2", "-0.1", "1001m", "1k", "x", 2, -1, True, {}),
)
_STAMP = Probe(
    ("2026-11-27T09:00:00Z", "2026-11-27T09:00:00+02:00", "2026-11-27T09:00:00.5-11:30"),
    (
        *("", "2026-11-27", "2026-11-27T09:00:00", "2026-02-30T09:00:00Z", "2026-11-27T25:00:00Z"),
        *("2026-11-27t09:00:00z", "2026-11-27T09:00:60Z", "2026-11-27T09:00:00+25:00", 5, True),
    ),
)
_LATE = {**EVENT, "spec.demand.events[].ends": "2027-01-01T00:00:00Z"}
_SOON = {**EVENT, "spec.demand.events[].starts": "2026-01-01T00:00:00Z"}
_CRON = Probe(
    ("0 9 * * 1-5", "*/15 8,20 * jan-mar mon", " 0  9 * * 0 "),
    ("", " ", "0 9 * *", "0 9 * * * *", "@daily", 5, True, []),
)
_RATED = {**EVENT, "spec.demand.events[].multiplier": MISSING}

_LIMIT, _ONE, _CLIENT = "spec.limit.", "spec.limit.classes[].", "spec.limit.perClient."
_SIM, _HPA, _METRIC = "spec.simulation.", "spec.hpa.", "spec.hpa.metrics[]."
_AT_HEADER = {**CLASS, _ONE + "match.header": "X-Tier"}
PROBES: dict[str, Probe] = {
    "spec.mode": Probe(("Recommend", "Enforce", "Auto"), ("Off", "enforce", "", True)),
    "spec.targetRef.name": _OBJECT,
    "spec.demand.query": _TEXT,
    "spec.demand.maskQuery": _TEXT,
    "spec.demand.timezone": Probe(
        ("Europe/Berlin", "UTC", "Etc/GMT-1", "America/Argentina/Buenos_Aires"),
        ("", " ", "Europe/Berlin\n", "+02:00", "é", 5, True, []),
    ),
    "spec.demand.model": _named(100, ("A_b.c-9", "0"), ("-a", ".a", "_a", "a/b")),
    "spec.demand.risk": _OPEN,
    "spec.demand.hold.share": _SHARE,
    "spec.demand.hold.for": _LENGTH,
    "spec.demand.events[].name": _given(_TEXT, EVENT),
    "spec.demand.events[].starts": _given(_STAMP, _LATE),
    "spec.demand.events[].ends": _given(_STAMP, _SOON),
    "spec.demand.events[].recurs.timezone": Probe(
        ("Europe/Berlin", "UTC"), ("", "+02:00", "é", 5, True), AGAIN
    ),
    "spec.demand.events[].recurs.start": _given(_CRON, AGAIN),
    "spec.demand.events[].recurs.end": Probe(
        ("0 9 * * 1-5", "*/15 8,20 * * mon"), _CRON.bad, AGAIN
    ),
    "spec.demand.events[].learn": _given(_FLAG, EVENT),
    "spec.demand.events[].multiplier": _given(_RATE, EVENT),
    "spec.demand.events[].qps": _given(_RATE, _RATED),
    "spec.slo.latency": _LONG,
    "spec.slo.objective": _OPEN,
    "spec.slo.query": _TEXT,
    "spec.replicas.min": _WHOLE,
    "spec.replicas.max": _given(_WHOLE, {"spec.replicas.min": 1}),
    "spec.replicas.leadTime": _LENGTH,
    "spec.replicas.payback": _LENGTH,
    "spec.replicas.stabilization": _LENGTH,
    "spec.replicas.maxStepUp": _WHOLE,
    "spec.replicas.maxStepDown": _WHOLE,
    "spec.replicas.lifetime": _LENGTH,
    "spec.replicas.halfLife": _LENGTH,
    "spec.replicas.wake": _FLAG,
    "spec.objective.violations": Probe(
        ("0.1%", "99%", "0.000001%", "5.5%"),
        ("", "0%", "0.0%", "100%", "01%", "0.1", "0.1 %", "-1%", ".1%", 0.001, 1, True, [], {}),
        OBJECTIVE,
    ),
    "spec.objective.price.failedRequest": _given(_RATE, PRICED),
    "spec.cost.replicaHour": _given(_RATE, COST),
    "spec.cost.currency": Probe(
        ("EUR", "USD", "JPY"), ("eur", "EURO", "ABC", "€", "", 978, True, {}), COST
    ),
    "spec.capacity.requestsPerReplica": _RATE,
    "spec.capacity.replicasQuery": _TEXT,
    "spec.capacity.targetUtilization": _PART,
    "spec.capacity.warmUp": _LENGTH,
    "spec.capacity.coldShare": _SHARE,
    _LIMIT + "headroom": _PART,
    _LIMIT + "ceilingRequestsPerSecond": _RATE,
    _LIMIT + "safeRequestsPerSecond": _MAYBE_NONE,
    _LIMIT + "burst": _LENGTH,
    _LIMIT + "lease.validFor": Probe(
        ("4s", "10s", "168h"), ("0s", "999ms", "1s", "168h1ms", *_NOT_LONG)
    ),
    _LIMIT + "lease.refresh": Probe(
        ("100ms", "2s", "5s"), ("0s", "99ms", "6s", "5m1ms", *_NOT_LONG)
    ),
    _LIMIT + "lease.maxStale": Probe(("0s", "2m", "168h"), ("168h1ms", *_NOT_LONG)),
    _LIMIT + "onExpiry": _EXPIRY,
    _ONE + "name": _given(_LABEL, CLASS),
    _ONE + "priority": _given(_COUNT, CLASS),
    _ONE + "guaranteed": Probe((0, 5, 2000), (-1, 2000.1, "1", True), CLASS),
    _ONE + "ceiling": _given(_MAYBE_NONE, CLASS),
    _ONE + "match.header": _given(_named(128, ("X-9", "X"), ("-a", "a-", "a_b", "a:")), CLASS),
    _ONE + "match.value": Probe(
        ("a", "a b", "~!", "a" * 256), ("", " ", "a ", " a", "é", "a\n", "a" * 257, 5), _AT_HEADER
    ),
    _ONE + "onExpiry": _given(_EXPIRY, CLASS),
    _CLIENT + "window": _LONG,
    _CLIENT + "deviations": Probe((0.1, 10), (0, 10.1, "1")),
    _CLIENT + "leastRatio": Probe((1, 1.5), (0.9, "1")),
    _CLIENT + "leastClients": _WHOLE,
    _CLIENT + "abusiveShare": _SHARE,
    _SIM + "startUp": _LENGTH,
    _SIM + "startUpSpread": _MAYBE_NONE,
    _SIM + "ramp": _LENGTH,
    _SIM + "rampInitial": _SHARE,
    _SIM + "serviceTime": Probe(("50ms", "1ms"), ("0s", *_NOT_LONG)),
    _SIM + "concurrency": _WHOLE,
    _SIM + "timeout": _LONG,
    _SIM + "retryShare": _SHARE,
    _SIM + "collapse": _MAYBE_NONE,
    _SIM + "tick": _LONG,
    _SIM + "scrapeInterval": _LONG,
    _SIM + "rateWindow": _LONG,
    _SIM + "queryDelay": _LENGTH,
    _SIM + "watchLag": _LENGTH,
}

_MOST = {_HPA + "maxReplicas": 40}
_REF = {**_MOST, _HPA + "scaleTargetRef": {"kind": "Deployment", "name": "web"}}


def _behavior(way: str) -> dict[str, Probe]:
    at = f"{_HPA}behavior.{way}."
    rule = at + "policies[]."
    given = {**PODS, rule + "type": "Pods", rule + "value": 3, rule + "periodSeconds": 60}
    return {
        at + "stabilizationWindowSeconds": Probe((0, 3600), (-1, 3601, "60", 1.5), PODS),
        at + "selectPolicy": Probe(("Max", "Min", "Disabled"), ("max", ""), PODS),
        at + "tolerance": _given(_TOLERANCE, PODS),
        rule + "type": Probe(("Pods", "Percent"), ("pods", "", 5), given),
        rule + "value": _given(_WHOLE, given),
        rule + "periodSeconds": Probe((1, 1800), (0, 1801, "60"), given),
    }


def _identified(kind: str, given: Mapping[str, Any]) -> dict[str, Probe]:
    at = f"{_METRIC}{kind}.metric."
    return {at + "name": _given(_TEXT, given), at + "selector": _given(_FREE, given)}


PROBES |= {
    _HPA + "scaleTargetRef.apiVersion": Probe(("apps/v1", ""), (5, True), _REF),
    _HPA + "scaleTargetRef.kind": Probe(("Deployment", ""), (5, True), _REF),
    _HPA + "scaleTargetRef.name": _given(_TEXT, _REF),
    _HPA + "minReplicas": Probe((0, 1, 40), (-1, 41, "1", 1.5), _MOST),
    _HPA + "maxReplicas": _WHOLE,
    _METRIC + "type": Probe(("Pods",), ("Object", "ContainerResource", "Resource", "", 5), PODS),
    _METRIC + "object": Probe((), ({}, "a"), PODS),
    _METRIC + "containerResource": Probe((), ({}, "a"), PODS),
    _METRIC + "resource.name": Probe(("cpu",), ("memory", "", 5), CPU),
    _METRIC + "resource.target.type": Probe(
        ("Utilization",), ("AverageValue", "Value", "x", 5), CPU
    ),
    _METRIC + "resource.target.averageUtilization": _given(_WHOLE, CPU),
    _METRIC + "resource.target.averageValue": Probe((), (30, "30", True), CPU),
    _METRIC + "resource.target.value": Probe((), (30, "30", True), CPU),
    **_identified("pods", PODS),
    _METRIC + "pods.target.type": Probe(("AverageValue",), ("Utilization", "Value", "x"), PODS),
    _METRIC + "pods.target.averageUtilization": Probe((), (60,), PODS),
    _METRIC + "pods.target.averageValue": _given(_MILLI, PODS),
    _METRIC + "pods.target.value": Probe((), (30,), PODS),
    **_identified("external", EXTERNAL),
    _METRIC + "external.target.type": Probe(
        ("AverageValue",), ("Utilization", "Value", "x"), EXTERNAL
    ),
    _METRIC + "external.target.averageUtilization": Probe((), (60,), EXTERNAL),
    _METRIC + "external.target.averageValue": _given(_MILLI, EXTERNAL),
    _METRIC + "external.target.value": _given(_MILLI, WHOLE),
    **_behavior("scaleUp"),
    **_behavior("scaleDown"),
}
