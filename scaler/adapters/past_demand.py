"""The past demand of services, of which forecasts are made; each is asked for once.

A past that is asked for alone is asked for at one moment first, for its query may lack a sum; one
of a group has it. No more of an answer is read than its series take.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np

from forecaster.adapters.prometheus.answers import PrometheusAnswer, QueryGrid
from forecaster.adapters.prometheus.fetch import RangeQuery, chunks
from forecaster.data.series import FloatArray, Series
from scaler.adapters.current_metrics import Ask, only_series
from scaler.adapters.grouped_calls import GroupedCalls, by_member
from scaler.adapters.namespace_label import QueryHolder
from scaler.adapters.patient_calls import PatientCalls
from scaler.adapters.query_groups import QueryGroup, Values
from scaler.clocks.steady import steady_seconds

# Members of a group. A week of minutes takes 2 MB while it is read, and each worker reads a group.
MOST_MEMBERS = 4


@dataclass(frozen=True, slots=True)
class PastQuery:
    """The query of a service's past, which is so long."""

    item_id: str
    written: str
    length: timedelta

    @property
    def kind(self) -> timedelta:
        return self.length


class PastDemand:
    """Asks for pasts. Confined to one thread.

    Args:
        ask: one query of Prometheus.
        step_s: between two samples.
        calls: by which they are made.
        hold: returns a namespace's query as it may be asked, or raises.
    """

    def __init__(
        self,
        ask: Ask,
        step_s: int,
        calls: PatientCalls[Series | Mapping[Values, Series | Exception]],
        hold: QueryHolder,
    ) -> None:
        self._ask, self._step_s = ask, step_s
        self._calls = GroupedCalls[PastQuery, Series](calls, self, hold, MOST_MEMBERS)
        self._now = math.nan

    def close(self) -> None:
        self._calls.close()

    def answers(self, queries: Sequence[PastQuery], now: float) -> list[Series | Exception]:
        """Return the past of each service up to now, or why there is none, in order."""
        self._now = now
        found = self._calls.make(queries)
        return [
            one if isinstance(one, Exception) else replace(one, item_id=query.item_id)
            for query, one in zip(queries, found, strict=True)
        ]

    def ask_one(self, promql: str, query: PastQuery, within_s: float) -> Series:
        ranged = self._range(promql, query.length)
        moment = QueryGrid(ranged.grid.last, self._step_s, 1)
        values: list[FloatArray] = []
        until = steady_seconds() + within_s
        for grid in (moment, *chunks(ranged.grid, ranged.chunk_points)):
            answer = self._whole(promql, grid, until - steady_seconds(), 1)
            values.append(_values(answer, promql, grid))
        return Series(query.item_id, ranged.start, ranged.step, np.concatenate(values[1:]))

    def ask_many(
        self, promql: str, group: QueryGroup, queries: Sequence[PastQuery], within_s: float
    ) -> Mapping[Values, Series]:
        ranged = self._range(promql, queries[0].length)
        values: dict[Values, list[FloatArray]] = {member: [] for member in group.members}
        until = steady_seconds() + within_s
        for grid in chunks(ranged.grid, ranged.chunk_points):
            answer = self._whole(promql, grid, until - steady_seconds(), len(group.members))
            for member, own in by_member(answer, group).items():
                values[member].append(_values(own, promql, grid))
        return {  # who has asked for it gives it its name
            member: Series(queries[0].item_id, ranged.start, ranged.step, np.concatenate(parts))
            for member, parts in values.items()
        }

    def _range(self, promql: str, length: timedelta) -> RangeQuery:
        last = int(self._now // self._step_s) * self._step_s
        end = datetime.fromtimestamp(last + self._step_s, UTC)
        return RangeQuery(promql, end - length, end, timedelta(seconds=self._step_s))

    def _whole(
        self, promql: str, grid: QueryGrid, within_s: float, series: int
    ) -> PrometheusAnswer:
        answer = self._ask(promql, grid, within_s, series)
        if answer.partial:
            said = ", ".join(answer.partial)
            raise ValueError(f"data is missing from the answer: {said}")
        return answer


def _values(answer: PrometheusAnswer, promql: str, grid: QueryGrid) -> FloatArray:
    # Before the service existed there is no series, which is no error.
    return only_series(answer, promql, grid) if answer.series else np.full(grid.count, np.nan)
