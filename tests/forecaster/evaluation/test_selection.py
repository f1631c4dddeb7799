"""Training and choice of the candidate that serves, without use of the test part."""

import re
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.data.series import History
from forecaster.errors import HistoryError
from forecaster.evaluation.selection import (
    balanced_sample,
    train,
)
from forecaster.evaluation.splits import boundaries
from forecaster.evaluation.time_budget import LEAST_BUDGET
from forecaster.models.artifact import pack
from forecaster.models.candidates import CANDIDATES, KINDS
from forecaster.models.config import MEDIAN
from forecaster.models.naive import NAIVE
from tests.forecaster.evaluation.fitting_samples import (
    DAY,
    LEVELS,
    MODEL,
    START,
    TINY,
    changed,
    series,
    traffic,
)

NAN = float("nan")
# The least training that still goes through every step of fitting.
QUICK = replace(TINY, members=1, epochs=1, steps_per_epoch=2, max_windows=300)


def test_every_item_and_the_default_have_a_winner_and_shifts_for_every_candidate(fitted, history):
    forecaster = fitted.forecaster
    assert tuple(forecaster.item_models) == history.item_ids
    shape = (MODEL.prediction_length, len(LEVELS))
    for service in (*forecaster.item_models.values(), forecaster.default_model):
        assert service.source in CANDIDATES
        assert {name: shifts.shape for name, shifts in service.shifts.items()} == dict.fromkeys(
            CANDIDATES, shape
        )


def test_an_item_is_trained_until_its_test_part(fitted, history):
    for one in history:
        first_test = one.start + boundaries(len(one), TINY)[1] * one.step
        assert fitted.forecaster.item_model(one.item_id).trained_until == first_test


def test_an_unknown_item_has_the_default_model(forecaster):
    assert forecaster.item_model("never/seen") is forecaster.default_model
    assert forecaster.default_model.trained_until is None


@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=5), most=st.integers(1, 600))
def test_the_trained_baselines_use_every_item_and_a_bounded_number_of_rows(fitted, sizes, most):
    train = [fitted.parts.items[i % 3].train for i in range(len(sizes))]
    parts = [windows.take(np.arange(n) % len(windows)) for windows, n in zip(train, sizes)]  # noqa: B905
    drawn = [len(windows) for windows in balanced_sample(parts, most, np.random.default_rng(0))]
    assert all(1 <= count <= size for count, size in zip(drawn, sizes, strict=True))
    assert sum(drawn) <= max(most, len(sizes) + most)


def test_no_window_is_drawn_twice(fitted):
    (drawn,) = balanced_sample([fitted.parts.items[0].train], 50, np.random.default_rng(0))
    assert len(drawn) == 50
    assert len(np.unique(drawn.context, axis=0)) == 50


def noisy_end(history: History, first: int) -> History:
    rng = np.random.default_rng(9)

    def change(values):
        values[first:] = rng.gamma(0.5, 3_000, len(values) - first)
        values[first + 5 :: 7] = np.nan

    return History(tuple(changed(one, change) for one in history))


@pytest.mark.parametrize("days", [14, 9], ids=lambda days: f"{days} days")
def test_nothing_is_learned_from_the_test_part(days):
    """9 days leave a calibration part of 27 hours: a day that begins in it ends in the test."""
    whole = traffic(2, days)
    first_test = boundaries(days * DAY, QUICK)[1]
    forecasters = [train(h, QUICK) for h in (whole, noisy_end(whole, first_test))]
    (config, tensors), (other_config, other) = (pack(f.forecaster, QUICK) for f in forecasters)
    assert config == other_config
    assert tensors.keys() == other.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(array, other[name], err_msg=name)


def test_a_fitted_forecaster_is_repeatable_to_the_last_bit(history, fitted):
    again = pack(train(history, TINY).forecaster, TINY)
    config, tensors = pack(fitted.forecaster, TINY)
    assert again[0] == config
    for name, array in tensors.items():
        np.testing.assert_array_equal(array, again[1][name], err_msg=name)


def wave(days: int = 10, *, level: float = 100.0, seed: int = 0) -> np.ndarray:
    at = np.arange(days * DAY) / DAY
    noise = np.random.default_rng(seed).gamma(40, 1 / 40, len(at))
    return level * (1.5 + np.sin(2 * np.pi * at)) * noise


def fit_items(*items):
    named = tuple(series(values, f"item/{i}") for i, values in enumerate(items))
    return train(History(named), QUICK).forecaster


