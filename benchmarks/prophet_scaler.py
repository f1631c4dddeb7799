"""A scaler on Prophet's forecast, as public ones do: a floor beside the HPA.

Each midnight (UTC) Prophet is fitted anew, with its defaults, on means of five minutes of the past
28 days at most, so that a fit takes seconds. The upper bound of what it forecasts for the day,
its 0.9 quantile, is taken for the demand; a floor is set five minutes before it is needed, as
predictive scaling does. Announced events cannot be given to it: it learns their size from earlier
ones. Source: Taylor and Letham, 2018, Forecasting at Scale, The American Statistician 72(1); as the
forecast of an autoscaler, Guruge and Priyadarshana, 2025, Frontiers in Computer Science 7.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable

import numpy as np

from forecaster.data.series import FloatArray
from scaler.simulation.predictive_scaling import BUFFER_S
from scaler.simulation.recording import RecordedSamples
from scaler.simulation.world import Scene

PROPHET = "Prophet"
DAY_S, STEP_S = 86_400, 300
PAST_DAYS = 28
# Steps of a forecast: a day, and an hour for what is known late and for the lead.
AHEAD = (DAY_S + 3600) // STEP_S
# From the means of the past and the midnight after them to the day ahead.
DayAhead = Callable[[FloatArray, int], FloatArray]


def require_prophet() -> None:
    """Exit where it is not installed."""
    if importlib.util.find_spec("prophet") is None:
        raise SystemExit("this part needs prophet; install it: pip install '.[bench]'")


def prophet_day_ahead(past: FloatArray, midnight: int) -> FloatArray:
    """Return the upper bound for every five minutes from midnight on, in QPS.

    Args:
        past: the means of every five minutes up to midnight; Prophet leaves out what is NaN.
        midnight: seconds since the epoch.
    """
    import pandas as pd
    from prophet import Prophet

    logging.getLogger("cmdstanpy").setLevel(logging.WARNING)
    ended = midnight - STEP_S * np.arange(len(past))[::-1]
    known = pd.DataFrame({"ds": pd.to_datetime(ended, unit="s"), "y": past})
    coming = pd.to_datetime(midnight + STEP_S * (1 + np.arange(AHEAD)), unit="s")
    np.random.seed(0)  # noqa: NPY002 - Prophet draws what may come from this generator
    found = Prophet().fit(known, seed=0).predict(pd.DataFrame({"ds": coming}))
    return np.maximum(found["yhat_upper"].to_numpy(np.float64), 0.0)


def foreseen_qps(
    samples: RecordedSamples, scene: Scene, day_ahead: DayAhead = prophet_day_ahead
) -> FloatArray:
    """Return the demand that a floor is set for at each tick, in QPS; each day is fitted once."""
    newest = [samples.newest(tick) for tick in range(scene.ticks)]
    midnights = samples.series.stamps[newest] // DAY_S * DAY_S
    days, row = np.unique(midnights, return_inverse=True)
    ahead = np.stack([day_ahead(_means(samples, day), day) for day in days.tolist()])
    now = scene.start + scene.timing.tick_s * np.arange(scene.ticks)
    this, coming = (
        ahead[row, ((at - midnights) // STEP_S).astype(np.int64)] for at in (now, now + BUFFER_S)
    )
    return np.asarray(np.fmax(this, coming))


def _means(samples: RecordedSamples, midnight: int) -> FloatArray:
    """Return the means of five minutes of the days before midnight; NaN where nothing is known."""
    stamps, values = samples.series.stamps, samples.series.values
    first = midnight - PAST_DAYS * DAY_S
    used = (stamps > first) & (stamps <= midnight) & np.isfinite(values)
    place, count = (stamps[used] - first - 1) // STEP_S, PAST_DAYS * DAY_S // STEP_S
    total = np.bincount(place, values[used], count)
    known = np.bincount(place, minlength=count)
    return np.divide(total, known, out=np.full(count, np.nan), where=known > 0)
