"""The quantile of a maximum: between the largest quantile of its parts and Bonferroni's bound."""

from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from scaler.decision.quantiles import (
    PeakDistribution,
    extremal_index,
    log_cdf,
    peaks_of,
    quantile_at,
    surprisal,
)

LEVELS = (0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999)
FEW = (0.5, 0.9, 0.95, 0.99)
Z = np.array([NormalDist().inv_cdf(level) for level in LEVELS])
levels_asked = st.floats(0.3, 0.999)


@st.composite
def forecasts(draw, max_steps=8):
    """One row of quantiles at FEW, ``(1, steps, levels)``, of any size and shape."""
    unit = 10.0 ** draw(st.integers(-3, 9))
    part = st.lists(st.floats(0, 1), min_size=len(FEW), max_size=len(FEW))
    steps = draw(st.lists(part, min_size=1, max_size=max_steps))
    return unit * np.sort(np.array([steps]), axis=-1)


class Maxima:
    """The distribution of the maximum of every row."""

    def __init__(self, values, levels):
        columns = (column.tolist() for column in peaks_of(values, levels))
        self.rows = [PeakDistribution(qps, scores) for qps, scores in zip(*columns, strict=True)]

    def quantile(self, level, theta=1.0):
        return np.array([row.quantile(level, theta) for row in self.rows])


def slack(values):
    """What coinciding quantiles are told apart by, and what rounding leaves."""
    return 1e-4 * float(values.max()) + 1e-9


def test_given_levels_are_reproduced():
    values = np.array([[3.0, 7.0, 8.0, 20.0]])
    assert [float(quantile_at(values, FEW, q)[0]) for q in FEW] == pytest.approx(
        [3.0, 7.0, 8.0, 20.0]
    )


@given(forecasts(), st.floats(0.01, 0.9999), st.floats(0.01, 0.9999))
def test_a_higher_level_is_never_less_demand(values, one, other):
    low, high = (quantile_at(values, FEW, level) for level in sorted((one, other)))
    assert (low <= high + slack(values)).all()


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        # Beyond 0.9 and 0.99, each power of ten of the risk adds one step of the logit, ln 10:
        # logit 0.9 = 2.197, 0.99 = 4.595, 0.999 = 6.907, 0.9999 = 9.210.
        pytest.param(0.999, 120 + 20 * (6.907 - 4.595) / 2.398, id="a tenth of the risk"),
        pytest.param(0.9999, 120 + 20 * (9.210 - 4.595) / 2.398, id="a hundredth of the risk"),
        pytest.param(0.01, 0.0, id="below, demand ends at zero"),
    ],
)
def test_tails_are_exponential(level, expected):
    values = np.array([10.0, 100.0, 120.0])
    assert float(quantile_at(values, (0.5, 0.9, 0.99), level)) == pytest.approx(expected, abs=0.01)


@given(forecasts(), st.floats(0.06, 0.998))
def test_the_distribution_is_the_inverse_of_its_quantile(values, level):
    # Only where quantiles are apart: a jump has no inverse.
    values = values + values.max() * np.array([0.1, 0.2, 0.3, 0.4]) + np.arange(1.0, 5.0)
    qps = quantile_at(values, FEW, level)
    within = qps > 0
    probability = np.exp(log_cdf(values, FEW, qps))
    np.testing.assert_allclose(probability[within], level, atol=2e-4)


def test_the_quantile_of_a_maximum_is_not_the_maximum_of_quantiles():
    # Three steps of N(100, 10) each, independent. 0.95 of one: 100 + 10 x 1.645 = 116.4.
    # Of the largest, each must stay within 0.95 ** (1/3) = 0.983: 100 + 10 x 2.121 = 121.2.
    # Bonferroni: 1 - 0.05/3 = 0.9833: 100 + 10 x 2.128 = 121.3.
    steps = np.tile(100 + 10 * Z, (1, 3, 1))
    largest_quantile = float(quantile_at(steps, LEVELS, 0.95).max())
    of_maximum = float(Maxima(steps, LEVELS).quantile(0.95)[0])
    bonferroni = float(quantile_at(steps, LEVELS, 1 - 0.05 / 3).max())
    assert [largest_quantile, of_maximum, bonferroni] == pytest.approx(
        [116.4, 121.2, 121.3], abs=0.1
    )


