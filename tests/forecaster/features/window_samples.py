"""Windows and naive forecasts at an origin, for tests."""

import numpy as np
import pytest

from forecaster.features.anchors import build_track
from forecaster.features.timing import Timing
from forecaster.features.windows import (
    Windows,
    cut_windows,
)
from forecaster.models.naive import naive_forecasts
from tests.forecaster.traffic_samples import (
    DAY_AHEAD,
    ENORMOUS,
    FIVE_MINUTES,
    GAPPY,
    HALF_HOUR,
    HOURLY,
    LATE,
    MINUTE,
    PLAIN,
    SILENT,
    STEADY,
)

# What a model may see; `target` and `peak` alone are from after the origin.
SEEN = ("horizon", "context", "recent", "blend", "scale", "level", "shock")


CONTEXT_LENGTH = 24


TIMINGS = [
    pytest.param(HALF_HOUR, 3.3, id="1 min, half an hour ahead"),
    pytest.param(FIVE_MINUTES, 9.3, id="5 min, half an hour ahead"),
    pytest.param(DAY_AHEAD, 10.4, id="15 min, a day ahead"),
    pytest.param(HOURLY, 20.0, id="1 h, half a day ahead"),
    pytest.param(Timing(60 * MINUTE, 24), 20.0, id="1 h, a whole day ahead"),
]


KNOWN = (PLAIN, GAPPY, LATE, STEADY, SILENT, ENORMOUS)


def at(values, timing, origin) -> Windows:
    """Return every item's window at one origin."""
    track = build_track(values, timing)
    rows = np.arange(len(values))
    return cut_windows(track, rows, np.full(len(rows), origin), CONTEXT_LENGTH)


def naive_at(values, timing, origin):
    track = build_track(values, timing)
    rows = np.arange(len(values))
    return naive_forecasts(track, rows, np.full(len(rows), origin))


def origins_of(values, timing):
    """Some origins all over the history: on the hour and off it, at the ends, in gaps."""
    last = values.shape[1] - 1
    picked = np.linspace(0, last - 1, 5).astype(int)
    on_the_hour = [timing.warm_up // timing.hour * timing.hour]
    in_a_gap = [int(0.45 * values.shape[1]) + 2]
    return sorted({*picked.tolist(), *on_the_hour, *in_a_gap, timing.warm_up - 1})
