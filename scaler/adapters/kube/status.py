"""The status of a DemandPolicy: written when it says something new, and only then."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from scaler.adapters.kube.client import KubernetesApi, Object
from scaler.adapters.kube.objects import time_text
from scaler.adapters.kube.paths import policy_path
from scaler.control.cluster_port import PolicyStatus
from scaler.errors import ClusterAbsentError

_DIGITS = 3  # of a rate
# Rates and what is remembered move at every tick: they are news so often, the rest at once.
_QUIET_S = 60.0
_MOVING = frozenset({"demandQps", "limitQps", "published"})


def status_object(status: PolicyStatus, before: Mapping[str, Any], now: float) -> Object:
    """Return a status as the CRD has it; unknown is null.

    A condition keeps its time until its status changes, as Kubernetes asks for.
    """
    known = {one["type"]: one for one in before.get("conditions") or ()}
    conditions = []
    for one in status.conditions:
        said = "True" if one.status else "False"
        last = known.get(one.kind.value, {})
        since = last.get("lastTransitionTime") if last.get("status") == said else None
        conditions.append(
            {
                "type": one.kind.value,
                "status": said,
                "reason": one.reason,
                "message": one.message[:32768],  # what the API server takes
                "lastTransitionTime": since or time_text(now),
                "observedGeneration": status.generation,
            }
        )
    return {
        "observedGeneration": status.generation,
        "floor": status.floor,
        "demandQps": _rate(status.demand_qps),
        "limitQps": _rate(status.limit_qps),
        "trusted": status.trusted,
        "conditions": conditions,
        "published": dict(status.published) if status.published is not None else None,
    }


def is_news(wanted: Mapping[str, Any], before: Mapping[str, Any], *, moving: bool = True) -> bool:
    """Return whether a status differs; null is the same as not there.

    Args:
        wanted: what it is to be; before: as it stands.
        moving: whether what moves all the time counts.
    """
    return _plain(wanted, moving) != _plain(before, moving)


def _plain(status: Mapping[str, Any], moving: bool) -> Object:
    return {
        key: value
        for key, value in status.items()
        if value is not None and (moving or key not in _MOVING)
    }


def _rate(qps: float | None) -> float | None:
    """Return a rate in three digits.

    >>> _rate(1234.5678), _rate(0.012345), _rate(float("nan"))
    (1230.0, 0.0123, None)
    """
    if qps is None or not math.isfinite(qps):
        return None
    return float(f"{qps:.{_DIGITS}g}")


class StatusWriter:
    """Writes statuses; ``last`` returns the status that stands, ``keep`` is given what is new."""

    def __init__(
        self,
        api: KubernetesApi,
        last: Callable[[str], Mapping[str, Any] | None],
        keep: Callable[[Object], None],
    ) -> None:
        self._api, self._last, self._keep = api, last, keep
        self._written_at: dict[str, float] = {}

    def publish(self, item_id: str, status: PolicyStatus, now: float) -> bool:
        before = self._last(item_id)
        if before is None:
            return False  # the policy is gone
        wanted = status_object(status, before, now)
        quiet = now - self._written_at.get(item_id, -math.inf) < _QUIET_S
        if not is_news(wanted, before, moving=not quiet):
            return False
        # A merge would keep what a former `published` had beside what this one has.
        changes = {**wanted, "published": _replaced(wanted["published"], before.get("published"))}
        try:
            self._keep(self._api.patch(policy_path(item_id, "status"), {"status": changes}))
        except ClusterAbsentError:
            return False
        self._written_at[item_id] = now
        return True


def _replaced(wanted: object, before: object) -> object:
    """Return the merge patch that turns one JSON value into another (RFC 7386).

    >>> _replaced({"a": {"b": 1}}, {"a": {"c": 2}, "d": 3})
    {'a': {'b': 1, 'c': None}, 'd': None}
    """
    if not isinstance(wanted, dict) or not isinstance(before, dict):
        return wanted
    changed = {key: _replaced(value, before.get(key)) for key, value in wanted.items()}
    return {**changed, **{key: None for key in before if key not in wanted}}
