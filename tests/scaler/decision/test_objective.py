"""Which settings are chosen by what each came to, and what holds a choice back."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.finalists import RISKS, TARGETS, finalists
from scaler.decision.objective import (
    HYSTERESIS,
    LARGEST_STEP,
    Choice,
    ChoiceReason,
    Objective,
    Overrides,
    ReviewRules,
    Spent,
    Tuning,
    budget_left,
    choose,
)

STANDING, CHEAPER, CHEAPEST = (Tuning(target_utilization=target) for target in (0.7, 0.8, 1.0))
ASKED = ReviewRules(Objective(violations=0.001), STANDING)


def spent(hours: float, violations: float, days: int = 7) -> Spent:
    return Spent(1e6, 1e6 * violations, hours, days)


def chosen(
    cheaper: Spent, cheapest: Spent | None = None, rules: ReviewRules = ASKED, left: float = 1.0
) -> Choice:
    past = {STANDING: spent(100, 0.0001, cheaper.days), CHEAPER: cheaper}
    if cheapest is not None:
        past[CHEAPEST] = cheapest
    return choose(past, STANDING, rules, left)


@pytest.mark.parametrize(
    ("cheaper", "tuning", "reason"),
    [
        pytest.param(spent(90, 0.0005), CHEAPER, ChoiceReason.CHEAPEST, id="keeps half of it"),
        pytest.param(spent(90, 0.0006), STANDING, ChoiceReason.STANDS, id="keeps it, not half"),
        pytest.param(spent(99, 0.0001), STANDING, ChoiceReason.STANDS, id="saves too little"),
        pytest.param(spent(50, 0.0001), CHEAPER, ChoiceReason.CHEAPEST, id="one further, alone"),
        pytest.param(spent(90, 0.0, days=2), STANDING, ChoiceReason.TOO_LITTLE_PAST, id="two days"),
    ],
)
def test_the_cheapest_that_keeps_half_of_the_objective_is_chosen(cheaper, tuning, reason):
    found = chosen(cheaper)
    assert (found.tuning, found.reason) == (tuning, reason)


def test_a_step_that_is_too_large_is_made_in_two():
    for halfway in (90, 70):
        found = chosen(spent(halfway, 0.0001), spent(60, 0.0002))
        assert (found.tuning, found.reason) == (CHEAPER, ChoiceReason.STEPPED)


def test_a_spent_budget_allows_an_eighth_of_the_objective_and_else_what_breaks_least_stands():
    found = chosen(spent(90, 0.0004), left=-0.2)
    assert (found.tuning, found.reason) == (STANDING, ChoiceReason.STANDS)
    assert found.allowed == pytest.approx(0.001 / 8)
    past = {STANDING: spent(100, 0.0003), CHEAPER: spent(90, 0.0004)}
    found = choose(past, STANDING, ASKED, left=-0.2)
    assert (found.tuning, found.reason) == (STANDING, ChoiceReason.UNREACHABLE)


def test_standing_settings_that_break_the_objective_go_at_once_however_dear_that_is():
    past = {STANDING: spent(100, 0.01), CHEAPER: spent(300, 0.0001)}
    found = choose(past, STANDING, ASKED)
    assert (found.tuning, found.reason) == (CHEAPER, ChoiceReason.CHEAPEST)


def test_by_a_price_broken_requests_are_paid_for():
    def by(price: float) -> Tuning:
        rules = ReviewRules(Objective(price=price), STANDING, replica_requests=1000.0)
        return chosen(spent(90, 0.0002), rules=rules).tuning

    assert by(10.0) == CHEAPER  # 100 requests more, each 10/1000 of an hour: 1 hour
    assert by(100.0) == STANDING


def test_an_objective_is_violations_or_a_price():
    for wrong in ({}, {"violations": 0.1, "price": 3.0}, {"violations": 1.0}, {"price": math.inf}):
        with pytest.raises(ValueError, match=r"violations|price"):
            Objective(**wrong)


def test_what_is_left_of_a_budget_falls_below_zero():
    assert budget_left([], 0.001) == 1.0
    assert budget_left([spent(1, 0.003), spent(1, 0.001)], 0.001) == pytest.approx(-1.0)


COSTS = st.tuples(st.floats(1, 1e4), st.floats(0, 0.01))


@given(st.lists(COSTS, min_size=1, max_size=len(TARGETS)), st.floats(-1, 1))
def test_properties_of_every_choice(found, left):
    """It was tried; it keeps what is allowed, or nothing does; no step down is too large."""
    tunings = [Tuning(target_utilization=target) for target in TARGETS]
    past = dict(zip(tunings, (spent(*one) for one in found), strict=False))
    standing = tunings[0]
    choice = choose(past, standing, ASKED, left)
    assert choice.spent == past[choice.tuning]
    if choice.reason is ChoiceReason.UNREACHABLE:
        assert all(one.violations > choice.allowed for one in past.values())
        assert choice.spent.violations == min(one.violations for one in past.values())
        return
    assert choice.spent.violations <= choice.allowed <= 0.0005
    now = past[standing].replica_hours
    if past[standing].violations > choice.allowed or choice.tuning == standing:
        return
    keep = [one.replica_hours for one in past.values() if one.violations <= choice.allowed]
    assert choice.spent.replica_hours <= now * (1 - HYSTERESIS)
    if choice.spent.replica_hours < now * (1 - LARGEST_STEP):
        assert not [x for x in keep if choice.spent.replica_hours < x <= now * (1 - HYSTERESIS)]


def breaks(at: Tuning) -> Spent:
    """Return a service that breaks above a target of 0.72, at a low risk above 0.87."""
    bound = 0.72 if at.risk > 0.01 else 0.87
    return spent(100 / at.target_utilization, max(0.2 * (at.target_utilization - bound), 0.0))


def test_the_finalists_are_climbed_to_the_first_rung_that_loses_the_objective():
    asked, finely = [], []

    def coarse(at: Tuning) -> Spent:
        asked.append(at)
        return breaks(at)

    def fine(at: Tuning) -> Spent:  # keeps a little more than the coarse one
        finely.append(at)
        return breaks(replace(at, target_utilization=at.target_utilization - 0.05))

    found = finalists(coarse, fine, ASKED, (STANDING,))
    assert found[0] == STANDING
    by_risk = {
        risk: [one.target_utilization for one in found if one.risk == risk] for risk in RISKS
    }
    assert by_risk[0.005] == [0.85, 0.875, 0.9, 0.925]
    assert len([risk for risk, tried in by_risk.items() if len(tried) > 1]) == 2
    assert len(set(asked)) <= 5 * len(RISKS)  # bisected
    assert len(set(finely)) <= 2 * 5


def test_a_reserve_below_is_among_them_for_when_the_error_budget_is_spent():
    def fine(at: Tuning) -> Spent:
        return breaks(replace(at, target_utilization=at.target_utilization + 0.1))

    found = finalists(breaks, fine, ASKED)
    targets = [one.target_utilization for one in found if one.risk == 0.005]
    assert targets == [0.85, 0.75]  # two rungs at a time, to where hardly anything breaks


def test_what_a_policy_states_is_not_tried_otherwise():
    fixed = ReviewRules(ASKED.objective, STANDING, overrides=Overrides(risk=0.3))
    assert {one.risk for one in finalists(breaks, breaks, fixed)} == {0.3}
    both = Overrides(target_utilization=0.6, stabilization_s=120.0)
    fixed = ReviewRules(ASKED.objective, STANDING, overrides=both)
    found = finalists(breaks, breaks, fixed)
    assert {(one.target_utilization, one.stabilization_s) for one in found} == {(0.6, 120.0)}


def test_by_a_price_the_cheapest_rung_is_found():
    rules = ReviewRules(Objective(price=100.0), STANDING, replica_requests=1000.0)
    found = finalists(breaks, breaks, rules)
    assert Tuning(0.005, 0.875, 60.0) in found
