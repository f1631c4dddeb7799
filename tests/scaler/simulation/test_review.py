"""Reviews of a past, by the replay of its days: what is looked at, and what is not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from forecaster.data.series import Series
from forecaster.models.forecaster import Forecaster
from scaler.decision.days import day_of
from scaler.decision.objective import ChoiceReason, Objective, Overrides, ReviewRules, Tuning
from scaler.decision.replicas import ScalePolicy
from scaler.decision.review import TriedTuning
from scaler.errors import ReplayError
from scaler.hpa.rules import HPASpec, MetricKind
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings, WorldTiming
from scaler.simulation.contest import TIDEGATE, ContestJob
from scaler.simulation.review import PastDays, Subject, reviewed
from scaler.simulation.tuning import tune

START = datetime(2026, 3, 2, tzinfo=UTC)
STEP = timedelta(minutes=10)
FIRST = day_of(START.timestamp())
CAPACITY = 10.0
POLICY = Policy(
    item_id="shop/checkout", target="checkout", scale=ScalePolicy(1, 60), capacity_qps=CAPACITY
)
HPA = HPASpec(1, 60, MetricKind.PODS, 0.6 * CAPACITY)
# Decided once a sample: what is looked at here is which days are, not what they come to.
SETTINGS = ReplaySettings(HPA, timing=WorldTiming(tick_s=600.0))
RULES = ReviewRules(
    Objective(violations=0.02), POLICY.tuning, CAPACITY * 3600, Overrides(risk=0.05)
)


def past(days: int, noise: float = 0.02) -> Series:
    """Return days of a daily wave."""
    rng = np.random.default_rng(1)
    hours = np.arange(days * 144) / 6
    wave = 200 + 100 * np.sin(hours / 24 * 2 * np.pi)
    values = wave * np.maximum(1 + noise * rng.standard_normal(len(wave)), 0)
    return Series("shop/checkout", START, STEP, values)


def days_of(series: Series, told: list[str] | None = None) -> PastDays:
    doing = (lambda _: None) if told is None else told.append
    return PastDays(Subject(POLICY, SETTINGS, []), series, doing)


@pytest.fixture(scope="module")
def first():
    return reviewed(days_of(past(7)), RULES, None, FIRST + 7)


def test_a_review_from_nothing_walks_through_the_past(first):
    # Of the first day there is no forecast, nor of the second, which begins two hours earlier.
    assert [day.number for day in first.days] == [FIRST + n for n in range(2, 7)]
    assert first.choice.reason is not ChoiceReason.TOO_LITTLE_PAST
    assert first.choice.tuning in first.past
    assert {one.spent.days for one in first.tried} == {5}
    assert (first.screened, first.reviewed) == (FIRST + 7, FIRST + 7)
    # The policy's settings stood on the first three of them.
    assert [day.stood == day.given for day in first.days][:3] == [True] * 3


def test_what_comes_after_today_changes_nothing(first):
    longer = past(9)
    other = np.where(np.arange(len(longer)) < 7 * 144, longer.values, 50 * longer.values)
    assert reviewed(days_of(replace(longer, values=other)), RULES, None, FIRST + 7) == first


def test_the_next_night_replays_one_day_and_only_that(first):
    told: list[str] = []
    second = reviewed(days_of(past(8), told), RULES, first, FIRST + 8)
    assert second.reviewed == FIRST + 8
    assert second.screened == first.screened
    assert {one.partition(":")[0] for one in told} == {"2026-03-09"}
    assert len(told) <= len(first.tried) + 2
    assert second.days[:-1] == first.days


def test_a_day_that_is_not_known_counts_for_nothing(first):
    whole = past(8)
    gap = np.where(np.arange(len(whole)) < 7 * 144, whole.values, np.nan)
    second = reviewed(days_of(replace(whole, values=gap)), RULES, first, FIRST + 8)
    assert second == replace(first, reviewed=FIRST + 8)


def test_another_setting_in_the_policy_begins_anew(first):
    """Days under settings that were not compared on the others would make them look cheap."""
    told: list[str] = []
    stated = replace(RULES.given, target_utilization=0.7)
    rules = replace(RULES, given=stated, overrides=replace(RULES.overrides, stabilization_s=300.0))
    found = reviewed(days_of(past(8), told), rules, first, FIRST + 8)
    assert {one.spent.days for one in found.tried} == {6}
    assert {one.tuning.stabilization_s for one in found.tried} == {300.0}
    assert stated in found.past


def test_after_a_long_silence_what_is_no_longer_known_is_left_out(first):
    later = past(40).between(START + timedelta(days=30), START + timedelta(days=40))
    found = reviewed(days_of(later), RULES, first, FIRST + 40)
    assert (found.reviewed, found.screened) == (FIRST + 40, FIRST + 40)
    assert {one.spent.days for one in found.tried} == {8}


def test_after_a_week_the_finalists_are_found_anew(first):
    told: list[str] = []
    later = reviewed(days_of(past(14), told), RULES, first, FIRST + 14)
    assert later.screened == FIRST + 14
    assert first.choice.tuning in {one.tuning for one in first.tried}
    assert {one.spent.days for one in later.tried} == {12}
    assert later.days[: len(first.days)] == first.days  # what stood, stood


def test_a_noisier_service_is_given_more_by_the_same_objective(first):
    noisy = reviewed(days_of(past(7, noise=0.3)), RULES, None, FIRST + 7)
    assert noisy.choice.spent.replica_hours > 1.2 * first.choice.spent.replica_hours


def test_a_replayed_day_is_that_of_the_contest():
    one = days_of(past(3)).replay(FIRST + 2)
    tuning = Tuning(POLICY.trust.risk, 0.8, POLICY.scale.stabilization_s)
    assert one.spent_by(tuning) == one.spent_by_rival(ContestJob(TIDEGATE, 0.8))
    assert one.spent_by(tuning).requests == pytest.approx(86_400 * 200, rel=0.02)


def test_a_day_is_forecast_by_the_first_model_that_has_not_seen_it_and_has_its_step():
    series, second = past(3), START + timedelta(days=1)

    def model(until: datetime | None, step: timedelta = STEP) -> Forecaster:
        known = SimpleNamespace(trained_until=until)
        found = SimpleNamespace(model=SimpleNamespace(step=step), item_model=lambda _: known)
        return cast("Forecaster", found)

    newest, older, shipped = model(second), model(START), model(None, timedelta(minutes=1))
    subject = Subject(POLICY, SETTINGS, [newest, older, shipped])
    assert subject.forecaster(series, second) is newest
    assert subject.forecaster(series, second - STEP) is older
    assert subject.forecaster(series, START - STEP) is None
    assert replace(subject, forecasters=[shipped]).forecaster(series, second) is None


def test_settings_that_others_beat_are_followed_no_longer_after_a_week():
    days = days_of(past(11))
    before = reviewed(days, RULES, None, FIRST + 9)
    worst = max(before.tried, key=lambda one: one.spent.violations).spent
    dear = replace(worst, replica_hours=2 * worst.replica_hours, broken=worst.broken + 1)
    beaten = TriedTuning(replace(RULES.given, target_utilization=0.1), dear)
    before = replace(before, tried=(*before.tried, beaten))
    for known_days, is_followed in ((7, False), (6, True)):
        tried = tuple(
            replace(one, spent=replace(one.spent, days=known_days)) for one in before.tried
        )
        after = reviewed(days, RULES, replace(before, tried=tried), FIRST + 10)
        assert (beaten.tuning in after.past) is is_followed
        assert set(after.past) | {beaten.tuning} == set(before.past)


def test_a_past_that_is_too_short_is_refused_by_its_days():
    subject = Subject(POLICY, SETTINGS, [])
    with pytest.raises(ReplayError, match="4 whole days of UTC, of which 2 can be replayed"):
        tune(subject, past(4), RULES, lambda _: None)
