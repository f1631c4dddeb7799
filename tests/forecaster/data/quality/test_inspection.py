"""The repairs and notes of the data-quality pass, and the samples that it keeps."""

from datetime import timedelta

import numpy as np
import pytest

from forecaster.data.quality import Action, Finding, QualityRules, RawSeries, Rule, Window, inspect
from tests.forecaster.data.quality.samples import (
    MINUTE,
    NAN,
    SPIKE,
    START,
    moment,
    noisy,
    only,
    raw,
    with_values,
)


def stuck_for(n: int, at: int = 50) -> dict[int, float]:
    return dict.fromkeys(range(at, at + n), 97.5)


@pytest.mark.parametrize(
    ("values", "rule", "slots"),
    [
        pytest.param(with_values({10: -1.0, 12: -0.5}), Rule.NEGATIVE, [10, 12], id="negative"),
        pytest.param(with_values({10: np.inf, 11: -np.inf}), Rule.INFINITE, [10, 11], id="inf"),
        pytest.param(with_values({60: SPIKE}), Rule.SPIKE, [60], id="one-sample spike"),
        pytest.param(with_values({60: SPIKE, 61: SPIKE}), Rule.SPIKE, [60, 61], id="two samples"),
        pytest.param(
            with_values({60: SPIKE, 65: 3e3}), Rule.SPIKE, [60, 65], id="a spike behind a spike"
        ),
        pytest.param(
            with_values(stuck_for(30)), Rule.FLAT, [*range(50, 80)], id="half an hour of one value"
        ),
        pytest.param(
            with_values({**dict.fromkeys(range(50, 60), NAN), 60: 10.0, 61: 30.0, 62: 50.0}),
            Rule.AFTER_OUTAGE,
            [60, 61, 62],
            id="the rate window fills up after an outage",
        ),
        pytest.param(
            with_values({**dict.fromkeys(range(50, 60), NAN), 47: 50.0, 48: 30.0, 49: 10.0}),
            Rule.BEFORE_OUTAGE,
            [47, 48, 49],
            id="the rate window empties before an outage",
        ),
    ],
)
def test_implausible_samples_are_set_missing_and_no_others(values, rule, slots):
    report = inspect([raw(values)])
    finding = only(report.findings, rule)
    assert finding.action is Action.REPAIRED
    assert (finding.count, finding.start, finding.end) == (
        len(slots),
        moment(slots[0]),
        moment(slots[-1] + 1),
    )
    expected = values.copy()
    expected[slots] = NAN
    np.testing.assert_array_equal(report.history["shop/api"].values, expected)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(np.where(np.arange(500) == 250, 51.0, 50.0), id="one blip"),
        pytest.param(np.r_[np.full(300, 50.0), np.full(200, 60.0)], id="one step"),
        pytest.param(np.r_[noisy(5), np.full(500, 50.0)], id="constant after a few samples"),
    ],
)
def test_a_mask_that_would_leave_hardly_anything_is_noted_and_not_applied(values):
    report = inspect([raw(values)])
    finding = only(report.findings, Rule.FLAT)
    assert finding.action is Action.NOTED
    assert "little else is known; kept" in finding.message
    np.testing.assert_array_equal(report.history["shop/api"].values, values)


def test_rates_beside_an_outage_are_judged_alike_on_both_sides_of_it():
    ramp = [10.0, 30.0, 50.0]
    falls, rises = (
        dict(zip([49, 48, 47], ramp, strict=True)),
        dict(zip([60, 61, 62], ramp, strict=True)),
    )
    report = inspect([raw(with_values({**dict.fromkeys(range(50, 60), NAN), **falls, **rises}))])
    before, after = (only(report.findings, r) for r in (Rule.BEFORE_OUTAGE, Rule.AFTER_OUTAGE))
    assert (before.start, before.end, before.count) == (moment(47), moment(50), 3)
    assert (after.start, after.end, after.count) == (moment(60), moment(63), 3)


def crowd(minutes: int) -> dict[int, float]:
    return dict.fromkeys(range(60, 60 + minutes), 3000.0)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(with_values({}), id="ordinary traffic"),
        pytest.param(with_values(crowd(3)), id="a flash crowd of three minutes, thirty-fold"),
        pytest.param(with_values({60: 900.0}), id="a minute of nine-fold traffic"),
        pytest.param(with_values({59: 800.0, 60: 9000.0, 61: 700.0}), id="a peak with flanks"),
        pytest.param(with_values({60: SPIKE, 61: NAN, 62: SPIKE}), id="a crowd with a hole"),
        pytest.param(with_values({0: SPIKE}), id="a spike at the start, of which little is known"),
        pytest.param(
            with_values({60: SPIKE, **dict.fromkeys(range(61, 80), NAN)}),
            id="a crowd that ends in an outage",
        ),
        pytest.param(
            with_values(dict.fromkeys([5, 65, 125, 185], SPIKE)), id="a job at every fifth minute"
        ),
        pytest.param(with_values({}, 90) * 0 + np.tile([0, 0, 0.5], 30), id="sparse requests"),
        pytest.param(with_values(stuck_for(29)), id="less than half an hour of one value"),
        pytest.param(with_values(dict.fromkeys(range(50, 150), 0.0)), id="zeros are legal"),
        pytest.param(
            with_values({**stuck_for(40, 20), **stuck_for(40, 80), **stuck_for(40, 140)}),
            id="a floor that recurs",
        ),
        pytest.param(np.where(np.arange(200) < 50, NAN, noisy(200)), id="a late first sample"),
        pytest.param(
            with_values({50: NAN, 51: 40.0}), id="one lost sample before a low one is no outage"
        ),
        pytest.param(
            with_values({50: NAN, 51: NAN, 52: NAN, 53: 1 / 60}, level=0.05),
            id="one request where three were usual, after an outage, is chance",
        ),
        pytest.param(
            np.r_[np.full(50, NAN), 5.0, noisy(100)], id="a service starts with few requests"
        ),
        pytest.param(
            with_values(
                {**dict.fromkeys([*range(40, 58), *range(63, 80)], 300.0), 60: 5000.0}, 2_000
            ),
            id="a peak amid a crowd",
        ),
        pytest.param(
            np.r_[np.tile([0, 0, 1 / 60], 60), 0.9, np.tile([0, 0, 1 / 60], 60)],
            id="54 requests in a minute, of a service that has one in three",
        ),
        pytest.param(np.random.default_rng(1).poisson(0.01 * 60, 5_000) / 60, id="few requests"),
    ],
)
def test_real_traffic_is_kept_to_the_last_sample(values):
    report = inspect([raw(values)])
    began = int(np.isfinite(values).argmax())
    np.testing.assert_array_equal(report.history["shop/api"].values, values[began:])


