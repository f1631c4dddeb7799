"""The metrics: tables and properties."""

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecaster.evaluation.metrics import (
    coverage,
    crps,
    geometric_mean,
    is_peak,
    level_weights,
    pinball_loss,
    wape,
)

NAN = np.nan
qps = st.floats(0, 1e6).map(lambda x: round(x, 3))
samples = arrays.arrays(np.float64, st.integers(1, 40), elements=qps)
levels = st.sampled_from([0.1, 0.5, 0.9, 0.95, 0.99])


@pytest.mark.parametrize(
    ("actual", "predicted", "level", "loss"),
    [
        pytest.param(100.0, 90.0, 0.9, 9.0, id="10 below at 0.9: 10 x 0.9"),
        pytest.param(90.0, 100.0, 0.9, 1.0, id="10 above at 0.9: 10 x 0.1"),
        pytest.param(100.0, 90.0, 0.1, 1.0, id="10 below at 0.1: 10 x 0.1"),
        pytest.param(90.0, 100.0, 0.5, 5.0, id="10 off at the median: half"),
        pytest.param(90.0, 90.0, 0.9, 0.0, id="right"),
        pytest.param(NAN, 90.0, 0.9, NAN, id="unknown stays unknown"),
    ],
)
def test_pinball_loss(actual, predicted, level, loss):
    found = pinball_loss(np.array([actual]), np.array([[predicted]]), [level])
    np.testing.assert_allclose(found, [[loss]])


@given(samples, levels, qps)
def test_no_constant_has_less_pinball_loss_than_the_quantile(actual, level, other):
    quantile = np.quantile(actual, level, method="inverted_cdf")

    def mean_loss(value):
        return pinball_loss(actual, np.full((len(actual), 1), value), [level]).mean()

    assert mean_loss(quantile) <= mean_loss(other) + 1e-6


@given(samples, levels, qps)
def test_pinball_loss_is_no_less_than_zero_and_grows_with_the_size(actual, level, value):
    predicted = np.full((len(actual), 1), value)
    loss = pinball_loss(actual, predicted, [level])
    assert (loss >= 0).all()
    np.testing.assert_allclose(pinball_loss(3 * actual, 3 * predicted, [level]), 3 * loss)


def test_pinball_loss_keeps_every_axis():
    actual, predicted = np.zeros((4, 3)), np.ones((4, 3, 2))
    loss = pinball_loss(actual, predicted, [0.5, 0.9])
    assert loss.shape == (4, 3, 2)
    np.testing.assert_allclose(loss, np.broadcast_to([0.5, 0.1], (4, 3, 2)))


@pytest.mark.parametrize("actual", [-1.5, 0.0, 2.0])
def test_crps_of_many_quantiles_is_that_of_the_distribution(actual):
    many = (np.arange(2000) + 0.5) / 2000
    normal = NormalDist()
    # The closed form for a normal distribution; Gneiting and Raftery, 2007, equation 21.
    closed = actual * (2 * normal.cdf(actual) - 1) + 2 * normal.pdf(actual) - 1 / math.sqrt(math.pi)
    quantiles = np.array([[normal.inv_cdf(level) for level in many]])

    assert crps(np.array([actual]), quantiles, many)[0] == pytest.approx(closed, abs=1e-3)


@given(samples, qps)
def test_crps_of_a_median_alone_is_the_absolute_error(actual, value):
    found = crps(actual, np.full((len(actual), 1), value), [0.5])
    np.testing.assert_allclose(found, np.abs(actual - value), atol=1e-9)


@given(st.lists(st.floats(0.001, 0.999), min_size=1, max_size=9, unique=True).map(sorted))
def test_the_weights_of_levels_share_out_all_of_the_probability(chosen):
    weights = level_weights(chosen)
    assert (weights > 0).all()
    assert weights.sum() == pytest.approx(1)


def test_crps_leaves_unknown_samples_unknown():
    assert np.isnan(crps(np.array([NAN]), np.ones((1, 2)), [0.5, 0.9])).all()


@given(samples, levels)
def test_coverage_of_the_quantile_is_its_level(actual, level):
    quantile = np.quantile(actual, level, method="inverted_cdf")
    found = coverage(actual, np.full((len(actual), 1), quantile))[0]
    assert level - 1e-9 <= found
    if len(np.unique(actual)) == len(actual):
        assert found < level + 1 / len(actual) + 1e-9


@pytest.mark.parametrize(
    ("actual", "share"),
    [
        pytest.param([1.0, 2.0, 3.0, 4.0], 0.5, id="half"),
        pytest.param([2.0, 2.0], 1.0, id="at the level counts as below"),
        pytest.param([1.0, NAN, 3.0], 0.5, id="the unknown does not count"),
        pytest.param([NAN, NAN], NAN, id="of none: unknown"),
    ],
)
def test_coverage(actual, share):
    found = coverage(np.array(actual), np.full((len(actual), 1), 2.0))
    np.testing.assert_array_equal(found, [share])


@pytest.mark.parametrize(
    ("actual", "share", "expected"),
    [
        pytest.param(np.arange(100.0), 0.05, 5, id="five of a hundred"),
        pytest.param(np.append(np.arange(100.0), [NAN] * 900), 0.05, 5, id="of the known ones"),
        pytest.param(np.full(10, NAN), 0.05, 0, id="none of the unknown"),
        pytest.param(np.arange(100.0).reshape(10, 10), 0.05, 5, id="over all axes"),
    ],
)
def test_peak_moments_are_the_top_share(actual, share, expected):
    found = is_peak(actual, share)
    assert found.shape == actual.shape
    assert found.sum() == expected
    assert expected == 0 or actual[found].min() >= np.nanmax(actual) - expected + 1


@pytest.mark.parametrize(
    ("actual", "point", "expected"),
    [
        pytest.param([90.0, 110.0], [100.0, 100.0], 0.1, id="20 of 200"),
        pytest.param([90.0, NAN], [100.0, 5.0], 10 / 90, id="the unknown does not count"),
        pytest.param([0.0, 0.0], [1.0, 1.0], NAN, id="nothing requested: unknown"),
        pytest.param([NAN], [1.0], NAN, id="nothing known: unknown"),
        pytest.param([3.0], [3.0], 0.0, id="right"),
    ],
)
def test_wape(actual, point, expected):
    np.testing.assert_allclose(wape(np.array(actual), np.array(point)), expected)


def test_wape_of_many_small_numbers_is_summed_in_double_precision():
    actual = np.full(10**6, 0.1, dtype=np.float32)
    assert wape(actual, actual * np.float32(1.5)) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize(
    ("ratios", "expected"),
    [
        pytest.param([0.5, 2.0], 1.0, id="half and double"),
        pytest.param([4.0, NAN, 1.0], 2.0, id="without the unknown"),
        pytest.param([2.0, 0.0, np.inf], 2.0, id="without what has no logarithm"),
        pytest.param([], NAN, id="of none: unknown"),
        pytest.param([NAN], NAN, id="of nothing known: unknown"),
    ],
)
def test_geometric_mean(ratios, expected):
    np.testing.assert_allclose(geometric_mean(ratios), expected)
