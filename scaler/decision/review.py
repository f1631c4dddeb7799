"""A nightly review of the settings of one service: what is kept from one to the next.

Times are days of UTC, counted since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from scaler.decision.objective import (
    Choice,
    ChoiceReason,
    Objective,
    ReviewRules,
    Spent,
    Tuning,
    budget_left,
    choose,
)

# Of so many days the error budget is.
BUDGET_DAYS = 28
# Days that are looked back upon, and after how many the finalists are found anew.
LOOKED_BACK_DAYS, SCREENED_EVERY = 28, 7


@dataclass(frozen=True, slots=True)
class ReviewedDay:
    """One day: what it came to under the settings that stood, and under those of the policy."""

    number: int
    stood: Spent
    given: Spent


@dataclass(frozen=True, slots=True)
class TriedTuning:
    """Settings, and what they came to."""

    tuning: Tuning
    spent: Spent


@dataclass(frozen=True, slots=True)
class Review:
    """What is known after a review.

    Attributes:
        objective: what they were chosen by.
        choice: the settings that stand until the next, and why.
        tried: the finalists, all on the same days.
        days: those of the error budget, the latest last.
        screened: day before which the finalists were found.
        reviewed: day before which all is taken in.
    """

    objective: Objective
    choice: Choice
    tried: tuple[TriedTuning, ...]
    days: tuple[ReviewedDay, ...]
    screened: int
    reviewed: int

    @property
    def past(self) -> dict[Tuning, Spent]:
        """What each finalist came to."""
        return {one.tuning: one.spent for one in self.tried}

    @property
    def stood(self) -> Spent:
        """What the settings that stood came to, on the days of the error budget."""
        return sum((day.stood for day in self.days), Spent())

    @property
    def given(self) -> Spent:
        """What those of the policy would have come to on the same days."""
        return sum((day.given for day in self.days), Spent())


def begun(rules: ReviewRules, today: int) -> Review:
    """Return the review of a service of which no day is known."""
    choice = Choice(rules.given, ChoiceReason.TOO_LITTLE_PAST, Spent())
    return Review(rules.objective, choice, (TriedTuning(rules.given, Spent()),), (), today, today)


def after_day(
    review: Review, number: int, spent: Mapping[Tuning, Spent], rules: ReviewRules
) -> Review:
    """Return the review after one more day.

    Args:
        review: before it.
        number: of the day.
        spent: what each finalist came to on it, the settings that stand and the given ones, too.
        rules: what it is held by.
    """
    standing = review.choice.tuning
    before = review.past
    past = {one: before.get(one, Spent()) + found for one, found in spent.items()}
    days = (*review.days, ReviewedDay(number, spent[standing], spent[rules.given]))
    days = tuple(day for day in days if day.number > number - BUDGET_DAYS)
    return chosen_anew(replace(review, days=days, reviewed=number + 1), past, rules)


def chosen_anew(review: Review, past: Mapping[Tuning, Spent], rules: ReviewRules) -> Review:
    """Return the review after another look at the past, of the same days or of others."""
    asked, left = rules.objective.violations, 1.0
    if asked is not None:
        left = budget_left((day.stood for day in review.days), asked)
    choice = choose(past, review.choice.tuning, rules, left)
    tried = tuple(TriedTuning(one, spent) for one, spent in past.items())
    return replace(review, choice=choice, tried=tried)
