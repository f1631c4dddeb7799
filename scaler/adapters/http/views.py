"""JSON views of a snapshot and of its services, for people, the page and scripts.

What is not known is null, never 0. Times are seconds since the epoch; demand is in requests per
second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

from scaler.adapters.http.lease_document import is_trusted
from scaler.control.event_words import event_levels, event_sentence
from scaler.control.reason_words import (
    demand_sentence,
    floor_sentence,
    limit_sentence,
    plan_sentence,
)
from scaler.control.review_words import chosen_settings, settings_sentence
from scaler.control.saved import plain_money, saved_by, saved_in_all, saved_sentence
from scaler.control.snapshot import (
    ConditionKind,
    CostLedger,
    PublishedForecast,
    RecentTicks,
    ServiceView,
    Snapshot,
)
from scaler.decision.decide import Decision
from scaler.decision.trust import Trust
from scaler.limits.published_limit import PublishedLimit

Json = dict[str, object]


def summary(view: ServiceView) -> Json:
    """Return the summary of a service."""
    decision, published = view.decision, view.published_limit
    return {
        "service": view.item_id,
        "at": view.at,
        "mode": view.policy.mode.value,
        "observed_qps": number(view.observed_qps),
        "demand_qps": number(decision.demand.qps) if decision else None,
        "replicas": view.replicas,
        "ready": view.ready,
        "floor": view.floor,
        "plan": decision.plan.replicas if decision else None,
        "hpa_replicas": view.hpa_replicas,
        "limit_qps": number(published.limit.qps) if published else None,
        "binding": published.limit.reason.value if published else None,
        "trusted": is_trusted(view),
        "saved": _saved(view),
        "settings": chosen_settings(view),
        "error": view.error,
    }


def forecast_view(view: ServiceView) -> Json:
    """Return the forecast and how far it is trusted."""
    return {
        "service": view.item_id,
        "at": view.at,
        "fan": _forecast(view.forecast) if view.forecast else None,
        "trust": _trust(view.trust) if view.trust else None,
        "trusted": is_trusted(view),
    }


def plan_view(view: ServiceView) -> Json:
    """Return the floor and the limit, with what bound them."""
    policy, decision = view.policy, view.decision
    return {
        **summary(view),
        "target": policy.target,
        "min_replicas": policy.scale.min_replicas,
        "max_replicas": policy.scale.max_replicas,
        "wanted": decision.plan.wanted if decision else None,
        "why": decision.why() if decision else None,
        "limit": _published_limit(view.published_limit) if view.published_limit else None,
        "events": [
            {
                "name": event.name,
                "starts": event.starts,
                "ends": event.ends,
                "multiplier": event.multiplier,
                "qps": event.qps,
            }
            for event in policy.events_after(view.at)
        ],
        "event_levels": list(event_levels(view)),
    }


def explanation_view(view: ServiceView) -> Json:
    """Return the reasons of the decision, in sentences and as values."""
    decision = view.decision
    return {
        "service": view.item_id,
        "at": view.at,
        "words": list(_sentences(view)),
        "values": decision.why() if decision else None,
        "conditions": _conditions(view),
        "error": view.error,
    }


def service_view(view: ServiceView) -> Json:
    """Return everything that the page shows of one service."""
    return {
        **plan_view(view),
        **forecast_view(view),
        "words": list(_sentences(view)),
        "conditions": _conditions(view),
        "recent": _recent(view.recent) if view.recent else None,
        "ledger": _ledger(view.ledger),
    }


def snapshot_view(snapshot: Snapshot, shows: Callable[[str], bool] = lambda _: True) -> Json:
    """Return a snapshot, with the summary of each service that it shows."""
    names = [name for name in sorted(snapshot.services) if shows(name)]
    return {
        "tick": snapshot.tick,
        "at": number(snapshot.at),
        "seconds": number(snapshot.seconds),
        "leader": snapshot.leader,
        "services": [summary(snapshot.services[name]) for name in names],
        "saved": [
            _rounded(plain_money(one))
            for one in saved_in_all(snapshot.services[name] for name in names)
        ],
    }


def number(value: float | None) -> float | None:
    """Return a number for JSON, rounded to four digits; None if it is not finite."""
    return round(float(value), 4) if value is not None and math.isfinite(value) else None


def _sentences(view: ServiceView) -> Iterable[str]:
    if view.error:
        yield f"No decision: {view.error}."
    decision = view.decision
    if decision is not None:
        yield from _decision_sentences(decision)
    if view.floor is not None:
        plan = decision.plan.replicas if decision is not None else None
        ready = next((c.reason for c in view.conditions if c.kind is ConditionKind.READY), None)
        yield floor_sentence(view.floor, plan, ready)
    if view.published_limit is not None:
        limit = view.published_limit.limit
        ready_text = f"{view.published_limit.ready_replicas} ready"
        assumed = f"assumed: {ready_text}" if view.published_limit.assumed else ready_text
        yield limit_sentence(f"{limit.qps:.0f}", limit.reason.value, f" ({assumed})")
        safe = view.policy.safe_qps
        safe_qps = view.published_limit.safe.qps if safe is None else safe
        yield f"After their leases have expired they admit {safe_qps:.0f}."
    if view.hpa_replicas is not None:
        yield f"A plain autoscaler would have {view.hpa_replicas} replicas now."
    if view.forecast is None:
        yield "There is no forecast now."
    elif view.trust is not None:
        yield (
            f"The forecast is {view.trust.standing.value}: "
            f"it covered the demand in {view.trust.coverage:.1%} of the lead times."
        )
    yield from _closing_sentences(view)


def _closing_sentences(view: ServiceView) -> Iterable[str]:
    yield from map(event_sentence, event_levels(view))
    chosen, saved = settings_sentence(chosen_settings(view)), saved_sentence(_saved(view))
    yield from filter(None, (chosen, saved))
    for condition in view.conditions:
        if condition.message:
            yield f"{condition.kind.value} is {condition.status}: {condition.message}"


def _decision_sentences(decision: Decision) -> Iterable[str]:
    demand, plan = decision.demand, decision.plan
    event = f" ({demand.event})" if demand.event else ""
    qps = None if math.isnan(demand.qps) else f"{demand.qps:.0f}"
    yield demand_sentence(qps, demand.reason.value, event)
    capacity = decision.capacity
    yield (
        f"One replica sustains {capacity.qps:.1f} requests per second ({capacity.reason.value}; "
        f"between {capacity.low:.1f} and {capacity.high:.1f})."
    )
    wanted = "" if plan.wanted in (None, plan.replicas) else f", {plan.wanted} wanted"
    yield plan_sentence(plan.replicas, plan.reason.value, wanted)


def _forecast(forecast: PublishedForecast) -> Json:
    return {
        "origin": forecast.origin,
        "step_s": forecast.step_s,
        "levels": list(forecast.levels),
        "values": [[number(qps) for qps in row] for row in forecast.values.tolist()],
        "source": forecast.source,
    }


def _trust(trust: Trust) -> Json:
    return {
        "standing": trust.standing.value,
        "level": number(trust.level),
        "coverage": number(trust.coverage),
        "skill": number(trust.skill),
        "margin_qps": number(trust.margin),
    }


def _published_limit(published: PublishedLimit) -> Json:
    return {
        "qps": number(published.limit.qps),
        "burst": published.limit.burst,
        "reason": published.limit.reason.value,
        "ready_replicas": published.ready_replicas,
        "replica_qps": number(published.replica_qps),
        "safe_qps": number(published.safe.qps),
        "safe_reason": published.safe.reason.value,
        "schedule": [
            {"in_s": step.in_s, "qps": number(step.qps), "reason": step.reason.value}
            for step in published.schedule
        ],
        "classes": [
            {
                "name": c.name,
                "priority": c.priority,
                "guaranteed_qps": c.guaranteed_qps,
                "ceiling_qps": c.ceiling_qps,
                "match": None
                if c.match is None
                else {"header": c.match.header, "value": c.match.value},
                "then": c.then.value,
            }
            for c in published.classes
        ],
    }


def _recent(recent: RecentTicks) -> Json:
    names = ("stamps", "qps", "replicas", "floor", "plan", "hpa", "limit")
    return {name: [number(x) for x in getattr(recent, name).tolist()] for name in names}


def _ledger(ledger: CostLedger) -> Json:
    return {
        "seconds": number(ledger.seconds),
        "replica_hours": number(ledger.replica_hours),
        "hpa_replica_hours": number(ledger.hpa_replica_hours),
        "saved_replica_hours": number(ledger.hpa_replica_hours - ledger.replica_hours),
        "short_s": number(ledger.short_s),
        "hpa_short_s": number(ledger.hpa_short_s),
    }


def _saved(view: ServiceView) -> Json | None:
    saved = saved_by(view)
    return None if saved is None else _rounded(saved.plain())


def _rounded(plain: Json) -> Json:
    return {key: number(one) if isinstance(one, float) else one for key, one in plain.items()}


def _conditions(view: ServiceView) -> list[Json]:
    return [
        {
            "kind": condition.kind.value,
            "status": condition.status,
            "reason": condition.reason,
            "message": condition.message,
        }
        for condition in view.conditions
    ]
