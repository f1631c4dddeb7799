"""The queries of a tick: what is offered now, latencies and masks of all services.

Rules of this file:

* Queries that differ in the values of labels alone are asked as one: see `grouped_calls`.
* A query must return exactly one series; that of a mask may return none.
* A query is asked as ``hold`` returns it, which may hold it to its policy's namespace.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forecaster.adapters.prometheus.answers import PrometheusAnswer, QueryGrid, shown
from forecaster.data.series import FloatArray
from scaler.adapters.grouped_calls import GroupedCalls, by_member
from scaler.adapters.namespace_label import QueryHolder
from scaler.adapters.patient_calls import PatientCalls
from scaler.adapters.query_groups import QueryGroup, Values

# Demand is queried on a finer grid than the forecast's, so that one query serves both.
GRID_S = 15
# A gap in the samples that is longer than this is filled by a range query of its own.
MAX_CATCH_UP_S = 600
# Members of a group: of ten thousand services there are twenty groups of demand.
MOST_MEMBERS = 512
# Asks PromQL on a grid within so many seconds; the last number is of the series that may come.
Ask = Callable[[str, QueryGrid, float, int], PrometheusAnswer]


@dataclass(frozen=True, slots=True)
class AskedQuery:
    """One query of a service.

    Attributes:
        item_id: of the service.
        written: PromQL, as the policy has it.
        since: it is asked for all moments after this one; None: for the latest alone.
        may_be_empty: whether no series is an answer, too.
    """

    item_id: str
    written: str
    since: float | None = None
    may_be_empty: bool = False

    @property
    def kind(self) -> tuple[bool, bool]:
        """Whether the latest moment alone is asked for, and whether no series is an answer."""
        return self.since is None, self.may_be_empty


@dataclass(frozen=True, eq=False, slots=True)
class FoundSeries:
    """The only series of an answer, on the grid that was asked for."""

    grid: QueryGrid
    values: FloatArray
    partial: str | None

    def marks(self, since: float) -> tuple[float, ...]:
        """Return the moments after one, and the latest in any case, with a value above 0."""
        (places,) = np.nonzero(self.values > 0)
        stamps = (self.grid.first + GRID_S * places).astype(float)
        return tuple(stamps[(stamps > since) | (stamps == self.grid.last)].tolist())


Answered = FoundSeries | Exception


class CurrentMetrics:
    """Asks the queries of one tick after the other. Confined to one thread.

    Args:
        ask: one query of Prometheus.
        calls: by which they are made.
        hold: returns a namespace's query as it may be asked, or raises.
    """

    def __init__(
        self,
        ask: Ask,
        calls: PatientCalls[FoundSeries | Mapping[Values, Answered]],
        hold: QueryHolder,
    ) -> None:
        self._ask = ask
        self._calls = GroupedCalls[AskedQuery, FoundSeries](calls, self, hold, MOST_MEMBERS)
        self._now = math.nan

    def close(self) -> None:
        self._calls.close()

    def answers(self, queries: Sequence[AskedQuery], now: float) -> list[Answered]:
        """Return what each query was answered, or why it was not, in order."""
        self._now = now
        return self._calls.make(queries)

    def ask_one(self, promql: str, query: AskedQuery, within_s: float) -> FoundSeries:
        grid = self._grid(query.since)
        answer = self._ask(promql, grid, within_s, 1)
        return _found(answer, promql, grid, may_be_empty=query.may_be_empty)

    def ask_many(
        self, promql: str, group: QueryGroup, queries: Sequence[AskedQuery], within_s: float
    ) -> Mapping[Values, Answered]:
        grid = self._grid(min((q.since for q in queries if q.since is not None), default=None))
        answer = self._ask(promql, grid, within_s, len(group.members))
        may_be_empty = queries[0].may_be_empty
        return {
            values: _told(own, promql, grid, may_be_empty)
            for values, own in by_member(answer, group).items()
        }

    def _grid(self, since: float | None) -> QueryGrid:
        # The slow lane may come to it later: by then there are newer samples.
        first = last = int(self._now // GRID_S) * GRID_S
        if since is not None:
            first = min(max(int(since // GRID_S + 1) * GRID_S, last - MAX_CATCH_UP_S), last)
        return QueryGrid(first, GRID_S, (last - first) // GRID_S + 1)


def _told(answer: PrometheusAnswer, promql: str, grid: QueryGrid, may_be_empty: bool) -> Answered:
    try:
        return _found(answer, promql, grid, may_be_empty=may_be_empty)
    except ValueError as error:
        return error


def _found(
    answer: PrometheusAnswer, promql: str, grid: QueryGrid, *, may_be_empty: bool
) -> FoundSeries:
    said = ", ".join(answer.partial) or None
    if may_be_empty and not answer.series:
        return FoundSeries(grid, np.full(grid.count, np.nan), said)
    return FoundSeries(grid, only_series(answer, promql, grid), said)


def only_series(answer: PrometheusAnswer, query: str, grid: QueryGrid) -> FloatArray:
    """Return the values of the only series; infinite and negative values are NaN.

    Of a partial answer the only series may be what is missing: then nothing is known.
    """
    if answer.partial and not answer.series:
        return np.full(grid.count, np.nan)
    if len(answer.series) != 1:
        count = len(answer.series)
        fix = (
            "sum it, e.g. sum(...)"
            if count
            else "check the metric name, the labels, and that its window spans two scrapes"
        )
        raise ValueError(
            f"the query {shown(query)} returns {count} series, but must return one; {fix}"
        )
    values = answer.series[0].values
    return np.where(np.isfinite(values) & (values >= 0), values, np.nan)
