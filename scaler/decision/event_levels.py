"""What events have brought: how many times the demand before them, and what that says of the next.

Of each occurrence one ratio is kept: the highest mean demand of five minutes while it was on, over
the demand of the quarter hour before it. One of which too little is known is no evidence, nor one
that another event overlaps.

The next one is expected to bring what the last ones did, by the conjugate model of a normal with an
unknown mean and variance, on logarithms: the stated multiplier counts as one occurrence, the spread
starts as that of a quarter. Source: Gelman et al., Bayesian Data Analysis, 3rd ed., section 3.3.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from statistics import fmean

from scaler.decision.demand import AnnouncedEvent
from scaler.decision.student import student_quantile

# Where nothing is stated, an event is taken to double demand until it has been seen.
DEFAULT_MULTIPLIER = 2.0
MOST_RATIOS, MOST_NAMES = 12, 64
BEFORE_S, LEVEL_S = 900.0, 300.0
# Of an occurrence, so much must be known; a longer time between two samples is not.
LEAST_SHARE, LONGEST_TICK_S = 0.8, 120.0
_PRIOR_COUNT, _PRIOR_SPREAD, _PRIOR_FREEDOM = 1, 0.25, 2


@dataclass(frozen=True, slots=True)
class LearnedMultiplier:
    """What the next occurrence brings: the median, and the interval that risk leaves to each side.

    ``occurrences`` is what it was learned from; with none all three are what is stated.
    """

    median: float
    low: float
    high: float
    occurrences: int


def learned_multiplier(ratios: tuple[float, ...], stated: float, risk: float) -> LearnedMultiplier:
    """Return what to expect after occurrences that brought these ratios.

    Args:
        ratios: above 0, the latest last.
        stated: multiplier of the policy.
        risk: accepted share of occurrences that bring more than ``high``, in (0, 0.5).

    >>> found = learned_multiplier((3.0, 3.0, 3.0), stated=3.0, risk=0.1)
    >>> found.low < found.median == 3.0000000000000004 < found.high < 4
    True
    """
    if not ratios:
        return LearnedMultiplier(stated, stated, stated, 0)
    logs, count = [math.log(ratio) for ratio in ratios], len(ratios)
    mean = fmean(logs)
    centre = (_PRIOR_COUNT * math.log(stated) + count * mean) / (_PRIOR_COUNT + count)
    freedom = _PRIOR_FREEDOM + count
    squares = _PRIOR_FREEDOM * _PRIOR_SPREAD**2 + sum((one - mean) ** 2 for one in logs)
    scale = math.sqrt(squares / freedom * (1 + 1 / (_PRIOR_COUNT + count)))
    half = student_quantile(1 - min(risk, 0.5), freedom) * scale
    return LearnedMultiplier(
        math.exp(centre), math.exp(centre - half), math.exp(centre + half), count
    )


@dataclass(frozen=True, slots=True)
class EventWatch:
    """One occurrence, until it is over.

    Attributes:
        starts, ends: of it.
        before: demand of the quarter hour before it, in QPS; NaN: not known.
        recent: mean of the last five minutes of it; highest: of these means.
        known_s: seconds of it that are known; at: the last sample.
        mixed: another event has overlapped it.
    """

    starts: float
    ends: float
    before: float = math.nan
    recent: float = math.nan
    highest: float = math.nan
    known_s: float = 0.0
    at: float = -math.inf
    mixed: bool = False

    def after(self, now: float, observed: float) -> EventWatch:
        """Return the watch after a sample; one that is not known changes nothing."""
        seconds = now - self.at
        if math.isnan(observed) or seconds <= 0 or now >= self.ends:
            return self
        known = replace(self, at=now)
        if now < self.starts:
            return replace(known, before=_mean(self.before, observed, seconds, BEFORE_S))
        begun = known
        if not self.known_s:  # what was before must have been so until it began
            fresh = self.starts - self.at <= BEFORE_S
            begun = replace(known, recent=math.nan, before=self.before if fresh else math.nan)
        recent = _mean(begun.recent, observed, seconds, LEVEL_S)
        took = min(seconds, now - self.starts)
        settled = self.known_s + took >= min(LEVEL_S, self.ends - self.starts) / 2
        highest = max(recent, -math.inf if math.isnan(self.highest) else self.highest)
        return replace(
            begun,
            recent=recent,
            highest=highest if settled else math.nan,
            known_s=self.known_s + (took if took <= LONGEST_TICK_S else 0.0),
        )

    @property
    def ratio(self) -> float | None:
        """How many times the demand before it has brought; None: too little is known."""
        known = self.known_s >= LEAST_SHARE * (self.ends - self.starts)
        if self.mixed or not known or not self.before > 0 or not self.highest > 0:
            return None
        return self.highest / self.before


def _mean(mean: float, observed: float, seconds: float, span_s: float) -> float:
    """Return an exponentially weighted mean over a span, after a sample of so many seconds."""
    if math.isnan(mean) or seconds > span_s:
        return observed
    return mean + (observed - mean) * (1 - math.exp(-2 * seconds / span_s))


@dataclass(frozen=True, slots=True)
class EventLessons:
    """What is known of events, by name.

    Attributes:
        watches: of those that are to come, or on.
        ratios: that earlier ones have brought, the latest last; so of names, the oldest first.
    """

    watches: Mapping[str, EventWatch]
    ratios: Mapping[str, tuple[float, ...]]

    def after(self, events: Iterable[AnnouncedEvent], now: float, observed: float) -> EventLessons:
        """Return the lessons after a sample. ``events`` are those that are not over."""
        ahead = {event.name: event for event in events if now < event.ends}
        ratios = dict(self.ratios)
        for name, watch in self.watches.items():
            if now >= watch.ends and watch.ratio is not None:
                ratios[name] = (*ratios.pop(name, ()), watch.ratio)[-MOST_RATIOS:]
        while len(ratios) > MOST_NAMES:
            del ratios[next(iter(ratios))]
        on = {name for name, event in ahead.items() if event.starts <= now}
        watches = {
            name: self._watch(event, now, mixed=bool(on - {name})).after(now, observed)
            for name, event in ahead.items()
        }
        return EventLessons(watches, ratios)

    def rebased(self, set_by_s: float) -> EventLessons:
        """Return the lessons by a wall clock that has been set by so much."""
        watches = {n: replace(one, at=one.at + set_by_s) for n, one in self.watches.items()}
        return replace(self, watches=watches)

    def _watch(self, event: AnnouncedEvent, now: float, *, mixed: bool) -> EventWatch:
        mixed = mixed and now >= event.starts - BEFORE_S
        watch = self.watches.get(event.name)
        if watch is None or (watch.starts, watch.ends) != (event.starts, event.ends):
            return EventWatch(event.starts, event.ends, mixed=mixed)
        return replace(watch, mixed=True) if mixed and not watch.mixed else watch

    def applied(self, event: AnnouncedEvent, risk: float) -> AnnouncedEvent:
        """Return an event with what is learned of it, if its policy says so."""
        if not event.learns or event.multiplier is None:
            return event
        found = learned_multiplier(self.ratios.get(event.name, ()), event.multiplier, risk)
        return replace(event, multiplier=found.high)

    def baselines(self, events: Iterable[AnnouncedEvent], now: float) -> dict[str, float]:
        """Return what learned multipliers will multiply, by name: the demand before the event.

        A forecast that has learned the event already contains it.
        """
        learned = [event for event in events if event.learns and now < event.starts]
        before = {one.name: self.watches[one.name].before for one in learned}
        return {name: qps for name, qps in before.items() if not math.isnan(qps)}


NO_LESSONS = EventLessons({}, {})
