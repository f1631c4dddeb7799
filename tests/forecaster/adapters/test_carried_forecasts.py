"""Forecasts from kept anchors are those from the whole history, and outlive the process."""

from __future__ import annotations

import io
import logging
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from forecaster.adapters.carried_forecasts import CarriedForecasts
from forecaster.data.series import Forecast, History, Series
from forecaster.models.forecaster import Forecaster
from tests.forecaster.evaluation.fitting_samples import DAY, changed, traffic

START = 9 * DAY
_buffer = io.BytesIO()
np.save(_buffer, np.zeros(3))
AN_ARRAY = _buffer.getvalue()


@pytest.fixture(scope="module")
def lasting(forecaster) -> Forecaster:
    """The forecaster with every item served by a network."""
    models = {name: replace(one, source="lstm") for name, one in forecaster.item_models.items()}
    default = replace(forecaster.default_model, source="lstm")
    return replace(forecaster, item_models=models, default_model=default)


@pytest.fixture(scope="module")
def items() -> list[Series]:
    """Five items; one with gaps, one that is silent at times."""
    found = list(traffic(5, 12, seed=3))
    rng = np.random.default_rng(0)
    holes = rng.random(len(found[1])) < 0.2
    found[1] = changed(found[1], lambda values: np.where(holes, np.nan, values))
    found[2] = changed(
        found[2], lambda values: np.where(np.arange(len(values)) % 90 < 30, 0, values)
    )
    return found


def until(series: list[Series], newest: int, *, length: int | None = None) -> list[Series]:
    """Return the histories up to a sample, of the last ``length`` samples."""
    first = 0 if length is None else newest + 1 - length
    return [s.between(s.start + first * s.step, s.start + (newest + 1) * s.step) for s in series]


def by_item(found: tuple[Forecast, list[int]]) -> dict[str, tuple]:
    forecast, _ = found
    return {
        item: (forecast.origins[row], forecast.sources[row], forecast.values[row].tolist())
        for row, item in enumerate(forecast.item_ids)
    }


def expected(forecaster: Forecaster, series: list[Series]) -> dict[str, tuple]:
    return by_item((forecaster.predict(History(tuple(series))), []))


def test_sample_by_sample_they_are_those_of_the_whole_history(lasting, items):
    carried = CarriedForecasts(lasting)
    for newest in range(START, START + 20):
        series = until(items, newest)
        assert by_item(carried.predict(series)) == expected(lasting, series)


def test_a_history_of_eight_days_is_enough_to_go_on_with_what_was_known_before(lasting, items):
    """Same samples since the item was first seen, same forecast, whatever is still in memory."""
    carried = CarriedForecasts(lasting)
    carried.predict(until(items, START))
    for newest in range(START + 1, START + DAY, 7):
        series = until(items, newest, length=8 * DAY)
        assert by_item(carried.predict(series)) == expected(lasting, until(items, newest))


def test_items_come_and_go_fall_behind_and_catch_up(lasting, items):
    carried = CarriedForecasts(lasting)
    at = {one.item_id: START for one in items}
    rng = np.random.default_rng(1)
    for _ in range(25):
        for item in at:
            at[item] += int(rng.choice([0, 1, 1, 1, 2, 40]))
        present = [one for one in items if rng.random() < 0.8]
        rng.shuffle(present)
        series = [until([one], at[one.item_id])[0] for one in present]
        if series:
            assert by_item(carried.predict(series)) == expected(lasting, series)


def test_a_late_sample_is_noticed(lasting, items):
    carried = CarriedForecasts(lasting)
    gap = changed(
        items[0], lambda values: np.where(np.arange(len(values)) == START - 3, np.nan, values)
    )
    carried.predict(until([gap], START))
    series = until([items[0]], START + 1)
    assert by_item(carried.predict(series)) == expected(lasting, series)


def test_a_history_that_ends_earlier_than_before_is_computed_anew(lasting, items):
    carried = CarriedForecasts(lasting)
    carried.predict(until(items, START))
    series = until(items, START - 5)
    assert by_item(carried.predict(series)) == expected(lasting, series)


class Failing(list):
    """Histories of which the second cannot be made."""

    def __getitem__(self, place):
        if place == 1:
            raise RuntimeError("no such history")
        return super().__getitem__(place)


def test_an_item_without_a_known_sample_one_of_another_step_and_one_that_fails_are_left_out(
    lasting, items
):
    unknown = changed(replace(items[0], item_id="a/unknown"), lambda values: values * np.nan)
    hourly = replace(items[0], item_id="an/hourly").resampled(timedelta(hours=1))
    carried = CarriedForecasts(lasting)
    for newest in (START, START + 1):
        series = [unknown, hourly, *until(items, newest)]
        found, left = carried.predict(Failing(series))
        assert left == [0, 1]
        assert by_item((found, left)) == expected(lasting, series[2:])
    assert carried.predict(until([unknown], START)) == (None, [0])


def test_items_that_a_naive_forecaster_serves_are_left_out(lasting, items):
    models = dict(lasting.item_models)
    models[items[1].item_id] = replace(lasting.default_model, source="holt_winters")
    found, left = CarriedForecasts(replace(lasting, item_models=models)).predict(
        until(items, START)
    )
    assert left == [1]
    assert items[1].item_id not in found.item_ids


