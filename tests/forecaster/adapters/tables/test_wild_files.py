"""Files as tools write them hold the samples that are meant, or are refused with what to do."""

from __future__ import annotations

import bz2
import gzip
from datetime import UTC, datetime, timedelta

import numpy as np
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
        pytest.param("h.csv", f"// a tool\n{PLAIN}// end\n", id="comments as in C"),
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
