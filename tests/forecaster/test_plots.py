"""The figures: what they show, their size, and that names are escaped."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from forecaster import Forecast, History, Series
from forecaster.data.quality import RawSeries, inspect
from forecaster.data.series import DAY, utc
from forecaster.data.synthetic import generate_history
from forecaster.evaluation.backtest import SERVED
from forecaster.models.candidates import CANDIDATES
from forecaster.plots import (
    backtest_fan,
    coverage_by_minute,
    error_by_horizon,
    error_by_level,
    fan_chart,
    quantile_cost,
    reliability_diagram,
    season_shape,
    traffic_overview,
)
from forecaster.plots.forecasts import bands
from forecaster.plots.scores import logit, ranked
from forecaster.plots.thinning import thinned
from tests.forecaster.evaluation.backtest_samples import (
    HOSTILE,
    LEVELS,
    backtest_of,
    item,
    silent_item,
)

MONDAY = utc("2026-01-05T00:00:00Z")
MINUTE = timedelta(minutes=1)
TWO = backtest_of(item("shop/web"), item("pay/api", 0.4))


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def series_of(values, item_id="shop/web"):
    return Series(item_id, MONDAY, MINUTE, values)


def forecast_of(origin, item_id="shop/web"):
    values = np.repeat(np.array([[[90.0, 100, 110, 120, 140]]]), 30, axis=1)
    return Forecast((item_id,), (origin,), MINUTE, LEVELS, values, ("lstm",))


# Thinning

finite_or_not = st.floats(0, 1e6, width=32) | st.just(float("nan"))


@given(arrays.arrays(np.float32, st.integers(0, 400), elements=finite_or_not), st.integers(2, 80))
@example(np.full(100, np.nan, np.float32), 10)
def test_a_thinned_line_keeps_its_peaks_its_lows_and_its_order(values, most):
    place = thinned(values, most)

    assert len(place) <= max(most, min(len(values), most))
    assert (np.diff(place) > 0).all()
    if np.isfinite(values).any():
        assert np.nanmax(values[place]) == np.nanmax(values)
        assert np.nanmin(values[place]) == np.nanmin(values)


def test_a_long_gap_stays_a_gap_when_thinned():
    values = np.ones(1000)
    values[400:600] = np.nan

    kept = values[thinned(values, 100)]

    assert np.isnan(kept).any()
    assert np.isfinite(kept[[0, -1]]).all()


# Fans


def test_the_fan_begins_one_step_after_the_origin_where_the_history_ends():
    series = series_of(np.full(600, 100.0))
    shown = traces(fan_chart(series, forecast_of(series.end - MINUTE)))

    assert shown["median"].x[0] == "2026-01-05T10:00:00"
    assert shown["actual demand"].x[-1] == "2026-01-05T09:59:00"


def test_actual_demand_after_the_origin_is_drawn_over_the_fan():
    series = series_of(np.full(600, 100.0))
    shown = traces(fan_chart(series, forecast_of(series.end - 20 * MINUTE)))

    assert shown["actual demand"].x[-1] == "2026-01-05T09:59:00"
    assert shown["median"].x[0] == "2026-01-05T09:41:00"


def test_a_fan_of_an_item_that_was_not_forecast_is_refused():
    with pytest.raises(ValueError, match=r"no forecast of 'shop/web'.*'pay/api'"):
        fan_chart(series_of(np.ones(60)), forecast_of(MONDAY, "pay/api"))


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        pytest.param((0.5,), [], id="a median alone has no band"),
        pytest.param((0.5, 0.9), [(0, 1)], id="only above the median"),
        pytest.param((0.1, 0.5, 0.9), [(0, 2)], id="one around the median"),
        pytest.param((0.1, 0.5, 0.9, 0.95, 0.99), [(0, 2), (2, 3), (3, 4)], id="more above"),
        pytest.param((0.05, 0.1, 0.5, 0.9), [(1, 3), (0, 1)], id="more below"),
    ],
)
def test_bands_do_not_overlap(levels, expected):
    assert [band[:2] for band in bands(levels)] == expected


def test_a_backtest_fan_shows_the_chosen_lead():
    sample = TWO.items[0]
    shown = traces(backtest_fan(TWO, "shop/web", 2))

    assert shown["median"].x[0] == "2026-01-05T00:02:00"
    assert shown["median"].y == pytest.approx(sample.predicted[:, 1, 1])
    assert shown["actual demand"].y == pytest.approx(sample.actual[:, 1])


def test_a_backtest_fan_marks_only_demand_above_the_top_quantile():
    sample = TWO.items[0]
    above = sample.actual[:, 3] > sample.predicted[:, 3, -1]
    marked = traces(backtest_fan(TWO, "shop/web")).get("above quantile 0.99")

    assert (0 if marked is None else len(marked.y)) == above.sum()


def test_the_last_hours_alone_can_be_shown():
    shown = traces(backtest_fan(TWO, "shop/web", last=timedelta(hours=2)))

    assert len(shown["median"].x) == 9  # both ends of two hours, every 15 minutes


@pytest.mark.parametrize("step_ahead", [0, 5, -1])
def test_a_lead_outside_the_horizon_is_refused(step_ahead):
    with pytest.raises(ValueError, match="must be 1 to 4"):
        backtest_fan(TWO, "shop/web", step_ahead)


def test_an_unknown_item_is_refused_by_name():
    with pytest.raises(KeyError, match="no item 'shop/cart'"):
        backtest_fan(TWO, "shop/cart")


# Scores


def test_error_by_horizon_has_a_line_per_candidate_and_counts_minutes():
    figure = error_by_horizon(TWO)

    assert len(figure.data) == len(CANDIDATES) + 1
    assert list(figure.data[0].x) == [1, 2, 3, 4]
    assert figure.layout.xaxis.title.text == "minutes ahead"


def test_a_long_horizon_counts_hours():
    figure = error_by_horizon(replace(TWO, step_seconds=7200))

    assert list(figure.data[0].x) == [2, 4, 6, 8]
    assert figure.layout.xaxis.title.text == "hours ahead"


def test_the_served_forecast_is_listed_first_and_then_the_best():
    names = [name for name, _ in ranked(TWO)]
    losses = [TWO.summary[name].relative for name in names[1:]]

    assert names[0] == SERVED
    assert losses == sorted(losses)


def test_error_by_level_names_every_level():
    assert list(error_by_level(TWO).data[0].x) == ["0.1", "0.5", "0.9", "0.95", "0.99"]


def test_coverage_by_minute_has_the_level_as_a_line_and_an_axis_of_shares():
    sample = item("shop/web")
    served = replace(sample.scores[SERVED], minute_coverage=(0.5,) * 60, minute_hours=(72, 0) * 30)
    one = replace(sample, scores={**sample.scores, SERVED: served})
    figure = coverage_by_minute(backtest_of(one), "shop/web")
    shown = traces(figure)

    assert list(shown["quantile level 0.95"].y) == [0.95, 0.95]
    assert list(shown["observed"].x) == list(range(0, 60, 2))  # an unknown minute has no point
    assert set(shown["observed"].y) == {0.5}
    assert tuple(figure.layout.yaxis.range) == (0, 1)


def test_a_calibrated_forecast_lies_on_the_diagonal_and_its_peaks_below():
    shown = traces(reliability_diagram(TWO))
    every, peaks = shown["all moments"], shown["peaks (top 5 % of moments)"]

    assert every.y == pytest.approx(every.x)
    assert (np.array(peaks.y) < np.array(every.y)).all()


def test_full_coverage_is_finite_on_a_logit_axis():
    assert np.isfinite(logit(np.array([0.0, 1.0]))).all()


def test_a_higher_quantile_has_more_reserve_and_less_shortfall():
    cost = quantile_cost(TWO).data[0]

    assert list(cost.text) == ["0.1", "0.5", "0.9", "0.95", "0.99"]
    assert (np.diff(cost.x) > 0).all()
    assert (np.diff(cost.y) < 0).all()


@pytest.mark.parametrize(
    "draw", [error_by_horizon, error_by_level, reliability_diagram, quantile_cost]
)
def test_an_item_without_demand_does_not_break_a_figure(draw):
    """Not even alone: an empty figure is drawn, and no warning is raised."""
    draw(backtest_of(silent_item("shop/off"))).to_json()

    with_another = draw(backtest_of(item("shop/web"), silent_item("shop/off")))
    alone = draw(backtest_of(item("shop/web")))

    assert [list(trace.y) for trace in with_another.data] == [list(t.y) for t in alone.data]


# Traffic


def test_gaps_are_marked_even_where_they_are_short():
    values = np.full(40_000, 5.0)
    values[20_000:20_003] = np.nan
    missing = traces(traffic_overview(History((series_of(values),))))["missing"]

    assert list(missing.x) == ["2026-01-18T21:20:00", "2026-01-18T21:23:00", None]


def test_missing_samples_are_never_drawn_as_zero():
    values = np.full(300, 5.0)
    values[100:200] = np.nan
    demand = traces(traffic_overview(History((series_of(values),))))["demand"]

    assert np.nanmin(demand.y) == 5.0
    assert np.isnan(demand.y).sum() == 100


def test_repairs_and_events_are_drawn_on_their_own_item():
    values = np.full(3000, 50.0) + np.arange(3000) % 7
    values[1500] = 9000.0
    report = inspect([RawSeries.of(series_of(values))])
    traffic = generate_history(1, 7, seed=3)
    events = traffic.events + traffic.surprises

    repaired = traces(traffic_overview(report.history, report.findings))["repaired"]
    told = traces(traffic_overview(traffic.history, events=events))

    assert any("spike" in text for text in repaired.text)
    assert {event.kind.value.replace("_", " ") for event in events} <= set(told)
    assert len(told) == len({trace.name for trace in told.values()})


def test_only_the_first_items_are_drawn_and_the_title_says_so():
    many = History(tuple(series_of(np.ones(60), f"shop/{i}") for i in range(50)))
    figure = traffic_overview(many)

    assert figure.layout.title.text == "Demand of the first 6 of 50 items"
    assert len(figure.data) == 6


def test_a_year_of_minutes_is_drawn_with_few_points():
    values = np.random.default_rng(0).uniform(1, 2, 525_600)
    values[123_456] = 77.0
    figure = traffic_overview(History((series_of(values),)))

    assert len(figure.to_json()) < 100_000
    assert max(figure.data[0].y) == 77.0


def test_a_typical_week_begins_on_monday():
    hours = np.arange(14 * 1440) / 60
    values = np.where(hours % 168 < 24, 9.0, 1.0)  # from a Monday on: busy on Mondays
    median = traces(season_shape(series_of(values)))["median"]

    assert list(median.y[:48]) == [9.0] * 48
    assert list(median.y[48:]) == [1.0] * 288


def test_a_typical_day_has_gaps_at_hours_without_known_samples():
    values = np.full(3 * 1440, 4.0)
    values[np.arange(len(values)) % 1440 < 60] = np.nan
    median = traces(season_shape(series_of(values), DAY))["median"]

    assert np.isnan(median.y[:2]).all()
    assert list(median.y[2:]) == [4.0] * 46


# All of them


def test_every_figure_names_its_axes_and_their_units():
    series = series_of(np.full(600, 100.0))
    by_axis = {
        "time (UTC)": [fan_chart(series, forecast_of(series.end)), backtest_fan(TWO, "shop/web")],
        "quantile level": [error_by_level(TWO)],
        "day of the week (UTC)": [season_shape(series)],
    }
    for title, figures in by_axis.items():
        assert {figure.layout.xaxis.title.text for figure in figures} == {title}
    assert fan_chart(series, forecast_of(series.end)).layout.yaxis.title.text == "demand (req/s)"


def test_a_hostile_name_is_shown_as_text():
    series = series_of(np.full(600, 100.0), HOSTILE)
    figures = [
        fan_chart(series, forecast_of(series.end, HOSTILE)),
        backtest_fan(backtest_of(item(HOSTILE)), HOSTILE),
        traffic_overview(History((series,))),
        season_shape(series),
    ]
    for figure in figures:
        texts = json.dumps(json.loads(figure.to_json())["layout"])
        assert "&lt;" in texts
        assert "<img" not in texts
        assert "<script" not in texts
