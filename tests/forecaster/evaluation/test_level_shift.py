"""After a lasting step of the level, each naive forecast that can be served covers within hours."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from forecaster.data.series import Series
from forecaster.evaluation.rolling import rolling_baseline
from forecaster.models.naive import NAIVE

DAY, AHEAD = 288, 6
STEP_AT = 15 * DAY + 120
RNG = np.random.default_rng(0)
WAVE = 100 * (1 + 0.6 * np.sin(2 * np.pi * np.arange(20 * DAY) / DAY))
KINDS = {
    "calm": WAVE * np.exp(RNG.normal(0, 0.01, len(WAVE))),
    "noisy": WAVE * np.exp(RNG.normal(0, 0.05, len(WAVE))),
    "the same every week": np.tile(RNG.gamma(20, 5, 7 * DAY), 3)[: len(WAVE)],
    "constant": np.full(len(WAVE), 100.0),
}


def coverage(name: str, values: np.ndarray, first: int, last: int) -> float:
    """Return the share of samples up to the quantile .95, of origins before the step or after."""
    series = Series("a", datetime(2026, 1, 1, tzinfo=UTC), timedelta(minutes=5), values)
    origins = np.concatenate([[STEP_AT - 1], np.arange(first, last)])  # calibrated before the step
    forecast = rolling_baseline(name, series, origins, AHEAD)
    ahead = np.stack([values[at + 1 : at + 1 + AHEAD] for at in origins[1:]])
    return float((ahead <= forecast.quantile(0.95)[1:] * (1 + 1e-6)).mean())


@pytest.mark.parametrize("factor", [1.3, 2.0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", NAIVE)
def test_after_a_lasting_step_the_coverage_recovers_within_hours(name, kind, factor):
    values = KINDS[kind] * np.where(np.arange(len(WAVE)) < STEP_AT, 1, factor)
    three_hours = STEP_AT + 36
    assert coverage(name, values, three_hours, three_hours + DAY) > 0.85
