"""Traffic that follows clocks which nobody has named is told from traffic that does not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from forecaster.data.clock_changes import followed_clocks, learned_zone
from forecaster.data.local_clock import utc_offsets
from forecaster.data.series import Series

STEP = timedelta(minutes=5)


def traffic(zone: str, *, start: str = "2026-03-01", days: int = 42, noise: float = 0.1) -> Series:
    begin = datetime.fromisoformat(start).replace(tzinfo=UTC)
    stamps = int(begin.timestamp()) + 300 * np.arange(days * 288)
    hour = (stamps + utc_offsets(zone, stamps)) % 86_400 / 3600
    weekday = (stamps // 86_400 + 3) % 7
    rng = np.random.default_rng(0)
    shape = (1 + np.sin((hour - 9) / 24 * 2 * np.pi)) * np.where(weekday > 4, 0.6, 1)
    return Series(
        "a", begin, STEP, (100 * shape + 5) * rng.gamma(1 / noise**2, noise**2, len(hour))
    )


@pytest.mark.parametrize(
    ("series", "region"),
    [
        pytest.param(traffic("Europe/Berlin"), "Europe", id="spring"),
        pytest.param(traffic("Europe/London"), "Europe", id="another zone of the region"),
        pytest.param(traffic("Europe/Berlin", start="2026-10-10"), "Europe", id="autumn"),
        pytest.param(traffic("America/Chicago", start="2026-02-20"), "North America", id="west"),
        pytest.param(traffic("Europe/Berlin", noise=0.2), "Europe", id="noisy"),
        pytest.param(traffic("Etc/GMT-1"), None, id="a fixed zone"),
        pytest.param(traffic("Asia/Tokyo"), None, id="clocks that do not change"),
        pytest.param(traffic("Europe/Berlin", days=30), None, id="one day after it: too few"),
        pytest.param(traffic("Europe/Berlin", start="2026-03-25"), None, id="no week before it"),
        pytest.param(traffic("Etc/GMT-1", noise=1.0), None, id="noise"),
    ],
)
def test_a_change_of_the_clocks_shows_who_follows_it(series, region):
    found = followed_clocks([series])
    assert (found and found.region) == region


def test_an_item_whose_zone_is_named_is_not_told_of():
    berlin = traffic("Europe/Berlin")
    assert followed_clocks([replace(berlin, timezone="Europe/Berlin")]) is None
    line = str(followed_clocks([berlin, replace(berlin, item_id="b")]))
    assert line.startswith("2 items follow the clocks of Europe, which changed on 2026-03-29")
    assert line.endswith("--timezone Europe/Berlin")


def until(series: Series, moment: str) -> Series:
    return series.between(series.start, datetime.fromisoformat(moment).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("series", "moment", "zone"),
    [
        pytest.param(traffic("Europe/Berlin"), "2026-03-29T11:00", None, id="the same morning"),
        pytest.param(traffic("Europe/Berlin"), "2026-03-30T05:45", "Europe/Berlin", id="next day"),
        pytest.param(traffic("Europe/Berlin"), "2026-04-05T05:45", "Europe/Berlin", id="a week"),
        pytest.param(traffic("Europe/Berlin"), "2026-04-10T05:45", None, id="long after"),
        pytest.param(traffic("Europe/Berlin"), "2026-03-28T05:45", None, id="before"),
        pytest.param(
            traffic("Europe/Berlin", start="2026-03-22", days=9),
            *("2026-03-30T05:45", "Europe/Berlin"),
            id="eight days, as a live loop has",
        ),
        pytest.param(
            traffic("America/Chicago", start="2026-02-20"),
            *("2026-03-09T18:30", "America/New_York"),
            id="west",
        ),
        pytest.param(traffic("Etc/GMT-1"), "2026-03-30T05:45", None, id="a fixed zone"),
        pytest.param(traffic("Etc/GMT-1", noise=1.0), "2026-03-30T05:45", None, id="noise"),
    ],
)
def test_the_zone_is_learned_from_the_second_day_on(series, moment, zone):
    assert learned_zone(until(series, moment)) == zone
