"""The backtest: scores that can be computed by hand, on time not used in training."""

import json
import re
from dataclasses import fields, replace
from datetime import timedelta

import numpy as np
import pytest

from forecaster.adapters.exact_json import json_bytes, plain_object
from forecaster.data.series import History
from forecaster.errors import HistoryError
from forecaster.evaluation.backtest import (
    SERVED,
    Backtest,
    backtest,
    beats_all,
)
from forecaster.evaluation.choice import choose
from forecaster.evaluation.outcome import Outcome
from forecaster.evaluation.scores import Score, mean_score, score_of
from forecaster.evaluation.splits import MIN_WINDOWS, boundaries
from forecaster.models.candidates import CANDIDATES
from forecaster.models.lstm_ensemble import LSTM
from forecaster.report.findings import verdict
from tests.forecaster.evaluation.backtest_samples import backtest_of
from tests.forecaster.evaluation.backtest_samples import item as sample_item
from tests.forecaster.evaluation.fitting_samples import DAY, MODEL, TINY, changed, series

NAN = float("nan")
LEVELS = (0.1, 0.5, 0.9)


@pytest.fixture(scope="module")
def result(forecaster, history):
    return backtest(forecaster, history)


def flat_score(actual, predicted, reference=None) -> Score:
    """Return the score over ``(origins, horizon)`` of quantiles that are all equal."""
    actual = np.array(actual, np.float32)
    same = np.repeat(np.array(predicted, np.float32)[:, :, None], len(LEVELS), axis=2)
    loss = np.full(same.shape, 1.0, np.float32) if reference is None else reference
    outcome = Outcome.after(300 * np.arange(len(actual)), 60, actual)
    return score_of(outcome, same, loss, LEVELS)


def test_a_score_equals_the_one_computed_by_hand():
    """Two origins, two steps; each quantile is off by +10, 0, -4 and unknown.

    Losses per level 0.1, 0.5, 0.9: 10 above costs 1, 5, 9; 4 below costs 3.6, 2, 0.4.
    """
    actual = [[110.0, 100.0], [96.0, NAN]]
    score = flat_score(actual, np.full((2, 2), 100.0), np.full((2, 2, 3), 2.0, np.float32))
    assert score.pinball == pytest.approx((15 + 0 + 6) / 9)
    assert score.relative == pytest.approx((15 + 0 + 6) / 9 / 2)
    assert score.relative_peaks == pytest.approx(5 / 2)  # of three moments, the first is the peak
    assert score.by_level == pytest.approx(
        [(1 + 3.6) / 6, (5 + 2) / 6, (9 + 0.4) / 6],  # three known moments x 2
    )
    assert score.coverage == pytest.approx([2 / 3] * 3)  # 100 and 96 lie below, 110 does not
    assert score.peak_coverage == (0, 0, 0)
    assert score.wape == pytest.approx((10 + 0 + 4) / (110 + 100 + 96))
    # The levels stand for 0.3, 0.4 and 0.3 of the probability.
    weighed = [0.3 * (1 + 3.6), 0.4 * (5 + 2), 0.3 * (9 + 0.4)]
    assert score.crps == pytest.approx(2 * sum(weighed) / 3)


def test_a_perfect_forecast_has_zero_loss():
    actual = [[110.0, 100.0], [96.0, NAN]]
    score = flat_score(actual, np.nan_to_num(actual, nan=5.0))
    assert (score.pinball, score.relative, score.relative_peaks, score.wape) == (0, 0, 0, 0)
    assert score.crps == 0
    assert score.by_horizon == (0, 0)
    assert score.coverage == (1, 1, 1)


def test_without_known_samples_all_scores_are_unknown():
    unknown = flat_score(np.full((2, 2), NAN), np.full((2, 2), 5.0))
    assert unknown.minute_hours == (0,) * 60
    assert unknown.worst_minute is None
    for field in fields(unknown):
        if field.name != "minute_hours":
            assert np.isnan(getattr(unknown, field.name)).all(), field.name


