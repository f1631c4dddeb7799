"""Room for recurring shocks: a job is covered from its fifth occurrence on, once and no more."""

from dataclasses import replace

import numpy as np
import pytest

from forecaster.features.anchors import build_track
from forecaster.features.windows import Windows, cut_windows
from forecaster.models.config import ModelConfig
from forecaster.models.margins import with_shocks

MODEL = ModelConfig()
HOUR, DAY = 60, 1440
LEVELS = MODEL.quantile_levels


def windows_at(values: np.ndarray, origins: np.ndarray) -> Windows:
    track = build_track(values[None].astype(np.float32), MODEL.timing)
    return cut_windows(track, np.zeros_like(origins), origins, MODEL.context_length)


def flat(windows: Windows, qps: float) -> np.ndarray:
    """Return a forecast of so many requests per second, at all levels and steps."""
    return np.full((*windows.blend.shape, len(LEVELS)), qps, dtype=np.float32)


@pytest.mark.parametrize("ahead", [1, 10, 25])
def test_an_hourly_job_is_covered_from_its_fifth_occurrence(ahead):
    random = np.random.default_rng(0)
    values = 100 + random.standard_normal(14 * DAY)
    jobs = np.arange(5 * DAY + 17, len(values) - HOUR, HOUR)
    values[jobs] += 80 * np.exp(0.1 * random.standard_normal(len(jobs)))
    windows = windows_at(values, jobs - ahead)
    quantiles = with_shocks(flat(windows, 102), windows, MODEL)
    is_covered = values[jobs, None] <= quantiles[:, ahead - 1]
    assert not is_covered[:4].any()
    assert is_covered[4:, LEVELS.index(0.95)].mean() > 0.9
    assert is_covered[4:, LEVELS.index(0.99)].mean() > 0.97


def test_quantiles_stay_in_order_and_the_median_stays():
    random = np.random.default_rng(0)
    values = 100 + random.standard_normal(8 * DAY)
    values[17::HOUR] += 80
    windows = windows_at(values, np.arange(6 * DAY, 7 * DAY, 7))
    before = np.sort(flat(windows, 100) + random.normal(size=(len(windows), 30, 5)), axis=2)
    after = with_shocks(before.astype(np.float32), windows, MODEL)
    assert (np.diff(after, axis=2) >= 0).all()
    assert (after >= before.astype(np.float32)).all()
    np.testing.assert_array_equal(after[:, :, :2], before[:, :, :2].astype(np.float32))


def test_a_job_that_runs_now_is_not_counted_twice():
    """Five minutes long; at its second minute, a forecast may repeat the last value."""
    values = 100 + np.random.default_rng(0).standard_normal(4 * DAY)
    begins = np.arange(2 * DAY + 17, 3 * DAY, HOUR)
    for k in range(5):
        values[begins + k] += 80
    windows = windows_at(values, begins[6:] + 1)
    quantiles = with_shocks(flat(windows, 180), windows, MODEL)
    assert quantiles.max() < 200


def test_without_shocks_nothing_changes():
    windows = windows_at(np.full(3 * DAY, 5.0), np.arange(2 * DAY, 2 * DAY + 50))
    qps = flat(windows, 5)
    assert with_shocks(qps, windows, MODEL) is qps
    none = replace(windows, shock=np.zeros_like(windows.shock))
    assert with_shocks(qps, none, MODEL) is qps
