"""Records what the loop's ports answer, and what the loop does with it.

What a port returns is what was decided on, so that a replay needs no Prometheus, no cluster and no
model. What it raises is recorded as it would be told, and raised all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from forecaster.data.series import Block, FloatArray, Series
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.journal.events import (
    Applied,
    Forecasted,
    HistoriesRead,
    JournalHead,
    LowsFound,
    Measured,
    Observed,
    PlansHanded,
    Reported,
    TickBegan,
    TickEnded,
)
from scaler.adapters.journal.journal import Journal
from scaler.adapters.journal.lines import FORMAT
from scaler.control.checkpoint import REPORTED
from scaler.control.loop import ControlLoop
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.ports import (
    BatchForecast,
    DemandWitness,
    ForecastModels,
    TrafficQuery,
    TrafficSource,
    WatchedPolicy,
    Workloads,
    World,
)
from scaler.control.snapshot import PlanOutcome, ServiceView, Snapshot
from scaler.control.timekeeper import TickTime

# Kilobytes that a history takes until it is written.
HISTORY_UNITS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRun:
    """What a journal says of the process; see `JournalHead`."""

    version: str
    name: str
    step_s: float
    tick_s: float
    settings: ApiSettings

    def head(self, first_tick: int, now: float) -> JournalHead:
        # The settings of access are left out.
        return JournalHead(
            FORMAT, self.version, self.name, first_tick, now, self.step_s, self.tick_s,
            self.settings.stale_after_s, self.settings.learns_shares,
        )  # fmt: skip


class LoopRecorder:
    """Records a loop whose world is the one that `world` returns.

    Args:
        journal: that is kept.
        run: what it says of this process.
        mono: monotonic seconds.
    """

    def __init__(self, journal: Journal, run: RecordedRun, mono: Callable[[], float]) -> None:
        self._journal, self._run, self._mono = journal, run, mono
        self._watched: dict[str, WatchedPolicy] = {}
        self._ticks = 0

    def world(self, world: World) -> World:
        """Return the same world; what it answers is recorded."""
        return World(
            _RecordedTraffic(world.traffic, self._journal, self._is_demand),
            _RecordedModels(world.models, self._journal),
            _RecordedWorkloads(world.workloads, self._journal),
            _RecordedWitness(world.witness, self._journal),
            _recorded_lows(world.seasonal_lows, self._journal),
        )

    def tick(self, loop: ControlLoop, watched: Sequence[WatchedPolicy], when: TickTime) -> Snapshot:
        """Have the loop tick."""
        now = when.now
        with self._journal.recording():
            if self._journal.due():
                self._journal.begin(self._run.head(self._ticks + 1, now), loop.memory())
            self._watched = self._told(watched)
            event = TickBegan(now, self._mono(), self._watched, when.set_by_s)
            self._journal.put(event, len(watched) + 1)
        return loop.tick(watched, now, when.set_by_s)

    def publish(self, snapshot: Snapshot) -> None:
        """Take in what a tick publishes, before the endpoint has it."""
        self._ticks = snapshot.tick
        with self._journal.recording():
            self._journal.put(TickEnded(snapshot.tick, snapshot.leader, snapshot.seconds))

    def _told(self, watched: Sequence[WatchedPolicy]) -> dict[str, WatchedPolicy]:
        """Return the policies; of those that are known, what is read once is left out."""
        items = {}
        for one in watched:
            item = one.policy.item_id
            once = one.checkpoint is not None and REPORTED not in one.checkpoint
            known = once and item in self._watched
            items[item] = replace(one, checkpoint=None) if known else one
        return items

    def _is_demand(self, item: str, query: str) -> bool:
        """Return whether a query is the demand's and nothing else's."""
        policy = self._watched[item].policy
        others = policy.replicas_query, policy.slo.query, policy.mask_query
        return policy.demand_query == query not in others


class _RecordedTraffic:
    def __init__(
        self, inner: TrafficSource, journal: Journal, is_demand: Callable[[str, str], bool]
    ) -> None:
        self._inner, self._journal, self._is_demand = inner, journal, is_demand

    def measure(self, queries: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:
        with _raised(self._journal, lambda error: Measured(raised=error)):
            found = self._inner.measure(queries, now)
        with self._journal.recording():
            items = {query.item_id: one for query, one in zip(queries, found, strict=True)}
            self._journal.put(Measured(items), len(items) + 1)
        return found

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]:
        if not queries:
            return self._inner.histories(queries, length, now)
        asked = tuple(queries)
        with _raised(self._journal, lambda error: HistoriesRead(asked, raised=error)):
            found = self._inner.histories(queries, length, now)
        with self._journal.recording():
            told = [
                _as_kept(past) if not isinstance(past, str) and self._is_demand(*query) else past
                for query, past in zip(asked, found, strict=True)
            ]
            self._journal.put(HistoriesRead(asked, tuple(told)), HISTORY_UNITS * len(told))
        return found


class _RecordedWitness:
    def __init__(self, inner: DemandWitness, journal: Journal) -> None:
        self._inner, self._journal = inner, journal

    def reported(self) -> Mapping[str, float]:
        with _raised(self._journal, lambda error: Reported(raised=error)):
            found = self._inner.reported()
        if found:  # most services have no gateways
            with self._journal.recording():
                self._journal.put(Reported(dict(found)), len(found) + 1)
        return found


class _RecordedModels:
    def __init__(self, inner: ForecastModels, journal: Journal) -> None:
        self._inner, self._journal = inner, journal

    def reload(self, names: Sequence[str]) -> None:
        self._inner.reload(names)

    def predict(self, name: str, series: Sequence[Series]) -> BatchForecast:
        with _raised(self._journal, lambda error: Forecasted(name, raised=error)):
            said = self._inner.predict(name, series)
        with self._journal.recording():
            event = Forecasted(name, said.forecast, said.rows, said.faults)
            self._journal.put(event, 3 * len(series) + 1)
        return said


def _recorded_lows(
    inner: Callable[[Block], FloatArray], journal: Journal
) -> Callable[[Block], FloatArray]:
    def seasonal_lows(half_hours: Block) -> FloatArray:
        with _raised(journal, lambda error: LowsFound(raised=error)):
            found = inner(half_hours)
        with journal.recording():
            journal.put(LowsFound(found), len(found) // 8 + 1)
        return found

    return seasonal_lows


class _RecordedWorkloads:
    def __init__(self, inner: Workloads, journal: Journal) -> None:
        self._inner, self._journal = inner, journal

    def observe(self, watched: Sequence[WatchedPolicy], now: float) -> Mapping[str, Workload | str]:
        with _raised(self._journal, lambda error: Observed(raised=error)):
            found = self._inner.observe(watched, now)
        with self._journal.recording():
            self._journal.put(Observed(dict(found)), len(found) + 1)
        return found

    def apply(self, views: Sequence[ServiceView], now: float) -> Mapping[str, PlanOutcome]:
        with self._journal.recording():
            self._journal.put(PlansHanded(tuple(views)), len(views) + 1)
        with _raised(self._journal, lambda error: Applied(raised=error)):
            found = self._inner.apply(views, now)
        with self._journal.recording():
            self._journal.put(Applied(dict(found)), len(found) + 1)
        return found


def _as_kept(past: Series) -> Series:
    """Return a past of demand with the digits that the loop keeps of it."""
    return replace(past, values=past.values.astype(np.float32))


@contextmanager
def _raised(journal: Journal, event: Callable[[str], object]) -> Iterator[None]:
    """Record what is raised inside, as it is told in conditions."""
    try:
        yield
    except Exception as error:
        with journal.recording():
            journal.put(event(repr(error)))
        raise