def test_a_new_champion_goes_on_with_the_same_anchors(lasting, items):
    """It may be of other candidates; here by another that serves."""
    carried = CarriedForecasts(lasting)
    carried.predict(until(items, START))
    models = {name: replace(m, source="ridge") for name, m in lasting.item_models.items()}
    other = replace(lasting, item_models=models)
    carried.serve(other)
    series = until(items, START + 1, length=8 * DAY)
    assert by_item(carried.predict(series)) == expected(other, until(items, START + 1))


def test_a_snapshot_is_the_truth_after_a_restart(lasting, items, tmp_path):
    """What is read again of the time before may be less, or other: it does not count."""
    path = tmp_path / "anchors" / "web.npz"
    before = CarriedForecasts(lasting, path)
    before.predict(until(items, START))
    before.snapshot()()
    again = [
        changed(one, lambda v: np.where(np.arange(len(v)) <= START, v * 1.001, v)) for one in items
    ]
    after = CarriedForecasts(lasting, path)
    newest = START + 3
    found = by_item(after.predict(until(again, newest, length=8 * DAY)))
    truth = expected(lasting, until(items, newest))
    other = expected(lasting, until(again, newest))
    for item, (origin, source, values) in found.items():
        assert (origin, source) == truth[item][:2]
        # Yesterday's samples are read from the history, all else is the snapshot's.
        off, far = (np.abs(np.subtract(values, one[item][2])).max() for one in (truth, other))
        assert off < far
    series = until(again, newest + 1, length=8 * DAY)
    assert by_item(after.predict(series)).keys() == found.keys()


def test_a_snapshot_goes_on_to_the_bit(lasting, items, tmp_path):
    path = tmp_path / "web.npz"
    before = CarriedForecasts(lasting, path)
    before.predict(until(items, START))
    before.snapshot()()
    after = CarriedForecasts(lasting, path)
    for newest in (START + 5, START + 6, START + 30):
        series = until(items, newest, length=8 * DAY)
        assert by_item(after.predict(series)) == expected(lasting, until(items, newest))


def test_items_that_come_back_one_by_one_go_on_with_the_snapshot(lasting, items, tmp_path):
    """After a restart histories are read by and by; a second restart meanwhile loses nothing."""
    path = tmp_path / "web.npz"
    before = CarriedForecasts(lasting, path)
    before.predict(until(items, START))
    before.snapshot()()
    for count in range(1, len(items) + 1):
        after = CarriedForecasts(lasting, path)
        newest = START + count
        series = until(items[:count], newest, length=8 * DAY)
        assert by_item(after.predict(series)) == expected(lasting, until(items[:count], newest))
        after.snapshot()()


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda path: path.write_bytes(b""), id="empty"),
        pytest.param(lambda path: path.write_bytes(b"no archive"), id="no archive"),
        pytest.param(lambda path: path.write_bytes(path.read_bytes()[:-900]), id="cut off"),
        pytest.param(
            lambda path: path.write_bytes(path.read_bytes().replace(b"\x3f", b"\x40")), id="flipped"
        ),
        pytest.param(lambda path: np.savez(path, format=np.array(99)), id="another version"),
        pytest.param(lambda path: np.savez(path, format=np.array(1)), id="nothing in it"),
        pytest.param(lambda path: path.write_bytes(AN_ARRAY), id="an array"),
    ],
)
def test_a_broken_snapshot_is_told_and_left_alone(lasting, items, tmp_path, caplog, spoil):
    path = tmp_path / "web.npz"
    kept = CarriedForecasts(lasting, path)
    kept.predict(until(items, START))
    kept.snapshot()()
    spoil(path)
    with caplog.at_level(logging.WARNING):
        again = CarriedForecasts(lasting, path)
    assert "is not used" in caplog.text
    series = until(items, START + 1)
    assert by_item(again.predict(series)) == expected(lasting, series)


def test_a_snapshot_of_another_timing_is_left_alone(lasting, items, tmp_path, caplog):
    path = tmp_path / "web.npz"
    kept = CarriedForecasts(lasting, path)
    kept.predict(until(items, START))
    kept.snapshot()()
    model = replace(lasting.model, context_length=60)
    other = replace(lasting, candidates=replace(lasting.candidates, model=model))
    CarriedForecasts(other, path)
    assert "is not used" in caplog.text


def test_a_snapshot_that_cannot_be_written_is_told(lasting, items, tmp_path, caplog):
    (tmp_path / "file").write_text("")
    kept = CarriedForecasts(lasting, tmp_path / "file" / "web.npz")
    kept.predict(until(items, START))
    kept.snapshot()()
    assert "is not written" in caplog.text


def test_more_than_a_day_behind_is_computed_anew(lasting, items):
    carried = CarriedForecasts(lasting)
    carried.predict(until(items, START))
    series = until(items, START + 2 * DAY)
    assert by_item(carried.predict(series)) == expected(lasting, series)


def test_a_step_of_another_phase_is_computed_anew(lasting, items):
    carried = CarriedForecasts(lasting)
    carried.predict(until(items, START))
    moved = [replace(one, start=one.start + timedelta(minutes=1)) for one in until(items, START)]
    assert by_item(carried.predict(moved)) == expected(lasting, moved)
