"""The values of the data-quality pass: raw samples, thresholds, findings and the report.

Spans are half-open: ``end`` is one step after the last sample.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from forecaster.data.series import FloatArray, History, Series

StampArray = npt.NDArray[np.int64]


class Rule(enum.Enum):
    """The rule of a finding; the value is printed and stored."""

    READ = "read"
    EMPTY = "empty"
    ITEM = "item"
    CLOCK = "clock"
    DAYLIGHT = "daylight"
    FUTURE = "future"
    STEP = "step"
    OFF_GRID = "off_grid"
    UNORDERED = "unordered"
    DUPLICATE = "duplicate"
    CONFLICT = "conflict"
    GAP = "gap"
    NEGATIVE = "negative"
    INFINITE = "infinite"
    COUNTER = "counter"
    SPIKE = "spike"
    FLAT = "flat"
    CONSTANT = "constant"
    ALL_ZERO = "all_zero"
    AFTER_OUTAGE = "after_outage"
    BEFORE_OUTAGE = "before_outage"
    MASKED = "masked"
    TOO_SHORT = "too_short"


class Action(enum.Enum):
    """How a rule treated its finding.

    An item that is refused has something wrong with it, and so refuses the whole history; one that
    is left out, as it is too young, does not.
    """

    REPAIRED = "repaired"
    REFUSED = "refused"
    LEFT_OUT = "left_out"
    NOTED = "noted"


@dataclass(frozen=True, eq=False)
class RawSeries:
    """One item's samples as they were read: any order, any spacing, any value.

    Attributes:
        item_id: ``"namespace/name"`` of the service.
        stamps: whole seconds since the epoch, shape ``(n,)``.
        values: QPS as read, shape ``(n,)``; NaN where the source has an empty sample.
        zone_assumed: whether the source has no time zone and the caller named one. Gaps that look
            like a clock change are then refused, not only noted.
        timezone: zone whose clocks the traffic follows; None: not named.
    """

    item_id: str
    stamps: StampArray
    values: FloatArray
    zone_assumed: bool = False
    timezone: str | None = None

    def __post_init__(self) -> None:
        stamps = np.array(self.stamps, dtype=np.int64)
        values = np.array(self.values, dtype=np.float64)
        if stamps.ndim != 1 or stamps.shape != values.shape:
            raise ValueError(
                f"{self.item_id}: stamps {stamps.shape} and values {values.shape} must both be (n,)"
            )
        object.__setattr__(self, "stamps", stamps)
        object.__setattr__(self, "values", values)

    @classmethod
    def of(cls, series: Series) -> RawSeries:
        """Return the samples of a series, the missing ones included."""
        return cls(series.item_id, series.stamps, series.values, timezone=series.timezone)


@dataclass(frozen=True)
class Window:
    """A span that the user excludes from learning: an incident, a load test.

    Attributes:
        start: start of the span; aware UTC.
        end: end of the span, not part of it; aware UTC.
        item_id: the item; None: all items.
    """

    start: datetime
    end: datetime
    item_id: str | None = None

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError(f"window {self.start} to {self.end} has no time zone; write e.g. ...Z")
        if self.end <= self.start:
            raise ValueError(f"window ends at {self.end}, but it must end after {self.start}")


@dataclass(frozen=True)
class QualityRules:
    """The thresholds of the pass; the defaults keep samples in doubtful cases.

    Attributes:
        min_samples: an item with fewer known samples is left out.
        snap_within: a stamp at most this far from the grid (in steps) is moved onto it. At half a
            step no stamp would be refused, and a wrong ``step`` would not be noticed.
        conflicts: share of stamps with two different values that may be set missing. More of them
            mean two series under one name, which is refused.
        counter_changes: a series with at least this many changes, of which at most one in fifty is
            a decrease, is a raw counter. Traffic decreases about as often as it increases.
        spike_ratio: a run of at most two samples this many times above both its surroundings and
            the item's own 95th percentile is a counter reset, unless it recurs.
        spike_floor_qps: a value below this is never a spike, as small counts are noisy.
        spike_longest: longer spikes are noted and kept, since a flash crowd lasts minutes.
        flat_samples, flat_time: a non-zero value repeated for both of them is a stuck exporter.
        flat_recurs: a value with this many flat runs is a floor or a cap of the service, and kept.
        outage: a gap this long is an outage, before and after which rates may be falsely low.
        rate_window: range of the ``rate(...)`` in the query. Samples beside an outage are compared
            with the two ranges beyond them; steps longer than the range are not checked.
        low_ratio: a sample beside an outage below this share of those beyond it is falsely low.
        nearly_all: a mask of more than this share of what is known is noted and not applied: what
            is known of the item then is what the rule takes for wrong.
        skip_refused: leave refused items out as long as one remains, instead of refusing all.
    """

    min_samples: int = 30
    snap_within: float = 0.25
    conflicts: float = 0.01
    counter_changes: int = 60
    spike_ratio: float = 20.0
    spike_floor_qps: float = 1.0
    spike_longest: timedelta = timedelta(minutes=2)
    flat_samples: int = 20
    flat_time: timedelta = timedelta(minutes=30)
    flat_recurs: int = 3
    outage: timedelta = timedelta(minutes=3)
    rate_window: timedelta = timedelta(minutes=5)
    low_ratio: float = 0.8
    nearly_all: float = 0.9
    skip_refused: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.snap_within < 0.5:
            raise ValueError(f"snap_within is {self.snap_within}, but must be in [0, 0.5)")
        if self.min_samples < 1 or self.spike_ratio <= 1 or not 0 < self.low_ratio < 1:
            raise ValueError("min_samples must be >= 1, spike_ratio > 1, low_ratio in (0, 1)")


@dataclass(frozen=True)
class Finding:
    """One finding about one item, and how it was treated.

    Attributes:
        start: first stamp affected; aware UTC.
        end: one step after the last stamp affected.
        count: number of samples affected.
        message: the value found, the rule and, if refused, the fix; without item and span.
    """

    item_id: str
    rule: Rule
    action: Action
    start: datetime
    end: datetime
    count: int
    message: str

    def __str__(self) -> str:
        if not self.count:
            return f"{self.item_id}: {self.message}"
        span = f"{self.start:%Y-%m-%dT%H:%M:%SZ} to {self.end:%Y-%m-%dT%H:%M:%SZ}"
        return f"{self.item_id}: {span}: {self.message}"

    def to_record(self) -> dict[str, Any]:
        """Return the finding as plain values for JSON."""
        return {
            "item_id": self.item_id,
            "rule": self.rule.value,
            "action": self.action.value,
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "count": self.count,
            "message": self.message,
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Finding:
        """Return the finding from the values that `to_record` returned."""
        return cls(
            item_id=str(record["item_id"]),
            rule=Rule(record["rule"]),
            action=Action(record["action"]),
            start=datetime.fromisoformat(record["start"]).astimezone(UTC),
            end=datetime.fromisoformat(record["end"]).astimezone(UTC),
            count=int(record["count"]),
            message=str(record["message"]),
        )


@dataclass(frozen=True)
class QualityReport:
    """A usable history, and all findings about the raw samples."""

    history: History
    findings: tuple[Finding, ...]
