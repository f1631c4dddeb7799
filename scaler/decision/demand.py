"""Demand: the requests per second to be ready for, over the lead time and a little beyond.

Moments are seconds since the epoch; demand is in requests per second (QPS); unknown is NaN.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass

# An event has come when this share of what was announced is observed; the forecast has learned the
# new level when it has been there for some of its samples.
ARRIVED = 0.8
SETTLED_S = 900.0


class DemandReason(enum.Enum):
    """What the demand rests on."""

    FORECAST = "forecast"
    OBSERVED = "observed"  # more arrives than was foreseen
    EVENT = "event"  # an announced event asks for more
    REACTIVE = "reactive"  # there is no forecast, or none to be trusted
    UNKNOWN = "unknown"  # neither a forecast nor an observation


@dataclass(frozen=True, slots=True)
class AnnouncedEvent:
    """Something announced that raises demand: a promotion, a broadcast.

    Attributes:
        starts, ends: from the first moment on, up to but not at the last; seconds since the epoch.
        multiplier: of the demand expected for its start; or
        qps: demand itself.
    """

    name: str
    starts: float
    ends: float
    multiplier: float | None = None
    qps: float | None = None

    def __post_init__(self) -> None:
        if not self.starts < self.ends:
            raise ValueError(f"event {self.name}: it ends at or before its start")
        if (self.multiplier is None) == (self.qps is None):
            raise ValueError(f"event {self.name}: give either multiplier or qps")
        if not (self.multiplier or self.qps or 0) > 0:
            raise ValueError(
                f"event {self.name}: multiplier is {self.multiplier} and qps {self.qps}, but the "
                "one that is given must be above 0"
            )


@dataclass(frozen=True, slots=True)
class LeadDemand:
    """What the forecast says; NaN where it says nothing.

    Attributes:
        lead_qps: quantile of the largest demand until replicas started now are warm.
        hold_qps: the same until they would have paid for their start.
        usual_qps: median of the largest demand over the lead time.
        margin_qps: what to add to the observed rate where the forecast is not trusted.
        trusted: whether to act on it.
    """

    lead_qps: float
    hold_qps: float
    usual_qps: float
    margin_qps: float = 0.0
    trusted: bool = True

    @property
    def speaks(self) -> bool:
        """Whether there is a forecast to act on."""
        return self.trusted and not math.isnan(self.lead_qps)


NO_FORECAST = LeadDemand(math.nan, math.nan, math.nan, trusted=False)


@dataclass(frozen=True, slots=True)
class Demand:
    """What to be ready for over the lead time, and until a replica started now has paid for itself.

    ``hold_qps`` is at least ``qps``; both are NaN where nothing is known.
    """

    qps: float
    hold_qps: float
    reason: DemandReason
    event: str | None = None


def expected_demand(
    ahead: LeadDemand, observed_qps: float, event: tuple[str, float] | None
) -> Demand:
    """Return the demand to be ready for.

    The forecast where it is trusted, else the observed rate and a margin that has held of late; the
    observed rate raises it and never lowers it; a known event (its name and QPS) raises both.

    >>> expected_demand(LeadDemand(120.0, 150.0, 100.0), observed_qps=130.0, event=None)
    Demand(qps=130.0, hold_qps=150.0, reason=<DemandReason.OBSERVED: 'observed'>, event=None)
    """
    observed = -1.0 if math.isnan(observed_qps) else observed_qps
    name = None
    if ahead.speaks:
        qps, reason = ahead.lead_qps, DemandReason.FORECAST
        hold = ahead.hold_qps
        if observed > qps:
            qps, reason = observed, DemandReason.OBSERVED
    elif observed >= 0.0:
        qps = hold = observed + max(0.0, ahead.margin_qps)  # in this order, NaN is no margin
        reason = DemandReason.REACTIVE
    else:
        qps = hold = observed
        reason = DemandReason.UNKNOWN
    if event is not None and event[1] > qps:
        (name, qps), reason = event, DemandReason.EVENT
    if reason is DemandReason.UNKNOWN:
        return Demand(math.nan, math.nan, reason)
    return Demand(qps, max(qps, hold), reason, name)


def event_demand(
    events: Iterable[AnnouncedEvent], usual: dict[str, float], now: float, until: float
) -> tuple[str, float] | None:
    """Return the event that asks for most from ``now`` to ``until`` (included), with its QPS.

    Args:
        events: those known.
        usual: QPS expected for the start of each event, by name; see `usual_before`. An event with
            a multiplier that is not in it asks for nothing.
        now: seconds since the epoch.
        until: the end of the lead time.
    """
    most: tuple[str, float] | None = None
    for event in events:
        if event.starts <= until and now < event.ends:
            qps = event.qps or (event.multiplier or 0.0) * usual.get(event.name, 0.0)
            if qps > (most[1] if most else 0.0):
                most = event.name, qps
    return most


def is_unforeseeable(events: Iterable[AnnouncedEvent], stamp: float) -> bool:
    """Return whether an event had just begun or ended at a stamp: no forecast could know.

    >>> sale = AnnouncedEvent("sale", starts=1000.0, ends=5000.0, multiplier=2.0)
    >>> [is_unforeseeable([sale], stamp) for stamp in (1000.0, 1060.0, 1901.0, 5060.0)]
    [False, True, False, True]
    """
    return any(
        0 < stamp - moment <= SETTLED_S for event in events for moment in (event.starts, event.ends)
    )


def usual_before(
    events: Iterable[AnnouncedEvent],
    usual: dict[str, float],
    ahead: LeadDemand,
    observed_qps: float,
    now: float,
) -> dict[str, float]:
    """Return the demand expected for each event's start, as last foreseen before it began.

    Once an event runs, the forecast has its height in it, and multiplying that again would count it
    twice. An event that began unseen starts from what is known now. One whose demand has come, and
    has stayed for `SETTLED_S`, is the forecast's from then on: it has 0 here. One that is late is
    waited for until it ends.
    """
    known = {}
    for event in events:
        if event.multiplier is None or now >= event.ends:
            continue
        before = usual.get(event.name, math.nan)
        if now < event.starts or math.isnan(before):
            expected = observed_qps if math.isnan(ahead.usual_qps) else ahead.usual_qps
            before = before if math.isnan(expected) else expected
        elif (
            now >= event.starts + SETTLED_S and observed_qps >= ARRIVED * event.multiplier * before
        ):
            before = 0.0
        if not math.isnan(before):
            known[event.name] = before
    return known
