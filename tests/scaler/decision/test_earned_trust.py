"""A floor earns that it is written, and loses that again."""

import math
from dataclasses import replace

import numpy as np
import pytest

from scaler.decision.days import DAY_S
from scaler.decision.earned_trust import (
    HOUR_S,
    LEAST_HOURS,
    AutoRules,
    AutoStanding,
    FloorEvidence,
    PairedHour,
    after_hour,
)

RULES = AutoRules(max_replicas=40, budget=0.001)  # a day costs at most 10 replicas more
SAVES = PairedHour(0.0, ours=15.0, hpa=20.0, real=20.0, broken=0.0, requests=1e6)
COSTS = replace(SAVES, ours=26.0)
BREAKS = replace(SAVES, broken=2e4)  # 20 times the budget
NOT_KNOWN = replace(SAVES, ours=math.nan)
FAR = replace(SAVES, real=21.2)  # 5.7 % of the pod-hours


def lived(hour, days, evidence=None, *, first_day=0, known=24):
    """Return the evidence after whole days, of each of which so many hours are known."""
    evidence = evidence or FloorEvidence()
    first_day = evidence.day.number + 1 if evidence.day.number >= 0 else first_day
    for n in range(days * 24):
        one = hour if n % 24 < known else NOT_KNOWN
        evidence = after_hour(evidence, replace(one, at=first_day * DAY_S + n * HOUR_S), RULES)
    return evidence


def days_until(standing, hour, evidence=None):
    evidence = evidence or FloorEvidence()
    for day in range(1, 200):
        evidence = lived(hour, 1, evidence)
        if evidence.standing is standing:
            return day - 1  # a day counts when the next one has begun
    raise AssertionError(f"not {standing} within 200 days, but {evidence}")


EARNED = lived(SAVES, 60)


def test_a_floor_that_saves_and_breaks_nothing_earns_trust_within_ninety_days():
    # 0.1 of the violations' bound a day: log(20) + log(4) = 4.4 = 46 x log(1.1).
    assert days_until(AutoStanding.EARNED, SAVES) == 45
    assert EARNED.is_earned


@pytest.mark.parametrize(
    "hour",
    [
        pytest.param(replace(SAVES, ours=20.0), id="it saves nothing"),
        pytest.param(COSTS, id="it costs more"),
        pytest.param(replace(SAVES, broken=1e3), id="it breaks as much as the budget"),
        pytest.param(NOT_KNOWN, id="nothing is known"),
        pytest.param(replace(SAVES, requests=0.0), id="nobody asks, so nothing can break"),
        pytest.param(FAR, id="the simulated autoscaler is not the real one"),
    ],
)
def test_it_stays_on_trial_while(hour):
    assert not lived(hour, 180).is_earned


@pytest.mark.parametrize(
    ("hour", "standing", "days"),
    [
        pytest.param(
            COSTS, AutoStanding.COSTS_MORE, 9, id="a day of 0.6 of the bound: 1.6 ** 9 / 4"
        ),
        pytest.param(
            replace(SAVES, broken=4.2e4), AutoStanding.BREAKS_MORE, 1, id="42 budgets on one day"
        ),
        pytest.param(
            replace(SAVES, broken=1e4),
            AutoStanding.BREAKS_MORE,
            2,
            id="ten budgets, twice in a row",
        ),
        pytest.param(BREAKS, AutoStanding.BREAKS_MORE, 2, id="20 budgets a day: 20 ** 2 / 4"),
    ],
)
def test_the_opposite_takes_it_back_and_all_begins_anew(hour, standing, days):
    assert days_until(standing, hour, EARNED) <= days
    taken = lived(hour, days + 1, EARNED)
    assert not taken.is_earned
    assert days_until(AutoStanding.EARNED, SAVES, replace(taken, day=EARNED.day)) > 40


def test_a_year_of_saving_does_not_pay_for_what_it_costs_later():
    year = lived(SAVES, 365, EARNED)
    assert days_until(AutoStanding.COSTS_MORE, COSTS, year) <= 9


def test_evidence_is_void_where_the_simulated_autoscaler_is_far_from_the_real_one():
    almost = lived(SAVES, 40)
    void = lived(SAVES, 1, lived(FAR, 1, almost))
    assert (void.standing, void.days, void.cost.wealth) == (AutoStanding.VOID, 0, 1.0)
    assert lived(SAVES, 2, void).standing is AutoStanding.ON_TRIAL


def test_how_far_the_autoscalers_are_apart_is_not_asked_while_a_floor_stands():
    assert lived(replace(SAVES, real=math.nan), 30, EARNED).is_earned


@pytest.mark.parametrize(("known", "counted"), [(LEAST_HOURS, 2), (LEAST_HOURS - 1, 0)])
def test_a_day_counts_if_most_of_its_hours_are_known(known, counted):
    assert lived(SAVES, 3, known=known).days == counted


def test_an_hour_that_is_not_known_is_no_evidence():
    gaps = lived(SAVES, 10, known=20)
    assert gaps.cost.wealths == pytest.approx(lived(SAVES, 10).cost.wealths)


def test_a_daily_season_of_cost_is_no_saving():
    """A floor that saves five replicas at night and costs five by day saves nothing."""
    evidence = FloorEvidence()
    for n in range(90 * 24):
        extra = 5.0 * math.copysign(1, math.sin(2 * math.pi * (n + 0.5) / 24))
        hour = replace(SAVES, at=n * HOUR_S, ours=20.0 + extra)
        evidence = after_hour(evidence, hour, RULES)
    assert evidence.cost.wealth == pytest.approx(1.0)


def test_of_services_that_save_nothing_at_most_one_in_twenty_earns_trust():
    rng, earned = np.random.default_rng(0), 0
    for _ in range(200):
        evidence = FloorEvidence()
        for n, extra in enumerate(np.repeat(rng.normal(0.0, 3.0, 90), 24).tolist()):
            hour = replace(SAVES, at=n * HOUR_S, ours=20.0 + extra)
            evidence = after_hour(evidence, hour, RULES)
            if evidence.is_earned:
                earned += 1
                break
    assert earned <= 10


@pytest.mark.parametrize("rules", [(0, 0.1), (10, 0.0), (10, 1.0)])
def test_rules_that_nothing_could_be_judged_by_are_refused(rules):
    with pytest.raises(ValueError, match="needs max_replicas"):
        AutoRules(*rules)
