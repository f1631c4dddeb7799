"""Reviews in words: what was chosen, why, and what it came to."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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


def settings(tuning: Tuning) -> str:
    """Return settings by the names of a policy's keys.

    >>> settings(Tuning())
    'risk 0.05, targetUtilization 0.8, stabilization 300s'
    """
    return (
        f"risk {tuning.risk:g}, targetUtilization {tuning.target_utilization:g}, "
        f"stabilization {tuning.stabilization_s:g}s"
    )


def came_to(spent: Spent) -> str:
    """Return what settings came to."""
    return f"{spent.replica_hours:,.0f} replica-hours and {per_cent(spent.violations)}"


def choice_sentence(choice: Choice, objective: Objective) -> str:
    """Return why the settings stand.

    >>> choice_sentence(Choice(Tuning(), ChoiceReason.TOO_LITTLE_PAST, Spent()), Objective(0.001))
    'risk 0.05, targetUtilization 0.8, stabilization 300s stand: 0 days can be replayed, and 3 are \
needed to choose.'
    """
    chosen, spent = settings(choice.tuning), came_to(choice.spent)
    within = (
        "" if objective.violations is None else f" within the {per_cent(choice.allowed)} allowed"
    )
    match choice.reason:
        case ChoiceReason.TOO_LITTLE_PAST:
            return (
                f"{chosen} stand: {choice.spent.days} days can be replayed, and {LEAST_DAYS} are "
                "needed to choose."
            )
        case ChoiceReason.CHEAPEST:
            return f"{chosen} are the cheapest{within}: {spent} in {choice.spent.days} days."
        case ChoiceReason.STANDS:
            return (
                f"{chosen} stand, for nothing{within} saves enough: {spent} in "
                f"{choice.spent.days} days."
            )
        case ChoiceReason.STEPPED:
            return (
                f"{chosen} are a step towards cheaper ones{within}: {spent} in "
                f"{choice.spent.days} days."
            )
        case ChoiceReason.UNREACHABLE:
            return (
                f"No settings kept{within or ' the objective'}; {chosen} broke the least: {spent} "
                f"in {choice.spent.days} days."
            )


def day_text(number: int) -> str:
    """Return a day that is counted since the epoch.

    >>> day_text(20788)
    '2026-12-01'
    """
    return f"{_EPOCH + timedelta(days=number):%Y-%m-%d}"
