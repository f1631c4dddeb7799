"""What the events of a policy have brought in the past that is read when a service is taken up."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from forecaster.data.series import FloatArray, Series
from scaler.decision.demand import AnnouncedEvent
from scaler.decision.event_levels import BEFORE_S, MOST_RATIOS, NO_LESSONS
from scaler.policy.policy import Policy, RecurringEvent


def past_ratios(policy: Policy, past: Series) -> dict[str, tuple[float, ...]]:
    """Return what events that are learned have brought, by name, the latest last.

    It is measured as while they are watched, so that what is missing or marked is no evidence.
    """
    stamps, values = np.asarray(past.stamps, dtype=float), past.values
    found = {}
    for event in policy.all_events:
        if event.learns:
            ratios = [
                ratio
                for one in _occurrences(event, stamps[0], stamps[-1])
                for ratio in _ratios(policy, one, stamps, values)
            ]
            if ratios:
                found[event.name] = tuple(ratios[-MOST_RATIOS:])
    return found


def _occurrences(
    event: AnnouncedEvent | RecurringEvent, since: float, until: float
) -> Iterator[AnnouncedEvent]:
    """Yield the occurrences that are over by ``until``."""
    if isinstance(event, AnnouncedEvent):
        if since < event.ends <= until:
            yield event
        return
    one = event.after(since)
    while one is not None and one.ends <= until:
        yield one
        one = event.after(one.ends)


def _ratios(
    policy: Policy, event: AnnouncedEvent, stamps: FloatArray, values: FloatArray
) -> tuple[float, ...]:
    first, last = np.searchsorted(stamps, (event.starts - BEFORE_S, event.ends))
    lessons = NO_LESSONS
    for at, qps in zip(stamps[first:last].tolist(), values[first:last].tolist(), strict=True):
        lessons = lessons.after(policy.events_after(at), at, qps)
    return lessons.after((), event.ends, math.nan).ratios.get(event.name, ())
