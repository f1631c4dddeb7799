"""What a journal holds: each input of the loop and of the lease service, and what came of it.

A tick is `TickBegan`, the answers of the ports in the order in which they were asked for, what was
`Decided` on and what was `Applied`, and `TickEnded`. Between ticks, on a thread of their own, stand
the calls of gateways. ``raised`` is what a port failed with instead of answering.

``items`` are told by difference: what is the same as in the event of its kind before is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from forecaster.data.series import Forecast, Series
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.ports import WatchedPolicy
from scaler.control.snapshot import Condition


@dataclass(frozen=True, eq=False, slots=True)
class TickBegan:
    """``now`` is seconds since the epoch, ``mono`` the same moment in monotonic seconds."""

    now: float
    mono: float
    items: Mapping[str, WatchedPolicy]


@dataclass(frozen=True, eq=False, slots=True)
class HistoriesRead:
    """``found`` in the order of ``queries``: ``(item_id, PromQL)``."""

    queries: tuple[tuple[str, str], ...]
    found: tuple[Series | str, ...] = ()
    raised: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Measured:
    items: Mapping[str, ServiceMetrics] = field(default_factory=dict)
    raised: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Forecasted:
    """What model ``name`` said."""

    name: str
    forecast: Forecast | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    raised: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Observed:
    items: Mapping[str, Workload | str] = field(default_factory=dict)
    raised: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Decided:
    """What was decided on each service; see `facts.facts_of`."""

    items: Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, eq=False, slots=True)
class Applied:
    items: Mapping[str, Condition] = field(default_factory=dict)
    raised: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class TickEnded:
    """``seconds``: that it took."""

    tick: int
    leader: bool
    seconds: float


TickEvent = (
    TickBegan | HistoriesRead | Measured | Forecasted | Observed | Decided | Applied | TickEnded
)
