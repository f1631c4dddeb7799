"""Refusals of the data-quality pass, with item, span and fix."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from forecaster.data.quality import Action, QualityRules, RawSeries, Rule, Window, inspect, masked
from forecaster.data.series import utc
from forecaster.errors import HistoryError
from tests.forecaster.data.quality.samples import MINUTE, NAN, START, moment, noisy, only, raw

DAY_OF_SPRING = int(utc("2026-03-29T00:00:00Z").timestamp())
DAY_OF_AUTUMN = int(utc("2026-10-25T00:00:00Z").timestamp())


def local_spring(**more) -> RawSeries:
    """Stamps of a Berlin wall clock, on which 02:00 to 03:00 does not exist."""
    rows = np.delete(np.arange(360), np.arange(120, 180))
    return RawSeries("a", DAY_OF_SPRING + 60 * rows, noisy(300), **more)


def local_autumn() -> RawSeries:
    """Stamps of a Berlin wall clock, on which 02:00 to 03:00 occurs twice."""
    rows = np.concatenate([np.arange(180), np.arange(120, 360)])
    return RawSeries("a", DAY_OF_AUTUMN + 60 * rows, noisy(420))


def counter(n: int = 100) -> np.ndarray:
    return np.cumsum(noisy(n)) + 1e6


@pytest.mark.parametrize(
    ("items", "step", "words"),
    [
        pytest.param([], None, ["no series"], id="nothing"),
        pytest.param([raw([])], None, ["shop/api", "no samples"], id="no samples"),
        pytest.param([raw(noisy(29))], None, ["29 known", "30", "longer span"], id="too short"),
        pytest.param([raw(np.full(99, NAN))], None, ["0 known samples"], id="nothing but gaps"),
        pytest.param([raw(counter())], None, ["raw counter", "rate(...[5m])"], id="counter"),
        pytest.param(
            [raw(counter(), step=900)], None, ["rate(...[1h])"], id="a rate spans four steps"
        ),
        pytest.param(
            [raw(np.concatenate([counter(), counter()]))], None, ["raw counter"], id="it was reset"
        ),
        pytest.param(
            [RawSeries("a", 1000 * raw(noisy(50)).stamps, noisy(50))],
            None,
            ["milliseconds", "divide them by 1000", "2026-03-02T00:00:00Z"],
            id="milliseconds",
        ),
        pytest.param(
            [RawSeries("a", 10**6 * raw(noisy(50)).stamps, noisy(50))],
            MINUTE,
            ["microseconds", "1000000"],
            id="microseconds",
        ),
        pytest.param(
            [RawSeries("a", 10**9 * raw(noisy(50)).stamps, noisy(50))],
            None,
            ["nanoseconds"],
            id="nanoseconds",
        ),
        pytest.param([raw(noisy(50), start=-100)], None, ["-100", "before 1970"], id="negative"),
        pytest.param(
            [RawSeries("a", np.r_[60, raw(noisy(49)).stamps], noisy(50))],
            None,
            ["far from the others"],
            id="one stamp of 1970",
        ),
        pytest.param(
            [raw(noisy(50)), raw(noisy(50))], None, ["2 series have this name", "sum by"], id="twin"
        ),
        pytest.param(
            [raw(noisy(99)), raw(noisy(99), step=300, item_id="b")],
            None,
            ["b:", "300 s apart", "--step 60s"],
            id="a step of its own",
        ),
        pytest.param([raw(noisy(99), step=15)], MINUTE, ["15 s", "--step 15s"], id="too fine"),
        pytest.param([raw(noisy(99), step=61)], MINUTE, ["0.25 of a step"], id="a drifting grid"),
        pytest.param([local_autumn()], None, ["twice", "2026-10-25T02:00:00Z"], id="set back"),
        pytest.param(
            [local_spring(zone_assumed=True)],
            None,
            ["2026-03-29T02:00:00Z", "--timezone Europe/Berlin"],
            id="set forward",
        ),
        pytest.param(
            [
                RawSeries(
                    "a", np.r_[START + 60 * np.arange(50), START + 60 * np.arange(50)], noisy(100)
                )
            ],
            None,
            ["50 stamps", "different values", "sum by"],
            id="two series under one name",
        ),
    ],
)
def test_what_cannot_be_repaired_is_refused_with_item_span_and_fix(items, step, words):
    with pytest.raises(HistoryError) as error:
        inspect(items, step=step)
    for word in words:
        assert word in str(error.value)


def test_every_refused_item_is_named():
    with pytest.raises(HistoryError, match=r"(?s)a: .*raw counter.*\n  b: .*raw counter"):
        inspect([raw(counter(), item_id="a"), raw(counter(), item_id="b"), raw(noisy(99))])


def test_refused_items_can_be_left_out_as_long_as_one_remains():
    rules = QualityRules(skip_refused=True)
    report = inspect([raw(counter(), item_id="a"), raw(noisy(99))], rules=rules)
    assert report.history.item_ids == ("shop/api",)
    assert only(report.findings, Rule.COUNTER).item_id == "a"
    with pytest.raises(HistoryError, match="raw counter"):
        inspect([raw(counter(), item_id="a")], rules=rules)


@pytest.mark.parametrize(
    ("values", "rule"),
    [
        pytest.param([], Rule.EMPTY, id="no samples"),
        pytest.param(np.full(99, NAN), Rule.TOO_SHORT, id="none that is known"),
        pytest.param([1.0, 2.0], Rule.TOO_SHORT, id="two samples"),
    ],
)
def test_an_item_that_is_too_young_refuses_no_other(values, rule):
    report = inspect([raw(values, item_id="a"), raw(noisy(99))])
    assert report.history.item_ids == ("shop/api",)
    found = only(report.findings, rule)
    assert (found.item_id, found.action) == ("a", Action.LEFT_OUT)
    with pytest.raises(HistoryError, match="left out"):
        inspect([raw(values, item_id="a")])


def test_a_younger_item_begins_with_its_first_sample_and_has_no_gap():
    young = np.r_[np.full(60, NAN), noisy(99)]
    report = inspect([raw(young, item_id="a"), raw(noisy(159))])
    assert report.findings == ()
    assert report.history["a"].start == moment(60)
    np.testing.assert_array_equal(report.history["a"].values, noisy(99))


def test_an_hour_without_samples_is_no_clock_change_where_the_zone_is_known():
    report = inspect([local_spring()])
    assert only(report.findings, Rule.DAYLIGHT).action is Action.NOTED
    assert len(report.history["a"]) == 360


def test_an_hour_without_samples_on_a_weekday_is_no_clock_change():
    sunday = local_spring(zone_assumed=True)
    monday = RawSeries("a", sunday.stamps + 86_400, sunday.values, zone_assumed=True)
    assert [found.rule for found in inspect([monday]).findings] == [Rule.GAP]


def test_hours_with_two_values_each_are_two_series_and_no_clock_change():
    item = raw(noisy(300))
    twice = RawSeries("a", np.r_[item.stamps, item.stamps], np.r_[item.values, item.values + 9])
    with pytest.raises(HistoryError, match="300 stamps") as error:
        inspect([twice])
    assert "clocks" not in str(error.value)


def test_utc_is_kept_over_a_clock_change():
    report = inspect([raw(noisy(360), start=DAY_OF_SPRING)])
    assert (report.findings, len(report.history["shop/api"])) == ((), 360)


def test_stamps_after_now_are_refused_as_a_time_zone_mistake():
    now = moment(40)
    with pytest.raises(HistoryError, match=r"0:59:00 past now .*--timezone"):
        inspect([raw(noisy(100))], now=now)
    assert len(inspect([raw(noisy(41))], now=now).history["shop/api"]) == 41


def test_stamps_counted_from_a_start_are_noted():
    report = inspect([raw(noisy(50), start=0)])
    assert only(report.findings, Rule.CLOCK).action is Action.NOTED


def test_a_marked_window_for_an_unknown_item_is_refused():
    mask = (Window(moment(10), moment(20), "shop/apo"),)
    with pytest.raises(HistoryError, match=r"shop/apo: .*only shop/api"):
        inspect([raw(noisy(50))], mask=mask)
    with pytest.raises(HistoryError, match=r"shop/apo: .*only shop/api"):
        masked(inspect([raw(noisy(50))]).history, mask)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        pytest.param(lambda: Window(moment(2), moment(2)), "must end after", id="empty window"),
        pytest.param(
            lambda: Window(datetime(2026, 1, 1), datetime(2026, 1, 2)),  # noqa: DTZ001
            "no time zone",
            id="naive window",
        ),
        pytest.param(lambda: QualityRules(snap_within=0.5), "snap_within", id="snap everything"),
        pytest.param(lambda: QualityRules(min_samples=0), "min_samples", id="no samples needed"),
        pytest.param(lambda: RawSeries("a", [1, 2], [1.0]), "must both be", id="lengths differ"),
    ],
)
def test_impossible_settings_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_a_step_of_a_fraction_of_a_second_is_refused():
    with pytest.raises(HistoryError, match="whole seconds"):
        inspect([raw(noisy(50))], step=timedelta(seconds=0.5))
