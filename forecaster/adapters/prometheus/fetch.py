"""A long range of many series, fetched in chunks that are planned, queried or reused, and joined.

Rules of this file:
    * A range is half-open, ``start <= stamp < end``, and so is a chunk.
    * Chunks begin at multiples of their own length since the epoch, not at ``start``; so a later
      fetch with a moved start or end finds the same chunks in the cache.
    * The result does not depend on where chunks begin, nor on which of them came from the cache.
    * What a partial answer says is neither kept nor returned: it is asked for once more, and is
      missing then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np

from forecaster.adapters.prometheus.answers import (
    QUERY_SHOWN,
    PrometheusAnswer,
    QueryGrid,
    RawRange,
    shown,
)
from forecaster.adapters.prometheus.cache import ChunkCache
from forecaster.adapters.prometheus.label_sets import item_named_by
from forecaster.data.local_clock import zone_named
from forecaster.data.quality import RawSeries
from forecaster.data.series import FloatArray
from forecaster.errors import ConfigError, PrometheusError

ZONE_LABEL = "timezone"  # names the zone whose clocks an item's traffic follows
POINTS_LIMIT = 11_000  # Prometheus refuses a longer range query
SETTLED_AFTER = timedelta(hours=1)  # late scrapes, recording rules and remote writes have landed


@dataclass(frozen=True)
class RangeQuery:
    """What to fetch.

    Attributes:
        start: first stamp; aware UTC, whole seconds.
        end: first moment after the range.
        item_labels: their values, joined by ``/``, name the item; () takes all labels by name, but
            for that of the time zone.
        chunk_points: samples per series and request.
    """

    promql: str
    start: datetime
    end: datetime
    step: timedelta
    item_labels: tuple[str, ...] = ()
    chunk_points: int = 10_000

    def __post_init__(self) -> None:
        if self.start.utcoffset() != timedelta(0) or self.end.utcoffset() != timedelta(0):
            raise ValueError(f"start {self.start!r} and end {self.end!r} must be aware UTC")
        if self.step < timedelta(seconds=1) or self.step.microseconds or self.start.microsecond:
            raise ConfigError(f"step is {self.step}, but must be whole seconds, as must the start")
        if self.end - self.start < self.step:
            raise ConfigError(
                f"from {self.start.isoformat()} to {self.end.isoformat()} there is no sample at a "
                f"step of {self.step}; --end must be at least a step after --start"
            )
        if not 1 <= self.chunk_points <= POINTS_LIMIT:
            raise ConfigError(
                f"chunk points are {self.chunk_points}, but must be 1 to {POINTS_LIMIT}, "
                "the most that Prometheus answers"
            )

    @property
    def grid(self) -> QueryGrid:
        count = -((self.start - self.end) // self.step)
        return QueryGrid(int(self.start.timestamp()), int(self.step.total_seconds()), count)


@dataclass(frozen=True)
class Progress:
    """How far a fetch is, in chunks; ``reused`` of the ``done`` came from the cache."""

    done: int
    reused: int
    total: int


@dataclass(frozen=True, eq=False)
class Fetched:
    """One raw series per item, in order of ``item_id``, and the server's warnings.

    ``left_out`` are the chunks whose answer was partial; they are missing.
    """

    series: tuple[RawSeries, ...]
    progress: Progress
    warnings: tuple[str, ...] = ()
    left_out: tuple[QueryGrid, ...] = ()


class RangeSource(Protocol):
    """Anything that answers one range query, e.g. `PrometheusSource`."""

    def query_range(self, promql: str, grid: QueryGrid) -> PrometheusAnswer: ...


def chunks(grid: QueryGrid, points: int) -> Iterator[QueryGrid]:
    """Cut the grid where the stamps pass a multiple of ``points`` steps since the epoch.

    >>> [(c.first, c.count) for c in chunks(QueryGrid(first=130, step=10, count=7), points=5)]
    [(130, 2), (150, 5)]
    """
    done = 0
    while done < grid.count:
        first = grid.first + done * grid.step
        count = min(points - (first // grid.step) % points, grid.count - done)
        yield QueryGrid(first, grid.step, count)
        done += count


def cache_for(root: Path, identity: Sequence[str], query: RangeQuery) -> ChunkCache:
    """Return the cache of a query made by ``identity``, see `PrometheusSettings.identity`."""
    grid = query.grid
    offset = grid.first % grid.step
    return ChunkCache(root, [*identity, query.promql, str(grid.step), str(offset)])


def fetch(
    source: RangeSource,
    query: RangeQuery,
    *,
    now: datetime,
    cache: ChunkCache | None = None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Fetched:
    """Return every item of the query over the whole range, NaN where it has no sample.

    Args:
        now: the samples of a chunk that ends less than an hour before it may still change, so it
            is neither stored in the cache nor taken from it.

    Raises:
        PrometheusError: the server refuses the query or cannot be reached, nothing matches, or
            two series would be the same item, or every answer is partial.
        HistoryError: a series' label ``timezone`` names no zone.
    """
    items, warnings, reused = _Items(query), dict[str, None](), 0
    left_out: list[QueryGrid] = []
    plan = list(chunks(query.grid, query.chunk_points))
    if cache:
        cache.prune(now)
    settled = int((now - SETTLED_AFTER).timestamp())
    for done, chunk in enumerate(plan):
        on_progress(Progress(done, reused, len(plan)))
        kept = cache if chunk.last < settled else None
        series = kept.load(chunk) if kept else None
        if series is None:
            answer = _asked(source, query, chunk)
            warnings |= dict.fromkeys(answer.warnings)
            if answer.partial:
                left_out.append(chunk)
                continue
            series = answer.series
            if kept:
                kept.save(chunk, series)
        else:
            reused += 1
        items.add(chunk, series)
    progress = Progress(len(plan), reused, len(plan))
    on_progress(progress)
    if len(left_out) == len(plan):
        raise PrometheusError(
            f"every answer to the query {shown(query.promql)} is partial ({', '.join(warnings)}); "
            "nothing is taken from it; repair the store that is named"
        )
    return Fetched(items.raw_series(), progress, tuple(warnings), tuple(left_out))


def _asked(source: RangeSource, query: RangeQuery, chunk: QueryGrid) -> PrometheusAnswer:
    """Return the answer for one chunk; a partial one may be whole the second time."""
    answer = source.query_range(query.promql, chunk)
    return source.query_range(query.promql, chunk) if answer.partial else answer


class _Items:
    """The items of a query, filled chunk by chunk."""

    def __init__(self, query: RangeQuery) -> None:
        self._query = query
        self._grid = query.grid
        self._labels: dict[str, Mapping[str, str]] = {}
        self._values: dict[str, FloatArray] = {}

    def add(self, chunk: QueryGrid, series: Sequence[RawRange]) -> None:
        at = (chunk.first - self._grid.first) // self._grid.step
        seen: set[str] = set()
        for one in series:
            item_id = item_id_of(one.labels, self._query)
            known = self._labels.setdefault(item_id, one.labels)
            if item_id in seen or dict(known) != dict(one.labels):
                raise PrometheusError(_duplicate_item(item_id, known, one.labels, self._query))
            seen.add(item_id)
            if item_id not in self._values:
                self._values[item_id] = np.full(self._grid.count, np.nan)
            self._values[item_id][at : at + chunk.count] = one.values

    def raw_series(self) -> tuple[RawSeries, ...]:
        if not self._values:
            raise PrometheusError(
                f"the query {shown(self._query.promql)} matches no series from "
                f"{self._query.start.isoformat()} to {self._query.end.isoformat()}; check the "
                "metric name, the labels, the tenant (--header) and how long samples are retained"
            )
        stamps = self._grid.first + self._grid.step * np.arange(self._grid.count, dtype=np.int64)
        return tuple(
            RawSeries(name, stamps, self._values[name], timezone=_zone(self._labels[name]))
            for name in sorted(self._values)
        )


def item_id_of(labels: Mapping[str, str], query: RangeQuery) -> str:
    """Return the name of the item that a series with these labels belongs to."""
    if not query.item_labels:
        return item_named_by({name: labels[name] for name in labels if name != ZONE_LABEL})
    missing = [name for name in query.item_labels if not labels.get(name)]
    if missing:
        raise PrometheusError(
            f"the query {shown(query.promql)} returns a series {_selector(labels)} without the "
            f"label {', '.join(missing)} that --item-label names; "
            f"{_aggregate_by(query.item_labels, query.promql)}"
        )
    return "/".join(labels[name] for name in query.item_labels)


def _zone(labels: Mapping[str, str]) -> str | None:
    named = labels.get(ZONE_LABEL)
    return zone_named(named) if named else None


def _duplicate_item(
    item_id: str, one: Mapping[str, str], other: Mapping[str, str], query: RangeQuery
) -> str:
    names = query.item_labels or sorted(
        name for name in one.keys() & other.keys() if name != "__name__"
    )
    return (
        f"the query {shown(query.promql)} returns two series for the item {item_id!r}: "
        f"{_selector(one)} and {_selector(other)}; "
        f"{_aggregate_by(names, query.promql)}, or name more labels with --item-label"
    )


def _aggregate_by(names: Sequence[str], promql: str) -> str:
    inner = promql if len(promql) <= QUERY_SHOWN else "..."
    return f"write e.g. sum by ({', '.join(names)}) ({inner})"


def _selector(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'{name}="{value}"' for name, value in sorted(labels.items())) + "}"