def test_three_high_samples_are_no_spike_at_any_step():
    values = with_values(dict.fromkeys([60, 61, 62], SPIKE))
    assert inspect([raw(values, step=15)]).findings == ()


def test_one_missing_sample_is_no_outage_at_any_step():
    values = with_values({50: NAN, 51: 40.0})
    assert inspect([raw(values, step=300)]).history["shop/api"].values[51] == 40.0


def test_a_spike_at_a_coarse_step_may_be_a_crowd_and_is_only_noted():
    values = with_values({60: SPIKE})
    report = inspect([raw(values, step=300)])
    assert only(report.findings, Rule.SPIKE).action is Action.NOTED
    assert report.history["shop/api"].values[60] == SPIKE


def test_low_samples_after_an_outage_are_kept_where_the_rate_window_is_shorter_than_a_step():
    values = with_values({**dict.fromkeys(range(50, 60), NAN), 60: 10.0})
    rules = QualityRules(rate_window=timedelta(seconds=30))
    assert inspect([raw(values)], rules=rules).history["shop/api"].values[60] == 10.0


def test_a_gap_stays_missing_and_is_noted():
    values = with_values({7: NAN, 8: NAN})
    report = inspect([raw(values)])
    assert np.isnan(report.history["shop/api"].values[7:9]).all()
    assert only(report.findings, Rule.GAP).count == 2


def test_rows_that_are_absent_are_missing_samples():
    values, rows = noisy(100), np.delete(np.arange(100), [7, 8])
    report = inspect([RawSeries("a", START + 60 * rows, values[rows])])
    assert np.flatnonzero(np.isnan(report.history["a"].values)).tolist() == [7, 8]


@pytest.mark.parametrize(
    ("level", "rule"),
    [
        pytest.param(0.0, Rule.ALL_ZERO, id="all zero"),
        pytest.param(5.0, Rule.CONSTANT, id="constant"),
    ],
)
def test_a_service_that_never_changes_is_kept_and_noted(level, rule):
    report = inspect([raw(np.full(200, level))])
    assert (report.history["shop/api"].values == level).all()
    assert only(report.findings, rule).action is Action.NOTED


def test_a_repeated_stamp_with_one_value_is_one_sample():
    item = raw(noisy(50))
    twice = RawSeries("a", np.r_[item.stamps, item.stamps[3]], np.r_[item.values, item.values[3]])
    report = inspect([twice])
    np.testing.assert_array_equal(report.history["a"].values, item.values)
    assert only(report.findings, Rule.DUPLICATE).start == moment(3)


def test_a_repeated_stamp_with_two_values_is_unknown():
    item = raw(noisy(50))
    report = inspect([RawSeries("a", np.r_[item.stamps, item.stamps[3]], np.r_[item.values, 7.0])])
    assert np.flatnonzero(np.isnan(report.history["a"].values)).tolist() == [3]
    assert only(report.findings, Rule.CONFLICT).action is Action.REPAIRED


def test_a_repeated_stamp_with_one_missing_value_has_the_other():
    item = raw(noisy(50))
    report = inspect([RawSeries("a", np.r_[item.stamps, item.stamps[3]], np.r_[item.values, NAN])])
    np.testing.assert_array_equal(report.history["a"].values, item.values)


def test_jittered_stamps_are_moved_onto_the_grid():
    item, jitter = raw(noisy(100)), np.random.default_rng(2).integers(-9, 10, 100)
    report = inspect([RawSeries("a", item.stamps + jitter, item.values)])
    assert report.history.step == MINUTE
    np.testing.assert_array_equal(report.history["a"].values, item.values)
    assert only(report.findings, Rule.OFF_GRID).action is Action.REPAIRED


def test_a_grid_may_start_at_any_second():
    report = inspect([raw(noisy(50), start=START + 7)])
    assert (report.findings, report.history["shop/api"].start.second) == ((), 7)


def test_marked_windows_are_set_missing_for_the_item_they_name():
    items = [raw(noisy(50), item_id="a"), raw(noisy(50), item_id="b")]
    report = inspect(items, mask=(Window(moment(10), moment(20), "b"),))
    assert np.isfinite(report.history["a"].values).all()
    assert np.flatnonzero(np.isnan(report.history["b"].values)).tolist() == [*range(10, 20)]
    assert only(report.findings, Rule.MASKED).count == 10


def test_items_may_differ_by_a_factor_of_a_billion():
    items = [raw(noisy(99), item_id="a"), raw(noisy(99) * 1e9, item_id="b")]
    assert inspect(items).findings == ()


def test_a_finding_survives_its_record():
    for finding in inspect([raw(with_values({10: -1.0, 60: SPIKE}))]).findings:
        assert Finding.from_record(finding.to_record()) == finding
