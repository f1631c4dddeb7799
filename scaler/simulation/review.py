"""A review: the days of a service's past are replayed under the settings that may be chosen.

From nothing it takes up to 28 days, coarse to fine; from one night to the next, one day. A setting
is judged by the classes that `scaler run` drives, on a virtual clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from forecaster.data.series import Series
from forecaster.errors import HistoryError
from forecaster.models.forecaster import Forecaster
from scaler.decision.days import DAY_S, day_of
from scaler.decision.finalists import finalists, undominated
from scaler.decision.objective import ReviewRules, Spent, Tuning
from scaler.decision.review import (
    LOOKED_BACK_DAYS,
    SCREENED_EVERY,
    Review,
    after_day,
    begun,
    chosen_anew,
)
from scaler.errors import ReplayError
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings
from scaler.simulation.contest import ContestSetting
from scaler.simulation.day_replay import DAY, WARM_UP, DayReplay
from scaler.simulation.preparation import ReplayPart, prepared, restaged

# Of a day that counts, so much is known; half a day is another day.
LEAST_KNOWN = 0.75
# The coarse replay: of the latest days, and decided so seldom.
COARSE_DAYS, COARSE_TICK_S = 5, 60.0


@dataclass(frozen=True, eq=False)
class Subject:
    """What is reviewed.

    Attributes:
        policy: of the service; its capacity is given.
        settings: its autoscaler, and how the service behaves.
        forecasters: the newest first; a day is forecast by the first of the history's step that has
            not seen it.
    """

    policy: Policy
    settings: ReplaySettings
    forecasters: Sequence[Forecaster]

    def forecaster(self, series: Series, begin: datetime) -> Forecaster | None:
        """Return who forecasts a day of a history; None: Holt-Winters does."""
        for one in self.forecasters:
            until = one.item_model(series.item_id).trained_until
            if one.model.step == series.step and (until is None or until <= begin):
                return one
        return None


class PastDays:
    """The days of a service's past, each prepared and replayed when it is first asked for.

    Args:
        subject: what is reviewed.
        series: its history.
        doing: told what is worked at.
    """

    def __init__(
        self, subject: Subject, series: Series, doing: Callable[[str], None] = lambda _: None
    ) -> None:
        known = np.flatnonzero(np.isfinite(series.values))
        first = series.start + int(known[0]) * series.step if len(known) else series.end
        series = series.between(first, series.end)  # the days before it are none
        self._subject, self._series, self._doing = subject, series, doing
        self._settings: dict[int, ContestSetting | None] = {}
        self._replays: dict[tuple[int, float], DayReplay | None] = {}
        self._spent: dict[tuple[int, float, Tuning], Spent | None] = {}

    def under(self, settings: ReplaySettings) -> PastDays:
        """Return the same days with the same forecasts, in which the service behaves otherwise."""
        other = PastDays(replace(self._subject, settings=settings), self._series, self._doing)
        other._settings = self._settings
        return other

    def numbers(self, before: int) -> list[int]:
        """Return the whole days of the history, up to 28 before one."""
        first = math.ceil(self._series.start.timestamp() / DAY_S)
        last = min(day_of(self._series.end.timestamp()), before)
        return list(range(max(first, last - LOOKED_BACK_DAYS), last))

    def replay(self, number: int, tick_s: float | None = None) -> DayReplay | None:
        """Return a day, ready to be replayed; None: too little is known of it or before it."""
        settings = self._subject.settings
        if tick_s is not None:
            tick_s = max(tick_s, settings.timing.tick_s)
            settings = replace(settings, timing=replace(settings.timing, tick_s=tick_s))
        key = number, settings.timing.tick_s
        if key not in self._replays:
            setting = self._setting(number)
            self._replays[key] = None
            if setting is not None:
                one = DayReplay(restaged(setting, settings), number * DAY_S)
                self._replays[key] = one if one.known_share >= LEAST_KNOWN else None
        return self._replays[key]

    def _setting(self, number: int) -> ContestSetting | None:
        if number not in self._settings:
            subject, begin = self._subject, datetime.fromtimestamp(number * DAY_S, UTC)
            until = self._series.between(self._series.start, begin + DAY)
            part = ReplayPart(begin - WARM_UP, skip_gaps=True, rivals=False)
            forecaster = subject.forecaster(self._series, begin)
            self._settings[number] = None
            with suppress(HistoryError, ReplayError):
                found = prepared(until, subject.policy, subject.settings, forecaster, part)
                self._settings[number] = found
        return self._settings[number]

    def spent(self, number: int, tuning: Tuning, tick_s: float | None = None) -> Spent | None:
        """Return what a day came to under settings; None: it is not known."""
        own_s = self._subject.settings.timing.tick_s
        key = number, max(tick_s or own_s, own_s), tuning
        if key not in self._spent:
            one = self.replay(number, tick_s)
            self._doing(f"{datetime.fromtimestamp(number * DAY_S, UTC):%Y-%m-%d}: {tuning}")
            self._spent[key] = None if one is None else one.spent_by(tuning)
        return self._spent[key]


def reviewed(days: PastDays, rules: ReviewRules, before: Review | None, today: int) -> Review:
    """Return the review of the days before today.

    Args:
        days: of the service's past.
        rules: what it is held by.
        before: the last review. None, or one of other settings in the policy: the past is walked
            through, night by night, as if it had been reviewed.
        today: the day that has begun; nothing of it is looked at.
    """
    if before is None or not _is_of(before, rules):
        final = _finalists(days, rules, (rules.given,), today)
        walked = begun(rules, today)
        for number in days.numbers(today):
            walked = _after(walked, number, days, final, rules)
        return replace(walked, screened=today, reviewed=today)
    review = before
    for number in days.numbers(today):
        if number >= before.reviewed:
            followed = undominated(review.past, rules)
            review = _after(review, number, days, followed, rules)
    review = replace(review, reviewed=today)
    if today - review.screened < SCREENED_EVERY:
        return review
    final = _finalists(days, rules, (rules.given, review.choice.tuning), today)
    past = {one: _in_all(days, days.numbers(today), one) for one in final}
    return replace(chosen_anew(review, past, rules), screened=today)


def _is_of(review: Review, rules: ReviewRules) -> bool:
    """Return whether a review is of what the policy states: its settings are compared in it."""
    fixed = rules.overrides.applied
    return rules.given in review.past and all(fixed(one) == one for one in review.past)


def _finalists(
    days: PastDays, rules: ReviewRules, fixed: Sequence[Tuning], today: int
) -> tuple[Tuning, ...]:
    numbers = days.numbers(today)

    def coarse(tuning: Tuning) -> Spent:
        return _in_all(days, numbers[-COARSE_DAYS:], tuning, COARSE_TICK_S)

    def fine(tuning: Tuning) -> Spent:
        return _in_all(days, numbers, tuning)

    return finalists(coarse, fine, rules, fixed)


def _in_all(
    days: PastDays, numbers: Sequence[int], tuning: Tuning, tick_s: float | None = None
) -> Spent:
    found = (days.spent(number, tuning, tick_s) for number in numbers)
    return sum((one for one in found if one is not None), Spent())


def _after(
    review: Review, number: int, days: PastDays, final: Sequence[Tuning], rules: ReviewRules
) -> Review:
    """Return the review after one day; as it was where nothing is known of that."""
    asked = dict.fromkeys((*final, review.choice.tuning, rules.given))
    spent = {one: found for one in asked if (found := days.spent(number, one)) is not None}
    if len(spent) < len(asked):
        return replace(review, reviewed=number + 1)
    return after_day(review, number, spent, rules)
