"""For each key of a policy: two values, and what they make differ.

``differs`` is a channel of `scene.Lived` (plan, lease, status) or replay, and a path below it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.seams.scene import START

BASE: dict[str, Any] = {
    "apiVersion": "tidegate.dev/v1alpha1",
    "kind": "DemandPolicy",
    "metadata": {"namespace": "shop", "name": "checkout"},
    "spec": {
        "mode": "Enforce",
        "demand": {"query": "offered", "model": "flat"},
        "slo": {"query": "p999"},
        "capacity": {"requestsPerReplica": 50},
        "replicas": {"min": 2, "max": 40},
    },
}
MISSING = object()  # for a key that is to be left out


@dataclass(frozen=True)
class Row:
    """Two values of one key; ``given`` is what else the policy says, by path, ``other`` with b."""

    a: Any
    b: Any
    differs: str
    given: Mapping[str, Any] = field(default_factory=dict)
    other: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Refused:
    """A value that a replay does not model, and so refuses by this rule."""

    value: Any
    rule: str
    given: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Carried:
    """A key that is taken because it stands in what is pasted here; why it says nothing to us."""

    why: str


def policy(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the base with other values; ``[]`` is the first entry of a list."""
    made = copy.deepcopy(BASE)
    for path, value in changes.items():
        place: Any = made
        *way, last = path.split(".")
        for name in way:
            plain = name.removesuffix("[]")
            below = place.setdefault(plain, [{}] if name != plain else {})
            place = below[0] if name != plain else below
        if value is MISSING:
            place.pop(last, None)
        else:
            place[last] = copy.deepcopy(value)
    return made


def both(leaf: str, row: Row) -> Iterator[dict[str, Any]]:
    """Yield the policy with one value, and with the other."""
    leaf = leaf.removesuffix("[]")
    yield policy({**row.given, leaf: row.a})
    yield policy({**row.given, **row.other, leaf: row.b})


def moment(minute: float) -> str:
    return (datetime.fromtimestamp(START, UTC) + timedelta(minutes=minute)).isoformat()


def cron(minute: float) -> str:
    clock = datetime.fromtimestamp(START, UTC) + timedelta(minutes=minute)
    return f"{clock.minute} {clock.hour} * * *"


EVENT = {
    "spec.demand.events": [
        {"name": "sale", "starts": moment(4), "ends": moment(9), "multiplier": 3.0}
    ]
}
# From the fourth minute to the ninth, at first.
AGAIN = {
    "spec.demand.events": [
        {
            "name": "lunch",
            "recurs": {"timezone": "UTC", "start": cron(4), "end": cron(9)},
            "multiplier": 3.0,
        }
    ]
}
CLASS = {"spec.limit.classes": [{"name": "pay", "priority": 0}, {"name": "stress", "priority": 9}]}
COST = {"spec.cost": {"replicaHour": 0.05, "currency": "EUR"}}
OBJECTIVE = {"spec.objective": {"violations": "0.1%"}}
PRICED = {"spec.objective": {"price": {"failedRequest": 100}}}
LEARNS = {"spec.capacity.requestsPerReplica": MISSING}
BLIND = {"spec.demand.model": MISSING}  # so that nothing is known where nothing is observed
AWAY = {**BLIND, "spec.demand.query": "upstream is away"}
WARMS = {"spec.capacity.warmUp": "3m"}

