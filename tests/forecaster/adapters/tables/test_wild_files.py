"""Files as tools write them hold the samples that are meant, or are refused with what to do."""

from __future__ import annotations

import bz2
import gzip
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from forecaster.adapters.tables.history_files import read_raw
from forecaster.adapters.tables.sources import FileHints
from forecaster.errors import HistoryError

N = 24
TIMES = [datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=i) for i in range(N)]
EPOCHS = [int(time.timestamp()) for time in TIMES]
ISO = [f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in TIMES]
RATES = [100 + 12.5 * i for i in range(N)]
ONE_ITEM = {"h": RATES}


def rows(template: str, stamps=ISO, values=RATES) -> str:
    pairs = zip(stamps, values, strict=True)
    return "\n".join(template.format(stamp=stamp, value=value) for stamp, value in pairs)


PLAIN = "timestamp,qps\n" + rows("{stamp},{value}") + "\n"
TABBED = PLAIN.replace(",", "\t")


def assert_holds(path, data: str | bytes, meant: dict[str, list[float]], **hints) -> None:
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    zone = hints.pop("timezone", None)
    found = {one.item_id: one for one in read_raw(path, timezone=zone, hints=FileHints(**hints))}
    assert found.keys() == meant.keys()
    for item, values in meant.items():
        order = np.argsort(found[item].stamps)
        assert found[item].stamps[order].tolist() == EPOCHS
        np.testing.assert_allclose(found[item].values[order], values, rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "data"),
    [
        pytest.param("h", PLAIN, id="no ending"),
        pytest.param("h.log", PLAIN, id="another ending"),
        pytest.param("h.csv", gzip.compress(PLAIN.encode()), id="packed without saying so"),
        pytest.param("h.csv.gz", PLAIN, id="unpacked without saying so"),
        pytest.param("h.parquet", PLAIN, id="no Parquet"),
        pytest.param("h.jsonl", rows('{{"time": "{stamp}", "value": {value}}}'), id="JSON lines"),
        pytest.param("h.txt", TABBED.encode("utf-16-le"), id="UTF-16 without a mark"),
        pytest.param("h.txt", TABBED.encode("utf-16-be"), id="the same the other way round"),
        pytest.param("h.txt", TABBED.encode("utf-32"), id="UTF-32"),
        pytest.param(
            "h.md",
            "| timestamp | qps |\n|---|--:|\n" + rows("| {stamp} | {value} |"),
            id="Markdown",
        ),
        pytest.param(
            "h.txt",
            f" timestamp | qps\n-----------+----\n{rows(' {stamp} | {value}')}\n(24 rows)\n",
            id="psql",
        ),
        pytest.param("h.csv", f"// a tool\n{PLAIN}", id="a comment as in C above"),
        pytest.param(
            "h.csv",
            "#,timestamp,qps\n" + "\n".join(f"{i},{ISO[i]},{RATES[i]}" for i in range(N)),
            id="a column called #",
        ),
        pytest.param(
            "h.dat", "# time qps\n" + rows("{stamp} {value}", EPOCHS), id="gnuplot's header"
        ),
        pytest.param("h.dat", rows("{stamp} {value}", EPOCHS), id="blanks and no header"),
        pytest.param("h.csv", "timestamp, qps\n" + rows("{stamp}, {value}"), id="blanks behind"),
    ],
)
def test_a_table_is_known_by_its_content(tmp_path, name, data):
    assert_holds(tmp_path / name, data, ONE_ITEM)


def test_the_names_of_items_have_no_outer_blanks(tmp_path):
    data = "timestamp, a , b\n" + rows("{stamp}, {value}, {value}")
    assert_holds(tmp_path / "h.csv", data, {"a": RATES, "b": RATES})


def test_words_for_nothing_are_missing(tmp_path):
    words = ["null", "NaN", r"\N", "#N/A", "N/A", ""]
    data = "timestamp,qps\n" + rows("{stamp},{value}", values=words + RATES[6:])
    assert_holds(tmp_path / "h.csv", data, {"h": [np.nan] * 6 + RATES[6:]})


