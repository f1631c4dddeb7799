"""Calibration: nine of ten samples lie below the level 0.9, for any forecaster, and calmly."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from forecaster.models.config import served_levels
from forecaster.models.conformal import (
    LEAST_DISTANCE,
    HeldOut,
    calibrated,
    calibrations,
    conformal_level,
    conformal_shifts,
    knots,
    tail_of,
    widened,
)
from forecaster.models.naive import Spread
from forecaster.models.tail import EXPONENTIAL, TailLaw
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


def test_a_knot_rests_on_the_residuals_up_to_its_neighbours_and_on_no_others():
    far = np.zeros((50, 30), np.float32)
    far[:, 11] = 1_000.0  # twelve steps ahead alone: between the knots 8 and 16
    shifts = conformal_shifts(spread_of(0.0, 1.0, 50, 30, (0.99,)), far, (0.99,))
    assert knots(30) == [1, 2, 4, 8, 16, 30]
    assert [float(shifts[knot - 1, 0]) for knot in knots(30)] == [0, 0, 0, 1_000, 1_000, 0]


@pytest.mark.parametrize("horizon", [1, 2, 6, 30, 96])
def test_shifts_of_levels_do_not_jump_from_step_to_step(horizon):
    """Of errors that grow like the root of the step, by a few days of them."""
    rng = np.random.default_rng(3)
    root = np.sqrt(np.arange(1, horizon + 1))
    happened = (100 + root * rng.standard_t(3, (222, horizon))).astype(np.float32)
    shifts = conformal_shifts(spread_of(100.0, 1.0, 222, horizon), happened, LEVELS)
    ratios = shifts[1:, 2:4] / shifts[:-1, 2:4]
    assert (ratios > 0.8).all()
    assert (ratios < 1.5).all()


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


def held_out(rng, stretches: int, size: float, horizon: int = 4, pooled: bool = True) -> HeldOut:
    """Return 50 forecasts of 100 a stretch of time, and what was Laplace noise of a ``size``."""
    windows = 50 * stretches
    happened = (100 + rng.laplace(0, size, (windows, horizon))).astype(np.float32)
    return HeldOut(
        spread_of(100.0, 1.0, windows, horizon), happened, np.arange(windows) // 50, pooled
    )


def shift(item: HeldOut, others: list[HeldOut]) -> float:
    """Return the mean shift of the level 0.95 of an item among others."""
    own, _ = calibrations([item, *others], LEVELS)
    return float(own[0].shifts[:, 3].mean())


def test_the_more_history_an_item_has_the_more_it_has_a_shift_of_its_own():
    """Noise of 10 among items of noise 1, for which 2.3 is enough."""
    rng = np.random.default_rng(0)
    others = [held_out(rng, 20, 1.0) for _ in range(5)]
    shifts = [shift(held_out(rng, n, 10.0), others) for n in (1, 4, 40)]
    assert shifts == sorted(shifts)
    assert 2.5 < shifts[0] < 16  # half way at most
    assert shifts[-1] > 21  # 10 x 2.3 = 23


def test_items_that_are_not_pooled_say_nothing_of_others():
    rng = np.random.default_rng(0)
    common = [held_out(rng, 10, 1.0) for _ in range(3)]
    young = held_out(rng, 10, 50.0, pooled=False)
    own, unknown = calibrations(common, LEVELS)
    among, unknown_too = calibrations([*common, young], LEVELS)
    for one, other in zip([*own, unknown], [*among[:3], unknown_too], strict=True):
        np.testing.assert_array_equal(one.shifts, other.shifts)
        assert one.law == other.law
    assert among[3].shifts[:, 3].mean() > 50


def draw_noise(kind: str, rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    return {
        "gaussian": lambda: rng.normal(100, 10, shape),
        "poisson": lambda: rng.poisson(3.0, shape),
        "laplace": lambda: rng.laplace(100, 10, shape),
        "pareto": lambda: 100 + 10 * rng.pareto(4.0, shape),
    }[kind]().astype(np.float32)


@pytest.mark.parametrize("kind", ["gaussian", "poisson", "laplace", "pareto"])
def test_the_extremes_of_independent_noise_are_covered(kind):
    """Ten items of a day and a half, and the next hundred days of each."""
    rng, horizon = np.random.default_rng(5), 6
    middle, unit = (3.0, 1.5) if kind == "poisson" else (100.0, 8.0)
    stretch = np.arange(300) // 50
    items = [
        HeldOut(
            spread_of(middle, unit, 300, horizon), draw_noise(kind, rng, (300, horizon)), stretch
        )
        for _ in range(10)
    ]
    shares = []
    for own in calibrations(items, LEVELS)[0]:
        qps = calibrated(
            spread_of(middle, unit, 1, horizon), own.shifts, tail_of([own.law], LEVELS)
        )
        after = draw_noise(kind, rng, (20_000, horizon))
        shares.append((after[:, :, None] <= qps).mean(axis=(0, 1)))
    found = dict(zip(served_levels(LEVELS), np.mean(shares, axis=0), strict=True))
    assert found[0.95] == pytest.approx(0.95, abs=0.01 if kind != "poisson" else 0.03)
    assert 0.985 < found[0.99] <= 1
    assert found[0.999] > 0.997


def test_one_incident_of_a_day_does_not_widen_the_tail_for_ever():
    """The worst moments of one stretch of five; without them 1.7 times the 0.95 quantile."""
    rng = np.random.default_rng(1)
    items = [held_out(rng, 5, 1.0, 30) for _ in range(8)]
    items[0].target[55:65] += 200
    own, _ = calibrations(items, LEVELS)
    assert own[0].law.error > 2 * own[1].law.error
    assert own[0].law.factor(0.99) < 2.2
    assert own[0].law.factor(0.999) < 1.6 * 2.2


def test_levels_beyond_do_not_jump_where_one_incident_spoils_the_late_steps():
    """What made the 0.99 quantile of the demo jump from 257 to 623 within a minute."""
    rng = np.random.default_rng(2)
    items = [held_out(rng, 5, 1.0, 30) for _ in range(4)]
    items[0].target[100:108, 18:] += 40
    (own, *_), _ = calibrations(items, LEVELS)
    qps = calibrated(spread_of(100, 1, 1, 30), own.shifts, tail_of([own.law], LEVELS))[0]
    width = qps[:, 2:] - qps[:, 1:2]
    assert (width[1:] / width[:-1]).max() < 1.2
    assert (width[1:] / width[:-1]).min() > 0.85


def test_where_demand_is_mostly_zero_the_levels_beyond_are_not():
    silent = Spread(np.zeros((3, 2, 5), np.float32), np.full(3, 2.0, np.float32))
    qps = calibrated(silent, np.zeros((2, 5), np.float32), tail_of([EXPONENTIAL], LEVELS))
    assert qps[0, 0, :4].tolist() == [0, 0, 0, 0]
    assert qps[0, 0, 4] == pytest.approx(2 * LEAST_DISTANCE * np.log(50) / np.log(10))
    assert qps[0, 0, 5] > qps[0, 0, 4]


def test_without_the_level_at_which_the_law_begins_there_is_none():
    happened = np.random.default_rng(0).normal(100, 10, (60, 3)).astype(np.float32)
    item = HeldOut(spread_of(100, 1, 60, 3, (0.5, 0.9)), happened, np.arange(60) // 20)
    own, unknown = calibrations([item], (0.5, 0.9))
    assert own[0].law is unknown.law is None


@given(
    centre=arrays(np.float32, (4, 3, 5), elements=FINITE),
    unit=arrays(np.float32, 4, elements=st.floats(2**-30, 1e6, width=32)),
    shifts=arrays(np.float32, (3, 5), elements=st.floats(-1e3, 1e3, width=32)),
    mean=st.floats(1e-6, 1e3),
    shape=st.floats(0, 0.25),
    error=st.floats(0, 3),
)
def test_levels_of_the_tail_neither_cross_nor_fall_below_zero(
    centre, unit, shifts, mean, shape, error
):
    tail = tail_of([TailLaw(mean, shape, error)], LEVELS)
    qps = calibrated(Spread(centre, unit), shifts, tail)
    assert qps.shape == (4, 3, 6)
    assert (qps >= 0).all()
    assert (np.diff(qps, axis=2) >= 0).all()


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
