"""From which moments forecasts are judged: one rule for the backtest, the gate and the calibration.

Scheduled jobs start at a minute of the hour, and most often on the hour or a quarter of it. Origins
that stand only there judge a forecast where the demand jumps, and say nothing of the other minutes.
So origins stand at a stride that has no divisor in common with the samples of an hour and of a day:
among any of them in a row, no minute of the hour has more than one origin more than another.
"""

from __future__ import annotations

import math

from forecaster.data.series import Series
from forecaster.features.timing import Timing
from forecaster.features.track import Indices
from forecaster.features.windows import origins_between

ORIGIN_MINUTES = 5  # at least so far apart: 7 at one minute
# Of one item and part, 24 days at one minute; where a part is longer, the stride is.
MOST_ORIGINS = 5_000


def off_the_hour(stride: int, timing: Timing) -> int:
    """Return the least number >= ``stride`` coprime to the samples of an hour and of a day.

    >>> from datetime import timedelta
    >>> minutes = 1, 5, 15, 60
    >>> [off_the_hour(5, Timing(timedelta(minutes=step), 6)) for step in minutes]
    [7, 5, 5, 5]
    """
    stride, hour = max(stride, 1), max(timing.samples(60), 1)
    while math.gcd(stride, hour * timing.day) > 1:
        stride += 1
    return stride


def judged_origins(first: int, last: int, timing: Timing) -> Indices:
    """Return origins whose whole horizon lies in samples ``[first, last)``, on all minutes alike.

    They are about five minutes apart, or farther where that would be more than `MOST_ORIGINS`.

    >>> from datetime import timedelta
    >>> judged_origins(1441, 1501, Timing(timedelta(minutes=1), 30)).tolist()
    [1440, 1447, 1454, 1461, 1468]
    """
    possible = last - timing.prediction_length - max(first - 1, 0)
    stride = max(timing.samples(ORIGIN_MINUTES), math.ceil(possible / MOST_ORIGINS))
    stride = off_the_hour(stride, timing)
    return origins_between(first, last, timing, stride, phase=max(first - 1, 0) % stride)


def backtest_origins(series: Series, first: int, timing: Timing) -> Indices:
    """Return the origins from which samples from ``first`` on are forecast."""
    return judged_origins(first, len(series), timing)