THOUSANDS = [990 + i for i in range(N)]
GERMAN = rows("{stamp},{value}", values=[f"{value:,}".replace(",", ".") for value in THOUSANDS])


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        pytest.param("h.html", "\n<!DOCTYPE html>\n<p>Log in", "a web page", id="a login"),
        pytest.param("h.xml", '<?xml version="1.0"?>', "a web page", id="XML"),
        pytest.param("h.csv", b"%PDF-1.7\n%\xe2\xe3", "is a PDF", id="a PDF"),
        pytest.param("h.xlsx", b"PK\x03\x04..", "save the sheet as CSV", id="Excel"),
        pytest.param("h.xls", b"\xd0\xcf\x11\xe0..", "save it as CSV", id="an old Excel"),
        pytest.param("h.csv.bz2", bz2.compress(PLAIN.encode()), "bunzip2 ", id="bzip2"),
        pytest.param(
            "h.csv", "timestamp,qps\n" + GERMAN, "--decimal", id="dots that are thousands"
        ),
    ],
)
def test_what_is_no_table_is_refused_with_what_makes_it_one(tmp_path, name, data, words):
    with pytest.raises(HistoryError, match=words):
        assert_holds(tmp_path / name, data, {})


def test_a_directory_is_refused_as_such(tmp_path):
    with pytest.raises(HistoryError, match="is a directory; name one file in it"):
        read_raw(tmp_path)


def test_dots_between_thousands_are_read_so_where_the_option_says_it(tmp_path):
    data = "timestamp,qps\n" + GERMAN
    assert_holds(tmp_path / "h.csv", data, {"h": THOUSANDS}, decimal=",")


UTC_ZONE = {"timezone": "UTC"}
BERLIN = {"timezone": "Europe/Berlin"}


def local(time: datetime) -> datetime:
    return time + timedelta(hours=1)  # in winter


@pytest.mark.parametrize(
    ("head", "stamp", "zone"),
    [
        pytest.param("time", lambda t: f"{t:%Y-%m-%d %H:%M:%S} UTC", {}, id="BigQuery's"),
        pytest.param("time", lambda t: f'"{t:%a, %d %b %Y %H:%M:%S} GMT"', {}, id="of HTTP"),
        pytest.param("time", lambda t: f"{t:%Y-%m-%dT%H:%MZ}[UTC]", {}, id="Java's, UTC"),
        pytest.param(
            "time",
            lambda t: f"{local(t):%Y-%m-%dT%H:%M:%S}+01:00[Europe/Berlin]",
            {},
            id="Java's, with a zone",
        ),
        pytest.param(
            "time", lambda t: f'"{t:%Y-%m-%d %H:%M:%S},000"', UTC_ZONE, id="of Python's logging"
        ),
        pytest.param("time", lambda t: f"{local(t):%Y-%m-%d %H:%M} CET", BERLIN, id="CET"),
        pytest.param("time", lambda t: f"{local(t):%d.%m.%Y %H:%M} CET", BERLIN, id="CET, dots"),
        pytest.param("Time (GMT)", lambda t: f"{t:%Y-%m-%d %H:%M}", {}, id="a header with GMT"),
        pytest.param(
            "Time (Europe/Berlin)", lambda t: f"{local(t):%Y-%m-%d %H:%M}", BERLIN, id="a zone"
        ),
        pytest.param("Time (ms)", lambda t: f"{1000 * t.timestamp():.0f}", {}, id="a unit"),
        pytest.param(
            "Date,Time", lambda t: f"{t:%Y-%m-%d},{t:%I:%M:%S %p}", UTC_ZONE, id="two columns"
        ),
        pytest.param(
            "Datum,Uhrzeit", lambda t: f"{t:%d.%m.%Y},{t:%H:%M}", UTC_ZONE, id="two of any name"
        ),
        pytest.param("Date,Time (UTC)", lambda t: f"{t:%Y-%m-%d},{t:%H:%M}", {}, id="two, in UTC"),
    ],
)
def test_stamps_are_the_times_that_are_meant(tmp_path, head, stamp, zone):
    data = f"{head},qps\n" + rows("{stamp},{value}", map(stamp, TIMES))
    assert_holds(tmp_path / "h.csv", data, ONE_ITEM, **zone)


