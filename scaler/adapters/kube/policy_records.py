"""What the DemandPolicies of a cluster say of the latest decision, as plain values.

Their keys are those of the endpoint's views; what a status does not hold is missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scaler.adapters.kube.client import KubernetesApi
from scaler.adapters.kube.objects import from_camel, parse_time
from scaler.adapters.kube.paths import POLICIES, list_path, policy_path
from scaler.control.event_words import event_sentence
from scaler.control.reason_words import (
    demand_sentence,
    floor_sentence,
    limit_sentence,
    plan_sentence,
)
from scaler.control.review_words import settings_sentence
from scaler.control.saved import saved_sentence
from scaler.policy.policy import Mode

PolicyRecord = dict[str, Any]


def policy_records(api: KubernetesApi, namespace: str | None) -> Iterator[PolicyRecord]:
    """Yield the record of each policy; raises ClusterError."""
    for page in api.pages(list_path(POLICIES, "demandpolicies", namespace)):
        yield from map(policy_record, page["items"])


def read_policy_record(api: KubernetesApi, item_id: str) -> PolicyRecord:
    """Return the record of one policy; raises ClusterError, ClusterAbsentError if it is none."""
    return policy_record(api.get(policy_path(item_id)))


def policy_record(found: Mapping[str, Any]) -> PolicyRecord:
    """Return what a policy and its status say."""
    meta, status = found["metadata"], found.get("status") or {}
    conditions = [
        {
            "kind": one["type"],
            "status": one["status"] == "True",
            "reason": one["reason"],
            "message": one["message"],
        }
        for one in status.get("conditions") or ()
    ]
    return {
        "service": f"{meta['namespace']}/{meta['name']}",
        "created": parse_time(meta.get("creationTimestamp")),
        "mode": found["spec"].get("mode", Mode.RECOMMEND.value),
        "demand_qps": status.get("demandQps"),
        "floor": status.get("floor"),
        "plan": status.get("plan"),
        "limit_qps": status.get("limitQps"),
        "binding": (status.get("reasons") or {}).get("limit"),
        "trusted": status.get("trusted"),
        "reasons": status.get("reasons"),
        "saved": _named(status.get("saved")),
        "settings": _named(status.get("settings")),
        "event_levels": list(status.get("events") or ()),
        "conditions": conditions,
        "words": list(_sentences(status, conditions)),
    }


def _sentences(status: Mapping[str, Any], conditions: list[dict[str, Any]]) -> Iterator[str]:
    if not status:
        yield "No decision: its status is empty; does a scaler run that watches it?"
    reasons = status.get("reasons") or {}
    demand, plan, limit = (status.get(key) for key in ("demandQps", "plan", "limitQps"))
    if demand is not None or "demand" in reasons:
        yield demand_sentence(_rate(demand), reasons.get("demand"))
    if plan is not None:
        yield plan_sentence(plan, reasons.get("plan"))
    if status.get("floor") is not None:
        ready = next((one["reason"] for one in conditions if one["kind"] == "Ready"), None)
        yield floor_sentence(status["floor"], plan, ready)
    if limit is not None:
        yield limit_sentence(f"{limit:.4g}", reasons.get("limit"))
    if status.get("trusted") is not None:
        yield f"The forecast is {'' if status['trusted'] else 'not '}acted on."
    yield from map(event_sentence, status.get("events") or ())
    chosen, saved = (_named(status.get(key)) for key in ("settings", "saved"))
    yield from filter(None, (settings_sentence(chosen), saved_sentence(saved)))
    for one in conditions:
        if one["message"] or not one["status"]:
            message = f": {one['message']}" if one["message"] else ""
            yield f"{one['kind']} is {one['status']}, {one['reason']}{message}"


def _named(found: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return an object of a status with the keys that the endpoint's views have."""
    return {from_camel(key): value for key, value in found.items()} if found else None


def _rate(qps: float | None) -> str | None:
    return None if qps is None else f"{qps:.4g}"
