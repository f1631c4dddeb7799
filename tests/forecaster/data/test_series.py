"""Series, History and Forecast: what they refuse and what they guarantee."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.data.series import DAY, WEEK, Forecast, History, Series, steps_per, utc

MINUTE = timedelta(minutes=1)
START = utc("2026-03-02T00:00:00Z")


def series(values=(1.0, 2.0, np.nan), *, item_id="shop/api", start=START, step=MINUTE) -> Series:
    return Series(item_id, start, step, values)


def forecast(**changes) -> Forecast:
    fields = {
        "item_ids": ("a", "b"),
        "origins": (START, START),
        "step": MINUTE,
        "quantile_levels": (0.5, 0.9),
        "values": np.arange(12.0).reshape(2, 3, 2),
        "sources": ("lstm", "last_value"),
    }
    return Forecast(**(fields | changes))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda: series(start=START.replace(tzinfo=None)), "aware UTC", id="naive"),
        pytest.param(
            lambda: series(start=START.astimezone(timezone(MINUTE * 60))), "aware UTC", id="zone"
        ),
        pytest.param(
            lambda: series(start=START.replace(microsecond=1)), "whole second", id="fraction"
        ),
        pytest.param(lambda: series(step=timedelta(0)), "whole seconds", id="no step"),
        pytest.param(lambda: series(step=MINUTE / 7), "whole seconds", id="step of a fraction"),
        pytest.param(lambda: series([[1.0]]), r"not \(n,\)", id="two axes"),
        pytest.param(lambda: series([-1.0]), "finite and >= 0", id="negative"),
        pytest.param(lambda: series([np.inf]), "finite and >= 0", id="infinite"),
        pytest.param(lambda: History(()), "at least one", id="no items"),
        pytest.param(lambda: History((series(), series())), "unique", id="one item twice"),
        pytest.param(
            lambda: History((series(), series(item_id="b", step=DAY))), "steps differ", id="steps"
        ),
        pytest.param(lambda: forecast(quantile_levels=(0.9, 0.5)), "ascend", id="levels fall"),
        pytest.param(lambda: forecast(quantile_levels=(0.5, 1.0)), "ascend", id="level one"),
        pytest.param(lambda: forecast(values=np.zeros((2, 3))), "horizon", id="an axis too few"),
        pytest.param(lambda: forecast(values=np.zeros((1, 3, 2))), "horizon", id="a row too few"),
        pytest.param(lambda: forecast(sources=("lstm",)), "same length", id="a source too few"),
        pytest.param(lambda: forecast(values=np.full((2, 3, 2), np.nan)), "finite", id="NaN"),
        pytest.param(lambda: forecast(values=-np.ones((2, 3, 2))), ">= 0", id="negative forecast"),
        pytest.param(lambda: forecast(values=np.ones((2, 3, 2)) * [2, 1]), "cross", id="crossing"),
        pytest.param(
            lambda: forecast(origins=(START, START.replace(tzinfo=None))), "b: origin", id="origin"
        ),
        pytest.param(lambda: forecast().quantile(0.7), "0.7", id="a level it does not hold"),
        pytest.param(lambda: steps_per(DAY, timedelta(minutes=7)), "divide", id="uneven step"),
        pytest.param(lambda: steps_per(DAY, timedelta(0)), "divide", id="zero step"),
        pytest.param(lambda: steps_per(DAY, WEEK), "divide", id="step beyond the period"),
        pytest.param(lambda: utc("2026-03-02T00:00:00"), "no time zone", id="text without zone"),
    ],
)
def test_impossible_values_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_zone_that_equals_utc_in_winter_only_does_not_shift_summer_times():
    london = datetime(2026, 3, 1, tzinfo=ZoneInfo("Europe/London"))
    item = series(np.zeros(60), start=london, step=DAY)
    assert item.end == utc("2026-04-30T00:00:00Z")
    assert item.start.tzinfo is UTC


def test_the_arrays_of_a_value_are_read_only():
    mine = np.array([1.0, 2.0])
    item = series(mine)
    mine[0] = 9.0
    assert item.values[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        item.values[0] = 9.0


def test_stamps_are_epoch_seconds_of_every_sample():
    assert series().stamps.tolist() == [int(START.timestamp()) + s for s in (0, 60, 120)]


def test_an_unknown_item_is_refused_with_the_known_ones():
    history = History((series(), series(item_id="b")))
    assert history["b"].item_id == "b"
    with pytest.raises(KeyError, match="shop/api, b"):
        history["c"]


def test_a_quantile_is_one_slice_of_the_values():
    assert forecast().quantile(0.9).tolist() == [[1, 3, 5], [7, 9, 11]]
    assert forecast().prediction_length == 3


@given(st.integers(0, 20), st.integers(-900, 2_000), st.integers(-900, 2_000))
def test_between_keeps_exactly_the_stamps_in_the_half_open_span(n, first, last):
    item = series(np.arange(n, dtype=float))
    start, end = START + timedelta(seconds=first), START + timedelta(seconds=last)
    part = item.between(start, end)
    inside = (item.stamps >= start.timestamp()) & (item.stamps < end.timestamp())
    assert part.values.tolist() == item.values[inside].tolist()
    if len(part):
        assert part.stamps.tolist() == item.stamps[inside].tolist()


@given(st.integers(0, 20), st.integers(0, 1_200))
def test_two_adjacent_spans_contain_every_sample_once(n, cut):
    history = History((series(np.arange(n, dtype=float)),))
    at = START + timedelta(seconds=cut)
    parts = history.between(START, at), history.between(at, START + DAY)
    together = [value for part in parts for value in part["shop/api"].values.tolist()]
    assert together == history["shop/api"].values.tolist()
