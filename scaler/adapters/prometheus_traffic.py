"""Demand and latency of all services from Prometheus: asked concurrently, each fault its own.

Rules of this file: one service's slow or broken query never delays or fails another's; a server
that does not answer delays no tick for long; what is not known is NaN; a query must give exactly
one series.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np

from forecaster.adapters.prometheus.answers import PrometheusAnswer, QueryGrid
from forecaster.adapters.prometheus.client import PrometheusSource
from forecaster.adapters.prometheus.fetch import RangeQuery, chunks
from forecaster.adapters.prometheus.settings import Pacing, PrometheusSettings
from forecaster.data.series import FloatArray, Series
from forecaster.errors import ForecasterError, PrometheusAwayError
from scaler.adapters.call_budget import CallBudget
from scaler.control.observations import ServiceMetrics
from scaler.control.ports import TrafficQuery

# Demand is asked on a finer grid than the forecast's, so that one query gives both.
FINE_S = 15
# A gap in what was heard that is longer than this is filled by a range query of its own.
CATCH_UP_S = 600
# All that one tick may spend on asking: for what is offered now, and for the past of new services.
HEAR_S, HISTORIES_S = 10.0, 10.0
# Who asks to come back later than that is asked at the next tick.
RETRY_AFTER_S = 1.0


class PrometheusTraffic:
    """Asks one Prometheus.

    Args:
        settings: where it is and who asks; give it a short time-out and few retries.
        step: of the forecast's samples; a multiple of 15 s.
        workers: queries at once.
        stopping: is set when the process is to end; nothing is begun after that.
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
        if self._step_s % FINE_S:
            raise ValueError(f"the forecast's step is {step}, but must be a multiple of {FINE_S} s")
        self._local = threading.local()  # a source each: it keeps what the last answer warned of
        self._sources: list[PrometheusSource] = []
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="prometheus")

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        for source in self._sources:
            source.close()

    def hear(self, asks: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:
        """Return what is known of each service now, in order."""
        this = CallBudget(self._workers, HEAR_S, self._stopping)
        # Of whom least is known goes first: where time is short, all have their turn.
        turns = sorted(range(len(asks)), key=lambda i: asks[i].since)
        heard = self._pool.map(lambda i: self._hear(asks[i], now, this), turns)
        found = dict(zip(turns, heard, strict=True))
        return [found[i] for i in range(len(asks))]

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]:
        """Return the past of each ``(item_id, PromQL)``, or why there is none, in order."""
        this = CallBudget(self._workers, HISTORIES_S, self._stopping)
        ask = partial(self._history, length=length, now=now, this=this)
        return list(self._pool.map(ask, *zip(*queries, strict=True))) if queries else []

    def _hear(self, ask: TrafficQuery, now: float, this: CallBudget) -> ServiceMetrics:
        last = int(now // FINE_S) * FINE_S
        first = max(int(ask.since // FINE_S + 1) * FINE_S, last - CATCH_UP_S)
        grid = QueryGrid(min(first, last), FINE_S, (last - min(first, last)) // FINE_S + 1)
        try:
            values = _only(self._asked(ask.demand_query, grid, this), ask.demand_query)
            latency = self._latency(ask.slo_query, last, this)
        except (ForecasterError, ValueError) as error:
            return ServiceMetrics(float("nan"), fault=str(error))
        stamps = grid.first + FINE_S * np.arange(grid.count)
        whole = (stamps % self._step_s == 0) & (stamps > ask.since)
        samples = tuple(
            zip(stamps[whole].astype(float).tolist(), values[whole].tolist(), strict=True)
        )
        return ServiceMetrics(float(values[-1]), samples, latency)

    def _latency(self, query: str | None, stamp: int, this: CallBudget) -> float | None:
        if query is None:
            return None
        value = float(_only(self._asked(query, QueryGrid(stamp, FINE_S, 1), this), query)[0])
        return value if np.isfinite(value) else None

    def _history(
        self, item_id: str, query: str, *, length: timedelta, now: float, this: CallBudget
    ) -> Series | str:
        end = datetime.fromtimestamp(int(now // self._step_s + 1) * self._step_s, UTC)
        ranged = RangeQuery(query, end - length, end, timedelta(seconds=self._step_s))
        values: list[FloatArray] = []
        try:
            for grid in chunks(ranged.grid, ranged.chunk_points):
                answer = self._asked(query, grid, this)
                # Before the service's first day there is nothing, which is no fault.
                none = np.full(grid.count, np.nan)
                values.append(_only(answer, query) if answer.series else none)
        except (ForecasterError, ValueError) as error:
            return str(error)
        return Series(item_id, ranged.start, ranged.step, np.concatenate(values))

    def _asked(self, query: str, grid: QueryGrid, this: CallBudget) -> PrometheusAnswer:
        over = this.over()
        if over is not None:
            raise PrometheusAwayError(over)
        try:
            answer = self._source().query_range(query, grid)
        except PrometheusAwayError as error:
            this.in_vain(str(error))
            raise
        except ForecasterError:
            this.answered()
            raise
        this.answered()
        return answer

    def _pause(self, seconds: float) -> None:
        if self._stopping.wait(seconds):
            raise PrometheusAwayError("not asked again, for the scaler is being stopped")

    def _source(self) -> PrometheusSource:
        source: PrometheusSource | None = getattr(self._local, "source", None)
        if source is None:
            pacing = Pacing(self._pause, longest_s=RETRY_AFTER_S, max_retry_after_s=RETRY_AFTER_S)
            source = self._local.source = PrometheusSource(self._settings, pacing)
            self._sources.append(source)
        return source


def _only(answer: PrometheusAnswer, query: str) -> FloatArray:
    """Return the values of the one series; what cannot be a rate is NaN."""
    if len(answer.series) != 1:
        count = len(answer.series)
        fix = "sum it, e.g. sum(...)" if count else "check the metric name and the labels"
        raise ValueError(f"the query {query!r} returns {count} series, but must return one; {fix}")
    values = answer.series[0].values
    return np.where(np.isfinite(values) & (values >= 0), values, np.nan)
