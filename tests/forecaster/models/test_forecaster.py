"""The forecaster serves the same forecast as in its backtest."""

from dataclasses import replace
from datetime import timedelta
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from forecaster.data.series import Forecast, History, Series
from forecaster.errors import HistoryError
from forecaster.evaluation.splits import cases_at, item_track
from forecaster.models.candidates import CANDIDATES
from forecaster.models.forecaster import ITEMS_AT_ONCE, Forecaster
from forecaster.models.margins import with_margins
from forecaster.models.naive import NAIVE
from tests.forecaster.evaluation.fitting_samples import (
    DAY,
    LEVELS,
    MODEL,
    START,
    assert_same_forecast,
    changed,
    series,
    traffic,
)


def served_by(forecaster: Forecaster, source: str) -> Forecaster:
    """Return the forecaster with every item served by ``source``."""
    services = {
        item: replace(service, source=source) for item, service in forecaster.item_models.items()
    }
    return replace(
        forecaster,
        item_models=services,
        default_model=replace(forecaster.default_model, source=source),
    )


def judged(forecaster: Forecaster, one, origin: int) -> np.ndarray:
    """Return what a backtest of the whole series says at ``origin``, ``(horizon, levels)``.

    Served, no level is nearer to the median than noise allows.
    """
    service = forecaster.item_model(one.item_id)
    cases = cases_at(item_track(one, MODEL.timing), np.array([origin]), MODEL)
    spread = forecaster.candidates.spread(service.source, cases.windows, cases.naive)
    quantiles = service.calibrated(service.source, spread, LEVELS)
    return with_margins(quantiles, cases.windows, MODEL)[0]


def until(history: History, origin: int) -> History:
    return History(tuple(changed(one, lambda values: values[: origin + 1]) for one in history))


@pytest.mark.parametrize("source", CANDIDATES)
@pytest.mark.parametrize(
    "origin",
    [
        pytest.param(14 * DAY - 7, id="the newest with a known horizon"),
        pytest.param(8 * DAY + 100, id="a week and a bit"),
        pytest.param(DAY + 80, id="just after the warm-up"),
    ],
)
def test_the_served_forecast_is_the_one_of_the_backtest(forecaster, history, source, origin):
    chosen = served_by(forecaster, source)
    forecast = chosen.predict(until(history, origin))
    assert set(forecast.sources) == {source}
    for i, one in enumerate(history):
        expected = judged(chosen, one, origin)
        np.testing.assert_array_equal(forecast.values[i], expected)


@pytest.mark.parametrize("source", NAIVE[:3])
def test_the_naive_forecasts_match_their_names(forecaster, history, source):
    """Without shifts: the last value, or the same moment a day or a week before."""
    unshifted = {name: np.zeros((6, 5), np.float32) for name in CANDIDATES}
    plain = replace(
        forecaster,
        item_models={},
        default_model=replace(forecaster.default_model, source=source, shifts=unshifted),
    )
    one = changed(history["pay/api"], lambda values: np.nan_to_num(values, nan=5.0))
    back = {"last_value": None, "seasonal_day": DAY, "seasonal_week": 7 * DAY}[source]
    expected = np.full(6, one.values[-1]) if back is None else one.values[len(one) - back :][:6]
    forecast = plain.predict(History((one,)))
    np.testing.assert_allclose(forecast.quantile(0.5)[0], expected, rtol=1e-6)


@given(order=st.permutations(range(5)), source=st.sampled_from(CANDIDATES))
def test_an_items_forecast_depends_on_no_other_item(forecaster, order, source):
    items, alone = ragged(), forecasts_alone(forecaster, source)
    together = served_by(forecaster, source).predict(History(tuple(items[i] for i in order)))
    for i, item in enumerate(together.item_ids):
        assert together.origins[i] == alone[item].origins[0]
        np.testing.assert_array_equal(together.values[i], alone[item].values[0])


@cache
def forecasts_alone(forecaster: Forecaster, source: str) -> dict[str, Forecast]:
    chosen = served_by(forecaster, source)
    return {one.item_id: chosen.predict(History((one,))) for one in ragged()}


@cache
def ragged() -> tuple[Series, ...]:
    """Five items: of one length, one shorter, one that ends earlier, one later, one unseen."""
    items = list(traffic(4, 10))
    items[1] = changed(items[1], lambda values: values[: 3 * DAY])
    items[2] = changed(items[2], lambda values: values[:-40])
    items[3] = replace(items[3], start=items[3].start + timedelta(hours=7))
    return (*items, replace(items[0], item_id="new/comer"))


def test_origins_follow_each_items_own_end(forecaster):
    items = ragged()
    forecast = forecaster.predict(History(items))
    assert forecast.item_ids == tuple(one.item_id for one in items)
    assert forecast.origins == tuple(one.end - one.step for one in items)


def test_the_origin_is_the_last_known_sample(forecaster, history):
    def blank(values):
        values[-30:] = np.nan

    gone = changed(history["shop/search"], blank)
    cut_off = changed(history["shop/search"], lambda values: values[:-30])
    assert_same_forecast(
        forecaster.predict(History((gone,))),
        forecaster.predict(History((cut_off,))),
    )


def test_forecasts_do_not_depend_on_the_blocks_of_items(forecaster, history):
    one = history["shop/search"]
    many = [replace(one, item_id=f"copy/{i}") for i in range(2 * ITEMS_AT_ONCE + 3)]
    values = forecaster.predict(History(tuple(many))).values
    np.testing.assert_array_equal(values, np.broadcast_to(values[0], values.shape))