@given(forecasts(), levels_asked, st.floats(0, 1))
def test_a_maximum_lies_between_its_largest_part_and_bonferronis_bound(values, level, alike):
    steps = values.shape[1]
    theta = steps**-alike  # from independent to as one
    asked = float(Maxima(values, FEW).quantile(level, theta)[0])
    least = float(quantile_at(values, FEW, level).max())
    # The bound is read where the distribution is known by points, and so is exact to their spacing.
    most = float(quantile_at(values, FEW, 1 - (1 - level) / steps).max())
    between = float(quantile_at(values, FEW, 1 - (1 - level) / (steps + 1) / 2).max())
    assert least - 0.02 * (between - least) - slack(values) <= asked
    assert asked <= most + 0.1 * (between - least) + slack(values)


def test_where_one_step_rules_a_low_index_does_not_read_below_it():
    # N(100, 10), N(150, 15), N(200, 20): the last rules, 200 + 20 x 1.645 = 232.9.
    ramp = np.stack([100 + 10 * Z, 150 + 15 * Z, 200 + 20 * Z])[None]
    asked = [float(Maxima(ramp, LEVELS).quantile(0.95, theta)[0]) for theta in (1 / 3, 0.5, 1)]
    assert asked == pytest.approx([232.9, 232.9, 232.9], rel=0.002)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_steps_that_err_as_one_have_the_quantile_of_a_single_one(level):
    steps = np.tile(100 + 10 * Z, (1, 6, 1))
    assert float(Maxima(steps, LEVELS).quantile(level, 1 / 6)[0]) == pytest.approx(
        100 + 10 * NormalDist().inv_cdf(level), rel=0.005
    )


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("ramp", [0.0, 5.0], ids=["steps alike", "steps that rise"])
def test_independent_steps_have_the_quantile_that_simulation_finds(level, ramp):
    means, spread = 100 + ramp * np.arange(5), 10.0
    steps = (means[:, None] + spread * Z)[None]
    drawn = np.random.default_rng(7).normal(means, spread, (200_000, 5)).max(axis=1)
    # The standard error of a simulated 0.99 quantile is 0.06 here; the rest is interpolation.
    assert float(Maxima(steps, LEVELS).quantile(level)[0]) == pytest.approx(
        float(np.quantile(drawn, level)), abs=0.6
    )


@given(st.integers(-3, 9), levels_asked, st.sampled_from([0.25, 0.5, 1.0]))
def test_a_thousandfold_service_has_a_thousandfold_maximum(power, level, theta):
    steps = np.stack([10 + Z, 11 + 2 * Z, 12 + Z, 9 + Z])[None].clip(0)
    unit = 10.0**power
    assert Maxima(unit * steps, LEVELS).quantile(level, theta) / unit == pytest.approx(
        Maxima(steps, LEVELS).quantile(level, theta), rel=1e-6
    )


@given(forecasts(), levels_asked, levels_asked, st.floats(0.125, 1), st.floats(0.125, 1))
def test_more_certainty_and_less_alike_steps_ask_for_more(values, one, other, theta, apart):
    maximum = Maxima(values, FEW)
    low, high = (float(maximum.quantile(q, theta)[0]) for q in sorted((one, other)))
    alike, unlike = (float(maximum.quantile(one, t)[0]) for t in sorted((theta, apart)))
    assert low <= high
    assert alike <= unlike


