"""The `demand` section of a policy file: query, forecaster, risk and announced events."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from scaler.decision.demand import AnnouncedEvent
from scaler.decision.event_levels import DEFAULT_MULTIPLIER
from scaler.decision.hold import HoldRules
from scaler.decision.recurrence import LONGEST_S, Recurrence, occurrence_after, parse_cron
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
    like,
    refuse,
)
from scaler.policy.policy import RecurringEvent


def _cron(value: str) -> str:
    parse_cron(value)
    return value


CronText = Annotated[str, AfterValidator(_cron), like(128, r"\s*\S+(\s+\S+){4}\s*")]


class RecursSection(Section):
    timezone: TimeZone
    """Zone whose clocks it follows, e.g. Europe/Berlin."""
    start: CronText
    """Cron expression of its starts: minute, hour, day of the month, month, day of the week."""
    end: CronText
    """Cron expression of its ends; the first after a start is that of the occurrence."""

    @field_validator("end")
    @classmethod
    def _comes_to_pass(cls, value: str, info: ValidationInfo) -> str:
        if "start" not in info.data or "timezone" not in info.data:
            return value
        recurs = Recurrence(info.data["start"], value, "UTC")
        first = occurrence_after(recurs, 0.0)
        if first is None:
            raise ValueError("must come after a start, but one of the two never comes")
        if first.ends - first.starts > LONGEST_S:
            raise ValueError("must come within a week of the start")
        return value

    def to_recurrence(self) -> Recurrence:
        return Recurrence(self.start, self.end, self.timezone)


class EventSection(Section):
    name: Text
    starts: Stamp | None = None
    """Start of the event, with its time zone."""
    ends: Stamp | None = None
    """End of the event (not part of it), with its time zone."""
    recurs: Annotated[RecursSection | None, Field(validate_default=True)] = None
    """When it comes again and again, instead of starts and ends."""
    learn: bool = False
    """Whether what past ones of its name brought counts beside the multiplier."""
    multiplier: Above | None = None
    """Demand during the event as a multiple of the demand expected at its start; what to begin
    with where it is learned."""
    qps: Annotated[Above | None, Field(validate_default=True)] = None
    """Demand during the event in requests per second, instead of a multiplier."""

    @field_validator("ends")
    @classmethod
    def _after_start(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        starts = info.data.get("starts")
        if value is not None and starts is not None and value <= starts:
            raise ValueError(f"must be after starts, which is {starts.isoformat()}")
        return value

    @field_validator("recurs")
    @classmethod
    def _once_or_again(
        cls, value: RecursSection | None, info: ValidationInfo
    ) -> RecursSection | None:
        given = [name for name in ("starts", "ends") if info.data.get(name) is not None]
        missing = [name for name in ("starts", "ends") if name in info.data and name not in given]
        if value is None and missing:
            raise ValueError(
                f"is missing, as is {' and '.join(missing)}; an event has starts and ends, or "
                "recurs"
            )
        if value is not None and given:
            raise ValueError(f"must not be given beside {' and '.join(given)}")
        return value

    @field_validator("qps")
    @classmethod
    def _one_of_both(cls, value: float | None, info: ValidationInfo) -> float | None:
        if value is not None and info.data.get("learn"):
            raise ValueError("must not be given beside learn, which learns a multiplier")
        if info.data.get("learn"):
            return value
        if "multiplier" in info.data and (value is None) == (info.data["multiplier"] is None):
            if value is None:
                raise ValueError("is missing, and so is multiplier; give one of the two")
            raise ValueError("must not be given beside multiplier; keep one of the two")
        return value

    @property
    def _height(self) -> tuple[float | None, float | None, bool]:
        stated = DEFAULT_MULTIPLIER if self.learn else None
        return self.multiplier or stated, self.qps, self.learn

    def to_event(self) -> AnnouncedEvent:
        assert self.starts is not None, "it recurs"
        assert self.ends is not None, "it recurs"
        return AnnouncedEvent(
            self.name, self.starts.timestamp(), self.ends.timestamp(), *self._height
        )

    def to_recurring(self) -> RecurringEvent:
        assert self.recurs is not None, "it comes once"
        return RecurringEvent(self.name, self.recurs.to_recurrence(), *self._height)


def _events_agree(events: list[EventSection]) -> list[EventSection]:
    refuse([*duplicate_names(event.name for event in events), *_different_zones(events)])
    return events


def _different_zones(events: list[EventSection]) -> Iterator[str]:
    """Yield a message for each event that begins while one in another zone is on.

    Of all that are written in the same zones only the one that ends last is looked at.
    """
    last: dict[frozenset[timedelta | None], tuple[datetime, datetime, EventSection]] = {}
    once = [(one.starts, one.ends, one) for one in events if one.starts and one.ends]
    for starts, ends, other in sorted(once, key=lambda one: one[0]):
        # A clock change may lie within an event, but events that share no zone hint at a mistake.
        zones = frozenset({starts.utcoffset(), ends.utcoffset()})
        last = {of: one for of, one in last.items() if one[1] > starts}
        one = next((one for of, one in last.items() if of.isdisjoint(zones)), None)
        if one is not None:
            yield (
                f"must be written in one zone where they overlap: {one[2].name} starts at "
                f"{one[0].isoformat()}, {other.name} at {starts.isoformat()}; "
                "is one of them off by hours?"
            )
        if zones not in last or last[zones][1] < ends:
            last[zones] = starts, ends, other


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
