"""Drives the production loop by a journal, and tells where it comes to something else."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

from forecaster.data.series import Series
from scaler.adapters.journal.events import (
    Applied,
    Decided,
    Forecasted,
    HistoriesRead,
    Measured,
    Observed,
    TickBegan,
    TickEnded,
)
from scaler.adapters.journal.facts import differing, facts_of
from scaler.control.loop import ControlLoop
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.ports import BatchForecast, TrafficQuery, WatchedPolicy, World
from scaler.control.snapshot import Condition, ServiceView, Snapshot

E = TypeVar("E")


class RecordedError(Exception):
    """What a port has failed with; told as it was told then."""

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self._told = told

    def __repr__(self) -> str:
        return self._told


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the replay came to something else."""

    tick: int
    whom: str
    what: str
    recorded: object = None
    replayed: object = None


@dataclass(slots=True)
class _Tick:
    began: TickBegan
    events: list[Any] = field(default_factory=list)
    differences: list[Difference] = field(default_factory=list)

    def take(self, kind: type[E]) -> E:
        for place, one in enumerate(self.events):
            if isinstance(one, kind):
                del self.events[place]
                return one
        self.differences.append(Difference(0, "", f"asked for {kind.__name__}, which it was not"))
        raise RecordedError(f"nothing was recorded of {kind.__name__}")


class JournalReplay:
    def __init__(self, step: timedelta, tick_s: float) -> None:
        self.differences: list[Difference] = []
        self.ticks = 0
        self.snapshots: dict[int, Snapshot] = {}
        self._tick: _Tick | None = None
        self._leader = True
        self._loop = ControlLoop(
            World(self, self, self), step, self._published, lambda: self._leader, tick_s
        )

    def run(self, events: Iterable[object]) -> None:
        for event in events:
            if isinstance(event, TickBegan):
                self._tick = _Tick(event)
            elif isinstance(event, TickEnded):
                assert self._tick is not None
                self._leader = event.leader
                self._loop.tick(tuple(self._tick.began.items.values()), self._tick.began.now)
                self.ticks += 1
                self.differences += self._tick.differences
            elif self._tick is not None:
                self._tick.events.append(event)

    def _published(self, snapshot: Snapshot) -> None:
        self.snapshots[snapshot.tick] = snapshot

    # The ports.

    def measure(self, queries: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:
        found = self._take(Measured)
        _raise(found.raised)
        return [found.items[one.item_id] for one in queries]

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]:
        if not queries:
            return []
        found = self._take(HistoriesRead)
        _raise(found.raised)
        return list(found.found)

    def reload(self, names: Sequence[str]) -> None:
        pass

    def predict(self, name: str, series: Sequence[Series]) -> BatchForecast:
        found = self._take(Forecasted)
        _raise(found.raised)
        return found

    def observe(self, watched: Sequence[WatchedPolicy], now: float) -> Mapping[str, Workload | str]:
        found = self._take(Observed)
        _raise(found.raised)
        return found.items

    def apply(self, views: Sequence[ServiceView], now: float) -> Mapping[str, Condition]:
        recorded = self._take(Decided).items
        assert self._tick is not None
        for view in views:
            facts = facts_of(view)
            known = recorded.get(view.item_id, {})
            for name in differing(known, facts):
                self._tick.differences.append(
                    Difference(0, view.item_id, name, known.get(name), facts.get(name))
                )
        found = self._take(Applied)
        _raise(found.raised)
        return found.items

    def _take(self, kind: type[E]) -> E:
        assert self._tick is not None
        return self._tick.take(kind)


def _raise(told: str | None) -> None:
    if told is not None:
        raise RecordedError(told)
