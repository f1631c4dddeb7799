"""The answer of Prometheus to a range query, placed on the grid of the query.

Rules of this file: a sample is placed by its stamp, not by its position in the answer; a stamp
without a sample is NaN; infinities are kept, for the quality checks to count; a remark of the
server counts as one on missing data unless it is known to be harmless.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecaster.data.series import FloatArray
from forecaster.errors import PrometheusError

TEXT_SHOWN = 300  # characters of a server's answer that a message quotes
QUERY_SHOWN = 150  # characters of a query
STAMP_TOLERANCE = 0.001  # seconds; Prometheus writes stamps with milliseconds
# PromQL's annotations are about the query, not about the data. Before Prometheus 3 those of both
# kinds stood among the warnings.
ANNOTATIONS = ("PromQL info", "PromQL warning")
# The one kind of annotation that says that series were left out of the result.
LEFT_OUT = "PromQL warning: encountered a mix of"


@dataclass(frozen=True)
class RawRange:
    """One series of an answer, on the grid of the query; NaN where it had no sample."""

    labels: Mapping[str, str]
    values: FloatArray


@dataclass(frozen=True)
class QueryGrid:
    """``count`` stamps from ``first`` (epoch seconds) on, ``step`` seconds apart."""

    first: int
    step: int
    count: int

    @property
    def last(self) -> int:
        return self.first + (self.count - 1) * self.step


@dataclass(frozen=True)
class PrometheusAnswer:
    """The series of one range query, and what the server remarks about them.

    Attributes:
        warnings: all remarks, for a person.
        partial: those that say that data is missing: what is there is less than all, or as much.
    """

    series: tuple[RawRange, ...]
    warnings: tuple[str, ...] = ()
    partial: tuple[str, ...] = ()


def remarks(body: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the warnings in an answer, and which of them say that data is missing.

    Thanos, Cortex, promxy and Prometheus with remote reads warn of each store that did not answer;
    VictoriaMetrics says ``isPartial``. Info-level annotations (``infos``) are never about data.

    >>> remarks({"warnings": ["PromQL info: metric might not be a counter", "store-2 is away"]})
    (('PromQL info: metric might not be a counter', 'store-2 is away'), ('store-2 is away',))
    """
    said = body.get("warnings") or ()
    texts = (said,) if isinstance(said, str) else tuple(map(str, said))
    warnings = tuple(map(one_line, texts))
    if body.get("isPartial"):
        warnings = (*warnings, "isPartial")
    partial = (one for one in warnings if not one.startswith(ANNOTATIONS) or LEFT_OUT in one)
    return warnings, tuple(partial)


def on_grid(result: Mapping[str, Any], grid: QueryGrid) -> RawRange:
    """Return one series of the JSON answer on the grid.

    Raises:
        PrometheusError: it is a histogram, or has a sample that is not on the grid.
    """
    labels = {str(name): str(value) for name, value in result["metric"].items()}
    if "values" not in result:
        raise PrometheusError(
            f"series {labels} is a histogram, not a number; query e.g. its _count"
        )
    points: Sequence[tuple[float, str]] = result["values"]
    stamps = np.array([point[0] for point in points], dtype=np.float64)
    numbers = np.array([point[1] for point in points], dtype=np.float64)
    indices = np.rint((stamps - grid.first) / grid.step).astype(np.int64)
    off_grid = np.abs(stamps - (grid.first + indices * grid.step)) > STAMP_TOLERANCE
    off_grid |= (indices < 0) | (indices >= grid.count)
    if off_grid.any():
        raise PrometheusError(
            f"series {labels} has a sample at {stamps[off_grid][0]:.3f}, which is not "
            f"{grid.first} + k x {grid.step}; start at a multiple of the step"
        )
    values = np.full(grid.count, np.nan)
    values[indices] = numbers
    return RawRange(labels, values)


def shown(promql: str) -> str:
    """Return a query for a message: a long one by its beginning and its length."""
    if len(promql) <= QUERY_SHOWN:
        return repr(promql)
    return f"{promql[:QUERY_SHOWN]!r}... ({len(promql)} characters)"


def one_line(text: str) -> str:
    """Return a text from a server as one short printable line, for a message."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(line.split())[:TEXT_SHOWN]
