"""History out of files and frames: exact, or refused with file, column, row and fix."""

import gzip

import numpy as np
import pandas as pd
import pytest

from forecaster.adapters.tables.history_files import (
    forecast_to_frame,
    history_to_frame,
    read_history,
    read_raw,
    write_history,
)
from forecaster.adapters.tables.history_frames import history_from_frame
from forecaster.data.series import Forecast
from forecaster.errors import HistoryError
from tests.forecaster.adapters.histories import (
    MINUTE,
    START,
    assert_same,
    history,
    text_of,
    wide,
    write,
)
from tests.paths import TRACES

LONG = history_to_frame(history())


@pytest.mark.parametrize(
    ("name", "frame"),
    [
        pytest.param("h.csv", LONG, id="long csv"),
        pytest.param("h.csv.gz", LONG, id="long csv, gzip"),
        pytest.param("h.csv", wide(), id="wide csv"),
        pytest.param(
            "h.csv", LONG.set_axis(["unique_id", "ds", "y"], axis=1), id="nixtla's column names"
        ),
        pytest.param("h.csv", LONG.set_axis(["Service", "Time", "RPS"], axis=1), id="capitals"),
        pytest.param("h.csv", LONG.set_axis(["item", "ts", "load"], axis=1), id="a lone number"),
        pytest.param("h.csv", LONG.assign(region="eu"), id="a column more"),
        pytest.param(
            "h.csv",
            LONG.assign(timestamp=LONG["timestamp"].dt.tz_convert("Asia/Tokyo")),
            id="offsets of another zone",
        ),
        pytest.param(
            "h.csv",
            LONG.assign(timestamp=LONG["timestamp"].astype("int64") // 10**6),
            id="seconds since 1970",
        ),
        pytest.param("h.parquet", LONG, id="long parquet"),
        pytest.param("h.parquet", wide(), id="wide parquet"),
        pytest.param("h.parquet", wide().set_index("timestamp"), id="stamps in the index"),
        pytest.param(
            "h.parquet", LONG.assign(item_id=LONG["item_id"].astype("category")), id="categories"
        ),
    ],
)
def test_every_common_table_gives_the_same_history(tmp_path, name, frame):
    path = tmp_path / name
    frame.to_parquet(path) if name.endswith("parquet") else write(path, text_of(frame))
    assert_same(read_history(path).history, history())


def test_two_columns_are_one_item_named_after_the_file(tmp_path):
    frame = wide()[["timestamp", "shop/api"]].set_axis(["timestamp", "qps"], axis=1)
    report = read_history(write(tmp_path / "wc98.csv.gz", text_of(frame)))
    assert report.history.item_ids == ("wc98",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            "timestamp,qps\n2026-03-02T00:00:00Z,1\n2026-03-02T00:01:00Z,fast\n",
            ["h.csv", "'qps'", "row 3", "'fast' is not a number", "leave the cell empty"],
            id="text in a number column",
        ),
        pytest.param(
            "timestamp,qps\n\n2026-03-02T00:00:00Z,1_000\n", ["row 3", "'1_000'"], id="underscore"
        ),
        pytest.param("timestamp,qps\nyesterday,1\n", ["row 2", "ISO 8601"], id="text for a time"),
        pytest.param("timestamp,qps\n,1\n", ["row 2", "is not a time"], id="no time"),
        pytest.param(
            "timestamp,qps\n2026-03-02T00:00:00,1\n",
            ["row 2", "has no time zone", "--timezone UTC"],
            id="no zone",
        ),
        pytest.param(
            "timestamp,qps\n2026-03-02T00:00:00Z,1\n2026-03-02T00:01:00,1\n",
            ["row 3", "has no time zone, but others have"],
            id="a zone here and there",
        ),
        pytest.param("when,qps\n1,1\n", ["'when', 'qps'", "name it 'timestamp'"], id="no stamps"),
        pytest.param("timestamp\n1\n", ["only the column 'timestamp'"], id="no values"),
        pytest.param(
            "item_id,timestamp,a,b\nx,1,1,1\n", ["none for the traffic", "'qps'"], id="which?"
        ),
        pytest.param("item_id,timestamp,qps\n,1,1\n", ["row 2", "name the item"], id="no item"),
        pytest.param("", ["h.csv", "cannot be read"], id="empty file"),
        pytest.param("timestamp,qps\n1,2,3\n", ["cannot be read"], id="a cell too many"),
        pytest.param("timestamp,qps\n", ["h: has no samples"], id="a header alone"),
        pytest.param("timestamp,qps\n1e30,1\n", ["too large"], id="a stamp beyond time"),
    ],
)
def test_an_unusable_csv_is_refused_with_place_and_fix(tmp_path, text, words):
    with pytest.raises(HistoryError) as error:
        read_history(write(tmp_path / "h.csv", text))
    for word in words:
        assert word in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        pytest.param("h.csv", None, "does not exist", id="no file"),
        pytest.param("h.xlsx", b"", "it is empty", id="another format"),
        pytest.param("h.csv.gz", b"plain text", "none for the time", id="no gzip"),
        pytest.param("h.csv.gz", gzip.compress(b"a,b\n" * 99)[:20], "cannot be read", id="cut"),
        pytest.param("h.csv", b"\xff\xfe\x00", "cannot be read", id="no text"),
        pytest.param("h.parquet", b"PAR1 no", "cannot be read", id="no parquet"),
        pytest.param("h.parquet", b"", "cannot be read", id="empty parquet"),
    ],
)
def test_an_unreadable_file_is_refused_by_name(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(HistoryError, match=rf"{name}.* {words}|{words}"):
        read_history(tmp_path / name)


def test_a_truncated_parquet_file_is_refused(tmp_path):
    write_history(tmp_path / "h.parquet", history())
    content = (tmp_path / "h.parquet").read_bytes()
    (tmp_path / "h.parquet").write_bytes(content[:-20])
    with pytest.raises(HistoryError, match="cannot be read"):
        read_history(tmp_path / "h.parquet")


def local(first: str, n: int) -> str:
    stamps = pd.date_range(first, periods=n, freq="min", tz="Europe/Berlin").tz_localize(None)
    values = np.random.default_rng(1).poisson(6000, n) / 60
    return text_of(pd.DataFrame({"timestamp": stamps, "qps": values}))


@pytest.mark.parametrize(
    "first", [pytest.param("2026-03-29", id="spring"), pytest.param("2026-10-25", id="autumn")]
)
def test_local_stamps_with_their_zone_become_utc_over_a_clock_change(tmp_path, first):
    path = write(tmp_path / "h.csv", local(first, 300))
    report = read_history(path, timezone="Europe/Berlin")
    assert (report.findings, len(report.history["h"])) == ((), 300)


@pytest.mark.parametrize(
    ("first", "timezone", "words"),
    [
        pytest.param("2026-03-29", "UTC", "clocks are set forward", id="spring taken for UTC"),
        pytest.param("2026-10-25", "UTC", "twice", id="autumn taken for UTC"),
        pytest.param("2026-03-08", "America/New_York", "do not fit", id="a time that never was"),
        pytest.param("2026-03-08", "Europe/Berln", "no time zone", id="no such zone"),
    ],
)
def test_local_stamps_with_a_wrong_zone_are_refused(tmp_path, first, timezone, words):
    path = write(tmp_path / "h.csv", local(first, 300))
    with pytest.raises(HistoryError, match=words):
        read_history(path, timezone=timezone)


def test_empty_cells_are_missing_and_prometheus_words_are_understood(tmp_path):
    cells = ["", "NaN", "null", "+Inf", "-1", *map(str, range(50, 90))]
    rows = "".join(f"{60 * i},{cell}\n" for i, cell in enumerate(cells))
    (raw,) = read_raw(write(tmp_path / "h.csv", f"timestamp,qps\n{rows}"))
    np.testing.assert_array_equal(raw.values[:5], [np.nan, np.nan, np.nan, np.inf, -1])


def test_a_history_survives_a_round_trip_through_a_frame():
    assert_same(history_from_frame(history_to_frame(history())), history())
    assert_same(history_from_frame(wide().set_index("timestamp")), history())


def test_a_frame_of_two_columns_takes_the_given_name():
    frame = wide()[["timestamp", "shop/api"]].set_axis(["ds", "y"], axis=1)
    assert history_from_frame(frame, item_id="web").item_ids == ("web",)


def test_a_frame_without_a_zone_is_refused_unless_one_is_named():
    frame = LONG.assign(timestamp=LONG["timestamp"].dt.tz_localize(None))
    with pytest.raises(
        HistoryError, match=r"the frame, column 'timestamp', row 0: .* no time zone"
    ):
        history_from_frame(frame)
    assert_same(history_from_frame(frame, timezone="UTC"), history())


def test_a_column_of_the_wrong_kind_is_refused():
    with pytest.raises(HistoryError, match=r"'qps', row 0: .*True.* is not a number"):
        history_from_frame(LONG.assign(qps=True))
    with pytest.raises(HistoryError, match=r"'timestamp', row 3: .*NaT.* is empty"):
        history_from_frame(LONG.assign(timestamp=LONG["timestamp"].mask(LONG.index == 3)))


def test_a_forecast_becomes_one_row_per_item_and_step():
    values = np.arange(12.0).reshape(2, 3, 2)
    forecast = Forecast(("a", "b"), (START, START), MINUTE, (0.5, 0.99), values, ("lstm", "last"))
    frame = forecast_to_frame(forecast)
    assert list(frame.columns) == ["item_id", "timestamp", "q0.5", "q0.99", "source"]
    last = frame.iloc[-1].tolist()
    assert last == ["b", pd.Timestamp("2026-03-02T00:03:00Z"), 10.0, 11.0, "last"]


@pytest.mark.skipif(not TRACES.is_dir(), reason="the public traces are not here")
@pytest.mark.parametrize("name", ["nasa", "nab_elb", "ms_mongo02"])
def test_public_traces_keep_almost_all_samples(name):
    (raw,) = read_raw(TRACES / f"{name}.csv.gz")
    (series,) = read_history(TRACES / f"{name}.csv.gz").history
    lost = np.isnan(series.values).sum() - np.isnan(raw.values).sum()
    assert lost <= 0.001 * len(series)
