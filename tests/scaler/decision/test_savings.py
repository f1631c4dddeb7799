"""What a floor has saved: sums, the interval over days, and money in each currency."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.decision.days import DAY_S
from scaler.decision.savings import (
    LEAST_DAYS,
    NOTHING_SAVED,
    ReplicaPrice,
    SavedMoney,
    in_all,
    saved_money,
)

EUR = ReplicaPrice(0.048, "EUR")


def after(days, hours=24):
    """Return the savings once these days are over, of each of which ``hours`` are known."""
    savings = NOTHING_SAVED
    for number, saved in enumerate(days):
        for hour in range(hours):
            at = number * DAY_S + hour * 3600
            savings = savings.after(at, 3600.0, saved / hours)
    return savings.after(len(days) * DAY_S, 0.0, 0.0)


def test_the_interval_is_students_t_over_days():
    savings = after([10.0, 14.0, 12.0, 9.0, 15.0, 11.0, 13.0])
    assert savings.hours == pytest.approx(84.0)
    # Squares 1 + ... = 28, so the error of a day's mean is sqrt(28 / 6 / 7), and t is 2.447.
    assert savings.half_width == pytest.approx(2.447 * math.sqrt(28 / 6 / 7) * 7, rel=1e-3)


@pytest.mark.parametrize(
    ("days", "hours"),
    [
        pytest.param([1.0] * (LEAST_DAYS - 1), 24, id="less than a week of days"),
        pytest.param([1.0] * 20, 17, id="days of which too little is known"),
    ],
)
def test_with_too_few_days_there_is_no_interval_but_a_sum(days, hours):
    savings = after(days, hours)
    assert savings.half_width is None
    assert savings.hours == pytest.approx(sum(days))


@given(st.lists(st.floats(-100, 100), min_size=LEAST_DAYS, max_size=20))
def test_the_interval_is_that_of_all_days_at_once(days):
    savings = after(days)
    assert savings.mean == pytest.approx(np.mean(days), abs=1e-6)
    assert savings.squares == pytest.approx(np.var(days) * len(days), abs=1e-6)


def test_the_interval_holds_in_95_of_100_cases():
    rng = np.random.default_rng(1)
    held = 0
    for _ in range(1000):
        savings = after(rng.normal(3.0, 5.0, 10))
        held += abs(savings.hours - 30.0) <= savings.half_width  # 10 days of 3
    assert held / 1000 == pytest.approx(0.95, abs=0.02)


def test_a_loss_is_negative_money():
    assert saved_money(after([-10.0]), EUR).amount == pytest.approx(-0.48)


def test_currencies_are_never_added_up():
    parts = [SavedMoney("USD", 1.0, 0.5), SavedMoney("EUR", 2.0, None), SavedMoney("EUR", 3.0, 1.0)]
    assert in_all(parts) == [SavedMoney("EUR", 5.0, None), SavedMoney("USD", 1.0, 0.5)]


@pytest.mark.parametrize("price", [0.0, -0.1, math.nan, math.inf])
def test_an_impossible_price_is_refused(price):
    with pytest.raises(ValueError, match="finite and > 0"):
        ReplicaPrice(price, "EUR")
