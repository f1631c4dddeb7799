"""CEL rules across the keys of a DemandPolicy, by the path of the object that they check.

They are the same as the validators of policy files; `tests/scaler/policy/test_crd.py` checks both
on the same examples. ``[]`` stands for any entry of a list. Lists are bounded, so that the cost of
evaluating a rule is bounded too. Only functions of Kubernetes 1.27 are used.
"""

from __future__ import annotations

from typing import Any

from scaler.limits.header_match import STRESS, STRESS_MATCH
from scaler.limits.lease import (
    LEAST_REFRESH_S,
    LEAST_VALID_S,
    MAX_AGE_S,
    MAX_REFRESH_S,
    LeaseTerms,
)

_TERMS = LeaseTerms()


def duration_text(seconds: float) -> str:
    """Return a length of time as a policy writes it: ``90.0`` is ``1m30s``."""
    thousandths = round(seconds * 1000)
    parts = []
    for size, unit in ((3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")):
        count, thousandths = divmod(thousandths, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def _length(seconds: float) -> str:
    return f"duration('{duration_text(seconds)}')"


def _within(key: str, least_s: float, most_s: float) -> tuple[str, str]:
    """Return the rule that a length is within bounds, both included."""
    rule = (
        f"!has(self.{key}) || (duration(self.{key}) >= {_length(least_s)} && "
        f"duration(self.{key}) <= {_length(most_s)})"
    )
    return rule, f"{key} must be from {duration_text(least_s)} to {duration_text(most_s)}"


def _beside(kind: str, key: str) -> tuple[str, str]:
    """Return the rule that a key is given with this type, and with no other."""
    rule = f"has(self.{key}) == (self.type == '{kind}')"
    return rule, f"{key} must be given where type is {kind}, and only there"


def _target(*kinds: str) -> list[tuple[str, str]]:
    """Return the rules of the target of a metric that may be of these types."""
    rule = " || ".join(f"self.type == '{kind}'" for kind in kinds)
    values = {
        "Utilization": "averageUtilization",
        "AverageValue": "averageValue",
        "Value": "value",
    }
    wrong = f"must have a target of type {' or '.join(kinds)}; a replay models no other"
    return [(rule, wrong), *(_beside(kind, key) for kind, key in values.items())]


# Of several metrics those that a replay does not model are left out; one must be left.
_LEFT_OUT = (
    "self.type == 'Object' || self.type == 'ContainerResource' || "
    "(self.type == 'Resource' && has(self.resource) && self.resource.name != 'cpu')"
)
_GUARANTEED = "classes.map(c, has(c.guaranteed) ? c.guaranteed : 0.0).sum()"
_METRIC = ("spec", "hpa", "metrics", "[]")

RULES: dict[tuple[str, ...], list[tuple[str, str]]] = {
    ("spec", "objective"): [
        (
            "!has(self.violations) || !has(self.price)",
            "price must not be given beside violations; keep one of the two",
        ),
    ],
    ("spec",): [
        (
            (
                "!has(self.objective) || !has(self.demand) || !has(self.demand.risk) || "
                "!has(self.capacity) || !has(self.capacity.targetUtilization) || "
                "!has(self.replicas.stabilization)"
            ),
            (
                "objective must not be given beside demand.risk, capacity.targetUtilization and "
                "replicas.stabilization; leave out one of these"
            ),
        ),
        (
            "has(self.slo) || (has(self.capacity) && has(self.capacity.requestsPerReplica))",
            (
                "capacity.requestsPerReplica is missing, and there is no slo.query to learn it "
                "from; give one of the two"
            ),
        ),
        *(
            (
                (
                    f"{headroom}has(self.limit.headroom) || !has(self.limit.classes) || "
                    "!has(self.capacity) || !has(self.capacity.requestsPerReplica) || "
                    f"self.limit.{_GUARANTEED} <= "
                    f"self.capacity.requestsPerReplica * double(self.replicas.max){times}"
                ),
                "classes must not guarantee more than replicas.max x requestsPerReplica x headroom",
            )
            for headroom, times in (
                ("!has(self.limit) || ", ""),
                ("!has(self.limit) || !", " * self.limit.headroom"),
            )
        ),
    ],
    ("spec", "replicas"): [
        (
            "!has(self.min) || self.min <= self.max",
            "max must be at least min; swap the two?",
        ),
    ],
    ("spec", "demand", "events", "[]"): [
        (
            "has(self.recurs) != has(self.starts) && has(self.starts) == has(self.ends)",
            "starts and ends must be given, or recurs",
        ),
        (
            "!has(self.starts) || !has(self.ends) || self.starts < self.ends",
            "ends must be after starts",
        ),
        (
            (
                "has(self.multiplier) != has(self.qps) || "
                "(has(self.learn) && self.learn && !has(self.qps))"
            ),
            "exactly one of multiplier and qps must be given",
        ),
        (
            "!has(self.qps) || !has(self.learn) || !self.learn",
            "qps must not be given beside learn",
        ),
    ],
    ("spec", "limit"): [
        (
            (
                "!has(self.safeRequestsPerSecond) || !has(self.ceilingRequestsPerSecond) || "
                "self.safeRequestsPerSecond <= self.ceilingRequestsPerSecond"
            ),
            "safeRequestsPerSecond must be at most ceilingRequestsPerSecond",
        ),
        (
            (
                "!has(self.classes) || !has(self.ceilingRequestsPerSecond) || "
                f"self.{_GUARANTEED} <= self.ceilingRequestsPerSecond"
            ),
            "classes must not guarantee more than ceilingRequestsPerSecond",
        ),
    ],
    ("spec", "limit", "classes"): [
        (
            (
                "self.all(a, !has(a.match) || self.exists_one(b, has(b.match) && "
                "a.match.header.lowerAscii() == b.match.header.lowerAscii() && "
                "has(a.match.value) == has(b.match.value) && "
                "(!has(a.match.value) || a.match.value == b.match.value)))"
            ),
            "classes must each match another header, or another value of it",
        ),
        (
            (
                f"!self.exists(a, a.name == '{STRESS}' && !has(a.match)) || !self.exists(b, "
                "has(b.match) && !has(b.match.value) && "
                f"b.match.header.lowerAscii() == '{STRESS_MATCH.header}')"
            ),
            f"the class {STRESS} matches {STRESS_MATCH.header}, and so does another",
        ),
    ],
    ("spec", "limit", "lease"): [
        _within("validFor", LEAST_VALID_S, MAX_AGE_S),
        _within("maxStale", 0.0, MAX_AGE_S),
        _within("refresh", LEAST_REFRESH_S, MAX_REFRESH_S),
        *(
            (rule, "refresh must be at most half of validFor")
            for rule in (
                (
                    "!has(self.refresh) || !has(self.validFor) || "
                    "duration(self.refresh) + duration(self.refresh) <= duration(self.validFor)"
                ),
                (
                    "has(self.refresh) || !has(self.validFor) || "
                    f"{_length(2 * _TERMS.refresh_s)} <= duration(self.validFor)"
                ),
                (
                    "!has(self.refresh) || has(self.validFor) || "
                    f"duration(self.refresh) <= {_length(_TERMS.valid_for_s / 2)}"
                ),
            )
        ),
    ],
    ("spec", "limit", "classes", "[]"): [
        (
            "!has(self.ceiling) || !has(self.guaranteed) || self.guaranteed <= self.ceiling",
            "ceiling must be at least guaranteed",
        ),
    ],
    ("spec", "hpa"): [
        (
            "!has(self.minReplicas) || self.minReplicas <= self.maxReplicas",
            "maxReplicas must be at least minReplicas; swap the two?",
        ),
    ],
    _METRIC[:-1]: [
        (
            f"size(self) == 0 || self.exists(m, !({_LEFT_OUT.replace('self.', 'm.')}))",
            "a metric must be of type Pods, External, or Resource cpu; a replay models no other",
        ),
    ],
    _METRIC: [
        (f"{_LEFT_OUT} || {rule}", message)
        for rule, message in (
            *(_beside(kind, kind.lower()) for kind in ("Resource", "Pods", "External")),
            (
                "(!has(self.object) && !has(self.containerResource))",
                "object and containerResource must not be given beside another type",
            ),
        )
    ],
    (*_METRIC, "resource"): [
        (
            "self.name != 'cpu' || self.target.type == 'Utilization'",
            "must have a target of type Utilization; a replay models no other",
        ),
    ],
    (*_METRIC, "resource", "target"): _target("Utilization", "AverageValue", "Value"),
    (*_METRIC, "pods", "target"): _target("AverageValue"),
    (*_METRIC, "external", "target"): _target("AverageValue", "Value"),
}

_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
LISTS: dict[tuple[str, ...], dict[str, Any]] = {
    ("spec", "demand", "events"): {"maxItems": 64, **_BY_NAME},
    ("spec", "limit", "classes"): {"maxItems": 64, **_BY_NAME},
    ("spec", "hpa", "metrics"): {"maxItems": 16},
    ("spec", "hpa", "behavior", "scaleUp", "policies"): {"maxItems": 16},
    ("spec", "hpa", "behavior", "scaleDown", "policies"): {"maxItems": 16},
}
