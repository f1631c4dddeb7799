"""Generated traffic of realistic services, for demos, tests and notebooks.

It is never used to measure accuracy: a model that does well here has only learned this file. It has
the difficulties of real traffic: daily and weekly seasons, working hours with sharp edges,
scheduled jobs, a drifting level, promotions, flash crowds, deploys, outages, Poisson noise.

Rules of this file: numpy only. Every number is drawn from a seeded generator, one per item, so that
the same seed gives the same values and an additional item changes none of the others.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from forecaster.data.series import DAY, FloatArray, History, Series

MONDAY = datetime(2026, 1, 5, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
RATE_WINDOW = 5 * MINUTE
DRIFT_KNOT = 15 * MINUTE


class Kind(enum.Enum):
    PROMOTION = "promotion"
    FLASH_CROWD = "flash_crowd"
    DEPLOY = "deploy"
    OUTAGE = "outage"


@dataclass(frozen=True)
class TrafficEvent:
    """An event that made an item's traffic differ from its seasonal pattern.

    Attributes:
        end: end of the event, not part of it; aware UTC.
        ratio: peak demand during the event relative to the normal demand; NaN for an outage.
    """

    item_id: str
    kind: Kind
    start: datetime
    end: datetime
    ratio: float


@dataclass(frozen=True, eq=False)
class GeneratedTraffic:
    """A generated history and the events in it.

    Attributes:
        events: promotions that were announced, so that a forecaster may know of them.
        surprises: all other events, including promotions that were not announced.
    """

    history: History
    events: tuple[TrafficEvent, ...]
    surprises: tuple[TrafficEvent, ...]


@dataclass(frozen=True)
class ServiceSpec:
    """The parameters of one service's traffic.

    Attributes:
        item_id: ``"namespace/name"``.
        level_qps: peak demand of an ordinary working day.
        night: demand at the lowest hour, as a share of ``level_qps``.
        peaks: hours of the day (UTC) at which demand peaks, the highest first.
        office: working hours with sharp edges and a lunch dip, instead of round peaks.
        weekend: demand on Saturday and Sunday relative to a working day.
        growth: relative change of the level per week.
        drift: standard deviation of the level's slow drift, as a share of the level.
        pulses: minutes of the hour at which scheduled jobs start.
        pulse: demand of a scheduled job as a share of ``level_qps``.
        promotions, flash_crowds, deploys, outages: mean number per week.
    """

    item_id: str
    level_qps: float
    night: float = 0.15
    peaks: tuple[float, ...] = (20.0, 11.0)
    office: bool = False
    weekend: float = 1.0
    growth: float = 0.01
    drift: float = 0.06
    pulses: tuple[int, ...] = ()
    pulse: float = 0.0
    promotions: float = 1.0
    flash_crowds: float = 0.5
    deploys: float = 3.0
    outages: float = 0.3

    def __post_init__(self) -> None:
        if not (np.isfinite(self.level_qps) and self.level_qps > 0):
            raise ValueError(f"{self.item_id}: level_qps is {self.level_qps}, but must be > 0")
        if not 0 <= self.night <= 1 or not self.peaks:
            raise ValueError(f"{self.item_id}: night must be in [0, 1] and peaks not empty")
        if min(self.promotions, self.flash_crowds, self.deploys, self.outages) < 0:
            raise ValueError(f"{self.item_id}: numbers per week must be >= 0")


SERVICES = (
    ServiceSpec("shop/checkout", 180.0, weekend=1.25, promotions=1.5),
    ServiceSpec("shop/search", 950.0, night=0.2, weekend=1.1, flash_crowds=1.0),
    ServiceSpec("pay/api", 60.0, night=0.1, office=True, weekend=0.45, pulses=(0, 30), pulse=0.5),
    ServiceSpec("media/feed", 4200.0, night=0.3, peaks=(21.0,), drift=0.1, flash_crowds=1.5),
    ServiceSpec("crm/export", 12.0, night=0.05, office=True, weekend=0.1, pulses=(5,), pulse=1.0),
    ServiceSpec("iot/ingest", 320.0, night=0.85, peaks=(14.0,), pulses=(0, 15, 30, 45), pulse=0.2),
    ServiceSpec("auth/token", 75.0, office=True, weekend=0.6, deploys=5.0),
    ServiceSpec("mail/hooks", 0.8, night=0.3, peaks=(9.0, 15.0), promotions=0.0, weekend=0.5),
)


def generate_history(
    n_items: int = 3,
    days: int = 28,
    *,
    step: timedelta = MINUTE,
    seed: int = 0,
    start: datetime = MONDAY,
) -> GeneratedTraffic:
    """Return the traffic of the first ``n_items`` of `SERVICES` and of variations of them.

    >>> generate_history(2, 1, seed=7).history.item_ids
    ('shop/checkout', 'shop/search')
    """
    if n_items < 1 or days < 1:
        raise ValueError(f"n_items is {n_items} and days is {days}, but both must be >= 1")
    return generate(tuple(_specs(n_items, seed)), start, days * DAY, step=step, seed=seed)


def generate(
    specs: tuple[ServiceSpec, ...],
    start: datetime,
    length: timedelta,
    *,
    step: timedelta = MINUTE,
    seed: int = 0,
) -> GeneratedTraffic:
    """Return the traffic of the given services over ``start <= stamp < start + length``."""
    items = [
        _service(spec, start, length, step, np.random.default_rng((seed, i)))
        for i, spec in enumerate(specs)
    ]
    return GeneratedTraffic(
        History(tuple(series for series, _, _ in items)),
        tuple(event for _, announced, _ in items for event in announced),
        tuple(event for _, _, surprises in items for event in surprises),
    )


def _specs(n_items: int, seed: int) -> Iterator[ServiceSpec]:
    for i in range(n_items):
        spec = SERVICES[i % len(SERVICES)]
        if i < len(SERVICES):
            yield spec
            continue
        rng = np.random.default_rng((seed, i, 1))
        yield replace(
            spec,
            item_id=f"{spec.item_id}-{i // len(SERVICES) + 1}",
            level_qps=spec.level_qps * float(rng.lognormal(0.0, 0.7)),
            peaks=tuple((peak + float(rng.normal(0.0, 1.5))) % 24 for peak in spec.peaks),
            growth=spec.growth + float(rng.normal(0.0, 0.01)),
        )


def _service(
    spec: ServiceSpec,
    start: datetime,
    length: timedelta,
    step: timedelta,
    rng: np.random.Generator,
) -> tuple[Series, list[TrafficEvent], list[TrafficEvent]]:
    stamps = int(start.timestamp()) + int(step.total_seconds()) * np.arange(length // step)
    demand = spec.level_qps * _season(spec, stamps)
    demand += spec.level_qps * spec.pulse * _pulses(spec, stamps, step)
    demand *= _level(spec, start, length, stamps, rng)
    events = list(_events(spec, start, length, rng))
    for event in events:
        demand *= _effect(event, stamps, rng)
    seconds = step.total_seconds()
    qps = rng.poisson(demand * seconds) / seconds
    for event in events:
        if event.kind is Kind.OUTAGE:
            qps = _unobserved(qps, event, stamps)
    promotions = [event for event in events if event.kind is Kind.PROMOTION]
    announced = [event for event in promotions if rng.random() < 0.7]
    surprises = [event for event in events if event not in announced]
    return Series(spec.item_id, start, step, qps), announced, surprises


def _season(spec: ServiceSpec, stamps: npt.NDArray[np.int64]) -> FloatArray:
    """Return demand in units of the level: 1 at the peak of a working day."""
    hour = stamps % 86_400 / 3600.0
    weekend = (stamps // 86_400 + 3) % 7 >= 5  # 1970-01-01 was a Thursday
    if spec.office:
        edges = 1 / (1 + np.exp(-4 * (hour - 8))) - 1 / (1 + np.exp(-3 * (hour - 17.5)))
        shape = edges * (1 - 0.25 * np.exp(-2 * (hour - 12.5) ** 2))
    else:
        heights = 0.75 ** np.arange(len(spec.peaks))
        bumps = [
            height * np.exp(2.5 * (np.cos(2 * np.pi * (hour - peak) / 24) - 1))
            for height, peak in zip(heights, spec.peaks, strict=True)
        ]
        shape = np.minimum(np.sum(bumps, axis=0), 1.0)
    season: FloatArray = spec.night + (1 - spec.night) * shape
    return np.where(weekend, spec.weekend, 1.0) * season


def _pulses(spec: ServiceSpec, stamps: npt.NDArray[np.int64], step: timedelta) -> FloatArray:
    """Return the demand of scheduled jobs: 1 in the minute of a start, less for longer steps."""
    minute = stamps % 3600 / 60.0
    pulses = np.zeros(len(stamps))
    for start in spec.pulses:
        since = (minute - start) % 60
        pulses += np.where(since < max(4.0, step / MINUTE), np.exp(-since / 0.8), 0.0)
    return pulses * min(1.0, MINUTE / step)


def _level(
    spec: ServiceSpec,
    start: datetime,
    length: timedelta,
    stamps: npt.NDArray[np.int64],
    rng: np.random.Generator,
) -> FloatArray:
    """Return growth times an Ornstein-Uhlenbeck process with a time constant of a day."""
    knots = length // DRIFT_KNOT + 2
    keep = float(np.exp(-DRIFT_KNOT / DAY))
    shocks = rng.normal(0.0, spec.drift * np.sqrt(1 - keep**2), knots)
    wandering = np.empty(knots)
    at = rng.normal(0.0, spec.drift)
    for i, shock in enumerate(shocks):
        wandering[i] = at = keep * at + shock
    since = stamps - start.timestamp()
    wander = np.interp(since / DRIFT_KNOT.total_seconds(), np.arange(knots), wandering)
    level: FloatArray = np.exp(wander + np.log1p(spec.growth) * since / (7 * DAY).total_seconds())
    return level


def _events(
    spec: ServiceSpec, start: datetime, length: timedelta, rng: np.random.Generator
) -> Iterator[TrafficEvent]:
    weeks = length / (7 * DAY)
    plan = (  # kind, per week, shortest and longest in minutes, lowest and highest ratio
        (Kind.PROMOTION, spec.promotions, (60, 240), (1.5, 2.5)),
        (Kind.FLASH_CROWD, spec.flash_crowds, (25, 90), (2.5, 6.0)),
        (Kind.DEPLOY, spec.deploys, (2, 6), (0.5, 0.8)),
        (Kind.OUTAGE, spec.outages, (5, 40), (np.nan, np.nan)),
    )
    for kind, per_week, minutes, ratios in plan:
        for _ in range(rng.poisson(per_week * weeks)):
            begin = start + int(rng.integers(length // MINUTE)) * MINUTE
            if kind is Kind.PROMOTION:  # promotions start on the hour, in the daytime
                begin = begin.replace(hour=int(rng.integers(8, 20)), minute=0)
            lasts = int(rng.integers(minutes[0], minutes[1] + 1)) * MINUTE
            ratio = ratios[0] + float(rng.random()) * (ratios[1] - ratios[0])
            yield TrafficEvent(spec.item_id, kind, begin, begin + lasts, ratio)


def _effect(
    event: TrafficEvent, stamps: npt.NDArray[np.int64], rng: np.random.Generator
) -> FloatArray:
    """Return the factor of the demand during the event; the shape is that of ``stamps``."""
    since = (stamps - event.start.timestamp()) / 60.0
    lasts = (event.end - event.start) / MINUTE
    if event.kind is Kind.OUTAGE:
        return np.ones(len(stamps))
    inside = (since >= 0) & (since < lasts)
    if event.kind is Kind.DEPLOY:
        retried = (since >= lasts) & (since < lasts + 2)
        return np.where(inside, event.ratio, np.where(retried, 1.15, 1.0))
    rise = float(rng.uniform(2.0, 5.0))
    # A promotion decays slowly after its peak; a flash crowd has decayed to 1/20 at its end.
    decay = lasts / 3 if event.kind is Kind.FLASH_CROWD else 2 * lasts
    height = np.clip(since / rise, 0.0, 1.0) * np.exp(-np.maximum(since - rise, 0.0) / decay)
    return np.where(inside, 1 + (event.ratio - 1) * height, 1.0)


def _unobserved(qps: FloatArray, event: TrafficEvent, stamps: npt.NDArray[np.int64]) -> FloatArray:
    """Return the demand as monitored: missing during the outage, and too low just after it.

    ``rate()`` over five minutes counts only the requests after the outage.
    """
    since_end = stamps - event.end.timestamp()
    seen = np.clip((since_end + 30) / RATE_WINDOW.total_seconds(), 0.0, 1.0)
    inside = (stamps >= event.start.timestamp()) & (since_end < 0)
    return np.where(inside, np.nan, np.where(since_end >= 0, qps * seen, qps))
