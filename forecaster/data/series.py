"""The values that all packages exchange: Series, History, Forecast.

Rules of this file: numpy only (importing it loads neither torch nor pandas); values are frozen;
traffic is in requests per second (QPS); time is aware UTC; missing is NaN, never 0. What an analyst
does with a value by its methods (frames, figures) is done by the names of `forecaster`, which loads
their modules when they are first used.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

import forecaster as api
from forecaster.data.html_values import forecast_html, history_html
from forecaster.errors import HistoryError

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from forecaster.adapters.tables.sources import FileHints

FloatArray = npt.NDArray[np.float64]
# For computing many items at once: half the memory of float64, seven digits.
Block = npt.NDArray[np.float32]

DAY = timedelta(days=1)
WEEK = timedelta(weeks=1)


def steps_per(period: timedelta, step: timedelta) -> int:
    """Return how many samples of ``step`` make up ``period``.

    >>> steps_per(DAY, timedelta(minutes=1))
    1440
    """
    count, rest = divmod(period, step) if step > timedelta(0) else (0, timedelta(0))
    if rest or count < 1:
        raise ValueError(f"step is {step}, but it must divide {period} evenly")
    return count


def _whole_utc(role: str, owner: str, moment: datetime) -> datetime:
    """Return the time in the zone UTC itself; a zone such as London's equals it in winter only."""
    if moment.utcoffset() != timedelta(0):
        raise ValueError(f"{owner}: {role} is {moment!r}, but it must be aware UTC")
    if moment.microsecond:
        raise ValueError(f"{owner}: {role} is {moment}, but it must be a whole second")
    return moment.astimezone(UTC)


def _frozen(values: npt.ArrayLike) -> FloatArray:
    """Return a read-only array: the array itself if it is read-only, else a copy."""
    array = np.asarray(values, dtype=np.float64)
    if array.flags.writeable:
        array = array.copy()
        array.setflags(write=False)
    return array


