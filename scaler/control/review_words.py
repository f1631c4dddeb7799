"""Reviews in words: what was chosen, why, and what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from scaler.control.snapshot import ServiceView
from scaler.decision.objective import LEAST_DAYS, Choice, ChoiceReason, Objective, Spent, Tuning

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def per_cent(share: float) -> str:
    """Return a share in per cent.

    >>> per_cent(0.00052)
    '0.052 %'
    """
    return f"{100 * share:.2g} %"


def asked(objective: Objective) -> str:
    """Return what is asked.

    >>> asked(Objective(violations=0.001))
    'at most 0.1 % of the requests late, dropped or refused'
    """
    if objective.violations is not None:
        return f"at most {per_cent(objective.violations)} of the requests late, dropped or refused"
    return f"the least cost, where a failed request costs {objective.price:g} served ones"


def came_to(replica_hours: float, violations: float) -> str:
    """Return what settings came to."""
    return f"{replica_hours:,.0f} replica-hours and {per_cent(violations)}"


def plain_choice(choice: Choice, objective: Objective) -> dict[str, Any]:
    """Return JSON values of a choice; what is not known is None."""
    one, spent = choice.tuning, choice.spent
    return {
        "risk": one.risk,
        "target_utilization": one.target_utilization,
        "stabilization_seconds": one.stabilization_s,
        "reason": choice.reason.value,
        "days": spent.days,
        "replica_hours": round(spent.replica_hours, 1),
        "violations": float(f"{spent.violations:.4g}"),
        "asked_violations": objective.violations,
        "asked_price": objective.price,
        "allowed": choice.allowed,
    }


def chosen_settings(view: ServiceView) -> dict[str, Any] | None:
    """Return JSON values of the settings that a service runs with; None: none are chosen for it."""
    policy, review = view.policy, view.review
    if policy.objective is None:
        return None
    if review is None:
        none = Choice(policy.tuning, ChoiceReason.TOO_LITTLE_PAST, Spent())
        return plain_choice(none, policy.objective)
    saved = review.given.replica_hours - review.stood.replica_hours
    return {
        **plain_choice(review.choice, review.objective),
        "saved_replica_hours": round(saved, 1),
        "next_review": day_text(review.reviewed + 1),
    }


def choice_sentence(plain: Mapping[str, Any]) -> str:
    """Return in words what `plain_choice` holds.

    >>> none = Choice(Tuning(), ChoiceReason.TOO_LITTLE_PAST, Spent())
    >>> choice_sentence(plain_choice(none, Objective(violations=0.001)))
    'risk 0.05, targetUtilization 0.8, stabilization 300s stand: 0 days have been replayed, and 3 \
are needed to choose.'
    """
    chosen = Tuning(plain["risk"], plain["target_utilization"], plain["stabilization_seconds"])
    days = f"{plain['days']} days"
    spent = f"{came_to(plain['replica_hours'], plain['violations'])} in {days}"
    allowed = plain.get("allowed")
    within = "" if allowed is None else f" within the {per_cent(allowed)} allowed"
    match ChoiceReason(plain["reason"]):
        case ChoiceReason.TOO_LITTLE_PAST:
            return (
                f"{chosen} stand: {days} have been replayed, and {LEAST_DAYS} are needed to choose."
            )
        case ChoiceReason.CHEAPEST:
            return f"{chosen} are the cheapest{within}: {spent}."
        case ChoiceReason.STANDS:
            return f"{chosen} stand, for nothing{within} saves enough: {spent}."
        case ChoiceReason.STEPPED:
            return f"{chosen} are a step towards cheaper ones{within}: {spent}."
        case ChoiceReason.UNREACHABLE:
            kept = f"No settings kept the objective{within and f',{within}'}"
            return f"{kept}; {chosen} broke the least: {spent}."


def settings_sentence(plain: Mapping[str, Any] | None) -> str | None:
    """Return in words what `chosen_settings` holds; None: there is nothing to say."""
    if plain is None:
        return None
    violations, price = plain.get("asked_violations"), plain.get("asked_price")
    text = f"Asked is {asked(Objective(violations, price))}. {choice_sentence(plain)}"
    saved = plain.get("saved_replica_hours")
    if saved is None:
        return text
    verb = "saved" if saved >= 0 else "cost"
    return (
        f"{text} Against the policy's own settings, what was chosen {verb} {abs(saved):,.1f} "
        f"replica-hours. Next review: {plain['next_review']}."
    )


def day_text(number: int) -> str:
    """Return a day that is counted since the epoch.

    >>> day_text(20788)
    '2026-12-01'
    """
    return f"{_EPOCH + timedelta(days=number):%Y-%m-%d}"
