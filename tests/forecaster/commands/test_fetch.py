"""`forecaster fetch` as an operator meets it: exit codes, messages, files."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from forecaster.adapters.tables.history_files import read_history
from forecaster.cli import main
from forecaster.commands.spans import moment, span
from forecaster.data.series import History
from forecaster.errors import ConfigError
from tests.forecaster.adapters.prometheus.server import (
    FakeSeries,
    PrometheusServer,
    Reply,
    failure,
    serving,
)
from tests.waiting import eventually

START = datetime(2026, 3, 28, tzinfo=UTC)
QUERY = "sum by (namespace, service) (rate(requests_total[5m]))"
COUNTER = "sum by (namespace, service) (requests_total)"
WITH_INF = "a / b"
HOURS = 30
ORIGIN = int(START.timestamp())


def shop(stamp: int) -> str:
    minute = (stamp - ORIGIN) // 60
    return f"{100 + 40 * np.sin(minute / 229) + minute * 7 % 11:.3f}"


def search(stamp: int) -> str | None:
    minute = (stamp - ORIGIN) // 60
    return shop(stamp) if 300 <= minute < 1200 else None


def counter(stamp: int) -> str:
    """Rises by about 60 a minute and restarts from 0 after 16 hours."""
    minute = (stamp - ORIGIN) // 60 % 960
    return str(60 * minute + minute * 7 % 11)


def with_inf(stamp: int) -> str:
    odd = {ORIGIN + 600: "+Inf", ORIGIN + 660: "-Inf", ORIGIN + 720: "NaN"}
    return odd.get(stamp, shop(stamp))


def labels(service: str) -> dict[str, str]:
    return {"namespace": "prod", "service": service}


@pytest.fixture
def server() -> Iterator[PrometheusServer]:
    answers = {
        QUERY: [FakeSeries(labels("shop"), shop), FakeSeries(labels("search"), search)],
        COUNTER: [FakeSeries(labels("shop"), counter)],
        WITH_INF: [FakeSeries(labels("shop"), with_inf)],
    }
    with serving(PrometheusServer(answers)) as running:
        yield running


def arguments(server: PrometheusServer, folder: Path, *more: str, query: str = QUERY) -> list[str]:
    return [
        *("fetch", "--prometheus", server.url, "--query", query),
        *("--start", "2026-03-28T00:00:00Z", "--end", "2026-03-29T06:00:00Z", "--step", "1m"),
        *("--item-label", "namespace", "--item-label", "service", "--chunk-points", "300"),
        *("--out", str(folder / "history.parquet"), "--cache-dir", str(folder / "cache"), *more),
    ]


def history(folder: Path) -> History:
    return read_history(folder / "history.parquet").history


def test_a_fetch_writes_every_item_on_the_grid_and_says_so(
    server: PrometheusServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(server, tmp_path)) == 0
    found = history(tmp_path)
    assert found.item_ids == ("prod/search", "prod/shop")
    expected = [float(shop(stamp)) for stamp in found["prod/shop"].stamps]
    assert len(expected) == HOURS * 60
    np.testing.assert_array_equal(found["prod/shop"].values, expected)
    assert "2 items" in capsys.readouterr().out


def test_outside_its_life_a_series_is_missing_and_never_zero(
    server: PrometheusServer, tmp_path: Path
) -> None:
    assert main(arguments(server, tmp_path)) == 0
    found = history(tmp_path)["prod/search"]
    alive = found.between(START + timedelta(minutes=300), START + timedelta(minutes=1200))
    assert not np.isnan(alive.values).any()
    assert np.isfinite(found.values).sum() == 900


def test_no_request_asks_for_more_points_than_prometheus_answers(
    server: PrometheusServer, tmp_path: Path
) -> None:
    long = ["--step", "5s", "--chunk-points", "11000"]
    assert main(arguments(server, tmp_path, *long)) == 0
    assert max(asked.points for asked in server.asked) == 11_000
    assert sum(asked.points for asked in server.asked) == HOURS * 3600 // 5


ZONED = "sum by (service, timezone) (zoned)"
ZONES = {"shop": "Europe/Berlin", "search": "America/New_York", "till": "", "odd": "Mars"}


@pytest.mark.parametrize(
    ("more", "names"),
    [
        pytest.param((), ["search", "shop", "till"], id="named by all other labels"),
        pytest.param(
            ("--item-label", "service", "--item-label", "timezone"),
            ["search/America/New_York", "shop/Europe/Berlin"],
            id="named by it, too",
        ),
    ],
)
def test_the_label_timezone_names_the_zone_of_each_item(
    tmp_path: Path, more: tuple[str, ...], names: list[str]
) -> None:
    services = ZONES.keys() - {"odd"} - ({"till"} if more else set())
    assert fetch_zoned(tmp_path, services, *more, "--timezone", "Asia/Tokyo") == 0
    zones = {one.item_id: one.timezone for one in history(tmp_path)}
    expected = {name: ZONES[name.partition("/")[0]] or "Asia/Tokyo" for name in names}
    assert zones == expected


def test_a_label_timezone_that_names_no_zone_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetch_zoned(tmp_path, ["odd"]) == 2
    assert "there is no time zone 'Mars'" in capsys.readouterr().err


def fetch_zoned(folder: Path, services: Iterable[str], *more: str) -> int:
    series = [
        FakeSeries({"service": one} | ({"timezone": ZONES[one]} if ZONES[one] else {}), shop)
        for one in services
    ]
    with serving(PrometheusServer({ZONED: series})) as server:
        source = ["--prometheus", server.url, "--query", ZONED, "--no-cache"]
        span = ["--start", "2026-03-28T00:00:00Z", "--end", "2026-03-29T06:00:00Z"]
        out = ["--out", str(folder / "history.parquet")]
        return main(["fetch", *source, *span, *out, *more])


def test_infinite_values_become_missing_and_are_counted(
    server: PrometheusServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(server, tmp_path, query=WITH_INF)) == 0
    assert np.flatnonzero(np.isnan(history(tmp_path)["prod/shop"].values)).tolist() == [10, 11, 12]
    assert "2 infinite values" in capsys.readouterr().out


def test_a_raw_counter_is_refused_with_the_word_rate(
    server: PrometheusServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(server, tmp_path, query=COUNTER)) == 2
    assert "rate(" in capsys.readouterr().err
    assert not (tmp_path / "history.parquet").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param(["--query", "rate("], "1:12: parse error", id="bad PromQL"),
        pytest.param(["--query", "nothing"], "matches no series", id="an empty result"),
        pytest.param(["--item-label", "pod"], "without the label pod", id="no such label"),
        pytest.param(["--prometheus", "prom:9090"], "http://prometheus:9090", id="a bad URL"),
        pytest.param(["--start", "yesterday"], "--start is 'yesterday'", id="a bad start"),
        pytest.param(["--start", "2026-03-28T00:00:00"], "no time zone", id="no time zone"),
        pytest.param(["--end", "2026-03-27T00:00:00Z"], "--end must be", id="end before start"),
        pytest.param(["--step", "0s"], "--step is '0s'", id="no step"),
        pytest.param(["--timeout", "fast"], "--timeout is 'fast'", id="a bad timeout"),
        pytest.param(["--header", "nonsense"], "X-Scope-OrgID", id="a bad header"),
        pytest.param(["--chunk-points", "11001"], "1 to 11000", id="too many points"),
        pytest.param(["--bearer-token-file", "/nowhere"], "/nowhere", id="no such token file"),
        pytest.param(["--out", "history.csv"], "must end in .parquet", id="not a Parquet file"),
        pytest.param(["--out", "/nowhere/h.parquet"], "no folder /nowhere", id="no such folder"),
    ],
)
def test_a_fault_is_one_message_and_nothing_is_written(
    more: list[str],
    words: str,
    server: PrometheusServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(arguments(server, tmp_path, *more)) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.glob("*.parquet")) == []


def test_a_failed_fetch_leaves_the_old_file_as_it_was(
    server: PrometheusServer, tmp_path: Path
) -> None:
    (tmp_path / "history.parquet").write_bytes(b"the old history")
    server.script = [None, None, failure(422, "execution", "too many samples")]
    assert main(arguments(server, tmp_path)) == 2
    assert (tmp_path / "history.parquet").read_bytes() == b"the old history"


def test_off_a_terminal_progress_is_plain_lines(
    server: PrometheusServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(arguments(server, tmp_path))
    lines = capsys.readouterr().err.splitlines()
    # 1,800 stamps; the first is a multiple of 300 minutes since the epoch.
    assert lines == [f"fetched {done} of 6 chunks" for done in range(1, 7)]


def test_a_second_fetch_says_what_it_reused_and_no_cache_fetches_again(
    server: PrometheusServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(arguments(server, tmp_path))
    asked = len(server.asked)
    assert main(arguments(server, tmp_path)) == 0
    assert len(server.asked) == asked
    assert f"{asked} of {asked} chunks came from" in capsys.readouterr().err
    assert main(arguments(server, tmp_path, "--no-cache")) == 0
    assert len(server.asked) == 2 * asked


def test_killed_in_the_middle_it_resumes_and_ends_with_the_same_history(
    server: PrometheusServer, tmp_path: Path
) -> None:
    (tmp_path / "whole").mkdir()
    assert main(arguments(server, tmp_path / "whole")) == 0
    plan = [asked.params["start"] for asked in server.asked]

    server.asked.clear()
    server.script = [None, None, None, Reply(hold=True)]
    command = [sys.executable, "-m", "forecaster.cli", *arguments(server, tmp_path)]
    with subprocess.Popen(command) as process:
        eventually(lambda: len(server.asked) == 4 or process.poll() is not None)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not (tmp_path / "history.parquet").exists()

    server.released.set()
    server.asked.clear()
    assert main(arguments(server, tmp_path)) == 0
    assert [asked.params["start"] for asked in server.asked] == plan[3:]
    for one, other in zip(history(tmp_path), history(tmp_path / "whole"), strict=True):
        np.testing.assert_array_equal(one.stamps, other.stamps)
        np.testing.assert_array_equal(one.values, other.values)


def test_a_relative_moment_is_not_taken_for_an_option() -> None:
    """`--start -28d` must not be taken for an option called -28d."""
    command = ["fetch", "--prometheus", "nonsense", "--query", "q", "--out", "h.parquet"]
    assert main([*command, "--start", "-28d", "--end", "-1h30m"]) == 2


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("60s", 60, id="seconds"),
        pytest.param("15m", 900, id="minutes"),
        pytest.param("1h30m", 5400, id="joined"),
        pytest.param("2w1d", 1_296_000, id="weeks"),
    ],
)
def test_spans_read_as_in_promql(text: str, seconds: int) -> None:
    assert span(text, "--step") == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "60", "1.5h", "-5m", "5x", "0s", "m", "9" * 30 + "w"])
def test_what_is_no_span_is_refused_by_name(text: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"--step is {text!r}")):
        span(text, "--step")


@pytest.mark.parametrize(
    ("text", "stamp"),
    [
        pytest.param("now", "2026-03-29T01:05:00+00:00", id="now is moved back onto the grid"),
        pytest.param("-1h", "2026-03-29T00:05:00+00:00", id="so is a span back"),
        pytest.param(
            "2026-03-29T03:00:00+02:00", "2026-03-29T01:00:00+00:00", id="zones end in UTC"
        ),
        pytest.param("2026-03-29T01:00:07Z", "2026-03-29T01:00:07+00:00", id="ISO stays as it is"),
    ],
)
def test_moments_are_utc(text: str, stamp: str) -> None:
    now = datetime(2026, 3, 29, 1, 7, 42, tzinfo=UTC)
    assert moment(text, "--start", now=now, step=timedelta(minutes=5)).isoformat() == stamp


@pytest.mark.parametrize("text", ["-110000w", "-999999999w"])
def test_a_moment_before_the_year_1_is_refused(text: str) -> None:
    now = datetime(2026, 3, 29, tzinfo=UTC)
    with pytest.raises(ConfigError, match="--start"):
        moment(text, "--start", now=now, step=timedelta(minutes=1))
