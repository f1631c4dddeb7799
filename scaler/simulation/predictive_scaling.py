"""Predictive scaling as clouds offer it, by the published description of AWS's.

What is published: the hourly load is forecast from up to 14 days of history, of which 24 hours are
needed; the forecast is renewed every 6 hours. For each hour the capacity that the load needs at the
target is the least that there may be; it is scheduled a buffer, 300 s by default, before the hour.
It removes nothing: beside it, dynamic scaling goes on by itself. Source: AWS, "How predictive
scaling works", Amazon EC2 Auto Scaling User Guide, and `PredictiveScalingConfiguration` and
`PredictiveScalingMetricSpecification`, its API reference.

What is not published is filled in: the method is additive Holt-Winters on hourly means with a
season of a day (Hyndman and Athanasopoulos, Forecasting: Principles and Practice, 3rd ed., 8.3);
renewals fall on 0, 6, 12 and 18 o'clock UTC and take no time; the capacity is the load over what
a replica is to be given, rounded up, where the cloud learns how the two go together. Of the 48
hours that are forecast, renewals leave those of the next 7 to be used.
"""

from __future__ import annotations

import numpy as np

from forecaster.data.series import FloatArray, Series
from forecaster.models.naive import holt_winters
from scaler.simulation.recording import RecordedSamples
from scaler.simulation.world import Scene

HOUR_S = 3600
DAY = 24  # hours
LOOKED_BACK = 14 * DAY
RENEWED = 6  # hours
BUFFER_S = 300.0


def scheduled_qps(samples: RecordedSamples, scene: Scene) -> FloatArray:
    """Return the load that capacity is scheduled for at each tick, in QPS; NaN where none is.

    A forecast is there once the sample is known that ends with the hour before it.
    """
    newest = np.array([samples.newest(tick) for tick in range(scene.ticks)])
    known_until = samples.series.stamps[0] + newest * round(samples.step_s)
    renewed = known_until // (RENEWED * HOUR_S) * RENEWED  # in hours since the epoch
    first, load = _hourly(samples.series)
    hours, row = np.unique(renewed, return_inverse=True)
    ahead = np.stack([_day_ahead(load[: max(hour - first, 0)]) for hour in hours.tolist()])
    now = scene.start + scene.timing.tick_s * np.arange(scene.ticks)
    this, coming = (
        ahead[row, ((at // HOUR_S).astype(np.int64) - renewed) % DAY]
        for at in (now, now + BUFFER_S)
    )
    return np.asarray(np.fmax(this, coming))


def _hourly(series: Series) -> tuple[int, FloatArray]:
    """Return the mean of every hour, NaN where nothing is known, and the first one's number."""
    hours = (series.stamps - 1) // HOUR_S  # a sample is the mean up to its stamp
    first, known = int(hours[0]), np.isfinite(series.values)
    place, count = hours[known] - first, int(hours[-1]) - first + 1
    total = np.bincount(place, series.values[known], count)
    samples = np.bincount(place, minlength=count)
    return first, np.divide(total, samples, out=np.full(count, np.nan), where=samples > 0)


def _day_ahead(load: FloatArray) -> FloatArray:
    """Return the load of each hour of the day that begins where ``load`` ends; NaN: unknown."""
    load = load[-LOOKED_BACK:]
    if np.isfinite(load).sum() < DAY:
        return np.full(DAY, np.nan)
    level, season = holt_winters(load[None].astype(np.float32), DAY)
    return np.asarray(np.maximum(level[0, -1] + season[0, -DAY:], 0.0), np.float64)
