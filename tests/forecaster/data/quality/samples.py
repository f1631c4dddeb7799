"""Raw samples for the tests of the quality pass."""

from datetime import UTC, datetime, timedelta

import numpy as np

from forecaster.data.quality import Finding, RawSeries, Rule
from forecaster.data.series import utc

MINUTE = timedelta(minutes=1)
START = int(utc("2026-03-02T00:00:00Z").timestamp())  # a Monday
NAN = np.nan
SPIKE = 1e6  # a counter of 6e7 requests that seems to have been served within one minute


def noisy(n: int, level: float = 100.0) -> np.ndarray:
    return np.random.default_rng(5).poisson(level * 60, n) / 60


def raw(values, *, start=START, step=60, item_id="shop/api", **more) -> RawSeries:
    stamps = start + step * np.arange(len(values))
    return RawSeries(item_id, stamps, np.asarray(values, dtype=float), **more)


def with_values(at: dict[int, float], n: int = 200, level: float = 100.0) -> np.ndarray:
    values = noisy(n, level)
    for index, value in at.items():
        values[index] = value
    return values


def only(findings: tuple[Finding, ...], rule: Rule) -> Finding:
    (finding,) = (found for found in findings if found.rule is rule)
    return finding


def moment(slot: int) -> datetime:
    return datetime.fromtimestamp(START, UTC) + slot * MINUTE