_GONE = Carried("of before 0.2; whoever gives it is told that it has no effect")
_RECURS = "spec.demand.events[].recurs."
_LIMIT, _CLASS, _CLIENT = "spec.limit.", "spec.limit.classes[].", "spec.limit.perClient."
ROWS: dict[str, Row | Refused | Carried] = {
    "metadata.namespace": Row("shop", "store", "lease.service"),
    "metadata.name": Row("checkout", "search", "lease.service"),
    "metadata.labels": Carried("Kubernetes' own: for selectors and for people"),
    "metadata.annotations": Carried("Kubernetes' own: for tools and for people"),
    "spec.mode": Row("Enforce", "Recommend", "status.raised"),
    "spec.targetRef.name": Row("web", "other", "status.raised"),
    "spec.demand.query": Row("offered", "offered twice", "plan.replicas"),
    "spec.demand.maskQuery": Row("incident", "no incident", "plan.replicas"),
    "spec.demand.timezone": Row(
        "Europe/Berlin", "Asia/Tokyo", "plan.replicas", {"spec.demand.model": "zoned"}
    ),
    "spec.demand.model": Row("flat", "double", "plan.replicas"),
    "spec.demand.risk": Row(0.05, 0.3, "plan.demand_qps"),
    "spec.demand.hold.share": Row(1.0, 0.5, "plan.demand_qps", AWAY),
    "spec.demand.hold.for": Row("2h", "5m", "plan.demand_qps", AWAY),
    "spec.demand.events[].name": Row("sale", "spot", "plan.event", EVENT),
    "spec.demand.events[].starts": Row(moment(4), moment(6), "plan.replicas", EVENT),
    "spec.demand.events[].ends": Row(moment(9), moment(7), "plan.demand_qps", EVENT),
    "spec.demand.events[].multiplier": Row(3.0, 4.0, "plan.replicas", EVENT),
    "spec.demand.events[].qps": Row(
        700.0, 900.0, "plan.replicas", {**EVENT, "spec.demand.events[].multiplier": MISSING}
    ),
    _RECURS + "timezone": Row("UTC", "Asia/Tokyo", "plan.replicas", AGAIN),
    _RECURS + "start": Row(cron(4), cron(6), "plan.replicas", AGAIN),
    _RECURS + "end": Row(cron(9), cron(7), "plan.demand_qps", AGAIN),
    "spec.demand.events[].learn": Row(False, True, "status.events.learns", EVENT),
    "spec.slo.latency": Row("500ms", "1s", "plan.capacity_qps"),
    "spec.slo.objective": Row(0.999, 0.9, "replay.violations"),
    "spec.slo.query": Row("p999", "p999 of another", "plan.capacity_qps"),
    "spec.replicas.min": Row(2, 8, "plan.replicas"),
    "spec.replicas.max": Row(40, 10, "plan.replicas"),
    "spec.replicas.leadTime": Row("30s", "10m", "plan.demand_qps"),
    "spec.replicas.payback": Row("0s", "20m", "plan.plan"),
    "spec.replicas.stabilization": Row("0s", "5m", "plan.replicas"),
    "spec.replicas.maxStepUp": Row(1, 10, "plan.replicas"),
    "spec.replicas.maxStepDown": Row(1, 10, "plan.replicas"),
    "spec.replicas.lifetime": Row("1m", "15m", "plan.replicas", BLIND),
    "spec.replicas.halfLife": Row(
        "1m", "30m", "plan.replicas", {**BLIND, "spec.replicas.lifetime": "1m"}
    ),
    "spec.replicas.wake": Row(
        False, True, "status.conditions.reason", {"spec.targetRef.name": "stopped"}
    ),
    "spec.cost.replicaHour": Row(0.05, 0.5, "status.saved.amount", COST),
    "spec.cost.currency": Row("EUR", "USD", "status.saved.currency", COST),
    "spec.objective.violations": Row("0.1%", "1%", "status.settings.askedViolations", OBJECTIVE),
    "spec.objective.price.failedRequest": Row(100, 200, "status.settings.askedPrice", PRICED),
    "spec.capacity.requestsPerReplica": Row(50, 80, "plan.replicas"),
    "spec.capacity.replicasQuery": Row("ready", "ready elsewhere", "plan.capacity_qps", LEARNS),
    "spec.capacity.targetUtilization": Row(0.8, 0.5, "plan.replicas"),
    "spec.capacity.warmUp": Row("0s", "3m", "plan.limit_qps"),
    "spec.capacity.coldShare": Row(0.5, 0.1, "plan.limit_qps", WARMS),
    _LIMIT + "headroom": Row(1.0, 0.8, "lease.global.rps"),
    _LIMIT + "ceilingRequestsPerSecond": Row(1000, 200, "lease.global.rps"),
    _LIMIT + "safeRequestsPerSecond": Row(100, 150, "lease.on_expiry.safe_rps"),
    _LIMIT + "burst": Row("100ms", "1s", "lease.share.burst"),
    _LIMIT + "lease.validFor": Row("10s", "20s", "lease.valid_for_s"),
    _LIMIT + "lease.refresh": Row("2s", "4s", "lease.refresh_s"),
    _LIMIT + "lease.maxStale": Row("2m", "5m", "lease.on_expiry.max_stale_s"),
    _LIMIT + "onExpiry": Row("Open", "Closed", "lease.on_expiry.then"),
    _CLASS + "name": Row("pay", "gold", "lease.classes.rps", CLASS),
    _CLASS + "priority": Row(0, 10, "lease.classes.priority", CLASS),
    _CLASS + "guaranteed": Row(10, 250, "lease.classes.guaranteed_rps", CLASS),
    _CLASS + "ceiling": Row(20, 30, "lease.classes.ceiling_rps", CLASS),
    _CLASS + "match.header": Row("X-Pay", "X-Tier", "lease.classes.match.header", CLASS),
    _CLASS + "match.value": Row(
        "gold", "silver", "lease.classes.match.value", {**CLASS, _CLASS + "match.header": "X-Tier"}
    ),
    _CLASS + "onExpiry": Row("Open", "Closed", "lease.classes.then", CLASS),
    _CLIENT + "window": Row("10s", "60s", "lease.client_window_s"),
    _CLIENT + "deviations": _GONE,
    _CLIENT + "leastRatio": _GONE,
    _CLIENT + "leastClients": _GONE,
    _CLIENT + "abusiveShare": _GONE,
}

