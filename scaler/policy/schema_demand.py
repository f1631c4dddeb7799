"""The `demand` section of a policy file: query, forecaster, risk and announced events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from scaler.decision.demand import AnnouncedEvent
from scaler.decision.hold import HoldRules
from scaler.decision.trust import TrustRules
from scaler.policy.fields import (
    Above,
    Duration,
    ModelName,
    OpenShare,
    Section,
    Share,
    Stamp,
    Text,
    TimeZone,
    duplicate_names,
    refuse,
)


class EventSection(Section):
    name: Text
    starts: Stamp
    """Start of the event, with its time zone."""
    ends: Stamp
    """End of the event (not part of it), with its time zone."""
    multiplier: Above | None = None
    """Demand during the event as a multiple of the demand expected at its start."""
    qps: Annotated[Above | None, Field(validate_default=True)] = None
    """Demand during the event in requests per second, instead of a multiplier."""

    @field_validator("ends")
    @classmethod
    def _after_start(cls, value: datetime, info: ValidationInfo) -> datetime:
        starts = info.data.get("starts")
        if starts is not None and value <= starts:
            raise ValueError(f"must be after starts, which is {starts.isoformat()}")
        return value

    @field_validator("qps")
    @classmethod
    def _one_of_both(cls, value: float | None, info: ValidationInfo) -> float | None:
        if "multiplier" in info.data and (value is None) == (info.data["multiplier"] is None):
            if value is None:
                raise ValueError("is missing, and so is multiplier; give one of the two")
            raise ValueError("must not be given beside multiplier; keep one of the two")
        return value

    def to_event(self) -> AnnouncedEvent:
        return AnnouncedEvent(
            self.name, self.starts.timestamp(), self.ends.timestamp(), self.multiplier, self.qps
        )


def _events_agree(events: list[EventSection]) -> list[EventSection]:
    refuse([*duplicate_names(event.name for event in events), *_different_zones(events)])
    return events


def _different_zones(events: list[EventSection]) -> Iterator[str]:
    """Yield a message for each event that begins while one in another zone is on.

    Of all that are written in the same zones only the one that ends last is looked at.
    """
    last: dict[frozenset[timedelta | None], EventSection] = {}
    for other in sorted(events, key=lambda event: event.starts):
        # A clock change may lie within an event, but events that share no zone hint at a mistake.
        zones = frozenset({other.starts.utcoffset(), other.ends.utcoffset()})
        last = {of: one for of, one in last.items() if one.ends > other.starts}
        one = next((one for of, one in last.items() if of.isdisjoint(zones)), None)
        if one is not None:
            yield (
                f"must be written in one zone where they overlap: {one.name} starts at "
                f"{one.starts.isoformat()}, {other.name} at {other.starts.isoformat()}; "
                "is one of them off by hours?"
            )
        if zones not in last or last[zones].ends < other.ends:
            last[zones] = other


class HoldSection(Section):
    share: Share = HoldRules().share
    """Share of what is least usual at the time of day that is held while demand is implausibly low
    for it, as in an outage upstream; 0 holds nothing."""
    for_: Duration = Field(default=HoldRules().for_s, alias="for")
    """How long it is held at most; after that, the demand is followed down."""

    def to_rules(self) -> HoldRules:
        return HoldRules(self.share, self.for_)


class DemandSection(Section):
    query: Text | None = None
    """PromQL of the offered requests per second, rejected ones included."""
    mask_query: Text | None = None
    """PromQL that is above 0 while demand is not what it would be, as in an incident or a load
    test: such demand may raise a plan, never lowers one, and no forecast rests on it."""
    timezone: TimeZone | None = None
    """Zone whose clocks the demand follows, e.g. Europe/Berlin; without it that of the model."""
    model: ModelName | None = None
    """Name of the forecaster in the registry."""
    risk: OpenShare = TrustRules().risk
    """Accepted share of lead times whose peak demand exceeds the forecast."""
    hold: HoldSection = HoldSection()
    """What is held while demand is implausibly low."""
    events: Annotated[list[EventSection], AfterValidator(_events_agree)] = Field(default=[])
    """Announced events that raise demand: promotions, broadcasts."""
