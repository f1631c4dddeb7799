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

import numpy as np

from forecaster.data.series import FloatArray, Forecast, Series
from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.lease_memory import LeasesMemory
from scaler.control.memory import LoopMemory
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.ports import WatchedPolicy
from scaler.control.reign import Reign
from scaler.control.snapshot import PlanOutcome, ServiceView


@dataclass(frozen=True, eq=False, slots=True)
class TickBegan:
    """A tick's time and policies.

    Attributes:
        now: seconds since the epoch; mono: the same moment in monotonic seconds.
        set_by_s: how far the wall clock has been set since the tick before.
    """

    now: float
    mono: float
    items: Mapping[str, WatchedPolicy]
    set_by_s: float = 0.0


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
class Reported:
    """What gateways reported, where they did."""

    items: Mapping[str, float] = field(default_factory=dict)
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
class LowsFound:
    """Seasonal lows, in the order of the items that have a history; NaN where unknown."""

    qps: FloatArray = field(default_factory=lambda: np.empty(0))
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
class PlansHanded:
    """The same as `Decided`, before facts are made of it: that is left to who writes."""

    views: tuple[ServiceView, ...]


@dataclass(frozen=True, eq=False, slots=True)
class Applied:
    items: Mapping[str, PlanOutcome] = field(default_factory=dict)
    raised: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class TickEnded:
    """``seconds``: that it took."""

    tick: int
    leader: bool
    seconds: float


@dataclass(frozen=True, slots=True)
class JournalHead:
    """What a file begins with.

    Attributes:
        format: that its lines are in.
        tidegate: version that wrote it.
        run: names the process that wrote it; files of one run are to be read in order.
        first_tick: that it holds; at: when that began, in seconds since the epoch.
        step_s, tick_s: of the loop.
        stale_after_s, learns_shares: of the endpoint; see `ApiSettings`.
    """

    format: int
    tidegate: str
    run: str
    first_tick: int
    at: float
    step_s: float
    tick_s: float
    stale_after_s: float
    learns_shares: bool


@dataclass(frozen=True, eq=False, slots=True)
class LoopRemembers:
    """What the loop remembers before the first tick of a file."""

    memory: LoopMemory


@dataclass(frozen=True, eq=False, slots=True)
class LeasesRemember:
    """What the lease service remembers before its next call."""

    memory: LeasesMemory


@dataclass(frozen=True, slots=True)
class SeenTick:
    """The tick that a call was answered by, and since when that was true in monotonic seconds.

    ``reign`` is None without an election: then the tick says who leads.
    """

    tick: int
    since: float
    reign: Reign | None = None


@dataclass(frozen=True, slots=True)
class LeaseTold:
    """What a gateway was answered; ``body`` is a digest of all that it was told."""

    instance: str
    etag: str
    changed: bool
    body: str


@dataclass(frozen=True, eq=False, slots=True)
class LeasesCalled:
    """A call of the lease service.

    Attributes:
        call: name of the method.
        at: monotonic seconds.
        asked: by whom; several where they have waited.
        told: to each that was answered; waits: instead, whether the gateway may wait.
        refused: the status and the words, where the call was refused.
    """

    call: str
    service: str
    at: float
    seen: SeenTick | None = None
    asked: tuple[LeaseRequest, ...] = ()
    told: tuple[LeaseTold, ...] = ()
    waits: bool | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """The end of a file, where so many events after it could not be kept."""

    events: int
