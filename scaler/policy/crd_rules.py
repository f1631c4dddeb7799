"""CEL rules across the keys of a DemandPolicy, by the path of the object that they check.

They are the same as the validators of policy files; `tests/scaler/policy/test_crd.py` checks both
on the same examples. ``[]`` stands for any entry of a list. Lists are bounded, so that the cost of
evaluating a rule is bounded too.
"""

from __future__ import annotations

from typing import Any

RULES: dict[tuple[str, ...], list[tuple[str, str]]] = {
    ("spec",): [
        (
            "has(self.slo) || (has(self.capacity) && has(self.capacity.requestsPerReplica))",
            (
                "capacity.requestsPerReplica is missing, and there is no slo.query to learn it "
                "from; give one of the two"
            ),
        ),
    ],
    ("spec", "replicas"): [
        (
            "!has(self.min) || self.min <= self.max",
            "max must be at least min; swap the two?",
        ),
    ],
    ("spec", "demand", "events", "[]"): [
        ("self.starts < self.ends", "ends must be after starts"),
        (
            "has(self.multiplier) != has(self.qps)",
            "exactly one of multiplier and qps must be given",
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
                "self.classes.map(c, has(c.guaranteed) ? c.guaranteed : 0.0).sum() "
                "<= self.ceilingRequestsPerSecond"
            ),
            "classes must not guarantee more than ceilingRequestsPerSecond",
        ),
    ],
    ("spec", "limit", "lease"): [
        (
            (
                "!has(self.refresh) || !has(self.validFor) || "
                "duration(self.refresh) + duration(self.refresh) <= duration(self.validFor)"
            ),
            "refresh must be at most half of validFor",
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
}

_BY_NAME = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]}
LISTS: dict[tuple[str, ...], dict[str, Any]] = {
    ("spec", "demand", "events"): {"maxItems": 64, **_BY_NAME},
    ("spec", "limit", "classes"): {"maxItems": 64, **_BY_NAME},
    ("spec", "hpa", "metrics"): {"maxItems": 1},
    ("spec", "hpa", "behavior", "scaleUp", "policies"): {"maxItems": 16},
    ("spec", "hpa", "behavior", "scaleDown", "policies"): {"maxItems": 16},
}
