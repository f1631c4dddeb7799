"""The queries of a tick: what is offered now, latencies and masks of all services.

Rules of this file:

* Queries that differ in the values of labels alone are asked as one: see `promql_groups`. Each
  service gets its own series of the answer, as if it had asked alone.
* A query must return exactly one series; that of a mask may return none.
* A query is asked as ``hold`` returns it, which may hold it to its policy's namespace.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from forecaster.adapters.prometheus.answers import PrometheusAnswer, QueryGrid, RawRange, shown
from forecaster.data.series import FloatArray
from forecaster.errors import PrometheusAwayError
from scaler.adapters.fair_turns import Call
from scaler.adapters.namespace_label import QueryHolder
from scaler.adapters.patient_calls import CallTimes, PatientCalls
from scaler.adapters.promql_groups import GroupForm, group_form, grouped_query
from scaler.adapters.query_groups import QueryGroup, QueryGroups, Values
from scaler.errors import ScalerError

# Demand is queried on a finer grid than the forecast's, so that one query serves both.
GRID_S = 15
# A gap in the samples that is longer than this is filled by a range query of its own.
MAX_CATCH_UP_S = 600
# Where nothing is answered for so many ticks the server may be away, or one service's part of all
# groups may be too much for it.
SILENT_TICKS = 3
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
    def namespace(self) -> str:
        return self.item_id.partition("/")[0]

    @property
    def kind(self) -> tuple[bool, bool]:
        """What queries that are asked together have in common."""
        return self.since is None, self.may_be_empty


@dataclass(frozen=True, eq=False, slots=True)
class FoundSeries:
    """The only series of an answer, on the grid that was asked for."""

    grid: QueryGrid
    values: FloatArray
    partial: str | None

    def marks(self, since: float) -> tuple[float, ...]:
        """Return the moments after one at which the value is above 0."""
        (places,) = np.nonzero(self.values > 0)
        stamps = (self.grid.first + GRID_S * places).astype(float)
        return tuple(stamps[stamps > since].tolist())


Answered = FoundSeries | Exception
_GroupAnswer = Mapping[Values, Answered]
# Whether the latest moment alone is asked for, and whether no series is an answer.
_Kind = tuple[bool, bool]


@dataclass(frozen=True, eq=False, slots=True)
class _Asked:
    """What is asked by one query: the places of who asked, by their values in a group."""

    group: QueryGroup
    kind: _Kind
    places: Mapping[Values, Sequence[int]]

    @property
    def is_single(self) -> bool:
        return len(self.group.members) == 1


class CurrentMetrics:
    """Asks the queries of one tick after the other. Confined to one thread.

    Args:
        ask: one query of Prometheus.
        workers: concurrent queries.
        times: that queries may take.
        stopping: set when the process is to end.
        hold: returns a namespace's query as it may be asked, or raises.
    """

    def __init__(
        self,
        ask: Ask,
        workers: int,
        times: CallTimes,
        stopping: threading.Event,
        hold: QueryHolder,
    ) -> None:
        self._ask, self._hold = ask, hold
        self._calls = PatientCalls[FoundSeries | _GroupAnswer](workers, times, stopping)
        # Those of one kind are asked for the same moments.
        self._groups: dict[_Kind, QueryGroups] = {}
        self._now = math.nan
        self._silent_ticks = 0  # in a row, in which nothing was answered

    def close(self) -> None:
        self._calls.close()

    def answers(self, queries: Sequence[AskedQuery], now: float) -> list[Answered]:
        """Return what each query was answered, or why it was not, in order."""
        self._now = now
        alone, asked = self._arranged(queries)
        shared = [one for one in asked if not one.is_single]
        alone += [place for one in asked if one.is_single for place in _all(one)]
        calls = [self._alone(queries[place]) for place in alone]
        calls += [self._together(one, queries) for one in shared]
        outcomes = self._calls.make(calls)
        found: dict[int, Answered] = {}
        failed = []
        for place, outcome in zip(alone, outcomes, strict=False):
            assert not isinstance(outcome, Mapping), "one query has one answer"
            found[place] = outcome
        for one, outcome in zip(shared, outcomes[len(alone) :], strict=True):
            if isinstance(outcome, Exception):
                failed.append(one)
            for values, places in one.places.items():
                each = outcome[values] if isinstance(outcome, Mapping) else outcome
                found |= dict.fromkeys(places, each)
        is_silent = all(isinstance(one, PrometheusAwayError) for one in outcomes)
        self._silent_ticks = self._silent_ticks + 1 if is_silent else 0
        if not is_silent or self._silent_ticks >= SILENT_TICKS:
            single = [one for one in asked if one.is_single]
            failed += [one for one in single if isinstance(found[_all(one)[0]], Exception)]
            for kind, groups in self._groups.items():
                groups.judge([one.group for one in failed if one.kind == kind])
        return [found[place] for place in range(len(queries))]

    def _arranged(self, queries: Sequence[AskedQuery]) -> tuple[list[int], list[_Asked]]:
        """Return the places of queries that have no form, and the groups of the others."""
        alone: list[int] = []
        kinds: dict[_Kind, dict[tuple[str, Values], list[int]]] = {}
        forms: dict[_Kind, list[GroupForm]] = {}
        for place, query in enumerate(queries):
            form = self._form(query)
            if form is None:
                alone.append(place)
                continue
            places = kinds.setdefault(query.kind, {})
            places.setdefault((form.template, form.values), []).append(place)
            forms.setdefault(query.kind, []).append(form)
        self._groups = {kind: self._groups.get(kind, QueryGroups()) for kind in kinds}
        asked = [
            _Asked(
                group,
                kind,
                {values: places[group.form.template, values] for values in group.members},
            )
            for kind, places in kinds.items()
            for group in self._groups[kind].arranged(forms[kind])
        ]
        return alone, asked

    def _form(self, query: AskedQuery) -> GroupForm | None:
        """Return the form of a query as it may be asked; one that may not has none."""
        try:
            return group_form(self._hold(query.namespace, query.written))
        except ScalerError:
            return None

    def _alone(self, query: AskedQuery) -> Call[FoundSeries | _GroupAnswer]:
        key = (query.item_id, *query.kind, query.written)
        return Call(key, query.namespace, partial(self._one, query))

    def _together(
        self, asked: _Asked, queries: Sequence[AskedQuery]
    ) -> Call[FoundSeries | _GroupAnswer]:
        sinces = [queries[place].since for place in _all(asked)]
        since = None if asked.kind[0] else min(one for one in sinces if one is not None)
        name = f"group {asked.group.number}"
        return Call((name, asked.kind), name, partial(self._many, asked, since))

    def _one(self, query: AskedQuery, within_s: float) -> FoundSeries:
        promql = self._hold(query.namespace, query.written)
        grid = self._grid(query.since)
        answer = self._ask(promql, grid, within_s, 1)
        return _found(answer, promql, grid, may_be_empty=query.may_be_empty)

    def _many(self, asked: _Asked, since: float | None, within_s: float) -> _GroupAnswer:
        group, grid = asked.group, self._grid(since)
        promql = grouped_query(group.form, group.members)
        answer = self._ask(promql, grid, within_s, len(group.members))
        series: dict[Values, list[RawRange]] = {values: [] for values in group.members}
        for one in answer.series:  # what nobody asked for is left
            values = tuple(one.labels.get(label, "") for label in group.form.labels)
            series.get(values, []).append(one)
        return {
            values: _told(replace(answer, series=tuple(own)), promql, grid, asked.kind[1])
            for values, own in series.items()
        }

    def _grid(self, since: float | None) -> QueryGrid:
        # The slow lane may come to it later: by then there are newer samples.
        first = last = int(self._now // GRID_S) * GRID_S
        if since is not None:
            first = min(max(int(since // GRID_S + 1) * GRID_S, last - MAX_CATCH_UP_S), last)
        return QueryGrid(first, GRID_S, (last - first) // GRID_S + 1)


def _all(asked: _Asked) -> list[int]:
    return [place for places in asked.places.values() for place in places]


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
