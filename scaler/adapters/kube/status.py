"""The status of a DemandPolicy, which is written only when it has changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from scaler.adapters.kube.client import KubernetesApi, Object
from scaler.adapters.kube.floor_states import FloorState, with_contest
from scaler.adapters.kube.objects import time_text, to_camel
from scaler.adapters.kube.paths import policy_path
from scaler.adapters.kube.recent_values import RecentValues
from scaler.control.checkpoint import to_plain
from scaler.control.cluster_port import PolicyObject, PolicyStatus
from scaler.control.conditions import spec_incomplete
from scaler.control.event_words import event_levels
from scaler.control.review_words import chosen_settings
from scaler.control.saved import saved_by
from scaler.control.snapshot import ServiceView
from scaler.decision.trust import Standing
from scaler.errors import ClusterAbsentError

_SIGNIFICANT_DIGITS = 3  # of a rate
# The plan, rates, reasons and the checkpoint change at every tick. A change of only these is
# written at most once per interval, every other change at once.
_MIN_INTERVAL_S = 60.0
_OFTEN_CHANGING = frozenset({"plan", "demandQps", "limitQps", "reasons", "published", "saved"})
# Objects whose keys come and go.
_OF_KEYS = ("reasons", "published", "saved", "settings")


def policy_status(view: ServiceView, stored: PolicyObject, state: FloorState) -> PolicyStatus:
    """Return the status of a policy after its plan was carried out."""
    decision, trust, published = view.decision, view.trust, view.published_limit
    return PolicyStatus(
        generation=stored.generation,
        floor=view.floor,
        plan=decision.plan.replicas if decision is not None else None,
        demand_qps=decision.demand.qps if decision is not None else None,
        limit_qps=published.limit.qps if published is not None else None,
        trusted=trust.standing is not Standing.BENCHED if trust is not None else None,
        reasons=_reasons(view),
        conditions=(*view.conditions, *spec_incomplete(stored.warnings)),
        published=with_contest(
            stored.published if view.checkpoint is None else to_plain(view.checkpoint), state
        ),
        saved=_saved(view),
        events=tuple(event_levels(view)),
        settings=_settings(view),
    )


def _reasons(view: ServiceView) -> dict[str, str]:
    """Return why the demand, the plan and the limit are as they are; without what is not known."""
    decision, published = view.decision, view.published_limit
    reasons = {}
    if decision is not None:
        reasons = {"demand": decision.demand.reason.value, "plan": decision.plan.reason.value}
    if published is not None:
        reasons["limit"] = published.limit.reason.value
    return reasons


def _settings(view: ServiceView) -> dict[str, object] | None:
    chosen = chosen_settings(view)
    return None if chosen is None else _in_camel(chosen)


def _saved(view: ServiceView) -> dict[str, object] | None:
    saved = saved_by(view)
    if saved is None:
        return None
    return {
        key: float(f"{value:.4g}") if isinstance(value, float) else value
        for key, value in _in_camel(saved.plain()).items()
    }


def _in_camel(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known, by the names that Kubernetes would give."""
    return {to_camel(key): value for key, value in plain.items() if value is not None}


def status_object(status: PolicyStatus, before: Mapping[str, Any], now: float) -> Object:
    """Return a status in the form of the CRD; what is not known is null.

    A condition keeps its lastTransitionTime until its status changes, by Kubernetes' convention.
    """
    before_by_type = {one["type"]: one for one in before.get("conditions") or ()}
    conditions = []
    for one in status.conditions:
        status_text = "True" if one.status else "False"
        previous = before_by_type.get(one.kind.value, {})
        since = (
            previous.get("lastTransitionTime") if previous.get("status") == status_text else None
        )
        conditions.append(
            {
                "type": one.kind.value,
                "status": status_text,
                "reason": one.reason,
                "message": one.message[:32768],  # the longest that the API server accepts
                "lastTransitionTime": since or time_text(now),
                "observedGeneration": status.generation,
            }
        )
    return {
        "observedGeneration": status.generation,
        "floor": status.floor,
        "plan": status.plan,
        "demandQps": _rate(status.demand_qps),
        "limitQps": _rate(status.limit_qps),
        "trusted": status.trusted,
        "reasons": dict(status.reasons) or None,
        "conditions": conditions,
        "events": [dict(one) for one in status.events] or None,
        "saved": dict(status.saved) if status.saved is not None else None,
        "settings": dict(status.settings) if status.settings is not None else None,
        "published": dict(status.published) if status.published is not None else None,
    }


def differs(wanted: Mapping[str, Any], before: Mapping[str, Any], *, all_keys: bool = True) -> bool:
    """Return whether two statuses differ; null equals a missing key.

    Args:
        wanted: the new status.
        before: the current status.
        all_keys: whether the keys that change at every tick count, too.
    """
    return _compared(wanted, all_keys) != _compared(before, all_keys)


def _compared(status: Mapping[str, Any], all_keys: bool) -> Object:
    return {
        key: value
        for key, value in status.items()
        if value is not None and (all_keys or key not in _OFTEN_CHANGING)
    }


def _rate(qps: float | None) -> float | None:
    """Return a rate, rounded to three significant digits; None if it is not finite.

    >>> _rate(1234.5678), _rate(0.012345), _rate(float("nan"))
    (1230.0, 0.0123, None)
    """
    if qps is None or not math.isfinite(qps):
        return None
    return float(f"{qps:.{_SIGNIFICANT_DIGITS}g}")


class StatusWriter:
    """Writes statuses.

    ``current`` returns the current status of a policy; ``update_cache`` is called with each object
    that was written.
    """

    def __init__(
        self,
        api: KubernetesApi,
        current: Callable[[str], Mapping[str, Any] | None],
        update_cache: Callable[[Object], None],
    ) -> None:
        self._api, self._current, self._update_cache = api, current, update_cache
        self._written: RecentValues[str, bool] = RecentValues(_MIN_INTERVAL_S)

    def publish(self, item_id: str, status: PolicyStatus, now: float) -> bool:
        before = self._current(item_id)
        if before is None:
            return False  # the policy is deleted
        wanted = status_object(status, before, now)
        recently_written = self._written.get(item_id, now)
        if not differs(wanted, before, all_keys=not recently_written):
            return False
        # A plain merge would keep keys that `published` had before and has no longer.
        patch = {
            **wanted,
            **{key: _merge_patch(wanted[key], before.get(key)) for key in _OF_KEYS},
        }
        try:
            self._update_cache(self._api.patch(policy_path(item_id, "status"), {"status": patch}))
        except ClusterAbsentError:
            return False
        self._written.put(item_id, True, now)
        return True


def _merge_patch(wanted: object, before: object) -> object:
    """Return the merge patch that turns one JSON value into another (RFC 7386).

    >>> _merge_patch({"a": {"b": 1}}, {"a": {"c": 2}, "d": 3})
    {'a': {'b': 1, 'c': None}, 'd': None}
    """
    if not isinstance(wanted, dict) or not isinstance(before, dict):
        return wanted
    patch = {key: _merge_patch(value, before.get(key)) for key, value in wanted.items()}
    return {**patch, **{key: None for key in before if key not in wanted}}