_SIM = "spec.simulation."
ROWS |= {
    _SIM + "startUp": Row("90s", "4m", "replay.violations"),
    _SIM + "startUpSpread": Row(0.1, 0.8, "replay.violations"),
    _SIM + "ramp": Row("30s", "5m", "replay.violations"),
    _SIM + "rampInitial": Row(0.5, 0.1, "replay.violations"),
    _SIM + "serviceTime": Row("50ms", "20ms", "replay.p99_s"),
    _SIM + "concurrency": Row(8, 64, "replay.violations"),
    _SIM + "timeout": Row("2s", "10s", "replay.violations"),
    _SIM + "retryShare": Row(0.5, 0.9, "replay.violations"),
    _SIM + "collapse": Row(0.5, 0.0, "replay.violations"),
    _SIM + "tick": Row("15s", "30s", "replay.violations"),
    _SIM + "scrapeInterval": Row("15s", "60s", "replay.violations"),
    _SIM + "rateWindow": Row("1m", "5m", "replay.violations"),
    _SIM + "queryDelay": Row("1s", "60s", "replay.violations"),
    _SIM + "watchLag": Row("1s", "60s", "replay.violations"),
}

# The user's autoscaler: beside us in the loop, and against us in a replay.
_HPA, _METRIC = "spec.hpa.", "spec.hpa.metrics[]."
_PASTED = Carried("of the user's manifest, pasted whole; a replay models its metric, not its name")


def _metric(kind: str, target: str, value: Any) -> dict[str, Any]:
    key = target[:1].lower() + target[1:]
    if kind == "Resource":
        key, source = "averageUtilization", {"name": "cpu"}
    else:
        source = {"metric": {"name": "requests_per_second"}}
    return {
        "spec.hpa.maxReplicas": 40,
        "spec.hpa.metrics": [
            {"type": kind, kind.lower(): {**source, "target": {"type": target, key: value}}}
        ],
    }


CPU, PODS = _metric("Resource", "Utilization", 60), _metric("Pods", "AverageValue", 30)
EXTERNAL, WHOLE = _metric("External", "AverageValue", 30), _metric("External", "Value", 200)
ONLY_ONE = "must not be given where type is"
SHOWN = "plan.hpa_replicas"


def _behavior(way: str) -> Iterator[tuple[str, Row]]:
    """Yield the rows of one direction."""
    at, policies = f"{_HPA}behavior.{way}.", f"{_HPA}behavior.{way}.policies[]."
    given = {**PODS, policies + "type": "Pods", policies + "value": 3}
    given |= {policies + "periodSeconds": 60}
    yield at + "stabilizationWindowSeconds", Row(0, 240, SHOWN, PODS)
    yield at + "selectPolicy", Row("Max", "Disabled", SHOWN, PODS)
    yield at + "tolerance", Row("0.1", "0.9", SHOWN, PODS)
    yield policies + "type", Row("Pods", "Percent", SHOWN, given)
    yield policies + "value", Row(1, 3, SHOWN, given)
    yield policies + "periodSeconds", Row(60, 120, SHOWN, given)


ROWS |= {
    _HPA + "scaleTargetRef.apiVersion": _PASTED,
    _HPA + "scaleTargetRef.kind": _PASTED,
    _HPA + "scaleTargetRef.name": _PASTED,
    _HPA + "minReplicas": Row(2, 8, SHOWN, PODS),
    _HPA + "maxReplicas": Row(40, 6, SHOWN, PODS),
    _METRIC + "type": Row("Pods", "Resource", SHOWN, PODS, {
        **CPU, _METRIC + "pods": MISSING,
    }),
    _METRIC + "object": Refused({}, "must not be given", PODS),
    _METRIC + "containerResource": Refused({}, "must not be given", PODS),
    _METRIC + "resource.name": Refused("memory", "must be cpu", CPU),
    _METRIC + "resource.target.type": Refused(
        "Value",
        "must have a target of type",
        {
            **CPU,
            _METRIC + "resource.target.averageUtilization": MISSING,
            _METRIC + "resource.target.value": 30,
        },
    ),
    _METRIC + "resource.target.averageUtilization": Row(60, 90, SHOWN, CPU),
    _METRIC + "resource.target.averageValue": Refused(30, ONLY_ONE, CPU),
    _METRIC + "resource.target.value": Refused(30, ONLY_ONE, CPU),
    _METRIC + "pods.metric.name": _PASTED,
    _METRIC + "pods.metric.selector": _PASTED,
    _METRIC + "pods.target.type": Refused(
        "Value",
        "must have a target of type",
        {
            **PODS,
            _METRIC + "pods.target.averageValue": MISSING,
            _METRIC + "pods.target.value": 30,
        },
    ),
    _METRIC + "pods.target.averageUtilization": Refused(60, ONLY_ONE, PODS),
    _METRIC + "pods.target.averageValue": Row(30, 50, SHOWN, PODS),
    _METRIC + "pods.target.value": Refused(30, ONLY_ONE, PODS),
    _METRIC + "external.metric.name": _PASTED,
    _METRIC + "external.metric.selector": _PASTED,
    _METRIC + "external.target.type": Row("AverageValue", "Value", SHOWN, EXTERNAL, WHOLE),
    _METRIC + "external.target.averageUtilization": Refused(60, ONLY_ONE, EXTERNAL),
    _METRIC + "external.target.averageValue": Row(30, 50, SHOWN, EXTERNAL),
    _METRIC + "external.target.value": Row(200, 400, SHOWN, WHOLE),
    **dict(_behavior("scaleUp")),
    **dict(_behavior("scaleDown")),
}  # fmt: skip
