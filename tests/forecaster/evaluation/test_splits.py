"""Splits by time: parts share no target; a short item is refused with the days that it needs."""

import re
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from forecaster.data.series import History, Series, utc
from forecaster.errors import HistoryError
from forecaster.evaluation.origins import backtest_origins
from forecaster.evaluation.splits import (
    MIN_WINDOWS,
    boundaries,
    cases_at,
    item_track,
    prepare,
)
from forecaster.models.config import ModelConfig, TrainConfig
from tests.forecaster.traffic_samples import FIVE_MINUTES, MINUTE, NAN, service

START = utc("2026-03-28T21:35:00Z")  # the night before clocks change in Europe, off the hour
MODEL = ModelConfig(step=5 * MINUTE, context_length=12, prediction_length=6)
CONFIG = TrainConfig(model=MODEL, max_windows=2_000)
DAY = FIVE_MINUTES.day


def series(values, item_id="shop/api", step=5 * MINUTE) -> Series:
    return Series(item_id, START, step, np.asarray(values, dtype=np.float64))


def days(count: float, **changes) -> Series:
    return series(service(FIVE_MINUTES, count), **changes)


def spans(one: Series, config: TrainConfig):
    """Return first and last target of each part, as samples of the series."""
    horizon = config.model.prediction_length
    (parts,) = prepare(History((one,)), config).items
    track = item_track(one, config.model.timing)
    found = {}
    # The training windows do not carry their origins: their targets are found by value.
    train = [
        np.flatnonzero(one.values.astype(np.float32) == target)
        for target in (parts.train.target[0, 0], parts.train.target[-1, -1])
    ]
    found["train"] = train[0][0], train[1][-1]
    origins = parts.calibration.origins
    found["calibration"] = origins[0] + 1, origins[-1] + horizon
    test = backtest_origins(one, boundaries(len(one), config)[1], config.model.timing)
    found["test"] = test[0] + 1, test[-1] + horizon
    assert len(cases_at(track, test, config.model)) == len(test)
    return found


@pytest.mark.parametrize("share", [0.125, 0.25])
@pytest.mark.parametrize("count", [14, 15.37])
def test_no_target_belongs_to_two_parts(count, share):
    one, config = days(count), replace(CONFIG, calibration_share=share, test_share=share)
    calibrate, test = boundaries(len(one), config)
    found = spans(one, config)
    assert MODEL.timing.warm_up <= found["train"][0]
    assert found["train"][1] < calibrate <= found["calibration"][0]
    assert found["calibration"][1] < test <= found["test"][0]
    assert found["test"][1] < len(one)


@given(st.integers(10, 100_000), st.sampled_from([(0.125, 0.125), (0.1, 0.25), (0.25, 0.25)]))
def test_boundaries_are_the_shares_of_the_time(length, shares):
    calibration, test = shares
    config = TrainConfig(calibration_share=calibration, test_share=test)
    first, second = boundaries(length, config)
    assert 0 < first < second < length
    assert abs((length - second) - test * length) <= 0.5
    assert abs((second - first) - calibration * length) <= 1


def test_training_and_calibration_do_not_depend_on_the_test_part():
    one = days(14)
    _, test = boundaries(len(one), CONFIG)
    altered = np.array(one.values)
    altered[test:] = np.random.default_rng(0).uniform(0, 1e9, len(altered) - test)
    (before,) = prepare(History((one,)), CONFIG).items
    (after,) = prepare(History((series(altered),)), CONFIG).items
    for part in ("train", "calibration"):
        mine, other = getattr(before, part), getattr(after, part)
        mine, other = (w if part == "train" else w.windows for w in (mine, other))
        for name in ("horizon", "context", "recent", "blend", "scale", "target", "peak"):
            np.testing.assert_array_equal(getattr(mine, name), getattr(other, name), name)
    for name, naive in before.calibration.naive.items():
        np.testing.assert_array_equal(naive.path, after.calibration.naive[name].path)


