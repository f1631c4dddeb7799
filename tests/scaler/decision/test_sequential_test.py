"""A mean is shown to be above 0 no more often than promised, whenever somebody looks."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.sequential_test import ALPHA, BETS, BettingTest

GAINS = st.lists(st.floats(-1.0, 1.0), max_size=60)


def after(gains, test=None, **how):
    test = test or BettingTest()
    for gain in gains:
        test = test.after(gain, bound=1.0, **how)
    return test


def ever_shown(gains):
    test = BettingTest()
    for gain in gains:
        test = test.after(gain, bound=1.0)
        if test.is_shown:
            return True
    return False


@pytest.mark.parametrize(
    "noise",
    [
        pytest.param(lambda rng, n: rng.uniform(-1, 1, n), id="any gain as likely as any other"),
        pytest.param(lambda rng, n: rng.choice([-1.0, 1.0], n), id="all or nothing"),
        pytest.param(lambda rng, n: np.where(rng.random(n) < 0.1, -0.9, 0.1), id="rare heavy loss"),
        pytest.param(lambda rng, n: np.where(rng.random(n) < 0.1, 0.9, -0.1), id="rare large gain"),
    ],
)
def test_of_services_that_gain_nothing_at_most_one_in_twenty_is_ever_promoted(noise):
    rng = np.random.default_rng(0)
    promoted = np.mean([ever_shown(noise(rng, 90).tolist()) for _ in range(1000)])
    assert promoted <= ALPHA + 3 * math.sqrt(ALPHA * (1 - ALPHA) / 1000)


def test_a_steady_gain_is_shown_and_a_larger_one_sooner():
    days = [
        next(n for n in range(1, 500) if after([gain] * n).is_shown) for gain in (0.1, 0.3, 0.9)
    ]
    assert days == sorted(days, reverse=True)
    assert days[0] < 90


@given(GAINS, st.randoms())
def test_the_order_of_the_units_says_nothing(gains, chance):
    shuffled = list(gains)
    chance.shuffle(shuffled)
    assert after(shuffled).wealths == pytest.approx(after(gains).wealths, rel=1e-9, abs=1e-12)


@given(GAINS, GAINS, st.booleans())
def test_it_goes_on_exactly_from_what_was_stored(before, later, restarts):
    test = after(before, restarts=restarts)
    stored = BettingTest(tuple(json.loads(json.dumps(test.wealths))))
    assert after(later, stored, restarts=restarts) == after(later, test, restarts=restarts)


@given(GAINS, st.integers(0, 60))
def test_an_unknown_unit_is_no_evidence(gains, place):
    with_gap = [*gains[:place], math.nan, *gains[place:]]
    assert after(with_gap) == after(gains)


@given(st.lists(st.floats(-3.0, 3.0), max_size=60))
def test_a_loss_beyond_the_bound_ruins_bets_and_never_makes_them_worth_less_than_nothing(gains):
    assert all(0 <= wealth < math.inf for wealth in after(gains).wealths)


def test_only_the_largest_bet_is_ruined_by_a_loss_of_the_bound():
    assert [wealth > 0 for wealth in after([-1.0]).wealths] == [False, True, True, True]


def test_with_restarts_a_change_is_found_as_soon_after_a_year_as_at_the_beginning():
    year = after([-0.5] * 365, restarts=True)
    assert after([0.5] * 10, year, restarts=True) == after([0.5] * 10, restarts=True)
    assert not after([0.5] * 10, after([-0.5] * 365)).is_shown


@pytest.mark.parametrize(
    "wealths", [(1.0,), (math.nan,) * 4, (-1.0, 1.0, 1.0, 1.0), (math.inf,) * 4]
)
def test_wealths_that_no_test_can_have_are_refused(wealths):
    with pytest.raises(ValueError, match=f"{len(BETS)} finite numbers"):
        BettingTest(wealths)