def test_ratios_to_a_reference_without_error_are_unknown():
    score = flat_score([[5.0]], [[4.0]], np.zeros((1, 1, 3), np.float32))
    assert score.pinball > 0
    assert np.isnan([score.relative, score.relative_peaks, *score.by_level]).all()


def test_over_items_ratios_have_geometric_means_and_other_scores_arithmetic_ones():
    one, other = (
        flat_score([[100.0]], [[90.0]]),
        flat_score([[100.0]], [[60.0]]),
    )  # 5 and 20, over 1
    unknown = flat_score([[NAN]], [[60.0]])
    mean = mean_score([one, other, unknown])
    assert (one.relative, other.relative) == pytest.approx((5, 20))
    assert mean.relative == pytest.approx(10)  # the root of 5 x 20
    assert mean.by_horizon == pytest.approx([10])
    assert mean.pinball == pytest.approx(12.5)
    assert mean.wape == pytest.approx((0.1 + 0.4) / 2)
    assert mean.crps == pytest.approx((10 + 40) / 2)  # equal quantiles: the absolute error
    assert mean.coverage == (0, 0, 0)


def test_last_value_has_a_relative_loss_of_one(result):
    for item in result.items:
        unit = item.scores["last_value"]
        assert (unit.relative, unit.relative_peaks) == (1, 1)
        assert unit.by_level == pytest.approx([1] * 6)
        assert unit.by_horizon == pytest.approx([1] * 6)


def test_every_candidate_is_scored_on_every_item_and_one_of_them_is_served(result):
    for item in result.items:
        assert tuple(item.scores) == (*CANDIDATES, SERVED)
        served, source = item.scores[SERVED], item.scores[item.source]
        assert served.wape == source.wape  # the median; the others have margins
        assert served.coverage[2:] >= source.coverage[2:]
    assert tuple(result.summary) == (*CANDIDATES, SERVED)
    assert result.predict_seconds.keys() == set(CANDIDATES)


def test_origins_are_five_minutes_apart_and_after_the_training_time(result, forecaster, history):
    for item in result.items:
        assert set(np.diff(item.origins)) == {300}
        until = forecaster.item_model(item.item_id).trained_until.timestamp()
        assert until == item.origins[0] + 300  # the first step ahead is the first unseen
        end = history[item.item_id].end.timestamp()
        assert item.origins[-1] + 7 * 300 == end  # a whole horizon of six steps


def test_the_targets_are_the_actual_demand(result, history):
    item = result.items[0]
    values = dict(zip(history[item.item_id].stamps.tolist(), history[item.item_id].values))  # noqa: B905
    for i in (0, 7, -1):
        expected = [values[int(item.origins[i]) + 300 * h] for h in range(1, 7)]
        np.testing.assert_allclose(item.actual[i], expected, rtol=1e-6)


def test_the_plotted_forecast_is_the_served_one(result, forecaster, history):
    item = result.items[1]
    origin = int(item.origins[-1])
    one = history[item.item_id]
    count = int(np.searchsorted(one.stamps, origin)) + 1
    served = forecaster.predict(History((changed(one, lambda values: values[:count]),)))
    assert served.origins[0].timestamp() == origin
    off = np.abs(served.values[0] - item.predicted[-1]).mean()
    assert off < 0.03 * np.ptp(item.predicted[-1])


def test_an_unknown_item_is_scored_from_its_second_day_on(forecaster, history):
    stranger = replace(history.series[0], item_id="new/comer")
    (item,) = backtest(forecaster, History((stranger,))).items
    first = (int(item.origins[0]) - stranger.stamps[0]) / 300
    warm_up = MODEL.timing.warm_up
    assert first == warm_up - 1
    assert item.source == forecaster.default_model.source


def test_a_given_start_overrides_the_end_of_training(forecaster, history):
    start = history.series[0].start + timedelta(days=10)
    result = backtest(forecaster, history, start=start)
    assert int(result.items[0].origins[0]) + 300 == start.timestamp()


def test_a_start_before_the_first_day_waits_for_it(forecaster, history):
    one = History(history.series[:1])
    early = backtest(forecaster, one, start=history.series[0].start - timedelta(days=3))
    assert early.items[0].origins[0] >= one.series[0].stamps[MODEL.timing.warm_up - 1]


