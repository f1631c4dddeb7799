"""Small made-up services for the tests of the forecasting core."""

from datetime import timedelta

import numpy as np

from forecaster.data.series import Block
from forecaster.features.timing import Timing

MINUTE = timedelta(minutes=1)
NAN = np.float32(np.nan)
HALF_HOUR = Timing(MINUTE, 30)
FIVE_MINUTES = Timing(5 * MINUTE, 6)
DAY_AHEAD = Timing(15 * MINUTE, 96)
HOURLY = Timing(60 * MINUTE, 12)


def service(timing: Timing, days: float, *, seed: int = 0, level: float = 100.0) -> Block:
    """Return a day's wave with a lunch peak, a job on the hour and noise, ``(time,)`` QPS."""
    rng = np.random.default_rng(seed)
    length = round(days * timing.day)
    phase = (np.arange(length) + rng.integers(timing.day)) / timing.day
    shape = 1 + 0.5 * np.sin(2 * np.pi * phase) + (np.abs(phase % 1 - 0.5) < 0.02)
    job = np.arange(length) % max(timing.samples(60), 2) == 0
    weekly = 1 - 0.3 * (phase % 7 > 5)
    noise = rng.gamma(30, 1 / 30, length)
    return np.asarray(level * (shape * weekly + 0.3 * job) * noise, dtype=np.float32)


def with_gaps(values: Block, *, seed: int = 0) -> Block:
    """Return the values with a few percent of the samples, and two long spans, unknown."""
    rng = np.random.default_rng(seed)
    gappy = values.copy()
    gappy[rng.random(len(values)) < 0.03] = np.nan
    for place in (0.45, 0.8):
        first = round(place * len(values))
        gappy[first : first + len(values) // 40] = np.nan
    return gappy


def services(timing: Timing, days: float) -> Block:
    """Return a block of unlike items: plain, gappy, late, steady, silent, unknown, enormous."""
    plain = service(timing, days, seed=1)
    late = service(timing, days, seed=2)
    late[: len(late) // 3] = np.nan
    return np.stack(
        [
            plain,
            with_gaps(service(timing, days, seed=3)),
            late,
            np.full_like(plain, 7.0),
            np.zeros_like(plain),
            np.full_like(plain, np.nan),
            service(timing, days, seed=4) * np.float32(1e9),
        ]
    )


PLAIN, GAPPY, LATE, STEADY, SILENT, UNKNOWN, ENORMOUS = range(7)
