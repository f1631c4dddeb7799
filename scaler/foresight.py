"""From a forecast to what it says of the lead time, and to the outcomes that it is judged by.

Rows are items at one moment, or moments of one item; all rows are worked out at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from forecaster.series import FloatArray, Forecast
from scaler.quantiles import Maximum, maximum_of


@dataclass(frozen=True, slots=True)
class Span:
    """The steps of a forecast, ``[first, last]``, in which a span of time lies."""

    first: int
    last: int

    @property
    def steps(self) -> int:
        return self.last - self.first + 1


def span_of(age_s: float, length_s: float, step_s: float, prediction_length: int) -> Span:
    """Return the steps that cover the next ``length_s`` when the origin is ``age_s`` ago.

    Step ``h`` is the mean over ``(h * step_s, (h + 1) * step_s]`` after the origin. What lies
    beyond the forecast is taken to be like its last step.

    >>> span_of(age_s=30, length_s=120, step_s=60, prediction_length=30)
    Span(first=0, last=2)
    """
    last = prediction_length - 1
    # An origin ahead of our clock is one of now.
    first = min(max(int(age_s // step_s), 0), last)
    return Span(first, min(max(math.ceil((age_s + length_s) / step_s) - 1, first), last))


def maximum_over(forecast: Forecast, span: Span) -> Maximum:
    """Return the distribution of the largest demand within the span, for every row."""
    return maximum_of(steps_in(forecast, span), forecast.quantile_levels)


def steps_in(forecast: Forecast, span: Span) -> FloatArray:
    """Return the quantiles of the steps in the span, ``(rows, steps, levels)``."""
    return np.asarray(forecast.values[:, span.first : span.last + 1])
