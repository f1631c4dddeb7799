"""Records what the loop's ports answer, and what the loop does with it.

What a port returns is what was decided on, so that a replay needs no Prometheus, no cluster and no
model. What it raises is recorded as it would be told, and raised all the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

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
from scaler.adapters.journal.facts import facts_of
from scaler.adapters.journal.journal import Journal
from scaler.control.loop import ControlLoop
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.ports import (
    BatchForecast,
    ForecastModels,
    TrafficQuery,
    TrafficSource,
    WatchedPolicy,
    Workloads,
    World,
)
from scaler.control.snapshot import Condition, ServiceView, Snapshot


def recorded_world(world: World, journal: Journal) -> World:
    """Return the same world; what it answers is recorded."""
    return World(
        _Traffic(world.traffic, journal),
        _Models(world.models, journal),
        _Workloads(world.workloads, journal),
    )


class TickRecorder:
    """Records when ticks begin, under which policies, and that they have ended.

    Args:
        journal: that is kept.
        mono: monotonic seconds.
    """

    def __init__(self, journal: Journal, mono: Callable[[], float]) -> None:
        self._journal, self._mono = journal, mono
        self._watched: set[str] = set()

    def tick(self, loop: ControlLoop, watched: Sequence[WatchedPolicy], now: float) -> Snapshot:
        """Have the loop tick."""
        items = {}
        for one in watched:
            item = one.policy.item_id
            # A checkpoint is looked at when a service is taken up, never again.
            known = item in self._watched and one.checkpoint is not None
            items[item] = replace(one, checkpoint=None) if known else one
        self._watched = set(items)
        self._journal.put(TickBegan(now, self._mono(), items))
        return loop.tick(watched, now)

    def publish(self, snapshot: Snapshot) -> None:
        """Take in what a tick publishes; before the endpoint has it."""
        self._journal.put(TickEnded(snapshot.tick, snapshot.leader, snapshot.seconds))


class _Traffic:
    def __init__(self, inner: TrafficSource, journal: Journal) -> None:
        self._inner, self._journal = inner, journal

    def measure(self, queries: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:
        with _raised(self._journal, lambda error: Measured(raised=error)):
            found = self._inner.measure(queries, now)
            items = {query.item_id: one for query, one in zip(queries, found, strict=True)}
        self._journal.put(Measured(items))
        return found

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]:
        if not queries:
            return self._inner.histories(queries, length, now)
        asked = tuple(queries)
        with _raised(self._journal, lambda error: HistoriesRead(asked, raised=error)):
            found = self._inner.histories(queries, length, now)
        self._journal.put(HistoriesRead(asked, tuple(found)))
        return found


class _Models:
    def __init__(self, inner: ForecastModels, journal: Journal) -> None:
        self._inner, self._journal = inner, journal

    def reload(self, names: Sequence[str]) -> None:
        self._inner.reload(names)

    def predict(self, name: str, series: Sequence[Series]) -> BatchForecast:
        with _raised(self._journal, lambda error: Forecasted(name, raised=error)):
            said = self._inner.predict(name, series)
        self._journal.put(Forecasted(name, said.forecast, said.rows, said.faults))
        return said


class _Workloads:
    def __init__(self, inner: Workloads, journal: Journal) -> None:
        self._inner, self._journal = inner, journal

    def observe(self, watched: Sequence[WatchedPolicy], now: float) -> Mapping[str, Workload | str]:
        with _raised(self._journal, lambda error: Observed(raised=error)):
            found = self._inner.observe(watched, now)
        self._journal.put(Observed(found))
        return found

    def apply(self, views: Sequence[ServiceView], now: float) -> Mapping[str, Condition]:
        self._journal.put(Decided({view.item_id: facts_of(view) for view in views}))
        with _raised(self._journal, lambda error: Applied(raised=error)):
            found = self._inner.apply(views, now)
        self._journal.put(Applied(found))
        return found


@contextmanager
def _raised(journal: Journal, event: Callable[[str], object]) -> Iterator[None]:
    """Record what is raised inside, as it is told in conditions."""
    try:
        yield
    except Exception as error:
        journal.put(event(repr(error)))
        raise
