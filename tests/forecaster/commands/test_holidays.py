"""`--holidays`: dates on which traffic is like that of a Sunday."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from forecaster import load_forecaster
from forecaster.adapters.carried_forecasts import CarriedForecasts
from forecaster.adapters.tables.history_files import read_history, write_history
from forecaster.cli import main
from forecaster.commands.holidays import holidays_in
from forecaster.data.quality import QualityRules
from forecaster.data.series import History, Series
from forecaster.errors import ConfigError
from forecaster.evaluation.rolling import rolling_forecast
from forecaster.models.forecaster import Forecaster
from tests.forecaster.adapters.prometheus.server import FakeSeries, PrometheusServer, serving
from tests.forecaster.models.test_forecaster import assert_same_forecast
from tests.paths import ROOT

MONDAY = datetime(2026, 6, 1, tzinfo=UTC)
MINUTE, DAY = timedelta(minutes=1), 1440
HOLIDAY = date(2026, 6, 18)  # a Thursday
ON_IT, A_WEEK_LATER = 17, 24  # days from the Monday on


def shop(days: float = 28, item: str = "shop/api") -> Series:
    """Return weeks of traffic that opens at 8 on working days, and hardly at weekends."""
    rng = np.random.default_rng(1)
    minute = np.arange(round(days * DAY))
    hour, day = minute % DAY / 60, minute // DAY
    free = (day % 7 >= 5) | (day == ON_IT)
    busy = 1 / (1 + np.exp(-(hour - 8) * 12)) * (1 - 1 / (1 + np.exp(-(hour - 18) * 6)))
    usual = 150 + np.where(free, 150, 850) * busy
    return Series(item, MONDAY, MINUTE, usual * np.exp(rng.normal(0, 0.03, len(minute))))


@pytest.fixture(scope="module")
def pretrained() -> Forecaster:
    return load_forecaster(ROOT / "models", "pretrained")


def errors(pretrained: Forecaster, day: int, holidays: tuple[date, ...]) -> np.ndarray:
    """Return the mean errors of the median over the next half hour, from 7 to 10 of a day."""
    series = replace(shop(), holidays=holidays)
    origins = day * DAY + np.arange(7 * 60, 10 * 60)
    forecast = rolling_forecast(pretrained, series, origins)
    ahead = series.values[origins[:, None] + 1 + np.arange(30)]
    return np.abs(forecast.quantile(0.5) - ahead).mean(axis=1)


@pytest.mark.parametrize(
    ("day", "share"),
    [
        pytest.param(ON_IT, 0.6, id="the holiday"),
        pytest.param(ON_IT + 1, 0.95, id="the day after"),
        pytest.param(A_WEEK_LATER, 0.98, id="the week after"),
    ],
)
def test_a_holiday_that_is_named_is_foreseen_and_not_forecast_again(pretrained, day, share):
    named, not_named = (errors(pretrained, day, dates).mean() for dates in ((HOLIDAY,), ()))
    assert named < share * not_named


def test_the_live_loop_takes_the_holidays_from_the_model(pretrained, tmp_path):
    """Carried from the evening before to a week later, over restarts."""
    knowing, anchors = replace(pretrained, holidays=(HOLIDAY,)), tmp_path / "pretrained.npz"
    whole = shop()
    carried = CarriedForecasts(knowing, anchors)
    for newest in range(ON_IT * DAY - 100, (A_WEEK_LATER + 1) * DAY, 1237):
        one = whole.between(MONDAY, MONDAY + newest * MINUTE)
        forecast, left = carried.predict([one])
        assert left == []
        assert_same_forecast(forecast, knowing.predict(History((one,))))
        carried.snapshot()()
        carried = CarriedForecasts(knowing, anchors)


def test_what_is_fetched_with_a_zone_and_holidays_is_trained_on_with_both(tmp_path):
    (tmp_path / "days.csv").write_text(f"{HOLIDAY}\n")
    values = dict(zip(shop(9).stamps.tolist(), shop(9).values.tolist(), strict=True))
    answers = {"q": [FakeSeries({"job": "api"}, lambda at: str(values[at]))]}
    file = str(tmp_path / "h.parquet")
    with serving(PrometheusServer(answers)) as server:
        source = ["--prometheus", server.url, "--query", "q", "--item-label", "job", "--no-cache"]
        span = ["--start", f"{MONDAY:%FT%TZ}", "--end", f"{MONDAY + timedelta(days=9):%FT%TZ}"]
        said = ["--timezone", "Europe/Berlin", "--holidays", str(tmp_path / "days.csv")]
        assert main(["fetch", *source, *span, *said, "--out", file]) == 0
    for rules in (None, QualityRules()):  # as it was written, and inspected anew
        (found,) = read_history(file, rules=rules).history.resampled(5 * MINUTE)
        assert (found.timezone, found.holidays) == ("Europe/Berlin", (HOLIDAY,))
    fit = ["--time-budget", "1s", "--promote", "always", "--device", "cpu"]
    models = str(tmp_path / "m")
    assert main(["train", "--history", file, "--out", models, "--name", "web", *fit]) == 0
    known = load_forecaster(models, "web").zoned(shop(1, "api"))
    assert (known.timezone, known.holidays) == ("Europe/Berlin", (HOLIDAY,))


def test_training_stores_the_holidays_and_a_file_comes_before_them(tmp_path):
    (tmp_path / "days.csv").write_text(f"date,name\n{HOLIDAY},A day off\n2026-12-25\n")
    write_history(tmp_path / "h.parquet", History((shop(9),)), [])
    source = ["--history", str(tmp_path / "h.parquet"), "--holidays", str(tmp_path / "days.csv")]
    fit = ["--time-budget", "1s", "--promote", "always", "--device", "cpu"]
    assert main(["train", *source, "--out", str(tmp_path / "m"), "--name", "web", *fit]) == 0
    found = load_forecaster(tmp_path / "m", "web")
    assert found.holidays == (HOLIDAY, date(2026, 12, 25))
    assert found.zoned(shop(1)).holidays == found.holidays
    other = replace(shop(1), holidays=(date(2026, 6, 4),))
    assert found.zoned(other).holidays == other.holidays


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param("2026-12-25\n25.12.2026\n", "line 2 .* begins with '25.12.2026'", id="a date"),
        pytest.param("# none yet\n", "names no date", id="nothing"),
        pytest.param(None, "cannot be read", id="no file"),
    ],
)
def test_a_wrong_file_is_refused_by_its_line(tmp_path, text, words):
    if text is not None:
        (tmp_path / "days").write_text(text)
    with pytest.raises(ConfigError, match=words):
        holidays_in(tmp_path / "days")
