"""A review as plain values, as it is kept in a policy's status for the next leader."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from scaler.decision.objective import Choice, ChoiceReason, Objective, Spent, Tuning
from scaler.decision.review import Review, ReviewedDay, TriedTuning

REVIEW = "review"  # its key in a checkpoint


def plain_review(review: Review) -> dict[str, Any]:
    """Return a review as JSON values, to the last bit."""
    choice, objective = review.choice, review.objective
    return {
        "objective": {
            key: value
            for key, value in (("violations", objective.violations), ("price", objective.price))
            if value is not None
        },
        "tuning": _plain_tuning(choice.tuning),
        "reason": choice.reason.value,
        "spent": _plain_spent(choice.spent),
        "allowed": choice.allowed,
        "tried": [[*_plain_tuning(one.tuning), *_plain_spent(one.spent)] for one in review.tried],
        "days": [
            [day.number, *_plain_spent(day.stood), *_plain_spent(day.given)] for day in review.days
        ],
        "screened": review.screened,
        "reviewed": review.reviewed,
    }


def review_from_plain(checkpoint: Mapping[str, Any] | None) -> Review | None:
    """Return the review in a checkpoint; None if there is none.

    Raises:
        ValueError: it was written by another version, or by somebody else.
    """
    plain = None if checkpoint is None else checkpoint.get(REVIEW)
    if plain is None:
        return None
    try:
        allowed = plain["allowed"]
        return Review(
            Objective(**{str(key): float(value) for key, value in plain["objective"].items()}),
            Choice(
                _tuning(plain["tuning"]),
                ChoiceReason(plain["reason"]),
                _spent(plain["spent"]),
                None if allowed is None else float(allowed),
            ),
            tuple(TriedTuning(_tuning(one[:3]), _spent(one[3:])) for one in plain["tried"]),
            tuple(
                ReviewedDay(int(day[0]), _spent(day[1:5]), _spent(day[5:9]))
                for day in plain["days"]
            ),
            int(plain["screened"]),
            int(plain["reviewed"]),
        )
    except (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"the review in the status is not readable: {error!r}") from error


def _plain_tuning(tuning: Tuning) -> list[float]:
    return [tuning.risk, tuning.target_utilization, tuning.stabilization_s]


def _plain_spent(spent: Spent) -> list[float]:
    return [spent.requests, spent.broken, spent.replica_hours, spent.days]


def _tuning(plain: Any) -> Tuning:  # noqa: ANN401 - of a status
    risk, target, stabilization_s = (float(one) for one in plain)
    if not (0 < risk < 1 and 0 < target < math.inf and 0 <= stabilization_s < math.inf):
        raise ValueError(f"{plain} are no settings")
    return Tuning(risk, target, stabilization_s)


def _spent(plain: Any) -> Spent:  # noqa: ANN401 - of a status
    requests, broken, replica_hours, days = (float(one) for one in plain)
    if not all(0 <= one < math.inf for one in (requests, broken, replica_hours, days)):
        raise ValueError(f"{plain} is nothing that was spent")
    return Spent(requests, broken, replica_hours, int(days))