def test_known_items_have_their_own_source_and_shifts_and_unknown_ones_the_default(
    forecaster, history
):
    first, second = history.item_ids[:2]
    named = replace(
        forecaster,
        item_models={
            first: replace(forecaster.item_model(first), source="last_value"),
            second: replace(forecaster.item_model(second), source="ridge"),
        },
        default_model=replace(forecaster.default_model, source="seasonal_day"),
    )
    assert named.predict(history).sources == ("last_value", "ridge", "seasonal_day")
    stranger = replace(history[second], item_id="a/stranger")
    forecast = named.predict(History((stranger,)))
    expected = judged(
        replace(named, item_models={"a/stranger": named.default_model}), stranger, len(stranger) - 1
    )
    np.testing.assert_array_equal(forecast.values[0], expected)


def predict_one(forecaster: Forecaster, values) -> Forecast:
    return forecaster.predict(History((series(values),)))


@pytest.mark.parametrize("source", CANDIDATES)
@pytest.mark.parametrize("known", [1, 2, 5, 40, DAY - 1, DAY, DAY + 1])
def test_a_short_history_has_a_forecast(forecaster, source, known):
    values = 50 + 5 * np.sin(np.arange(known))
    forecast = predict_one(served_by(forecaster, source), values)
    assert forecast.origins[0] == START + (known - 1) * MODEL.step
    median = forecast.quantile(0.5)
    assert ((median > 20) & (median < 100)).all()


@pytest.mark.parametrize("source", CANDIDATES)
def test_a_single_sample_is_repeated(forecaster, source):
    np.testing.assert_allclose(
        predict_one(served_by(forecaster, source), [80.0]).values, 80.0, rtol=0.05
    )


@pytest.mark.parametrize("source", CANDIDATES)
@pytest.mark.parametrize("level", [0.0, 7.0, 1e9])
def test_a_constant_is_forecast_as_itself(forecaster, source, level):
    """And with a width: a rate that has been constant is still counted."""
    forecast = predict_one(served_by(forecaster, source), np.full(9 * DAY, level))
    np.testing.assert_allclose(forecast.quantile(0.5), level, rtol=0.02, atol=1e-6)
    np.testing.assert_allclose(forecast.values, level, rtol=0.08, atol=0.02)
    above = forecast.values[:, :, MODEL.quantile_levels.index(0.5) :]
    assert (np.diff(above, axis=2) > 0).all()


@pytest.mark.parametrize("source", CANDIDATES)
@pytest.mark.parametrize("factor", [1e9, 1e3])
def test_forecasts_scale_with_the_service(forecaster, history, source, factor):
    chosen = served_by(forecaster, source)
    one = replace(history["shop/search"], item_id="any/size")
    scaled = changed(one, lambda values: values * factor)
    expected = chosen.predict(History((one,))).values * factor
    np.testing.assert_allclose(
        chosen.predict(History((scaled,))).values, expected, rtol=1e-3, atol=1e-3 * expected.max()
    )


@pytest.mark.parametrize("source", CANDIDATES)
@pytest.mark.parametrize(
    ("first", "last"),
    [
        pytest.param(9 * DAY, 9 * DAY + 5 * DAY - 3, id="five days, until just before the origin"),
        pytest.param(0, 14 * DAY - 2, id="all but the last two samples"),
        pytest.param(2 * DAY, 10 * DAY, id="eight days in the middle"),
    ],
)
def test_a_large_gap_leaves_a_forecast_near_what_is_known(forecaster, history, source, first, last):
    def blank(values):
        values[first:last] = np.nan

    one = changed(history["shop/search"], blank)
    forecast = served_by(forecaster, source).predict(History((one,)))
    known = one.values[np.isfinite(one.values)]
    assert forecast.quantile(0.5).max() < 4 * known.max()


VALUES = st.lists(
    st.one_of(st.just(float("nan")), st.just(0.0), st.floats(0, 1e12)), min_size=1, max_size=40
)


@example(values=[1e12, 0.0, 0.0], repeats=200, source="lstm")
@example(values=[5e-324, 1.0], repeats=1, source="boosting")
@example(values=[*[float("nan")] * 37, 1.2e-38, float("nan"), 4.0], repeats=20, source="last_value")
@given(values=VALUES, repeats=st.integers(1, 40), source=st.sampled_from(CANDIDATES))
def test_any_history_with_a_known_sample_has_a_valid_forecast(forecaster, values, repeats, source):
    """`Forecast` itself refuses what crosses, is negative or is not finite."""
    values = np.tile(values, repeats)
    chosen = served_by(forecaster, source)
    if np.isnan(values).all():
        with pytest.raises(HistoryError, match="no known sample"):
            predict_one(chosen, values)
        return
    forecast = predict_one(chosen, values)
    assert forecast.values.shape == (1, MODEL.prediction_length, len(LEVELS) + 1)
    assert forecast.quantile_levels == (*LEVELS, 0.999)


def test_an_item_without_known_samples_is_refused_with_item_span_and_fix(forecaster, history):
    unknown = series(np.full(10, np.nan), "dead/one")
    with pytest.raises(HistoryError, match=r"dead/one: no known sample from 2026-03-02 .* fetch"):
        forecaster.predict(History((*history, unknown)))


def test_another_step_is_refused_with_the_step_to_fetch(forecaster, history):
    with pytest.raises(HistoryError, match=r"step of 0:10:00, .* 0:05:00; fetch with --step 300s"):
        forecaster.predict(history.resampled(2 * history.step))
