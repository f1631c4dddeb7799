"""The predictive trigger that is one line of PromQL: what came at this time a week or a day ago.

``max_over_time(q[30m] offset 6d23h30m)``, where the demand query is ``q``: the largest demand of
the half hour that began a week ago; ``offset 23h30m`` for a day. It reads the past alone, as a
season is longer than the half hour. An HPA that reads it by an external metric acts alike.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from forecaster.data.series import FloatArray
from scaler.simulation.recording import RecordedSamples
from scaler.simulation.world import Scene

AHEAD = timedelta(minutes=30)
DAY, WEEK = timedelta(days=1), timedelta(days=7)


def offset_answers(samples: RecordedSamples, scene: Scene, season: timedelta) -> FloatArray:
    """Return what the query answers at each tick, in QPS; NaN where it finds no sample.

    It is answered from samples that are known at the tick, on the recording's grid. Where less than
    the season was recorded it finds none, as PromQL then returns an empty vector.
    """
    step, values = samples.series.step, samples.series.values
    back, ahead = round(season / step), max(round(AHEAD / step), 1)
    known = [samples.newest(tick) for tick in range(scene.ticks)]
    newest, at = np.unique(known, return_inverse=True)
    places = (newest - back)[:, None] + np.arange(1, ahead + 1)
    found = np.where(places >= 0, values[np.maximum(places, 0)], np.nan)
    # fmax takes no notice of what is not known, as max_over_time of samples that are not there.
    return np.asarray(np.fmax.reduce(found, axis=1)[at])
