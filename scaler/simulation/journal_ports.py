"""The loop's ports, answered by what a journal says that they answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, TypeVar

import numpy as np

from forecaster.data.series import Block, FloatArray, Series
from scaler.adapters.journal.events import (
    Applied,
    Decided,
    Forecasted,
    HistoriesRead,
    LowsFound,
    Measured,
    Observed,
    Reported,
)
from scaler.adapters.journal.facts import differing, facts_of
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.ports import BatchForecast, TrafficQuery, WatchedPolicy
from scaler.control.snapshot import PlanOutcome, ServiceView

Event = TypeVar("Event")


class RecordedError(Exception):
    """What a port has failed with; it is told as it was told then."""

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self._told = told

    def __repr__(self) -> str:
        return self._told


@dataclass(frozen=True, slots=True)
class Difference:
    """Where a replay came to something else.

    Attributes:
        tick: in which, or after which.
        whom: a service, a gateway, or what else it is about; what: of that.
    """

    tick: int
    whom: str
    what: str
    recorded: object = None
    replayed: object = None

    def __str__(self) -> str:
        was = f"was {self.recorded!r}, is {self.replayed!r}"
        return f"tick {self.tick}: {self.whom}: {self.what} {was}"


@dataclass(slots=True)
class TickAnswers:
    """What a journal holds of one tick, taken in the order in which it was asked for."""

    events: list[Any] = field(default_factory=list)

    def take(self, kind: type[Event]) -> Event | None:
        for place, one in enumerate(self.events):
            if isinstance(one, kind):
                del self.events[place]
                return one
        return None

    def find(self, kind: type[Event]) -> Event | None:
        return next((one for one in self.events if isinstance(one, kind)), None)


class JournalPorts:
    """Traffic, models, workloads and witness in one; `begin` comes before each tick."""

    def __init__(self) -> None:
        self.differences: list[Difference] = []
        self._tick, self._answers = 0, TickAnswers()

    def begin(self, tick: int, answers: Sequence[Any]) -> None:
        self._tick, self._answers = tick, TickAnswers(list(answers))

    def end(self) -> None:
        """Tell what was recorded, but not asked for this time."""
        for one in self._answers.events:
            self._differs("the loop", type(one).__name__, "asked for", "not asked for")

    def measure(
        self,
        queries: Sequence[TrafficQuery],
        now: float,  # noqa: ARG002
    ) -> list[ServiceMetrics]:
        found = self._take(Measured)
        return [found.items[query.item_id] for query in queries]

    def histories(
        self,
        queries: Sequence[tuple[str, str]],
        length: timedelta,  # noqa: ARG002
        now: float,  # noqa: ARG002
    ) -> list[Series | str]:
        if not queries:
            return []
        found = self._take(HistoriesRead)
        asked = tuple(item for item, _ in queries)
        if asked != (before := tuple(item for item, _ in found.queries)):
            self._differs("the loop", "histories asked for", before, asked)
        return list(found.found)

    def reported(self) -> Mapping[str, float]:
        if self._answers.find(Reported) is None:
            return {}
        return self._take(Reported).items

    def reload(self, names: Sequence[str]) -> None:
        """Do nothing: what models say is recorded."""

    def predict(
        self,
        name: str,
        series: Sequence[Series],  # noqa: ARG002
    ) -> BatchForecast:
        found = self._take(Forecasted)
        if name != found.name:
            self._differs("the loop", "model asked", found.name, name)
        return found

    def seasonal_lows(self, half_hours: Block) -> FloatArray:
        if self._answers.find(LowsFound) is None:  # it was recorded before there were any
            return np.full(len(half_hours), np.nan)
        return self._take(LowsFound).qps

    def observe(
        self,
        watched: Sequence[WatchedPolicy],  # noqa: ARG002
        now: float,  # noqa: ARG002
    ) -> Mapping[str, Workload | str]:
        return self._take(Observed).items

    def apply(
        self,
        views: Sequence[ServiceView],
        now: float,  # noqa: ARG002
    ) -> Mapping[str, PlanOutcome]:
        recorded = dict(self._take(Decided).items)
        for view in views:
            known, facts = recorded.pop(view.item_id, {}), facts_of(view)
            for name in differing(known, facts):
                self._differs(view.item_id, name, known.get(name), facts.get(name))
        for item in recorded:
            self._differs(item, "decision", "decided on", "not decided on")
        return self._take(Applied).items

    def _take(self, kind: type[Event]) -> Event:
        """Return what was recorded next of a kind; raise what was raised then."""
        found = self._answers.take(kind)
        if found is None:
            self._differs("the loop", kind.__name__, "not asked for", "asked for")
            raise RecordedError(f"the journal holds no {kind.__name__} of this tick")
        raised = getattr(found, "raised", None)
        if raised is not None:
            raise RecordedError(raised)
        return found

    def _differs(self, whom: str, what: str, recorded: object, replayed: object) -> None:
        self.differences.append(Difference(self._tick, whom, what, recorded, replayed))
