"""The tail law: extrapolated, with an error that counts incidents and not moments."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.models.tail import (
    EXPONENTIAL,
    LEAST_SHAPE,
    MIN_EXCESSES,
    MOST_AT_99,
    MOST_GROWTH,
    MOST_SHAPE,
    Evidence,
    TailLaw,
    evidence,
    excess_quantile,
    pwm_shape,
    shrunk_laws,
)

LEVELS = (0.96, 0.98, 0.99, 0.995, 0.999, 0.9999)
SURE = Evidence(np.log(0.4), 0.1, 0.0004, 100)


@pytest.mark.parametrize(
    ("scale", "shape", "expected"),
    [
        pytest.param(1.0, 0.0, np.log(100), id="exponential"),
        pytest.param(2.0, 0.25, 2 * (100**0.25 - 1) / 0.25, id="heavy"),
        pytest.param(2.0, -0.25, 2 * (1 - 100**-0.25) / 0.25, id="with an end"),
    ],
)
def test_the_quantile_is_that_of_the_generalised_pareto_law(scale, shape, expected):
    assert excess_quantile(0.99, scale, shape) == pytest.approx(expected)


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.2])
def test_the_shape_is_found_again(shape):
    level = np.random.default_rng(0).uniform(size=50_000)
    excess = -np.log1p(-level) if shape == 0 else np.expm1(-shape * np.log1p(-level)) / shape
    assert pwm_shape(3 * excess) == pytest.approx(shape, abs=0.03)


LAWS = st.builds(TailLaw, st.floats(1e-9, 1e6), st.floats(LEAST_SHAPE, MOST_SHAPE), st.floats(0, 5))


@given(law=LAWS)
def test_a_law_ascends_with_the_level(law):
    factors = [law.factor(level) for level in LEVELS]
    assert factors == sorted(factors)
    assert factors[0] >= 1


@given(law=LAWS)
def test_a_tail_grows_like_exponential_noise_at_most_but_where_it_is_sure(law):
    """That is an exponential law of a mean that is lower by four standard errors."""
    mean = law.mean * np.exp(-4 * law.error)
    sure = [1 + mean * np.log(0.05 / (1 - level)) for level in (0.99, 0.999)]
    assert law.factor(0.99) <= max(MOST_AT_99, sure[0]) * (1 + 1e-9)
    growth = law.factor(0.999) / law.factor(0.99)
    assert growth <= max(MOST_GROWTH, sure[1] / sure[0]) * (1 + 1e-9)


@pytest.mark.parametrize(
    ("law", "expected"),
    [
        pytest.param(TailLaw(2.0, 0.0, 1.0), (2.15, 2.15 * 1.589), id="wide, but hardly known"),
        # 1 + 2 exp(0.1) log 5, and log 50 by the growth of a mean of 2 exp(-0.4)
        pytest.param(TailLaw(2.0, 0.0, 0.1), (3.158, 6.245), id="wide for certain"),
    ],
)
def test_a_wide_tail_is_believed_as_far_as_it_is_known(law, expected):
    assert (law.factor(0.99), law.factor(0.999)) == pytest.approx(expected, rel=1e-3)


@given(error=st.floats(0, 3), more=st.floats(0, 3))
def test_the_less_is_known_the_further_a_law_reaches(error, more):
    less, much = (TailLaw(0.2, 0.1, e).factor(0.99) for e in (error, error + more))
    assert less <= much


def test_laplace_noise_has_the_factors_of_its_quantiles():
    assert EXPONENTIAL.factor(0.99) == pytest.approx(np.log(50) / np.log(10))
    assert EXPONENTIAL.factor(0.999) == pytest.approx(np.log(500) / np.log(10))


def test_few_excesses_say_nothing():
    few = np.ones(MIN_EXCESSES - 1)
    assert evidence(few, np.arange(len(few)), 20) is None


def test_an_incident_counts_once_however_many_moments_it_has():
    """The same excesses: in all of ten stretches of time, or the large ones in one."""
    excess = np.concatenate([np.full(90, 0.3), np.full(10, 6.0)])
    even = evidence(excess, np.arange(100) % 10, 10)
    once = evidence(excess, np.r_[np.arange(90) % 9, np.full(10, 9)], 10)
    assert even.log_mean == once.log_mean == pytest.approx(np.log(0.87))
    assert even.variance == pytest.approx(0, abs=1e-9)
    assert np.sqrt(once.variance) > 0.9


def test_the_error_is_that_of_the_mean_of_independent_excesses():
    """Exponential ones: the logarithm of the mean of n has a standard error of 1 / sqrt(n)."""
    excess = np.random.default_rng(0).exponential(size=(200, 400))
    errors = [np.sqrt(evidence(row, np.arange(400) // 20, 20).variance) for row in excess]
    assert np.mean(errors) == pytest.approx(400**-0.5, rel=0.1)


def test_what_is_well_known_stays_and_what_is_not_becomes_that_of_all():
    heavy, vague = Evidence(1.0, 0.2, 0.0004, 100), Evidence(1.0, 0.2, 4.0, 4)
    laws, _ = shrunk_laws([SURE, SURE, SURE, heavy, vague], [True] * 5)
    assert laws[0].mean == pytest.approx(0.4, rel=0.05)
    assert laws[3].mean == pytest.approx(np.e, rel=0.2)
    assert laws[4].mean == pytest.approx(0.4, rel=0.2)
    assert laws[3].error < 0.1 < laws[4].error


def test_an_item_without_a_law_of_its_own_has_that_of_all_with_their_differences_as_its_error():
    found = [Evidence(mean, 0.1, 0.001, 50) for mean in (-2.0, -1.0, 0.0, 1.0, 2.0)]
    laws, unknown = shrunk_laws([*found, None], [True] * 6)
    assert laws[-1] == unknown
    assert unknown.mean == pytest.approx(1.0)
    assert unknown.error > 1


def test_a_single_item_keeps_its_law_and_its_error():
    (law,), _ = shrunk_laws([Evidence(-1.0, 0.1, 0.04, 50)], [True])
    assert law.mean == pytest.approx(np.exp(-1))
    assert law.error == pytest.approx(0.2, rel=0.01)


@pytest.mark.parametrize("found", [[], [None], [None, None]], ids=len)
def test_where_nobody_knows_noise_is_exponential(found):
    assert shrunk_laws(found, [True] * len(found)) == ([EXPONENTIAL] * len(found), EXPONENTIAL)


def test_items_that_may_not_say_anything_of_others_do_not():
    other = Evidence(3.0, 0.2, 0.01, 50)
    alone, unknown = shrunk_laws([SURE, SURE], [True, True])
    among, unknown_too = shrunk_laws([SURE, SURE, other], [True, True, False])
    assert (alone, unknown) == (among[:2], unknown_too)
