"""Demand and latency of all services from Prometheus, by concurrent queries.

Rules of this file:

* A slow or failing query of one service neither delays nor fails that of another.
* A server that does not reply does not delay a tick for long.
* What is not known is NaN. Of a partial answer only what is offered at least is known.
* A query must return exactly one series. A past is asked for at one moment first, and no more of an
  answer is read than one series takes.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np

from forecaster.adapters.prometheus.answers import PrometheusAnswer, QueryGrid
from forecaster.adapters.prometheus.bodies import AnswerBounds
from forecaster.adapters.prometheus.client import PrometheusSource
from forecaster.adapters.prometheus.fetch import RangeQuery, chunks
from forecaster.adapters.prometheus.settings import Pacing, PrometheusSettings
from forecaster.data.series import FloatArray, Series
from forecaster.errors import ForecasterError, PrometheusAwayError
from scaler.adapters.call_budget import CallBudget
from scaler.control.observations import ServiceMetrics
from scaler.control.ports import TrafficQuery
from scaler.control.unfailing_log import UnfailingLogger

LOGGER = UnfailingLogger(__name__)

# Demand is queried on a finer grid than the forecast's, so that one query serves both.
GRID_S = 15
# A gap in the samples that is longer than this is filled by a range query of its own.
MAX_CATCH_UP_S = 600
# Time that one tick may spend on the current metrics, and on the history of new services.
METRICS_BUDGET_S, HISTORIES_BUDGET_S = 10.0, 10.0
# If a server asks for a longer pause than this, the query is left to the next tick.
MAX_RETRY_AFTER_S = 1.0

# Bytes of an answer: of labels, warnings and the like, and of a sample such as [1770000000,"0.1"].
BESIDE_BYTES, SAMPLE_BYTES = 1 << 16, 64


class PrometheusTraffic:
    """Queries one Prometheus.

    Args:
        settings: URL and credentials, with a short time-out and few retries.
        step: of the forecast's samples; a multiple of 15 s.
        workers: concurrent queries.
        stopping: set when the process is to end; no query is sent after that.
    """

    def __init__(
        self,
        settings: PrometheusSettings,
        step: timedelta,
        workers: int = 16,
        stopping: threading.Event | None = None,
    ) -> None:
        self._settings, self._step_s = settings, int(step.total_seconds())
        self._workers, self._stopping = workers, stopping or threading.Event()
        if self._step_s % GRID_S:
            raise ValueError(f"the forecast's step is {step}, but must be a multiple of {GRID_S} s")
        # One source per thread, for a source keeps the warnings of its last answer.
        self._local = threading.local()
        self._sources: list[PrometheusSource] = []
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="prometheus")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        for source in self._sources:
            source.close()

    def measure(self, queries: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:
        """Return the current metrics of each service, in order."""
        budget = CallBudget(self._workers, METRICS_BUDGET_S, self._stopping)
        # The service whose last sample is the oldest goes first, so that every service has its turn
        # even where the time budget does not suffice for all.
        order = sorted(range(len(queries)), key=lambda i: queries[i].since)
        metrics = self._pool.map(lambda i: self._metrics(queries[i], now, budget), order)
        by_index = dict(zip(order, metrics, strict=True))
        return [by_index[i] for i in range(len(queries))]

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]:
        """Return the history of each ``(item_id, PromQL)`` or why there is none, in order."""
        budget = CallBudget(self._workers, HISTORIES_BUDGET_S, self._stopping)
        history = partial(self._history, length=length, now=now, budget=budget)
        return list(self._pool.map(history, *zip(*queries, strict=True))) if queries else []

    def _metrics(self, query: TrafficQuery, now: float, budget: CallBudget) -> ServiceMetrics:
        last = int(now // GRID_S) * GRID_S
        first = max(int(query.since // GRID_S + 1) * GRID_S, last - MAX_CATCH_UP_S)
        grid = QueryGrid(min(first, last), GRID_S, (last - min(first, last)) // GRID_S + 1)
        try:
            answer = self._query(query.demand_query, grid, budget)
            values = _only_series(answer, query.demand_query, grid)
            latency, partial = self._latency(query.slo_query, last, budget)
        except (ForecasterError, ValueError) as error:
            return ServiceMetrics(math.nan, fault=str(error))
        except Exception as error:  # one service's fault leaves the others measured
            LOGGER.exception("%s: its metrics could not be read", query.item_id)
            return ServiceMetrics(math.nan, fault=f"its metrics could not be read: {error!r}")
        if answer.partial:
            said = ", ".join(answer.partial)
            least_qps = float(values[-1])
            return ServiceMetrics(math.nan, (), latency, partial=said, least_qps=least_qps)
        stamps = grid.first + GRID_S * np.arange(grid.count)
        on_step = (stamps % self._step_s == 0) & (stamps > query.since)
        samples = tuple(
            zip(stamps[on_step].astype(float).tolist(), values[on_step].tolist(), strict=True)
        )
        return ServiceMetrics(float(values[-1]), samples, latency, partial=partial)

    def _latency(
        self, query: str | None, stamp: int, budget: CallBudget
    ) -> tuple[float | None, str | None]:
        """Return the latency, and how the server says that the answer is partial."""
        if query is None:
            return None, None
        grid = QueryGrid(stamp, GRID_S, 1)
        answer = self._query(query, grid, budget)
        value = float(_only_series(answer, query, grid)[0])
        if answer.partial:
            return None, ", ".join(answer.partial)
        return (value if np.isfinite(value) else None), None

    def _history(
        self, item_id: str, query: str, *, length: timedelta, now: float, budget: CallBudget
    ) -> Series | str:
        end = datetime.fromtimestamp(int(now // self._step_s + 1) * self._step_s, UTC)
        ranged = RangeQuery(query, end - length, end, timedelta(seconds=self._step_s))
        values: list[FloatArray] = []
        last = int(now // self._step_s) * self._step_s
        try:
            at_once = QueryGrid(last, self._step_s, 1)
            answer = self._query(query, at_once, budget)
            if answer.series:
                _only_series(answer, query, at_once)
            for grid in chunks(ranged.grid, ranged.chunk_points):
                answer = self._query(query, grid, budget)
                if answer.partial:
                    return f"data is missing from the answer: {', '.join(answer.partial)}"
                # Before the service existed there is no series, which is no error.
                empty = np.full(grid.count, np.nan)
                values.append(_only_series(answer, query, grid) if answer.series else empty)
        except (ForecasterError, ValueError) as error:
            return str(error)
        except Exception as error:  # one service's fault leaves the others with their history
            LOGGER.exception("%s: its history could not be read", item_id)
            return repr(error)
        return Series(item_id, ranged.start, ranged.step, np.concatenate(values))

    def _query(self, query: str, grid: QueryGrid, budget: CallBudget) -> PrometheusAnswer:
        exhausted = budget.exhausted()
        if exhausted is not None:
            raise PrometheusAwayError(exhausted)
        try:
            bounds = AnswerBounds(BESIDE_BYTES + SAMPLE_BYTES * grid.count)
            answer = self._source().query_range(query, grid, bounds)
        except PrometheusAwayError as error:
            budget.unanswered(str(error))
            raise
        except ForecasterError:
            budget.replied()
            raise
        budget.replied()
        return answer

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise PrometheusAwayError("not asked again, for the scaler is being stopped")

    def _source(self) -> PrometheusSource:
        source: PrometheusSource | None = getattr(self._local, "source", None)
        if source is None:
            pacing = Pacing(
                self._pause, longest_s=MAX_RETRY_AFTER_S, max_retry_after_s=MAX_RETRY_AFTER_S
            )
            source = self._local.source = PrometheusSource(self._settings, pacing)
            self._sources.append(source)
        return source


def _only_series(answer: PrometheusAnswer, query: str, grid: QueryGrid) -> FloatArray:
    """Return the values of the only series; infinite and negative values are NaN.

    Of a partial answer the only series may be what is missing: then nothing is known.
    """
    if answer.partial and not answer.series:
        return np.full(grid.count, np.nan)
    if len(answer.series) != 1:
        count = len(answer.series)
        fix = "sum it, e.g. sum(...)" if count else "check the metric name and the labels"
        raise ValueError(f"the query {query!r} returns {count} series, but must return one; {fix}")
    values = answer.series[0].values
    return np.where(np.isfinite(values) & (values >= 0), values, np.nan)