def test_a_column_of_hours_belongs_to_the_day_beside_it(tmp_path):
    lines = [f"2026-03-{day:02},{hour},{24 * day + hour}" for day in (1, 2) for hour in range(24)]
    (tmp_path / "h.csv").write_text("\n".join(["date,hour,qps", *lines]))
    (raw,) = read_raw(tmp_path / "h.csv", timezone="UTC")
    assert (raw.stamps - raw.stamps[0]).tolist() == [3600 * i for i in range(48)]


@pytest.mark.parametrize("falling", [False, True], ids=["rising", "falling"])
@pytest.mark.parametrize(
    ("form", "hints"),
    [
        pytest.param("%Y-%m-%d %H:%M", {}, id="24 hours"),
        pytest.param("%m/%d/%Y %I:%M %p", {"dates": "month-first"}, id="12 hours"),
        pytest.param("%Y-%m-%d %H:%M %Z", {}, id="with the zone's letters"),
    ],
)
def test_the_hour_that_comes_twice_is_read_twice_in_either_order(tmp_path, form, hints, falling):
    times = [datetime(2026, 10, 25, tzinfo=UTC) + timedelta(minutes=10 * i) for i in range(N)]
    lines = [
        f"{time.astimezone(ZoneInfo('Europe/Berlin')):{form}},{i}" for i, time in enumerate(times)
    ]
    path = tmp_path / "h.csv"
    path.write_text("\n".join(["time,qps", *(reversed(lines) if falling else lines)]))
    (raw,) = read_raw(path, timezone="Europe/Berlin", hints=FileHints(**hints))
    found = dict(zip(raw.stamps.tolist(), raw.values.tolist(), strict=True))
    assert found == {time.timestamp(): i for i, time in enumerate(times)}


@pytest.mark.parametrize(
    ("stamp", "zone", "words"),
    [
        pytest.param(
            lambda t: f"{local(t):%Y-%m-%d %H:%M} CET", None, "--timezone Europe/Berlin", id="CET"
        ),
        pytest.param(
            lambda t: f"{t:%m/%d/%Y %I:%M %p} PST", None, "--timezone Europe/Berlin", id="PST"
        ),
        pytest.param(
            lambda t: f"{t:%Y-%m-%d %H:%M} EST", "Europe/Berlin", "is 'CET' in", id="another zone"
        ),
        pytest.param(lambda t: f"{t:%y-%m-%d %H:%M}", "UTC", "with four digits", id="26-03-01"),
        pytest.param(
            lambda t: f"{1000 * t.timestamp():.2E}", None, "rounded by a spreadsheet", id="1.77E+12"
        ),
    ],
)
def test_stamps_that_could_be_several_times_are_refused(tmp_path, stamp, zone, words):
    (tmp_path / "h.csv").write_text("time,qps\n" + rows("{stamp},{value}", map(stamp, TIMES)))
    with pytest.raises(HistoryError, match=words):
        read_raw(tmp_path / "h.csv", timezone=zone)


def test_stamps_in_a_nameless_index_of_parquet_are_found(tmp_path):
    frame = pd.DataFrame({"qps": RATES}, index=pd.DatetimeIndex(TIMES))
    frame.to_parquet(tmp_path / "frame")
    assert_holds(tmp_path / "h.parquet", (tmp_path / "frame").read_bytes(), ONE_ITEM)


PODS = "time,service,pod,qps\n" + rows("{stamp},api,p1,{value}\n{stamp},api,p2,{value}")


def test_rows_that_another_column_tells_apart_are_refused_with_how_to_name_them(tmp_path):
    path = tmp_path / "h.csv"
    with pytest.raises(HistoryError, match="--item-column 'service' --item-column NAME"):
        assert_holds(path, PODS, {})
    meant = {"api/p1": RATES, "api/p2": RATES}
    assert_holds(path, PODS, meant, item_column=("service", "Pod"))
    with pytest.raises(HistoryError, match="has no column 'host'"):
        assert_holds(path, PODS, meant, item_column=("service", "host"))