@pytest.mark.parametrize(
    ("quantiles", "expected"),
    [
        pytest.param([100.0] * 4, 100.0, id="no spread at all"),
        pytest.param([0.0] * 4, 0.0, id="no traffic"),
        pytest.param([0.0, 0.0, 0.0, 50.0], 0.0, id="hardly ever any traffic, all steps as one"),
    ],
)
def test_degenerate_quantiles_give_what_they_say(quantiles, expected):
    steps = np.tile(quantiles, (1, 3, 1))
    asked = [float(Maxima(steps, FEW).quantile(q, 1 / 3)[0]) for q in (0.1, 0.5, 0.9)]
    assert asked == pytest.approx([expected] * 3, rel=1e-4, abs=0.01)


@given(forecasts(), st.floats(0.001, 0.9999), st.floats(0.1, 1))
@example(np.zeros((1, 3, 4)), 0.001, 0.1)
def test_any_quantiles_give_a_finite_maximum(values, level, theta):
    asked = Maxima(values, FEW).quantile(level, theta)
    assert np.isfinite(asked).all()
    assert (asked >= 0).all()


def test_a_row_of_which_nothing_is_known_stays_so_and_the_others_do_not():
    steps = np.tile(100 + 10 * Z, (3, 4, 1))
    steps[1] = np.nan
    maximum = Maxima(steps, LEVELS)
    assert np.isnan(maximum.quantile(0.95, 0.5)).tolist() == [False, True, False]


def surprised(values, largest):
    return surprisal(values, LEVELS, largest)


def index_of(errors):
    """Return the index told from steps whose forecasts are right: N(100, 10) each."""
    happened = 100 + 10 * errors
    values = np.tile(100 + 10 * Z, (*errors.shape, 1))
    mean = float(np.mean(list(map(surprised, values, happened.max(axis=1)))))
    return extremal_index(mean, errors.shape[1])


@pytest.mark.parametrize(
    ("shared", "expected"),
    [
        pytest.param(0.0, 1.0, id="independent steps: 1"),
        pytest.param(1.0, 0.25, id="steps as one: 1 / steps"),
    ],
)
def test_the_index_tells_how_alike_steps_err(shared, expected):
    rng = np.random.default_rng(3)
    alike, apart = rng.normal(size=(20_000, 1)), rng.normal(size=(20_000, 4))
    errors = np.sqrt(shared) * alike + np.sqrt(1 - shared) * apart
    # The mean of 20,000 exponential surprisals has a relative standard error of 0.7 %.
    assert index_of(errors) == pytest.approx(expected, rel=0.04)


def test_steps_that_are_more_alike_have_a_lower_index():
    rng = np.random.default_rng(3)
    alike, apart = rng.normal(size=(5_000, 1)), rng.normal(size=(5_000, 4))
    indices = [
        index_of(np.sqrt(s) * alike + np.sqrt(1 - s) * apart) for s in (0, 0.5, 0.8, 0.95, 1)
    ]
    assert indices == sorted(indices, reverse=True)


@given(forecasts(), st.floats(0, 3))
def test_a_surprisal_is_what_the_distribution_says(values, share):
    largest = share * float(values.max())
    expected = -log_cdf(values, FEW, np.full(values.shape[:2], largest)).sum()
    assert surprisal(values[0], FEW, largest) == pytest.approx(expected, rel=1e-9)


def test_a_surprisal_of_what_is_not_known_is_not_known():
    values = np.tile(100 + 10 * Z, (3, 1))
    assert np.isnan(surprised(values, np.nan))
    assert surprised(values, 110.0) > 0


@pytest.mark.parametrize(
    ("mean", "expected"),
    [
        pytest.param(2.0, 0.5, id="one over the mean"),
        pytest.param(0.2, 1.0, id="never above 1"),
        pytest.param(100.0, 0.25, id="never below 1 / steps"),
        pytest.param(0.0, 1.0, id="no surprise at all: the careful side"),
    ],
)
def test_the_index_is_within_its_bounds(mean, expected):
    assert extremal_index(mean, steps=4) == expected
