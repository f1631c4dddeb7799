"""What a review keeps from one night to the next."""

from __future__ import annotations

from scaler.decision.objective import ChoiceReason, Objective, ReviewRules, Spent, Tuning
from scaler.decision.review import BUDGET_DAYS, Review, after_day, begun

GIVEN, CHEAP = Tuning(), Tuning(target_utilization=0.9)
RULES = ReviewRules(Objective(violations=0.001), GIVEN)


def day(broken: float) -> dict[Tuning, Spent]:
    """Return a day on which the cheap settings break so many of a million requests."""
    return {GIVEN: Spent(1e6, 10.0, 100.0, 1), CHEAP: Spent(1e6, broken, 90.0, 1)}


def lived(*broken: float) -> Review:
    review = begun(RULES, 100)
    for number, one in enumerate(broken, start=100):
        review = after_day(review, number, day(one), RULES)
    return review


def test_the_policys_settings_stand_until_three_days_are_known():
    assert lived(50.0, 50.0).choice.reason is ChoiceReason.TOO_LITTLE_PAST
    review = lived(50.0, 50.0, 50.0)
    assert review.choice.tuning == CHEAP
    assert review.reviewed == 103
    # Each of the three days was lived under the settings that stood then.
    assert review.stood == review.given == Spent(3e6, 30.0, 300.0, 3)


def test_a_day_is_counted_under_the_settings_that_stood_on_it():
    review = lived(50.0, 50.0, 50.0, 200.0)
    assert review.stood == Spent(4e6, 230.0, 390.0, 4)
    assert review.given == Spent(4e6, 40.0, 400.0, 4)


def test_one_bad_day_takes_cheap_settings_back_and_what_it_spent_keeps_them_away():
    review = lived(50.0, 50.0, 50.0, 5000.0)
    assert review.choice.tuning == GIVEN
    assert review.choice.allowed < 0.0005
    for number in range(104, 104 + BUDGET_DAYS):
        review = after_day(review, number, day(0.0), RULES)
    assert len(review.days) == BUDGET_DAYS
    assert min(one.number for one in review.days) == 104
