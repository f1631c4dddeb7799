"""What a tick decided on one service, as flat values: what a replay has to come to again."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from scaler.adapters.journal.plain_values import to_plain_value
from scaler.control.snapshot import ServiceView
from scaler.decision.decide import Decision
from scaler.decision.trust import Trust
from scaler.limits.published_limit import PublishedLimit

Facts = Mapping[str, Any]

# Figures are worked out anew: another machine's last digits may be others.
SAME = 1e-9


def facts_of(view: ServiceView) -> dict[str, Any]:
    """Return floor, limit and what they rest on, with their reasons, as JSON values."""
    facts: dict[str, Any] = {
        "replicas": view.replicas,
        "ready": view.ready,
        "observed_qps": view.observed_qps,
        "error": view.error,
        "conditions": [
            [one.kind.value, one.status, one.reason, one.message] for one in view.conditions
        ],
    }
    if view.decision is not None:
        facts |= _decided(view.decision)
    if view.published_limit is not None:
        facts |= _published(view.published_limit)
    if view.trust is not None:
        facts |= _trusted(view.trust)
    if view.lead_time is not None:
        facts["lead_s"] = view.lead_time.seconds
        facts["start_up_s"] = view.lead_time.start_up_s
        facts["lead_reason"] = view.lead_time.reason.value
    return {name: to_plain_value(one) for name, one in facts.items() if one is not None}


def _decided(decision: Decision) -> dict[str, Any]:
    why = decision.why()
    return {
        "floor": why["replicas"],
        "floor_reason": why["plan"],
        "wanted": why["wanted"],
        "demand_qps": why["demand_qps"],
        "demand_reason": why["demand"],
        "event": why["event"],
        "capacity_qps": why["capacity_qps"],
        "capacity_reason": why["capacity"],
        "factor": decision.state.capacity_factor,
        "limit_qps": why["limit_qps"],
        "limit_reason": why["limit"],
        "burst": decision.limit.burst,
    }


def _published(published: PublishedLimit) -> dict[str, Any]:
    return {
        "schedule": [[step.in_s, step.qps, step.reason.value] for step in published.schedule],
        "safe_qps": published.safe.qps,
        "safe_reason": published.safe.reason.value,
        "replica_qps": published.replica_qps,
    }


def _trusted(trust: Trust) -> dict[str, Any]:
    return {
        "trust": trust.standing.value,
        "trust_level": trust.level,
        "trust_theta": trust.theta,
        "trust_margin": trust.margin,
        "trust_skill": trust.skill,
    }


def differing(recorded: Facts, replayed: Facts) -> Iterator[str]:
    """Yield the names of the facts that are not the same."""
    for name in {**recorded, **replayed}:
        if not _same(recorded.get(name), replayed.get(name)):
            yield name


def _same(one: object, other: object) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int):
        return one == other or math.isclose(one, other, rel_tol=SAME)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return not any(differing(one, other))
    return one == other
