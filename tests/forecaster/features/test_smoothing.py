"""The filters equal the plain loops that define them; unknown samples are never zero."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecaster.features import smoothing

NAN = np.nan
samples = arrays.arrays(
    np.float32,
    st.integers(1, 90),
    elements=st.one_of(st.floats(2**-20, 2**20, width=32), st.sampled_from([0.0, NAN])),
)
spans = st.sampled_from([0.4, 1.0, 3.0, 10.0, 360.0])
periods = st.integers(1, 40)


def naive_ewma(values, span):
    """The definition: sum of w * x over sum of w, w = exp(-age / span), unknown left out."""
    result = []
    for t in range(len(values)):
        age = np.arange(t, -1, -1)
        known = np.isfinite(values[: t + 1])
        weight = np.exp(-age[known] / span)
        result.append((weight @ values[: t + 1][known]) / weight.sum() if known.any() else NAN)
    return np.array(result)


def naive_profile(values, period, gain, periods):
    result = []
    for t in range(len(values)):
        past = values[max(t - period * periods, t % period) : t : period]
        past = past[~np.isnan(past)]
        weights = (1 - gain) ** np.arange(len(past))[::-1]
        result.append((past @ weights) / weights.sum() if len(past) else NAN)
    return np.array(result)


def naive_window_mean(values, before, after):
    result = []
    for t in range(len(values)):
        window = values[max(t - before, 0) : t + after + 1]
        known = window[np.isfinite(window)]
        result.append(known.mean(dtype=np.float64) if len(known) else NAN)
    return np.array(result)


def close(actual, expected, values):
    """Equal to float32 precision of the largest value that can have taken part."""
    size = float(np.nanmax(np.abs(values), initial=1e-30))
    np.testing.assert_allclose(actual, expected, rtol=2e-5, atol=2e-6 * size)


@given(samples, spans)
def test_ewma_is_the_weighted_mean_of_the_known_samples(values, span):
    expected = naive_ewma(values.astype(np.float64), span)
    found = smoothing.ewma(values, span)
    # Behind a gap of 69 spans nothing is known any more, as at the start.
    lost = np.isnan(found) & ~np.isnan(expected)
    for t in np.flatnonzero(lost):
        assert np.isnan(values[max(t - int(68 * span), 0) : t + 1]).all()
    close(found[~lost], expected[~lost], values)


def test_ewma_is_unknown_when_its_weights_would_underflow():
    values = np.full(1000, NAN, dtype=np.float32)
    values[0] = 5.0
    found = smoothing.ewma(values, 3.0)
    assert found[100] == pytest.approx(5.0)
    assert np.isnan(found[300])  # e**-100


@given(samples)
def test_forward_fill_repeats_the_last_known_sample(values):
    found = smoothing.forward_fill(values)
    last = NAN
    for t, value in enumerate(values):
        last = last if np.isnan(value) else value
        assert found[t] == last or (np.isnan(found[t]) and np.isnan(last))


@given(samples, st.integers(0, 100))
def test_lagged_delays_samples_and_is_unknown_before_the_first(values, count):
    found = smoothing.lagged(values, count)
    expected = np.concatenate([np.full(count, NAN), values])[: len(values)]
    np.testing.assert_array_equal(found, expected)


@given(samples, st.integers(1, 100))
@example(np.float32([1, 2, 3]), 3)
def test_trailing_mean_is_the_mean_of_the_known_samples_in_the_window(values, width):
    close(smoothing.trailing_mean(values, width), naive_window_mean(values, width - 1, 0), values)


@given(samples, st.integers(0, 20))
def test_centred_mean_is_the_mean_of_the_known_samples_around(values, half):
    expected = naive_window_mean(values, half, half) if half else values
    close(smoothing.centred_mean(values, half), expected, values)


@given(samples, periods, st.sampled_from([0.25, 0.5, 1.0]), st.integers(1, 9))
def test_periodic_profile_is_a_weighted_mean_of_each_slots_last_periods(
    values, period, gain, count
):
    expected = naive_profile(values.astype(np.float64), period, gain, count)
    close(smoothing.periodic_profile(values, period, gain, count), expected, values)


@given(samples, spans, st.data())
def test_a_continued_ewma_equals_that_of_all_samples(values, span, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=3)))
    average, parts = smoothing.Average.empty(), []
    for part in np.split(values, cuts):
        found, average = smoothing.ewma_from(average, part, span)
        parts.append(found)
    np.testing.assert_array_equal(np.concatenate(parts), smoothing.ewma(values, span))
    np.testing.assert_array_equal(average.mean, smoothing.ewma(values, span)[-1])


@given(samples, periods, st.data())
def test_a_continued_periodic_mean_equals_that_of_all_samples(values, period, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(values)), max_size=3)))
    average, parts = smoothing.Average.empty(period), []
    for part in np.split(values, cuts):
        found, average = smoothing.periodic_mean_from(average, part, 24.0)
        parts.append(found)
    expected = smoothing.periodic_mean(values, period, 24.0)
    np.testing.assert_array_equal(np.concatenate(parts), expected)


@given(samples, periods, st.integers(1, 60))
def test_a_profile_does_not_depend_on_where_the_history_begins_in_the_day(values, period, begin):
    assume(begin < len(values) - period)
    assume(np.isfinite(values).all())
    whole = smoothing.periodic_profile(values, period, 1.0, 9)
    late = smoothing.periodic_profile(values[begin:], period, 1.0, 9)
    np.testing.assert_array_equal(late[period:], whole[begin + period :])


@given(samples, periods, st.sampled_from([2.0, 24.0]))
def test_periodic_mean_is_the_ewma_of_earlier_periods_slot_by_slot(values, period, span):
    found = smoothing.periodic_mean(values, period, span)
    for slot in range(min(period, len(values))):
        at = np.arange(slot, len(values), period)
        close(found[at], np.concatenate([[NAN], naive_ewma(values[at], span)])[: len(at)], values)


FILTERS = [
    pytest.param(lambda x: smoothing.ewma(x, 10.0), id="ewma"),
    pytest.param(smoothing.forward_fill, id="forward_fill"),
    pytest.param(lambda x: smoothing.trailing_mean(x, 12), id="trailing_mean"),
    pytest.param(lambda x: smoothing.centred_mean(x, 5), id="centred_mean"),
    pytest.param(lambda x: smoothing.periodic_profile(x, 24, 0.25, 7), id="periodic_profile"),
    pytest.param(lambda x: smoothing.periodic_mean(x, 24, 12.0), id="periodic_mean"),
]
CAUSAL = [case for case in FILTERS if case.id != "centred_mean"]


@pytest.mark.parametrize("apply", FILTERS)
def test_rows_do_not_affect_each_other(apply):
    rng = np.random.default_rng(0)
    rows = rng.random((4, 200), dtype=np.float32)
    rows[1] *= 1e9
    rows[2, 50:90] = NAN
    rows[3] = NAN
    together = apply(rows)
    for row, found in zip(rows, together, strict=True):
        np.testing.assert_array_equal(found, apply(row))


@pytest.mark.parametrize("apply", CAUSAL)
@pytest.mark.parametrize(
    "future", [pytest.param(1e30, id="enormous"), pytest.param(NAN, id="unknown")]
)
def test_no_filter_uses_a_later_sample(apply, future):
    rng = np.random.default_rng(1)
    values = rng.random((2, 240), dtype=np.float32)
    values[1, rng.random(240) < 0.2] = NAN
    for now in (0, 1, 31, 32, 33, 100, 200):
        altered = values.copy()
        altered[:, now + 1 :] = future
        found, expected = apply(altered)[:, : now + 1], apply(values)[:, : now + 1]
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("apply", FILTERS)
def test_filters_do_not_change_their_input(apply):
    values = np.random.default_rng(2).random((2, 100), dtype=np.float32)
    values[0, 5] = NAN
    before = values.copy()
    apply(values)
    np.testing.assert_array_equal(values, before)


def test_a_peak_that_has_left_the_window_leaves_no_rounding_error():
    values = np.concatenate([[1e9], np.full(100, 0.1)]).astype(np.float32)
    assert smoothing.trailing_mean(values, 10)[50] == pytest.approx(0.1, rel=1e-6)
