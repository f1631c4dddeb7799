"""Jobs that come at a local time of the day or the week, across a change of the clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from forecaster import load_forecaster
from forecaster.data.local_clock import clock_of
from forecaster.data.series import Series
from forecaster.evaluation.rolling import rolling_forecast
from forecaster.features.anchors import build_track
from forecaster.features.windows import cut_windows
from forecaster.models.carried import CarriedAnchors
from forecaster.models.config import ModelConfig
from tests.paths import ROOT

BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN = datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)
HEIGHT = 60.0
AHEAD = 10  # minutes before a job that it is looked for


def jobs(change: datetime, hour: int, days: range, every: int) -> list[datetime]:
    """Return when a job comes, a number of days from that of the change on, in local time."""
    begin = change.astimezone(BERLIN).replace(hour=hour, tzinfo=None)
    local = [begin + timedelta(days=day) for day in days if day % every == 0]
    return [at.replace(tzinfo=BERLIN).astimezone(UTC) for at in local]


def shop(
    change: datetime, hour: int, every: int = 1, step: int = 1, zone: str | None = "Europe/Berlin"
) -> Series:
    """Return weeks about a change of 100 +- 1 requests per second, with a job of five minutes."""
    start = change - timedelta(days=23)
    stamps = int(start.timestamp()) + 60 * step * np.arange(32 * 1440 // step)
    values = 100 + np.random.default_rng(0).standard_normal(len(stamps))
    for at in jobs(change, hour, range(-22, 9), every):
        since = stamps - at.timestamp()
        values[(since >= 0) & (since < 300)] += HEIGHT
    return Series("shop/api", start, timedelta(minutes=step), values, zone)


def expected(series: Series, at: datetime) -> float:
    """Return the height that is expected at a moment some minutes ahead."""
    config = ModelConfig()
    clock = clock_of(series, config.timing.ahead)
    track = build_track(series.values[None].astype(np.float32), config.timing, clock)
    origin = np.array([(at - series.start) // series.step - AHEAD])
    windows = cut_windows(track, np.array([0]), origin, config.context_length)
    return float(windows.shock[0, AHEAD - 1, 0])


@pytest.mark.parametrize("change", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize(
    ("hour", "every", "days"),
    [
        # On the day of the change itself 02:00 does not come, or comes twice.
        pytest.param(2, 1, range(1, 4), id="each day at 02:00"),
        pytest.param(5, 1, range(3), id="each day at 05:00"),
        pytest.param(5, 7, range(8), id="each week at 05:00"),
    ],
)
def test_a_job_at_a_local_time_is_expected_across_the_change_where_the_zone_is_named(
    change, hour, every, days
):
    series, fixed = (shop(change, hour, every, zone=zone) for zone in ("Europe/Berlin", None))
    for at in jobs(change, hour, days, every):
        assert expected(series, at) == pytest.approx(HEIGHT, rel=0.1)
        assert expected(fixed, at) == 0
    (before,) = jobs(change, hour, range(-7, -6), every)
    assert expected(fixed, before) == expected(series, before) > 0


@pytest.mark.parametrize("change", [SPRING, AUTUMN], ids=["spring", "autumn"])
def test_a_daily_job_at_two_is_covered_as_before_the_change(change):
    tiny, covered = load_forecaster(ROOT / "models", "pretrained"), {}
    series = shop(change, 2)
    for name, days in {"before": range(-4, 0), "after": range(1, 5)}.items():
        at = [(one - series.start) // series.step for one in jobs(change, 2, days, 1)]
        minutes = np.array(at)[:, None] + np.arange(5)
        forecast = rolling_forecast(tiny, series, np.array(at) - AHEAD)
        foreseen = forecast.quantile(0.95)[:, AHEAD - 1 : AHEAD + 4]
        covered[name] = float((series.values[minutes] <= foreseen).mean())
    assert covered["after"] >= covered["before"] - 0.1 >= 0.7


@pytest.mark.parametrize("change", [SPRING, AUTUMN], ids=["spring", "autumn"])
@pytest.mark.parametrize("every", [1, 7], ids=["each day", "each week"])
def test_what_is_carried_by_a_week_of_samples_expects_what_the_whole_history_does(change, every):
    """A change lies before the samples that are given, but not before all jobs."""
    series = shop(change, 5, every, step=5)
    config = ModelConfig(step=series.step, prediction_length=6, context_length=24)
    carried, day = CarriedAnchors(config), 288
    found = 0
    for length in [*range(8 * day, 30 * day, 97), *range(30 * day, 30 * day + 150, 5)]:
        known = series.between(series.start, series.start + length * series.step)
        recent = known.between(known.end - timedelta(days=8), known.end)
        newest = carried.newest([recent], lambda _: True)
        clock = clock_of(known, config.timing.ahead)
        values = known.values[None].astype(np.float32)
        track = build_track(values, config.timing, clock)
        whole = cut_windows(track, np.array([0]), np.array([length - 1]), config.context_length)
        np.testing.assert_array_equal(newest.windows.shock, whole.shock)
        found += int((whole.shock > 0).any())
    assert found > 0