@dataclass(frozen=True, eq=False)
class Series:
    """One item's offered demand on a regular grid.

    Attributes:
        item_id: ``"namespace/name"`` of the service.
        start: stamp of ``values[0]``; aware UTC, a whole second.
        step: spacing of the samples; whole seconds.
        values: QPS, shape ``(n,)``, finite and >= 0, or NaN where nothing is known; read-only.
        timezone: IANA name of the zone whose clocks the traffic follows; None: not named.
    """

    item_id: str
    start: datetime
    step: timedelta
    values: FloatArray
    timezone: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _whole_utc("start", self.item_id, self.start))
        if self.step < timedelta(seconds=1) or self.step.microseconds:
            raise ValueError(f"{self.item_id}: step is {self.step}, but it must be whole seconds")
        values = _frozen(self.values)
        if values.ndim != 1:
            raise ValueError(f"{self.item_id}: values have shape {values.shape}, not (n,)")
        if np.isinf(values).any() or (values < 0).any():
            raise ValueError(f"{self.item_id}: values must be finite and >= 0, or NaN")
        object.__setattr__(self, "values", values)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def end(self) -> datetime:
        """Stamp one step after the last sample."""
        return self.start + len(self) * self.step

    @property
    def stamps(self) -> npt.NDArray[np.int64]:
        """Seconds since the epoch of every sample, shape ``(n,)``."""
        first, step = int(self.start.timestamp()), int(self.step.total_seconds())
        return first + step * np.arange(len(self), dtype=np.int64)

    def between(self, start: datetime, end: datetime) -> Series:
        """Return the samples with ``start <= stamp < end``."""
        first = min(max(-((self.start - start) // self.step), 0), len(self))
        last = min(max(-((self.start - end) // self.step), first), len(self))
        start = self.start + first * self.step
        return replace(self, start=start, values=self.values[first:last])

    def resampled(self, step: timedelta) -> Series:
        """Return the series at a longer step: each sample is the mean of the known samples in it.

        A sample covers the time up to and including its stamp. It is NaN where fewer than half of
        the samples in its step are known.

        >>> from datetime import UTC
        >>> start, minute = datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=1)
        >>> series = Series("a", start, minute, np.array([1.0, 2.0, 3.0, 5.0]))
        >>> series.resampled(2 * minute).values.tolist()
        [1.0, 2.5, 5.0]
        """
        count, rest = divmod(step, self.step)
        if rest or count < 1:
            raise HistoryError(
                f"{self.item_id}: cannot bring a step of {self.step} to {step}; "
                f"give a multiple of {self.step}"
            )
        # Stamps are multiples of the step since the epoch, so that all items share them.
        phase = (int(self.start.timestamp()) // int(self.step.total_seconds()) - 1) % count
        padded = np.full(-(-(phase + len(self)) // count) * count, np.nan)
        padded[phase : phase + len(self)] = self.values
        blocks = padded.reshape(-1, count)
        known = np.isfinite(blocks)
        mean = np.full(len(blocks), np.nan)
        enough = 2 * known.sum(axis=1) >= count
        mean[enough] = np.nansum(blocks[enough], axis=1) / known[enough].sum(axis=1)
        start = self.start + (count - 1 - phase) * self.step
        return replace(self, start=start, step=step, values=mean)


@dataclass(frozen=True, eq=False)
class History:
    """Recorded demand of one or more items, all with the same step."""

    series: tuple[Series, ...]

    def __post_init__(self) -> None:
        if not self.series:
            raise ValueError("a History holds at least one Series")
        if len({s.step for s in self.series}) != 1:
            raise ValueError(f"steps differ: {sorted({str(s.step) for s in self.series})}")
        if len(set(self.item_ids)) != len(self.series):
            raise ValueError("item_ids must be unique")

    @classmethod
    def from_frame(
        cls,
        df: pd.DataFrame,
        *,
        timezone: str | None = None,
        step: timedelta | None = None,
        item_id: str = "series",
        hints: FileHints | None = None,
    ) -> History:
        """Return the inspected history of a frame, Nixtla's too; see `history_from_frame`."""
        return api.history_from_frame(
            df, timezone=timezone, step=step, item_id=item_id, hints=hints
        )

    @property
    def step(self) -> timedelta:
        return self.series[0].step

    @property
    def item_ids(self) -> tuple[str, ...]:
        return tuple(s.item_id for s in self.series)

    def __len__(self) -> int:
        return len(self.series)

    def __iter__(self) -> Iterator[Series]:
        return iter(self.series)

    def __getitem__(self, item_id: str) -> Series:
        for series in self.series:
            if series.item_id == item_id:
                return series
        raise KeyError(f"no item {item_id!r}; there are {', '.join(self.item_ids)}")

    def resampled(self, step: timedelta) -> History:
        """Return every item at a longer step; see `Series.resampled`."""
        return History(tuple(series.resampled(step) for series in self.series))

    def between(self, start: datetime, end: datetime) -> History:
        """Return the samples of every item with ``start <= stamp < end``."""
        return History(tuple(s.between(start, end) for s in self.series))

    def to_frame(self) -> pd.DataFrame:
        """Return a long frame: item_id, timestamp (UTC), qps (NaN where missing)."""
        return api.history_to_frame(self)

    def to_nixtla(self) -> pd.DataFrame:
        """Return a long frame as Nixtla's libraries take it: unique_id, ds, y."""
        return api.history_to_nixtla(self)

    def describe(self) -> pd.DataFrame:
        """Return a row per item: span, samples, share missing, and the demand's quantiles."""
        return api.describe_history(self)

    def plot(self) -> go.Figure:
        """Return the demand of up to six items, with their gaps marked."""
        return api.plots.traffic_overview(self)

    def _repr_html_(self) -> str:
        return history_html(self)


@dataclass(frozen=True, eq=False)
class Forecast:
    """Quantiles of the demand after an origin, for one or more items.

    Attributes:
        item_ids: one per row of ``values``.
        origins: stamp of the last sample that each item's forecast is based on; aware UTC.
        step: spacing of the forecast; ``values[i, h]`` is for ``origins[i] + (h + 1) * step``.
        quantile_levels: ascending, each in (0, 1).
        values: QPS, shape ``(items, prediction_length, levels)``; >= 0, non-decreasing in levels.
        sources: name of the candidate that made each item's forecast (``"lstm"`` ...).
    """

    item_ids: tuple[str, ...]
    origins: tuple[datetime, ...]
    step: timedelta
    quantile_levels: tuple[float, ...]
    values: FloatArray
    sources: tuple[str, ...]

    def __post_init__(self) -> None:
        levels = self.quantile_levels
        if list(levels) != sorted(set(levels)) or not all(0 < q < 1 for q in levels):
            raise ValueError(f"quantile_levels are {levels}, but must ascend within (0, 1)")
        values = _frozen(self.values)
        shape = (len(self.item_ids), values.shape[1] if values.ndim == 3 else -1, len(levels))
        if values.shape != shape:
            raise ValueError(f"values have shape {values.shape}, not (items, horizon, levels)")
        if len(self.origins) != len(self.item_ids) or len(self.sources) != len(self.item_ids):
            raise ValueError("item_ids, origins and sources must have the same length")
        pairs = zip(self.item_ids, self.origins, strict=True)
        object.__setattr__(self, "origins", tuple(_whole_utc("origin", *pair) for pair in pairs))
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError("forecast values must be finite and >= 0")
        if (np.diff(values, axis=2) < 0).any():
            raise ValueError("quantiles cross")
        object.__setattr__(self, "values", values)

    @property
    def prediction_length(self) -> int:
        return int(self.values.shape[1])

    def quantile(self, level: float) -> FloatArray:
        """Return QPS at one level, shape ``(items, prediction_length)``."""
        if level not in self.quantile_levels:
            raise ValueError(f"level is {level}, but the forecast holds {self.quantile_levels}")
        return self.values[:, :, self.quantile_levels.index(level)]

    def to_frame(self) -> pd.DataFrame:
        """Return a long frame: item_id, timestamp (UTC), one column per level (`q0.5`), source."""
        return api.forecast_to_frame(self)

    def to_nixtla(self) -> pd.DataFrame:
        """Return a long frame as Nixtla's libraries write it: unique_id, ds, cutoff, quantiles."""
        return api.forecast_to_nixtla(self)

    def plot(self, history: History, item_id: str | None = None) -> go.Figure:
        """Return the fan of one item, by default the first, over what is recorded of it."""
        return api.plots.fan_chart(history[item_id or self.item_ids[0]], self)

    def _repr_html_(self) -> str:
        return forecast_html(self)


def utc(text: str) -> datetime:
    """Return the aware UTC datetime of an ISO-8601 text; a text without zone is refused.

    >>> utc("2026-03-29T03:00:00+02:00").isoformat()
    '2026-03-29T01:00:00+00:00'
    """
    stamp = datetime.fromisoformat(text)
    if stamp.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone; write e.g. {text}Z")
    return stamp.astimezone(UTC)
