"""Demand and latency of all services from Prometheus, by concurrent queries.

Rules of this file:

* A query that hangs, is slow or fails neither delays nor fails another: see `patient_calls`.
* What is not known is NaN. Of a partial answer only what is offered at least is known.
* No more of an answer is read than the series take that it may have.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import partial

import numpy as np

from forecaster.adapters.prometheus.answers import PrometheusAnswer, QueryGrid
from forecaster.adapters.prometheus.bodies import AnswerBounds
from forecaster.adapters.prometheus.client import PrometheusSource
from forecaster.adapters.prometheus.settings import Pacing, PrometheusSettings
from forecaster.data.series import Series
from forecaster.errors import ForecasterError, PrometheusAwayError
from scaler.adapters.current_metrics import (
    GRID_S,
    AskedQuery,
    CurrentMetrics,
    FoundSeries,
)
from scaler.adapters.namespace_label import QueryHolder, as_written
from scaler.adapters.past_demand import PastDemand, PastQuery
from scaler.adapters.patient_calls import CallTimes, PatientCalls
from scaler.control.clock_offset import clock_offset_s, typical_offset_s
from scaler.control.observations import ServiceMetrics
from scaler.control.ports import TrafficQuery
from scaler.errors import ScalerError

# Time that one tick may spend on the current metrics, and on the history of new services.
METRICS_BUDGET_S, HISTORIES_BUDGET_S = 10.0, 10.0
# Pasts that cannot be read are asked for again after a minute, of ten thousand a hundred at a time.
HISTORIES_TICKS = 240
# A history takes so many times as long as a query of the moment may.
HISTORY_TIMES = 2
# If a server asks for a longer pause than this, the query is left to the next tick.
MAX_RETRY_AFTER_S = 1.0

# Bytes of an answer: of warnings and the like, of the labels of a series, and of a sample, such as
# [1770000000,"0.1"].
BESIDE_BYTES, SERIES_BYTES, SAMPLE_BYTES = 1 << 16, 1 << 10, 64


class PrometheusTraffic:
    """Queries one Prometheus.

    Attributes:
        wall: seconds since the epoch, to compare with the dates of answers; None: they are not.

    Args:
        settings: URL and credentials, with a short time-out and few retries.
        step: of the forecast's samples; a multiple of 15 s.
        workers: concurrent queries; those that hang have a quarter as many beside them.
        stopping: set when the process is to end; no query is sent after that.
        hold: returns a namespace's query as it may be asked, or raises.
    """

    def __init__(
        self,
        settings: PrometheusSettings,
        step: timedelta,
        workers: int = 16,
        stopping: threading.Event | None = None,
        hold: QueryHolder = as_written,
    ) -> None:
        self.wall: Callable[[], float] | None = None
        self._offsets: list[float] = []  # of our clock, by each answer since the last tick
        self._settings, self._step_s = settings, int(step.total_seconds())
        self._stopping = stopping or threading.Event()
        if self._step_s % GRID_S:
            raise ValueError(f"the forecast's step is {step}, but must be a multiple of {GRID_S} s")
        # One source per thread, for a source keeps the warnings of its last answer.
        self._local = threading.local()
        self._sources: list[PrometheusSource] = []
        longest_s = settings.timeout.total_seconds()
        calls = partial(PatientCalls, workers, stopping=self._stopping)
        now = CallTimes(METRICS_BUDGET_S, longest_s)
        self._current = CurrentMetrics(self._asked, calls(times=now), hold)
        once = CallTimes(
            HISTORIES_BUDGET_S, HISTORY_TIMES * longest_s, soon_s=longest_s, ticks=HISTORIES_TICKS
        )
        self._pasts = PastDemand(self._asked, self._step_s, calls(times=once), hold)

    def close(self) -> None:
        for calls in (self._current, self._pasts):
            calls.close()
        for source in self._sources:
            source.close()

    def measure(self, queries: Sequence[TrafficQuery], now: float) -> list[ServiceMetrics]:
        """Return the current metrics of each service, in order."""
        asked = [AskedQuery(q.item_id, q.demand_query, q.since) for q in queries]
        asked += [AskedQuery(q.item_id, q.slo_query) for q in queries if q.slo_query is not None]
        asked += [
            AskedQuery(q.item_id, q.mask_query, q.since, may_be_empty=True)
            for q in queries
            if q.mask_query is not None
        ]
        answers = iter(self._current.answers(asked, now))
        demands = [next(answers) for _ in queries]
        latencies = [None if q.slo_query is None else next(answers) for q in queries]
        masks = [None if q.mask_query is None else next(answers) for q in queries]
        metrics = [
            self._metrics(*answered)
            for answered in zip(queries, demands, latencies, masks, strict=True)
        ]
        offsets, self._offsets = self._offsets, []
        offset_s = typical_offset_s(offsets)
        return [replace(one, clock_offset_s=offset_s) for one in metrics]

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]:
        """Return the history of each ``(item_id, PromQL)`` or why there is none, in order."""
        found = self._pasts.answers([PastQuery(*one, length) for one in queries], now)
        return [_told(one) if isinstance(one, Exception) else one for one in found]

    def _metrics(
        self,
        query: TrafficQuery,
        demand: FoundSeries | Exception,
        latency: FoundSeries | Exception | None,
        mask: FoundSeries | Exception | None,
    ) -> ServiceMetrics:
        answers = demand, latency, mask
        faults = [_told(e) for e in answers if isinstance(e, Exception)]
        fault = faults[0] if faults else None
        known = [one for one in answers if isinstance(one, FoundSeries)]
        said = next((one.partial for one in known if one.partial), None)
        latency_s = None
        if isinstance(latency, FoundSeries) and not latency.partial:
            known_s = float(latency.values[0])
            latency_s = known_s if math.isfinite(known_s) else None
        if not isinstance(demand, FoundSeries):
            return ServiceMetrics(math.nan, (), latency_s, fault, said)
        qps = float(demand.values[-1])
        if demand.partial:
            return ServiceMetrics(math.nan, (), latency_s, fault, said, qps)
        samples = self._samples(demand, query.since)
        marks = mask.marks(query.since) if isinstance(mask, FoundSeries) else ()
        return ServiceMetrics(qps, samples, latency_s, fault, said, marks=marks)

    def _samples(self, demand: FoundSeries, since: float) -> tuple[tuple[float, float], ...]:
        stamps = demand.grid.first + GRID_S * np.arange(demand.grid.count)
        new = (stamps % self._step_s == 0) & (stamps > since)
        pairs = zip(stamps[new].astype(float).tolist(), demand.values[new].tolist(), strict=True)
        return tuple(pairs)

    def _asked(self, query: str, grid: QueryGrid, within_s: float, series: int) -> PrometheusAnswer:
        """Return the answer to a query of which so many series may come."""
        each = SERIES_BYTES + SAMPLE_BYTES * grid.count
        bounds = AnswerBounds(BESIDE_BYTES + series * each, within_s)
        source, wall = self._source(), self.wall
        if wall is None:
            return source.query_range(query, grid, bounds)
        sent = wall()
        try:
            return source.query_range(query, grid, bounds)
        finally:
            if source.date is not None:
                self._offsets.append(clock_offset_s(sent, wall(), source.date))

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


def _told(error: Exception) -> str:
    """Return what is said of a query that failed."""
    if isinstance(error, ForecasterError | ScalerError | ValueError):
        return str(error)
    return f"its metrics could not be read: {error!r}"
