"""`--timezone`: the zone whose clocks each item's traffic follows."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from forecaster.adapters.carried_forecasts import CarriedForecasts
from forecaster.adapters.registry.loading import load_forecaster
from forecaster.adapters.tables.history_files import read_history, write_history
from forecaster.adapters.tables.history_frames import history_from_frame
from forecaster.cli import main
from forecaster.data.series import History, Series
from forecaster.errors import HistoryError
from forecaster.models.forecaster import Forecaster
from tests.forecaster.evaluation.fitting_samples import assert_same_forecast
from tests.paths import ROOT

START = datetime(2026, 3, 18, tzinfo=UTC)  # eleven days before the clocks change in Europe


def office(days: float, zone: str = "Europe/Berlin", item: str = "shop/api") -> Series:
    """Traffic of people who begin at eight, by their own clocks."""
    stamps = pd.date_range(START, periods=round(days * 1440), freq="60s")
    there = stamps.tz_convert(zone)
    hour = there.hour + there.minute / 60
    rng = np.random.default_rng(3)
    open_ = 1 / (1 + np.exp(-(hour - 8) * 12)) * (1 - 1 / (1 + np.exp(-(hour - 18) * 6)))
    values = 1000 * (0.15 + 0.85 * open_) * np.exp(rng.normal(0, 0.03, len(hour)))
    return Series(item, START, timedelta(minutes=1), values)


@pytest.fixture(scope="module")
def pretrained() -> Forecaster:
    return load_forecaster(ROOT / "models", "pretrained")


def error(pretrained: Forecaster, zone: str, named: str | None, day: int) -> float:
    """Return the mean error of the median over the opening of a day, relative to the peak."""
    opening = pd.Timestamp(f"{START + timedelta(days=day):%Y-%m-%d} 07:45", tz=zone)
    known = office((opening.tz_convert(UTC) - START) / timedelta(days=1), zone)
    ahead = office(len(known) / 1440 + 1, zone).values[len(known) : len(known) + 30]
    forecast = pretrained.predict(History((replace(known, timezone=named),)))
    return float(np.abs(forecast.quantile(0.5)[0] - ahead).mean() / 1000)


@pytest.mark.parametrize("day", [11, 12, 13, 16])
def test_after_the_clocks_change_the_forecast_follows_the_people(pretrained, day):
    """From the second day on also where nobody has named the zone."""
    assert error(pretrained, "Europe/Berlin", "UTC", day) > 0.13  # as if the clocks had not changed
    assert error(pretrained, "Europe/Berlin", "Europe/Berlin", day) < 0.06
    assert day == 11 or error(pretrained, "Europe/Berlin", None, day) < 0.06
    assert error(pretrained, "Etc/GMT-1", None, day) < 0.06  # clocks that do not change


def test_the_live_loop_takes_the_zone_from_the_model(pretrained, tmp_path):
    """Carried from the day before the change on, over a restart, and from an older snapshot."""
    berlin = replace(
        pretrained, default_model=replace(pretrained.default_model, timezone="Europe/Berlin")
    )
    whole, anchors = office(13), tmp_path / "pretrained.npz"
    begin = 10 * 1440 + 1400
    carried = CarriedForecasts(berlin, anchors)
    for newest in range(begin, begin + 1440, 97):
        one = whole.between(whole.start, whole.start + newest * whole.step)
        forecast, left = carried.predict([one])
        assert left == []
        assert_same_forecast(forecast, berlin.predict(History((one,))))
        carried.snapshot()()
        carried = CarriedForecasts(berlin, anchors)


def test_a_snapshot_without_zones_serves_those_that_name_none(pretrained, tmp_path):
    whole, anchors = office(13), tmp_path / "pretrained.npz"
    carried = CarriedForecasts(pretrained, anchors)
    carried.predict([whole.between(whole.start, whole.end - whole.step)])
    carried.snapshot()()
    arrays = {name: array for name, array in np.load(anchors).items() if name != "zones"}
    np.savez(anchors, **arrays)  # as it was written before there were zones
    berlin = replace(
        pretrained, default_model=replace(pretrained.default_model, timezone="Europe/Berlin")
    )
    for forecaster in (pretrained, berlin):
        forecast, _ = CarriedForecasts(forecaster, anchors).predict([whole])
        assert_same_forecast(forecast, forecaster.predict(History((whole,))))


def long(**zones: str) -> pd.DataFrame:
    items = [office(0.5, item=item) for item in zones]
    frame = History(tuple(items)).to_frame()
    return frame.assign(timezone=frame["item_id"].map(zones))


def zones_of(history: History) -> list[str | None]:
    return [series.timezone for series in history]


def test_a_column_names_the_zone_of_each_item_and_is_stored(tmp_path):
    history = history_from_frame(long(a="Europe/Berlin", b="America/New_York", c=""))
    assert zones_of(history) == ["Europe/Berlin", "America/New_York", None]
    write_history(tmp_path / "h.parquet", history, [])
    assert zones_of(read_history(tmp_path / "h.parquet").history) == zones_of(history)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        pytest.param("Europe/Berlin", "Europe/Berlin", id="of all"),
        pytest.param("UTC", None, id="UTC only says how stamps are written"),
        pytest.param("+02:00", None, id="an offset, too"),
        pytest.param(None, None, id="none"),
    ],
)
def test_the_zone_of_the_stamps_is_that_of_the_people(named, expected):
    frame = long(a="", b="").drop(columns="timezone")
    assert zones_of(history_from_frame(frame, timezone=named)) == [expected] * 2


def test_two_zones_of_one_item_are_refused():
    frame = long(a="Europe/Berlin")
    frame.loc[0, "timezone"] = "Europe/Paris"
    with pytest.raises(HistoryError, match="more than one zone"):
        history_from_frame(frame)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        pytest.param(["Europe/Berlim"], "no time zone 'Europe/Berlim'", id="no such zone"),
        pytest.param(["shop/api=Mars"], "no time zone 'Mars'", id="no such zone of an item"),
        pytest.param(["Europe/Paris", "UTC"], "Europe/Paris and UTC", id="two of all"),
        pytest.param(["shop/web=UTC"], "names the item 'shop/web'.*shop/api", id="no such item"),
    ],
)
def test_a_wrong_option_is_one_message_and_exit_2(tmp_path, capsys, options, words):
    write_history(tmp_path / "h.parquet", History((office(3),)), [])
    given = [word for option in options for word in ("--timezone", option)]
    place = ["--models", str(ROOT / "models"), "--name", "pretrained"]
    assert main(["predict", *place, "--history", str(tmp_path / "h.parquet"), *given]) == 2
    assert re.search(words, capsys.readouterr().err)


def test_training_stores_the_zone_and_predict_uses_it(tmp_path, capsys):
    web = replace(office(9, item="shop/web"))
    write_history(tmp_path / "h.parquet", History((office(9), web)), [])
    source = ["--history", str(tmp_path / "h.parquet")]
    fit = ["--time-budget", "1s", "--promote", "always", "--device", "cpu"]
    zones = ["--timezone", "Europe/Berlin", "--timezone", "shop/web=America/New_York"]
    stored = ["--out", str(tmp_path / "m"), "--name", "web"]
    assert main(["train", *source, *stored, *fit, *zones]) == 0
    found = load_forecaster(tmp_path / "m", "web")
    named = {item: model.timezone for item, model in found.item_models.items()}
    assert named == {"shop/api": "Europe/Berlin", "shop/web": "America/New_York"}
    assert found.default_model.timezone is None  # as they differ
    assert found.zoned(office(1)).timezone == "Europe/Berlin"
    paris = replace(office(1), timezone="Europe/Paris")
    assert found.zoned(paris).timezone == "Europe/Paris"  # the history's own comes first