def test_a_repeated_week_is_served_by_the_weekly_baseline():
    """Noise that no one can foresee but who looks back a week."""
    noise = np.random.default_rng(3).gamma(2, 50, 7 * DAY)
    forecaster = fit_items(np.tile(noise, 3))
    service = forecaster.item_model("item/0")
    assert service.source == "seasonal_week"
    assert "standard errors" in service.reason
    assert service.source in NAIVE


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(np.zeros(10 * DAY), id="silent"),
        pytest.param(np.full(10 * DAY, 7.0), id="constant"),
        pytest.param(wave(level=1e11), id="a thousand million times the other"),
        pytest.param(wave(level=1e-3), id="a request in a quarter of an hour"),
        pytest.param(wave(7, seed=2), id="shorter"),
    ],
)
def test_an_odd_item_does_not_affect_the_others(odd):
    """The neighbour is served, its own windows calibrate it, and all stays finite."""
    forecaster = fit_items(wave(seed=1), odd)
    _, tensors = pack(forecaster, QUICK)
    assert all(np.isfinite(array).all() for array in tensors.values())
    forecast = forecaster.predict(History((series(wave(seed=1), "item/0"), series(odd, "item/1"))))
    median = forecast.quantile(MEDIAN)
    expected = wave(seed=1)[:6]  # the wave begins anew: no two days' noise is alike
    np.testing.assert_allclose(median[0], expected, rtol=0.6)
    if np.ptp(odd) == 0:
        np.testing.assert_allclose(median[1], odd[0], rtol=0.02)
        np.testing.assert_allclose(forecast.values[1], odd[0], rtol=0.06, atol=0.4)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        pytest.param(np.zeros(10 * DAY), r"constant \(0 requests per second throughout\)", id="0"),
        pytest.param(np.full(10 * DAY, 7.5), r"constant \(7.5 requests", id="7.5"),
    ],
)
def test_a_history_of_constant_items_is_refused(values, words):
    with pytest.raises(HistoryError, match=rf"nothing to learn: every item is {words}.*fetch"):
        fit_items(values)
    with pytest.raises(HistoryError, match="nothing to learn"):
        fit_items(values, values)


def test_an_item_that_is_too_short_is_named_with_the_days_it_needs():
    named = tuple(series(values, f"item/{i}") for i, values in enumerate((wave(), wave(2)[:345])))
    fitted = train(History(named), QUICK)
    assert re.search(r"item/1: 345 samples .* give it 2 days", fitted.parts.unfit["item/1"])
    assert fitted.tested(History(named)).item_ids == ("item/0",)
    assert fitted.forecaster.item_model("item/1") is fitted.forecaster.default_model


def test_the_test_part_of_one_item_is_not_learned_from_by_way_of_a_younger_one():
    """Both are made wild from the start of the backtest on: what is common stays as it was."""
    old, young = wave(12), wave(4, seed=3)
    late = START + 8 * timedelta(days=1)

    def packed(wild: float):
        first = boundaries(12 * DAY, QUICK)[1]
        a, b = old.copy(), young.copy()
        a[first:] *= wild
        b[first - 8 * DAY :] *= wild
        history = History((series(a, "a"), replace(series(b, "b"), start=late)))
        fitted = train(history, QUICK)
        assert {part.item_id for part in fitted.parts.items} == {"a", "b"}
        return pack(fitted.forecaster, QUICK)

    (config, tensors), (other_config, other) = packed(1), packed(7)
    assert config["services"][0] == other_config["services"][0]
    assert config["services"][2] == other_config["services"][2]  # of unknown items
    for name, array in tensors.items():
        own = name.startswith(("shifts/", "tails/"))  # the second row is the younger item's own
        rows = np.array([0, 2]) if own else slice(None)
        np.testing.assert_array_equal(array[rows], other[name][rows], err_msg=name)


def test_a_history_of_another_step_is_refused(history):
    with pytest.raises(HistoryError, match=r"step of 0:10:00, but the model's is 0:05:00"):
        train(history.resampled(2 * history.step), TINY)


@pytest.mark.parametrize(
    ("budget", "order"),
    [
        pytest.param(None, ["lstm", "boosting", "ridge"], id="none: errors of networks come early"),
        pytest.param(timedelta(hours=1), ["ridge", "boosting", "lstm"], id="an hour"),
        pytest.param(timedelta(milliseconds=1), ["ridge", "boosting", "lstm"], id="no time at all"),
    ],
)
def test_the_networks_get_what_the_rest_leaves_of_a_time_budget(budget, order):
    given: dict[str, timedelta | None] = {}

    def noting(kind):
        def fit(task):
            given[kind.name] = task.config.time_budget
            return kind.fit(replace(task, config=QUICK))

        return replace(kind, fit=fit)

    config = replace(QUICK, time_budget=budget)
    history = History((series(wave(), "a"),))
    used = train(history, config, kinds=[noting(kind) for kind in KINDS]).config
    assert list(given) == order
    assert used.time_budget == budget
    if budget is None:
        assert given["lstm"] is None
    else:
        assert LEAST_BUDGET <= given["lstm"] <= max(given["ridge"], LEAST_BUDGET)
        assert given["ridge"] < max(budget, 2 * LEAST_BUDGET)


def test_the_config_that_was_used_is_returned(fitted):
    assert fitted.config == TINY
