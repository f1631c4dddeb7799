"""Demand: the requests per second that replicas must be ready to serve over the lead time.

Times are seconds since the epoch; demand is in requests per second (QPS); unknown is NaN.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

# An event counts as arrived when this share of the announced demand is observed.
ARRIVED_SHARE = 0.8
# So long after a change of level, enough samples show the new level for the forecast to follow it.
SETTLED_S = 900.0


class DemandReason(enum.Enum):
    """Which source determined the demand."""

    FORECAST = "forecast"
    OBSERVED = "observed"  # the observed rate exceeds the forecast
    HELD = "held"  # the observed rate is implausibly low for the time of day
    EVENT = "event"  # an announced event asks for more
    REACTIVE = "reactive"  # the observed rate alone: there is no forecast that is trusted
    UNKNOWN = "unknown"  # there is neither a forecast nor an observation


@dataclass(frozen=True, slots=True)
class AnnouncedEvent:
    """Something announced that raises demand: a promotion, a broadcast.

    Attributes:
        starts, ends: the event covers ``starts <= time < ends``; seconds since the epoch.
        multiplier: how many times the demand expected at its start the event brings; either this
            or ``qps`` is given.
        qps: the demand during the event.
        learns: what earlier ones of its name have brought counts beside ``multiplier``.
    """

    name: str
    starts: float
    ends: float
    multiplier: float | None = None
    qps: float | None = None
    learns: bool = False

    def __post_init__(self) -> None:
        if not self.starts < self.ends:
            raise ValueError(f"event {self.name}: ends must be after starts")
        if (self.multiplier is None) == (self.qps is None):
            raise ValueError(f"event {self.name}: give either multiplier or qps")
        if not (self.multiplier or self.qps or 0) > 0:
            raise ValueError(
                f"event {self.name}: multiplier is {self.multiplier} and qps {self.qps}, but the "
                "one that is given must be above 0"
            )


@dataclass(frozen=True, slots=True)
class LeadDemand:
    """The forecast of one service over its lead time; NaN where there is no forecast.

    Attributes:
        lead_qps: quantile of the peak demand over the lead time.
        payback_qps: the same over the lead time and the payback time after it, within which a
            replica started now has paid for its start.
        median_qps: median forecast of the peak demand over the lead time.
        margin_qps: what to add to the observed rate where the forecast is not trusted.
        trusted: whether the forecast may be acted on.
    """

    lead_qps: float
    payback_qps: float
    median_qps: float
    margin_qps: float = 0.0
    trusted: bool = True

    @property
    def is_usable(self) -> bool:
        """Whether there is a forecast, and it is trusted."""
        return self.trusted and not math.isnan(self.lead_qps)


NO_FORECAST = LeadDemand(math.nan, math.nan, math.nan, trusted=False)


@dataclass(frozen=True, slots=True)
class Demand:
    """The demand to be ready for.

    Attributes:
        qps: over the lead time; NaN where nothing is known.
        payback_qps: over the lead time and the payback time after it; at least ``qps``.
        reason: which source determined ``qps``.
        event: name of the announced event, where that was the source.
    """

    qps: float
    payback_qps: float
    reason: DemandReason
    event: str | None = None


UNKNOWN_DEMAND = Demand(math.nan, math.nan, DemandReason.UNKNOWN)


def expected_demand(
    lead_demand: LeadDemand,
    observed_qps: float,
    event: tuple[str, float] | None,
    held_qps: float = math.nan,
) -> Demand:
    """Return the demand to be ready for.

    It is the forecast where that is trusted, raised to the observed rate where that is higher.
    Without a trusted forecast it is the observed rate plus the forecast's margin. What is held
    while demand is implausibly low, and an event, given by its name and QPS, raise either.

    >>> expected_demand(LeadDemand(120.0, 150.0, 100.0), observed_qps=130.0, event=None)
    Demand(qps=130.0, payback_qps=150.0, reason=<DemandReason.OBSERVED: 'observed'>, event=None)
    """
    observed = -1.0 if math.isnan(observed_qps) else observed_qps
    name = None
    if lead_demand.is_usable:
        qps, reason = lead_demand.lead_qps, DemandReason.FORECAST
        payback = lead_demand.payback_qps
        if observed > qps:
            qps, reason = observed, DemandReason.OBSERVED
    elif observed >= 0.0:
        # In this order of arguments, max() takes a margin of NaN as 0.
        qps = payback = observed + max(0.0, lead_demand.margin_qps)
        reason = DemandReason.REACTIVE
    else:
        qps = payback = observed
        reason = DemandReason.UNKNOWN
    if held_qps > qps and reason is not DemandReason.UNKNOWN:
        qps, reason = held_qps, DemandReason.HELD
    if event is not None and event[1] > qps:
        (name, qps), reason = event, DemandReason.EVENT
    if reason is DemandReason.UNKNOWN:
        return UNKNOWN_DEMAND
    return Demand(qps, max(qps, payback), reason, name)


def event_demand(
    events: Iterable[AnnouncedEvent], baselines: Mapping[str, float], now: float, until: float
) -> tuple[str, float] | None:
    """Return the name and QPS of the largest event from ``now`` to ``until`` (included).

    Args:
        events: all announced events.
        baselines: QPS expected at the start of each event, by its name; see
            `updated_event_baselines`. An event with a multiplier but no baseline is ignored.
        now: seconds since the epoch.
        until: the end of the lead time.
    """
    largest: tuple[str, float] | None = None
    for event in events:
        if event.starts <= until and now < event.ends:
            qps = event.qps or (event.multiplier or 0.0) * baselines.get(event.name, 0.0)
            if qps > (largest[1] if largest else 0.0):
                largest = event.name, qps
    return largest


def is_unforeseeable(events: Iterable[AnnouncedEvent], stamp: float) -> bool:
    """Return whether an event had just begun or ended, which no forecast can foresee.

    >>> sale = AnnouncedEvent("sale", starts=1000.0, ends=5000.0, multiplier=2.0)
    >>> [is_unforeseeable([sale], stamp) for stamp in (1000.0, 1060.0, 1901.0, 5060.0)]
    [False, True, False, True]
    """
    return any(
        0 < stamp - change <= SETTLED_S for event in events for change in (event.starts, event.ends)
    )


def updated_event_baselines(
    events: Iterable[AnnouncedEvent],
    baselines: Mapping[str, float],
    lead_demand: LeadDemand,
    observed_qps: float,
    now: float,
) -> dict[str, float]:
    """Return the baseline of each event: the demand last expected for its start before it began.

    Once an event runs, the forecast contains it, and multiplying that forecast would count it
    twice; so the baseline is frozen at the start. An event that had begun before it was first seen
    takes what is known now. When the demand of an event has arrived and lasted for `SETTLED_S`, its
    baseline becomes 0: from then on the forecast alone counts. An event whose demand is late keeps
    its baseline until it ends.
    """
    updated = {}
    for event in events:
        if event.multiplier is None or now >= event.ends:
            continue
        baseline = baselines.get(event.name, math.nan)
        if now < event.starts or math.isnan(baseline):
            median = lead_demand.median_qps
            expected = observed_qps if math.isnan(median) else median
            baseline = baseline if math.isnan(expected) else expected
        elif (
            now >= event.starts + SETTLED_S
            and observed_qps >= ARRIVED_SHARE * event.multiplier * baseline
        ):
            baseline = 0.0
        if not math.isnan(baseline):
            updated[event.name] = baseline
    return updated
