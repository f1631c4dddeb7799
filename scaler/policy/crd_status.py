"""The status schema of a DemandPolicy, and the columns that `kubectl get dp` prints."""

from __future__ import annotations

from typing import Any

COLUMNS = [
    {"name": "MODE", "type": "string", "jsonPath": ".spec.mode"},
    {
        "name": "FLOOR",
        "type": "integer",
        "jsonPath": ".status.floor",
        "description": "The autoscaler's minReplicas, as it stands.",
    },
    {
        "name": "PLAN",
        "type": "integer",
        "jsonPath": ".status.plan",
        "description": "Replicas that are asked for at least.",
    },
    {
        "name": "DEMAND",
        "type": "number",
        "jsonPath": ".status.demandQps",
        "description": "Requests per second expected within the lead time.",
    },
    {
        "name": "LIMIT",
        "type": "number",
        "jsonPath": ".status.limitQps",
        "description": "Requests per second that gateways may admit.",
    },
    {
        "name": "TRUSTED",
        "type": "boolean",
        "jsonPath": ".status.trusted",
        "description": "Whether the forecast is used.",
    },
    {"name": "AGE", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
]

# As metav1.Condition: kubernetes/apimachinery, pkg/apis/meta/v1.
_CONDITION: dict[str, Any] = {
    "type": "object",
    "required": ["type", "status", "lastTransitionTime", "reason", "message"],
    "properties": {
        "type": {"type": "string", "maxLength": 316},
        "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
        "reason": {
            "type": "string",
            "minLength": 1,
            "maxLength": 1024,
            "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
        },
        "message": {"type": "string", "maxLength": 32768},
        "lastTransitionTime": {"type": "string", "format": "date-time"},
        "observedGeneration": {"type": "integer", "format": "int64", "minimum": 0},
    },
}

STATUS: dict[str, Any] = {
    "type": "object",
    "description": "The latest decision.",
    "properties": {
        "observedGeneration": {
            "type": "integer",
            "format": "int64",
            "description": "Generation of the policy that the decision is based on.",
        },
        "floor": {
            "type": "integer",
            "format": "int32",
            "description": "The autoscaler's minReplicas, as it stands.",
        },
        "plan": {
            "type": "integer",
            "format": "int32",
            "description": "Replicas that are asked for at least. In mode Enforce the floor "
            "follows, unless a condition says why not.",
        },
        "demandQps": {
            "type": "number",
            "description": "Requests per second expected within the lead time.",
        },
        "limitQps": {
            "type": "number",
            "description": "Requests per second that gateways may admit.",
        },
        "trusted": {"type": "boolean", "description": "Whether the forecast is used."},
        "reasons": {
            "type": "object",
            "description": "Why they are as they are; `scaler why` tells it in words.",
            "properties": {
                "demand": {"type": "string", "description": "What the demand was read from."},
                "plan": {"type": "string", "description": "What bound the plan."},
                "limit": {"type": "string", "description": "What bound the limit."},
            },
        },
        "conditions": {
            "type": "array",
            "maxItems": 16,
            "items": _CONDITION,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
        "events": {
            "type": "array",
            "maxItems": 64,
            "description": "What events have brought, as multiples of the demand before them.",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    "name": {"type": "string"},
                    "stated": {"type": "number", "description": "By the policy."},
                    "median": {"type": "number", "description": "That the next is to bring."},
                    "low": {"type": "number", "description": "Of that, at the policy's risk."},
                    "high": {"type": "number", "description": "Of that, at the policy's risk."},
                    "last": {"type": "number", "description": "That the last has brought."},
                    "occurrences": {"type": "integer", "format": "int32"},
                    "learns": {"type": "boolean", "description": "Whether high is planned for."},
                },
            },
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["name"],
        },
        "saved": {
            "type": "object",
            "description": "What the floor has saved against the autoscaler alone, in mode "
            "Enforce; below 0 it cost more.",
            "properties": {
                "replicaHours": {"type": "number"},
                "replicaHoursHalf": {
                    "type": "number",
                    "description": "Half of the 95 % interval; missing with too few days.",
                },
                "seconds": {"type": "number", "description": "That were counted."},
                "days": {
                    "type": "integer",
                    "format": "int32",
                    "description": "Days that the interval rests on.",
                },
                "currency": {"type": "string", "description": "By spec.cost."},
                "amount": {"type": "number", "description": "The same in money."},
                "low": {"type": "number", "description": "Of that, by its 95 % interval."},
                "high": {"type": "number", "description": "Of that, by its 95 % interval."},
            },
        },
        "settings": {
            "type": "object",
            "description": "What is chosen by spec.objective, and what it came to on the past.",
            "properties": {
                "risk": {"type": "number"},
                "targetUtilization": {"type": "number"},
                "stabilizationSeconds": {"type": "number"},
                "reason": {"type": "string"},
                "days": {
                    "type": "integer",
                    "format": "int32",
                    "description": "Days of the past that were replayed.",
                },
                "replicaHours": {"type": "number", "description": "On these days."},
                "violations": {"type": "number", "description": "Share of the requests."},
                "askedViolations": {"type": "number", "description": "By spec.objective."},
                "askedPrice": {"type": "number", "description": "By spec.objective."},
                "allowed": {
                    "type": "number",
                    "description": "Share of violations that settings were held to on the past.",
                },
                "savedReplicaHours": {
                    "type": "number",
                    "description": "Against the policy's own settings, in replays of the past.",
                },
                "nextReview": {"type": "string", "description": "Day of UTC."},
            },
        },
        "published": {
            "type": "object",
            "description": "State from which the next leader continues: trust, learned capacity.",
            "x-kubernetes-preserve-unknown-fields": True,
        },
    },
}