@pytest.mark.parametrize("items", [1, 2, 5])
@pytest.mark.parametrize("most", [400, 1000, 3000, 10**6])
def test_no_more_windows_train_than_allowed(items, most):
    config = replace(CONFIG, max_windows=most)
    history = History(tuple(days(14, item_id=f"shop/{i}") for i in range(items)))
    total = sum(len(parts.train) for parts in prepare(history, config).items)
    assert total <= most
    # And the allowance is not wasted: an item may use its share, up to a quarter, to half at least.
    share = min(most // items, most // 4 + 1, 0.75 * 14 * DAY - MODEL.timing.warm_up)
    assert total >= items * share / 2.5


def test_cases_have_windows_and_naive_forecasts_of_the_same_origins():
    (parts,) = prepare(History((days(14),)), CONFIG).items
    cases = parts.calibration
    assert len(cases) == len(cases.origins) == len(cases.windows)
    assert all(len(naive.path) == len(cases) for naive in cases.naive.values())
    values = days(14).values.astype(np.float32)
    np.testing.assert_array_equal(cases.windows.target[:, 0], values[cases.origins + 1])


def refusal(one: Series, config: TrainConfig = CONFIG) -> str:
    with pytest.raises(HistoryError) as caught:
        prepare(History((one,)), config)
    return str(caught.value)


@pytest.mark.parametrize("late", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("share", [0.05, 0.125, 0.25])
@pytest.mark.parametrize(
    ("step", "ahead"), [(1, 30), (5, 6), (15, 96), (60, 12)], ids=["1m", "5m", "15m", "1h"]
)
def test_the_days_that_the_message_asks_for_are_enough_and_one_less_is_not(
    step, ahead, share, late
):
    model = ModelConfig(step=step * MINUTE, context_length=4, prediction_length=ahead)
    config = TrainConfig(model, calibration_share=share, test_share=share, max_windows=200)
    day = model.timing.day

    def history(count):
        values = np.ones(round(count * day))
        values[: round(late * day)] = NAN
        return History((series(values, step=step * MINUTE),))

    with pytest.raises(HistoryError, match="windows for the train") as caught:
        prepare(history(late + 0.7), config)
    needed = int(re.search(r"give it (\d+) days", str(caught.value))[1])
    assert [parts.item_id for parts in prepare(history(late + needed), config).items] == [
        "shop/api"
    ]
    with pytest.raises(HistoryError, match=f"give it {needed} days"):
        prepare(history(late + needed - 1), config)


@settings(max_examples=25)
@given(count=st.floats(0.1, 6), share=st.sampled_from([0.05, 0.125, 0.25]))
def test_a_history_of_any_length_is_prepared_or_refused_with_what_it_needs(count, share):
    config = replace(CONFIG, calibration_share=share, test_share=share)
    assume(round(count * DAY) > 0)
    try:
        (parts,) = prepare(History((days(count),)), config).items
        found = min(len(parts.train), len(parts.calibration))
    except HistoryError as error:
        needed = int(re.search(r"give it (\d+) days", str(error))[1])
        found = MIN_WINDOWS if needed > count else 0
    assert found >= MIN_WINDOWS


def test_a_short_item_is_refused_with_name_length_and_fix():
    message = refusal(days(1.5))
    assert message.startswith(
        "no item can be trained on: shop/api: 432 samples (1 day, 12:00:00) leave 0 windows"
    )
    assert f"but {MIN_WINDOWS} are needed" in message
    assert "shorter --prediction-length" in message


@pytest.mark.parametrize(
    ("first", "last", "part"),
    [
        pytest.param(0.1, 0.751, "train", id="in training"),
        pytest.param(0.748, 0.877, "calibration", id="in calibration"),
        pytest.param(0.87, 0.999, "test", id="in the test"),
    ],
)
def test_a_part_without_known_samples_is_refused_with_its_span(first, last, part):
    values = service(FIVE_MINUTES, 14).copy()
    values[round(first * len(values)) : round(last * len(values))] = NAN
    message = refusal(series(values))
    assert message.startswith("no item can be trained on: shop/api: only ")
    assert f"windows of the {part} part, 2026-0" in message
    assert "fetch what is missing" in message


def test_windows_without_a_known_target_are_left_out():
    values = service(FIVE_MINUTES, 14).copy()
    values[6 * DAY : 8 * DAY] = NAN
    (parts,) = prepare(History((series(values),)), CONFIG).items
    assert np.isfinite(parts.train.target).any(axis=1).all()


def test_an_item_that_begins_late_is_trained_from_its_first_sample_on():
    values = service(FIVE_MINUTES, 20).copy()
    values[: 6 * DAY] = NAN
    (late,) = prepare(History((series(values),)), CONFIG).items
    assert np.isfinite(late.train.blend).all()
    # A day and six hours after its first sample, as for any other.
    first = np.flatnonzero(values == late.train.target[0, 0])[0]
    assert first >= 6 * DAY + MODEL.timing.warm_up


def test_a_history_of_another_step_is_refused():
    history = History((days(14, step=timedelta(minutes=1)),))
    with pytest.raises(
        HistoryError, match=r"step of 0:01:00, but the model's is 0:05:00.*--step 60s"
    ):
        prepare(history, CONFIG)


def ending(count: float, item_id: str, ago: float = 0.0) -> Series:
    """Return an item of ``count`` days that ends ``ago`` days before the 28th."""
    start = START + timedelta(days=28 - ago) - round(count * DAY) * 5 * MINUTE
    return replace(days(count, item_id=item_id), start=start)


LIVING = History(
    (
        *(ending(28, f"old/{i}") for i in range(3)),
        ending(0, "new/nothing"),
        ending(1 / 24, "new/hour"),
        ending(5 / 24, "new/hours"),
        ending(5, "new/days"),
        ending(3, "new/fewer"),
        ending(21, "dead/week", ago=7),
    )
)
TESTED = START + timedelta(days=24.5)  # an eighth of 28 days before their end


def test_items_of_any_age_are_trained_on_or_told_of():
    parts = prepare(LIVING, CONFIG)
    fit = {item.item_id: item for item in parts.items}
    assert set(fit) == {"old/0", "old/1", "old/2", "new/days", "new/fewer", "dead/week"}
    assert set(parts.unfit) == {"new/nothing", "new/hour", "new/hours"}
    assert parts.unfit["new/hours"].startswith("new/hours: 60 samples (5:00:00) leave 0 windows")
    assert {name for name, item in fit.items() if not item.tested} == {"dead/week"}
    assert fit["new/days"].test_start == START + timedelta(days=28) - DAY * 5 / 8 * 5 * MINUTE


def test_nothing_that_items_share_lies_in_the_time_of_a_backtest():
    """What happens to one service often happens to others at the same time."""
    parts = prepare(LIVING, CONFIG)
    assert parts.pooled_until == TESTED
    for item in parts.items:
        assert item.test_start >= TESTED
        life = LIVING[item.item_id]
        first_unseen = -((life.start - TESTED) // life.step)
        if len(item.train):
            same = life.values.astype(np.float32) == item.train.target[-1, -1]
            last = np.flatnonzero(same)[-1]
            assert last < min(first_unseen, boundaries(len(life), CONFIG)[0])
        ends = item.calibration.origins[-1] + MODEL.prediction_length
        assert item.pooled is bool(ends < first_unseen)
    assert [len(item.train) for item in parts.items if item.item_id == "new/fewer"] == [0]
    assert {item.item_id for item in parts.items if not item.pooled} == {"new/days", "new/fewer"}


def test_one_item_of_a_year_does_not_keep_the_others_from_the_training():
    old = replace(days(120, item_id="old"), start=START - timedelta(days=92))
    parts = prepare(History((old, *LIVING)), CONFIG)
    assert parts.pooled_until == TESTED
    fit = {item.item_id: len(item.train) for item in parts.items}
    assert min(count for name, count in fit.items() if name != "new/fewer") >= MIN_WINDOWS


def test_items_of_other_times_are_split_each_from_its_own_first_sample():
    """As in a collection of public recordings."""
    early = replace(days(14, item_id="a"), start=START - timedelta(days=9_000))
    parts = prepare(History((early, days(14, item_id="b"))), CONFIG)
    assert [item.item_id for item in parts.items if item.tested] == ["b"]
    assert all(item.pooled and len(item.train) >= MIN_WINDOWS for item in parts.items)


def test_calibration_and_backtest_have_one_rule_of_origins():
    (parts,) = prepare(History((days(14),)), CONFIG).items
    assert set(np.diff(parts.calibration.origins)) == {1}
    assert set(np.diff(backtest_origins(days(14), 12 * DAY, MODEL.timing))) == {1}


def test_however_many_items_share_the_windows_each_keeps_enough():
    config = replace(CONFIG, max_windows=50)
    history = History(tuple(days(4 + i / 3, item_id=f"shop/{i}") for i in range(9)))
    found = [len(parts.train) for parts in prepare(history, config).items]
    assert min(found) >= MIN_WINDOWS
    assert max(found) < 2 * MIN_WINDOWS
