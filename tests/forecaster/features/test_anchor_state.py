"""Anchors that are carried from sample to sample: the windows of the whole history, to the bit."""

from dataclasses import fields
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecaster.data.synthetic import generate_history
from forecaster.features.anchor_state import AnchorState, shape_offsets
from forecaster.features.anchors import build_track
from forecaster.features.timing import PROFILE_DAYS, Timing
from forecaster.features.windows import Windows, cut_windows, earlier_offsets
from tests.forecaster.traffic_samples import (
    DAY_AHEAD,
    FIVE_MINUTES,
    HALF_HOUR,
    HOURLY,
    MINUTE,
    NAN,
    services,
)

CONTEXT_LENGTH = 24
SEEN = ("horizon", "context", "recent", "blend", "scale", "level", "shock", "age")
TIMINGS = [
    pytest.param(HALF_HOUR, 8.1, id="1 min, half an hour ahead"),
    pytest.param(FIVE_MINUTES, 9.3, id="5 min, half an hour ahead"),
    pytest.param(DAY_AHEAD, 10.4, id="15 min, a day ahead"),
    pytest.param(HOURLY, 20.0, id="1 h, half a day ahead"),
    pytest.param(Timing(60 * MINUTE, 24), 10.0, id="1 h, a whole day ahead"),
    pytest.param(Timing(MINUTE, 1), 1.2, id="1 min, one step ahead"),
]


def before(values, at, places) -> np.ndarray:
    """Return the samples at ``places`` from the samples ``at``; NaN before the first."""
    index = np.asarray(at)[..., None] + places.ravel()
    found = np.where(index >= 0, values[:, np.maximum(index, 0)], NAN).astype(np.float32)
    return found.reshape(len(values), *np.shape(at), *places.shape)


def carried(state: AnchorState, values, first: int, last: int, at_once: int = 1) -> AnchorState:
    """Return the state after the samples ``first`` to ``last``, so many at once."""
    for begin in range(first, last, at_once):
        at = np.arange(begin, min(begin + at_once, last))
        state = following(state, values, at)
    return state


def following(state: AnchorState, values, at) -> AnchorState:
    """Return the state after the samples ``at``."""
    places = shape_offsets(state.timing)
    ages = np.broadcast_to(at[-1] - (at[:, None] + places), (len(values), len(at), len(places)))
    return state.after(values[:, at], before(values, at, places), ages)


def shown(state: AnchorState, values, newest: int) -> Windows:
    places = earlier_offsets(state.timing)
    ages = np.broadcast_to(-places, (len(values), *places.shape))
    return state.windows(before(values, newest, places), ages)


def followed(values, timing, newest: int, context_length: int = CONTEXT_LENGTH) -> Windows:
    rows = np.arange(len(values))
    track = build_track(values[:, : newest + 1], timing)
    return cut_windows(track, rows, np.full(len(rows), newest), context_length)


def assert_same(one: Windows, other: Windows) -> None:
    for name in SEEN:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


@pytest.mark.parametrize("start", [1, 5, -40], ids=lambda start: f"from {start} samples")
@pytest.mark.parametrize(("timing", "days"), TIMINGS)
def test_what_is_carried_has_the_bits_of_what_is_followed(timing, days, start):
    """Gaps, late beginnings, silence and enormous items are among the services."""
    values = services(timing, days)
    begin = start % values.shape[1]
    state = AnchorState.of(values[:, :begin], timing, CONTEXT_LENGTH)
    for count in (1, 7, 40):
        last = min(begin + count, values.shape[1])
        one = carried(state, values, begin, last)
        assert_same(shown(one, values, last - 1), followed(values, timing, last - 1))


@settings(max_examples=20)
@given(
    seed=st.integers(0, 99),
    gap=st.floats(0, 0.9),
    start=st.integers(1, 3 * 288),
    count=st.integers(1, 30),
)
def test_gaps_of_any_length_are_carried(seed, gap, start, count):
    rng = np.random.default_rng(seed)
    values = rng.gamma(2, 50, (3, start + count)).astype(np.float32)
    values[rng.random(values.shape) < gap] = NAN
    state = AnchorState.of(values[:, :start], FIVE_MINUTES, CONTEXT_LENGTH)
    state = carried(state, values, start, start + count)
    newest = start + count - 1
    assert_same(shown(state, values, newest), followed(values, FIVE_MINUTES, newest))


@pytest.mark.parametrize("at_once", [2, 4, 5, 300, 1000])
def test_many_samples_at_once_are_as_good_as_one_by_one(at_once):
    values = services(FIVE_MINUTES, 9)
    newest = values.shape[1] - 1
    state = AnchorState.of(values[:, : newest - 700], FIVE_MINUTES, CONTEXT_LENGTH)
    state = carried(state, values, newest - 700, newest + 1, at_once)
    assert_same(shown(state, values, newest), followed(values, FIVE_MINUTES, newest))