@pytest.mark.parametrize("hours", [0, 1, 2])
def test_too_little_later_history_is_refused_with_the_fix(forecaster, history, hours):
    first = boundaries(14 * DAY, TINY)[1]
    short = History((changed(history.series[1], lambda values: values[: first + 12 * hours]),))
    count = max(12 * hours - 6 + 1, 0)
    expected = rf"shop/search: {count} origins lie between .* needs {MIN_WINDOWS}"
    with pytest.raises(HistoryError, match=expected + "; give it later history"):
        backtest(forecaster, short)


def test_a_history_that_ends_before_the_model_was_trained_is_refused(forecaster, history):
    old = History((changed(history.series[1], lambda values: values[: 5 * DAY]),))
    with pytest.raises(HistoryError, match="0 origins lie between"):
        backtest(forecaster, old)


def test_another_step_is_refused(forecaster, history):
    with pytest.raises(HistoryError, match=r"step of 0:10:00, the model of 0:05:00"):
        backtest(forecaster, history.resampled(2 * history.step))


def test_unknown_samples_in_the_test_part_are_left_out(forecaster, history, result):
    def blank(values):
        values[-DAY // 2 :] = NAN

    gappy = backtest(forecaster, History(tuple(changed(one, blank) for one in history)))
    whole = backtest(
        forecaster,
        History(tuple(changed(one, lambda values: values[: -DAY // 2]) for one in history)),
    )
    for item, other in zip(gappy.items, whole.items, strict=True):
        for name in CANDIDATES:  # a few windows at the edge are partly known
            assert item.scores[name].relative == pytest.approx(other.scores[name].relative, rel=0.1)
            assert np.isfinite(item.scores[name].coverage).all()


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.zeros(14 * DAY), id="silent"),
        pytest.param(np.where(np.arange(14 * DAY) < 9 * DAY, 5.0, NAN), id="unknown throughout"),
    ],
)
def test_an_item_without_errors_does_not_affect_the_summary(forecaster, history, result, values):
    odd = series(values, "odd/one")
    odd = replace(odd, start=history.series[0].start)
    start = forecaster.item_model("shop/search").trained_until
    both = backtest(forecaster, History((*history.series, odd)), start=start)
    for name in (*CANDIDATES, SERVED):
        assert both.summary[name].relative == pytest.approx(result.summary[name].relative, rel=1e-6)
    json_bytes(plain_object(both.record(), "record", non_finite_as_null=True))


def test_the_record_is_plain_json_with_the_headline_and_every_item(result):
    record = plain_object(result.record(), "record", non_finite_as_null=True)
    again = json.loads(json_bytes(record))
    assert again["summary"]["relative_pinball"] == result.summary[SERVED].relative
    assert set(again["summary"]["candidates"]) == {*CANDIDATES, SERVED}
    assert again["summary"]["candidates"]["ridge"]["crps"] == result.summary["ridge"].crps > 0
    assert again["quantile_levels"] == list(result.quantile_levels)
    assert set(again["items"]) == {item.item_id for item in result.items}
    first = again["items"][result.items[0].item_id]
    assert first["candidates"]["ridge"]["coverage"] == pytest.approx(
        result.items[0].scores["ridge"].coverage
    )
    law = result.items[0].tail
    assert first["tail"] == {"mean": law.mean, "shape": law.shape, "error": law.error}
    assert first["last_origin"] - first["first_origin"] == 300 * (first["origins"] - 1)


def test_items_are_announced_as_they_are_done(forecaster, history):
    done = []
    backtest(forecaster, history, on_item=done.append)
    assert tuple(done) == history.item_ids


HOURS = np.array([0.9, 1.1] * 12)  # around a mean of 1


def judged(peaks: dict[str, float | np.ndarray] | None = None, **hourly) -> Backtest:
    """Return a backtest of one item with these losses in each hour, of last value's.

    At peaks they are the same, unless ``peaks`` says otherwise.
    """
    at_peaks = {**hourly, **(peaks or {})}
    losses = {name: np.stack([x * HOURS, at_peaks[name] * HOURS]) for name, x in hourly.items()}
    blank = flat_score([[1.0]], [[1.0]])
    scores = {name: replace(blank, relative=float(x[0].mean())) for name, x in losses.items()}
    return backtest_of(replace(sample_item("a"), scores=scores, losses=losses))


CHANCE = 1 + 0.5 * np.tile([1, 1, -1, -1], 6)


@pytest.mark.parametrize(
    ("figures", "passes", "words"),
    [
        pytest.param(
            {"last_value": 1.0, "ridge": 0.8, LSTM: 0.7, SERVED: 0.7}, True, "0.700 .* ridge",
            id="ahead of all",
        ),
        pytest.param(
            {"last_value": 1.0, "ridge": 0.6, LSTM: 0.7, SERVED: 0.7}, False,
            "0.7.* ridge is 14.3 % below served, by more than 2", id="behind one",
        ),
        pytest.param(
            {"last_value": 1.0, "ridge": 0.69 * CHANCE, LSTM: 0.7, SERVED: 0.7}, True,
            "ridge was 1.4 % below served, but within 2", id="behind one by chance",
        ),
        pytest.param({"last_value": 1.0, SERVED: 1.0}, True, "", id="a draw is no loss"),
        pytest.param(
            {"last_value": 1.0, LSTM: 0.5, SERVED: 0.9}, True, "", id="the lstm is no baseline"
        ),
        pytest.param(
            {"last_value": 1.0, "ridge": NAN, "boosting": 0.6, SERVED: 0.7}, False, "boosting",
            id="an unknown rival hides no other",
        ),
        pytest.param(
            {"last_value": 1.0, "ridge": 0.8, SERVED: 0.7, "peaks": {SERVED: 1.097}}, False,
            "0.700 .*; ridge is the best .*: served loses 9.7 % more there than last_value",
            id="behind last value at peaks only",
        ),
        pytest.param(
            {"last_value": 1.0, "ridge": 0.8, SERVED: 0.7, "peaks": {SERVED: 1.097, "ridge": 2.0}},
            False, "; last_value is the best of those that hold at peaks", id="no other holds",
        ),
        pytest.param(
            {"last_value": 1.0, SERVED: 0.7, "peaks": {SERVED: 1.1 * CHANCE}}, True, "30.0 % below",
            id="behind at peaks by chance",
        ),
        pytest.param(
            {"last_value": 1.0, "ridge": 0.6, SERVED: 0.7, "peaks": {"ridge": 1.2}}, True, "30.0 %",
            id="a rival that is bad at peaks is none",
        ),
        pytest.param(
            {"last_value": 1.0, SERVED: 0.7, "peaks": {"last_value": NAN, SERVED: NAN}}, True, "",
            id="peaks unknown",
        ),
        pytest.param({"last_value": NAN, SERVED: NAN}, False, "nothing to compare", id="unknown"),
        pytest.param({"last_value": 1.0, SERVED: NAN}, False, "nothing to", id="served unknown"),
    ],
)  # fmt: skip
def test_a_champion_loses_to_no_baseline_by_more_than_chance(figures, passes, words):
    result = judged(**figures)
    passed, reason = beats_all(result)
    assert passed is passes
    assert re.search(words, reason)
    assert verdict(result)[0] is passes


@pytest.mark.parametrize("favourite", ["lstm", SERVED])
def test_the_gate_and_the_choice_for_an_item_have_one_rule(favourite):
    """Whoever would serve the item is whom the gate lets pass."""
    for lead in (0.9, 0.97, 0.99, 1.0, 1.02):
        rivals = {"last_value": 1.0 * HOURS, "ridge": 0.7 * lead * HOURS * CHANCE}
        own = {favourite: 0.7 * HOURS}
        passed, _ = beats_all(judged(last_value=1.0, ridge=0.7 * lead * CHANCE, served=0.7))
        losses = {name: np.stack([x, x]) for name, x in {**rivals, **own}.items()}
        assert passed is (choose(losses, favourite)[0] == favourite)
