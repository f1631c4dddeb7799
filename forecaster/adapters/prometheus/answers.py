"""The answer of Prometheus to a range query, placed on the grid of the query.

Rules of this file: a sample is placed by its stamp, not by its position in the answer; a stamp
without a sample is NaN; infinities are kept, for the quality checks to count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecaster.data.series import FloatArray
from forecaster.errors import PrometheusError

TEXT_SHOWN = 300  # characters of a server's answer that a message quotes
STAMP_TOLERANCE = 0.001  # seconds; Prometheus writes stamps with milliseconds


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
    """The series of one range query, and the server's warnings, e.g. of a partial answer."""

    series: tuple[RawRange, ...]
    warnings: tuple[str, ...] = ()


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


def one_line(text: str) -> str:
    """Return a text from a server as one short printable line, for a message."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(line.split())[:TEXT_SHOWN]