def test_a_state_leaves_the_one_before_it_alone():
    values = services(FIVE_MINUTES, 9)
    state = AnchorState.of(values[:, :-3], FIVE_MINUTES, CONTEXT_LENGTH)
    kept = {name: array.copy() for name, array in state.arrays().items()}
    carried(state, values, values.shape[1] - 3, values.shape[1])
    for name, array in state.arrays().items():
        np.testing.assert_array_equal(array, kept[name], err_msg=name)


def test_items_can_be_taken_and_joined():
    values = services(FIVE_MINUTES, 9)
    newest = values.shape[1] - 1
    whole = AnchorState.of(values, FIVE_MINUTES, CONTEXT_LENGTH)
    parts = [
        AnchorState.of(part, FIVE_MINUTES, CONTEXT_LENGTH) for part in (values[:2], values[2:])
    ]
    assert_same(shown(AnchorState.join(parts), values, newest), shown(whole, values, newest))
    rows = np.array([4, 1])
    assert_same(
        shown(whole.take(rows), values[rows], newest), followed(values[rows], FIVE_MINUTES, newest)
    )


def test_arrays_bring_a_state_back():
    values = services(FIVE_MINUTES, 9)
    state = AnchorState.of(values[:, :-5], FIVE_MINUTES, CONTEXT_LENGTH)
    again = AnchorState.from_arrays(state.arrays(), FIVE_MINUTES, CONTEXT_LENGTH)
    newest = values.shape[1] - 1
    again = carried(again, values, newest - 4, newest + 1)
    assert_same(shown(again, values, newest), followed(values, FIVE_MINUTES, newest))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda a: a.pop("gains"), id="missing"),
        pytest.param(lambda a: a.update(gains=a["gains"][:, :, :-1]), id="too short"),
        pytest.param(lambda a: a.update(gains=a["gains"].astype(np.float64)), id="another type"),
        pytest.param(lambda a: a.update(age=a["age"][:-1]), id="of other items"),
    ],
)
def test_arrays_of_no_such_state_are_refused(change):
    arrays = AnchorState.of(services(FIVE_MINUTES, 2), FIVE_MINUTES, CONTEXT_LENGTH).arrays()
    change(arrays)
    with pytest.raises((KeyError, ValueError)):
        AnchorState.from_arrays(arrays, FIVE_MINUTES, CONTEXT_LENGTH)


def test_a_state_of_another_timing_or_context_is_refused():
    arrays = AnchorState.of(services(FIVE_MINUTES, 2), FIVE_MINUTES, CONTEXT_LENGTH).arrays()
    for timing, length in ((Timing(5 * MINUTE, 12), CONTEXT_LENGTH), (FIVE_MINUTES, 60)):
        with pytest.raises(ValueError, match="not float32"):
            AnchorState.from_arrays(arrays, timing, length)


def test_no_sample_after_the_newest_is_asked_for():
    for timing in (HALF_HOUR, FIVE_MINUTES, DAY_AHEAD, HOURLY, Timing(60 * MINUTE, 24)):
        places = np.concatenate([shape_offsets(timing), earlier_offsets(timing).ravel()])
        assert places.max() <= 0
        assert places.min() >= -8 * timing.day
        assert len(shape_offsets(timing)) == PROFILE_DAYS


def test_a_state_knows_no_more_than_it_needs():
    """Some 16 kB an item at one minute, where eight days are 46 kB."""
    state = AnchorState.of(services(HALF_HOUR, 2), HALF_HOUR, 60)
    assert sum(array.nbytes for array in state.arrays().values()) / len(state) < 17_000


@pytest.mark.parametrize(
    ("days", "median", "most"),
    [
        # After eight days the anchor of the week before has been judged for one day: by four spans
        # of its mean error, which a flash crowd before that would have moved.
        pytest.param(8, 0.02, np.inf, id="eight"),
        # After ten, outages of its first days have been judged by the shape of fewer days.
        pytest.param(10, 0.001, 0.6, id="ten"),
    ],
)
def test_days_of_history_stand_for_all_of_it(days, median, most):
    """In noise scales: how far the blend is from that of two or three weeks."""
    timing = FIVE_MINUTES
    history = generate_history(6, 21, step=timedelta(minutes=5), seed=4).history
    values = np.stack([one.values for one in history]).astype(np.float32)
    off = []
    for newest in range(15 * timing.day, 21 * timing.day, 41):
        whole = followed(values, timing, newest)
        first = newest + 1 - days * timing.day
        part = followed(values[:, first:], timing, newest - first)
        off.append(np.abs(part.blend - whole.blend).max(axis=1) / whole.scale)
    assert np.median(off) < median
    assert np.max(off) < most


def test_windows_have_no_other_fields():
    assert {field.name for field in fields(Windows)} == {*SEEN, "target", "peak"}
