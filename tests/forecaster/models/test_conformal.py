"""Calibration: nine of ten samples lie below the level 0.9, for any forecaster."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecaster.models.conformal import (
    POOLED_STEPS,
    calibrated,
    conformal_level,
    conformal_shifts,
    widened,
)
from forecaster.models.naive import Spread
from tests.forecaster.evaluation.fitting_samples import LEVELS

FINITE = st.floats(-1e6, 1e6, width=32)


def spread_of(centre: float, unit: float, windows: int, horizon: int = 1, levels=LEVELS) -> Spread:
    shape = (windows, horizon, len(levels))
    return Spread(np.full(shape, centre, np.float32), np.full(windows, unit, np.float32))


@pytest.mark.parametrize("count", [20, 100, 400])
@pytest.mark.parametrize("level", LEVELS)
def test_exchangeable_samples_have_the_coverage_of_the_conformal_guarantee(level, count):
    """The chance that a new moment lies below is at least the level, and at most 1/(n+1) above."""
    rng, trials = np.random.default_rng(7), 4_000
    covered = np.empty(trials)
    for trial in range(trials):
        happened = rng.gamma(2.0, 50.0, (count, 1)).astype(np.float32)
        unlike = spread_of(rng.uniform(0, 300), rng.uniform(1, 9), count, levels=(level,))
        shifts = conformal_shifts(unlike, happened, (level,))
        bound = unlike.centre[0, 0, 0] + shifts[0, 0] * unlike.unit[0]
        # Gamma(2, 50) in closed form: the chance itself, not another sample of it.
        x = bound / 50.0
        covered[trial] = 1 - (1 + x) * np.exp(-x)
    noise = 4 * covered.std() / np.sqrt(trials)
    least = min(level, count / (count + 1))  # with few moments the largest is all there is
    assert least - noise <= covered.mean() <= level + 1 / (count + 1) + noise


@pytest.mark.parametrize(
    ("level", "count", "expected"),
    [
        pytest.param(0.9, 9, 1.0, id="nine moments: exactly the largest"),  # 10/9 x 0.9
        pytest.param(0.99, 20, 1.0, id="never beyond the largest"),
        pytest.param(0.5, 1, 1.0, id="a single one"),
        pytest.param(0.5, 10**6, 0.5000005, id="many: the level itself"),
    ],
)
def test_the_conformal_level_allows_for_the_new_sample(level, count, expected):
    assert conformal_level(level, count) == pytest.approx(expected)


def test_the_shift_is_in_units_of_the_recent_error():
    """What happened lay 0, 1 .. 100 units above, units being 2 and 20 QPS."""
    units = np.tile(np.float32([2.0, 20.0]), 101)
    above = np.repeat(np.arange(101, dtype=np.float32), 2)
    centre = np.full((202, 1, 1), 50.0, np.float32)
    shifts = conformal_shifts(Spread(centre, units), (50 + above * units)[:, None], (0.5,))
    assert shifts[0, 0] == pytest.approx(50, abs=0.5)
    new = Spread(np.full((1, 1, 1), 8.0, np.float32), np.float32([3.0]))
    assert calibrated(new, shifts)[0, 0, 0] == pytest.approx(8 + 50 * 3, abs=1.5)


def test_each_level_has_its_own_shift():
    happened = np.arange(1_000, dtype=np.float32)[:, None]
    shifts = conformal_shifts(spread_of(0.0, 1.0, 1_000), happened, LEVELS)
    assert shifts[0] == pytest.approx(1_000 * np.array(LEVELS), abs=2)


def test_a_step_shares_the_residuals_of_its_neighbours_and_of_no_other():
    horizon, odd = 2 * POOLED_STEPS + 5, POOLED_STEPS + 2
    far = np.zeros((50, horizon), np.float32)
    far[:, odd] = 1_000.0  # this step alone was far off
    shifts = conformal_shifts(spread_of(0.0, 1.0, 50, horizon, (0.99,)), far, (0.99,))
    near = np.abs(np.arange(horizon) - odd) <= POOLED_STEPS
    np.testing.assert_array_equal(shifts[:, 0], np.where(near, 1_000, 0))


def test_unknown_samples_are_left_out():
    happened = np.random.default_rng(1).gamma(2, 50, (200, 2)).astype(np.float32)
    gappy = np.concatenate([happened, np.full((300, 2), np.nan, np.float32)])
    known = conformal_shifts(spread_of(10.0, 2.0, 200, 2), happened, LEVELS)
    np.testing.assert_array_equal(
        conformal_shifts(spread_of(10.0, 2.0, 500, 2), gappy, LEVELS), known
    )


def test_a_step_without_known_samples_is_not_shifted():
    unknown = np.full((30, 2), np.nan, np.float32)
    shifts = conformal_shifts(spread_of(10.0, 2.0, 30, 2), unknown, LEVELS)
    np.testing.assert_array_equal(shifts, np.zeros((2, len(LEVELS))))


@pytest.mark.parametrize("levels", [(0.5,), (0.1, 0.5), LEVELS], ids=str)
def test_a_constant_error_is_corrected_at_every_level(levels):
    happened = np.full((40, 3), 70.0, np.float32)
    wrong = spread_of(50.0, 4.0, 40, 3, levels)
    np.testing.assert_allclose(
        calibrated(wrong, conformal_shifts(wrong, happened, levels)), 70.0, rtol=1e-6
    )


@given(
    centre=arrays(np.float32, (4, 3, 5), elements=FINITE),
    unit=arrays(np.float32, 4, elements=st.floats(2**-30, 1e6, width=32)),
    shifts=arrays(np.float32, (3, 5), elements=st.floats(-1e3, 1e3, width=32)),
)
def test_calibrated_levels_never_cross_nor_fall_below_zero(centre, unit, shifts):
    qps = calibrated(Spread(centre, unit), shifts)
    assert qps.shape == centre.shape
    assert (qps >= 0).all()
    assert (np.diff(qps, axis=2) >= 0).all()


@pytest.mark.parametrize(
    ("qps", "step", "expected"),
    [
        pytest.param(0.0, 1, 1.645 / 300, id="silent: a request in five minutes"),
        pytest.param(3.0, 1, 3 + 1.645 * 0.1002, id="low: as requests are counted"),
        pytest.param(3.0, 15, 3 + 1.645 * 0.0581, id="a longer step counts more of them"),
        pytest.param(1e6, 1, 1e6 * (1 + 1.645 * 0.002), id="high: some thousandths"),
    ],
)
def test_no_quantile_is_nearer_to_the_median_than_noise_allows(qps, step, expected):
    flat = np.full((1, 1, 5), qps, np.float32)
    found = widened(flat, LEVELS, timedelta(minutes=step))[0, 0]
    assert found[LEVELS.index(0.5)] == np.float32(qps)
    assert found[LEVELS.index(0.95)] == pytest.approx(expected, rel=1e-3)
    assert (np.diff(found) >= 0).all()
    assert found[0] < qps or qps == 0


def test_what_is_wide_enough_stays_as_it_is():
    wide = np.float32([[[50, 100, 150, 170, 190]]])
    np.testing.assert_array_equal(widened(wide, LEVELS, timedelta(minutes=1)), wide)
