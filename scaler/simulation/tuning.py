"""What a service's settings would have been, chosen night by night on its own past."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from forecaster.data.series import Series
from scaler.decision.days import day_of
from scaler.decision.objective import LEAST_DAYS, Objective, ReviewRules, Spent
from scaler.decision.review import Review
from scaler.errors import ReplayError
from scaler.hpa.aim import share_of
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import plain_hpa
from scaler.simulation.contest import HPA, ContestJob
from scaler.simulation.preparation import capacity_of
from scaler.simulation.review import PastDays, Subject, reviewed

WALKED, GIVEN, ALONE = "self-chosen, night by night", "the policy's settings", "your HPA alone"


@dataclass(frozen=True, eq=False)
class Tuned:
    """What a tuning came to.

    Attributes:
        rules: what settings were chosen by.
        review: the last one; its days are those that are compared.
        hpa: what the user's autoscaler came to on these days, without a floor.
        own_target: of that autoscaler, as a share of a replica's capacity.
    """

    rules: ReviewRules
    review: Review
    hpa: Spent
    own_target: float


def compared(found: Tuned) -> dict[str, Spent]:
    """Return what is compared, by name."""
    return {WALKED: found.review.stood, GIVEN: found.review.given, ALONE: found.hpa}


def rules_of(policy: Policy, capacity_qps: float) -> ReviewRules:
    """Return what a policy's settings are chosen by: its objective, or what its SLO leaves."""
    objective = policy.objective or Objective(violations=1 - policy.slo.objective)
    return ReviewRules(objective, policy.tuning, capacity_qps * 3600, policy.overrides)


def tune(
    subject: Subject, series: Series, rules: ReviewRules, doing: Callable[[str], None]
) -> Tuned:
    """Return what settings would have been chosen, night by night, and what that came to.

    Args:
        subject: the service.
        series: its history.
        rules: what is chosen by.
        doing: told what is worked at.

    Raises:
        ReplayError: too few days of the history can be replayed, or the policy does not say what a
            replica sustains.
    """
    capacity = capacity_of(subject.policy)
    days = PastDays(subject, series, doing)
    today = day_of(series.end.timestamp())
    review = reviewed(days, rules, None, today)
    if len(review.days) < LEAST_DAYS:
        raise ReplayError(
            f"{series.item_id}: from {series.start} to {series.end} there are "
            f"{len(days.numbers(today))} whole days of UTC, of which {len(review.days)} can be "
            f"replayed, but {LEAST_DAYS} are needed to choose by, and a day and an hour before "
            "them; give a longer history"
        )
    hpa = subject.settings.hpa or plain_hpa(subject.policy)
    own = share_of(hpa, capacity)
    alone = Spent()
    for day in review.days:
        doing("your autoscaler")
        one = days.replay(day.number)
        assert one is not None, "a day that was reviewed was replayed"
        alone += one.spent_by_rival(ContestJob(HPA, own))
    return Tuned(rules, review, alone, own)
