"""What Prometheus answers to a range query, laid on the grid that was asked for.

Rules of this file: a sample lands by its stamp, never by its place in the answer; what has no
sample is NaN; infinities are passed on, for the quality pass to count.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from forecaster.data.series import FloatArray
from forecaster.errors import PrometheusError

TEXT_SHOWN = 300  # characters of a server's answer that a message repeats
STAMP_TOLERANCE = 0.001  # seconds; Prometheus writes stamps with milliseconds


@dataclass(frozen=True)
class RawRange:
    """One series of an answer, on the grid that was asked for; NaN where it had no sample."""

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
    """The series of one range query, and what the server warned of (a partial answer)."""

    series: tuple[RawRange, ...]
    warnings: tuple[str, ...] = ()


def on_grid(result: Mapping[str, Any], grid: QueryGrid) -> RawRange:
    labels = {str(name): str(value) for name, value in result["metric"].items()}
    if "values" not in result:
        raise PrometheusError(
            f"series {labels} is a histogram, not a number; query e.g. its _count"
        )
    points: Sequence[tuple[float, str]] = result["values"]
    stamps = np.array([point[0] for point in points], dtype=np.float64)
    read = np.array([point[1] for point in points], dtype=np.float64)
    places = np.rint((stamps - grid.first) / grid.step).astype(np.int64)
    astray = np.abs(stamps - (grid.first + places * grid.step)) > STAMP_TOLERANCE
    astray |= (places < 0) | (places >= grid.count)
    if astray.any():
        raise PrometheusError(
            f"series {labels} has a sample at {stamps[astray][0]:.3f}, which is not {grid.first} + "
            f"k x {grid.step}; start at a multiple of the step"
        )
    values = np.full(grid.count, np.nan)
    values[places] = read
    return RawRange(labels, values)


def shown(text: str) -> str:
    """Return a foreign text as one short printable line."""
    line = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(line.split())[:TEXT_SHOWN]
