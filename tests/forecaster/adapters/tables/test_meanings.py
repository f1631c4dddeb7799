"""What a file may have meant: read with a line that says how, or refused with the option for it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from forecaster.adapters.tables.history_files import read_history, read_raw
from forecaster.adapters.tables.history_frames import history_from_frame
from forecaster.adapters.tables.sources import FileHints
from forecaster.data.quality import Rule
from forecaster.errors import HistoryError
from tests.forecaster.adapters.histories import text_of, wide, write
from tests.paths import TRACES

N = 40
ISO = [f"2026-03-02T00:{i:02}:00Z" for i in range(N)]
RATES = (np.random.default_rng(5).integers(400, 4000, N) / 4).tolist()  # exact in text


def csv(head: str, *columns, sep: str = ",") -> str:
    rows = zip(ISO, *(column or RATES for column in columns), strict=True)
    return "\n".join([head, *(sep.join(map(str, row)) for row in rows), ""])


def scaled(factor: float) -> list[float]:
    return [factor * rate for rate in RATES]


@pytest.mark.parametrize(
    ("text", "item", "note"),
    [
        pytest.param(
            csv("timestamp,requests_per_minute", scaled(60)),
            "h",
            "column 'requests_per_minute' holds requests per minute; divided by 60",
            id="per minute",
        ),
        pytest.param(
            csv("timestamp,requests/h", scaled(3600)),
            "h",
            "column 'requests/h' holds requests per hour; divided by 3600",
            id="per hour",
        ),
        pytest.param(
            csv("timestamp,Requests (Sum)", scaled(60)),
            "h",
            "column 'Requests (Sum)' holds counts per 60 s, its spacing; divided by it "
            "(--unit says otherwise)",
            id="Azure's sums",
        ),
        pytest.param(
            csv("timestamp,checkout", [f"{60 * rate} req/m" for rate in RATES]),
            "checkout",
            "column 'checkout' holds requests per minute; divided by 60",
            id="a unit in the cells",
        ),
        pytest.param(
            csv("timestamp,total_rps,replicas,p95_latency_ms", None, [3] * N, [80.5] * N),
            "h",
            "the traffic is in 'total_rps'; left out: 'replicas', 'p95_latency_ms'",
            id="a collector's other columns",
        ),
        pytest.param(
            csv("timestamp,group,value", ["service:checkout"] * N, None),
            "service:checkout",
            "the column 'group' names the items",
            id="Datadog's groups",
        ),
        pytest.param(
            csv(",qps", None), "h", "the times are in the column ''", id="stamps without a name"
        ),
        pytest.param(
            csv("timestamp,shop/api,shop/api", None, None),
            "shop/api",
            "two columns are called 'shop/api' and hold the same; one is kept",
            id="a column given twice",
        ),
        pytest.param(
            csv("traffic,last week\ntimestamp,qps", None),
            "h",
            "lines above the header are left out, such as 'traffic,last week'",
            id="lines above the header",
        ),
        pytest.param(
            csv("", None).lstrip(),
            "h",
            "has no header; read as stamps and requests per second",
            id="no header",
        ),
        pytest.param(
            csv("timestamp;qps", [str(rate).replace(".", ",") for rate in RATES], sep=";"),
            "h",
            "column 'qps' is read with the decimal mark ','",
            id="a decimal comma",
        ),
        pytest.param(
            csv("Zeit;Anfragen/s", None, sep=";"),
            "h",
            "the times are in the column 'Zeit'",
            id="German names",
        ),
    ],
)
def test_what_was_meant_is_taken_and_told_in_one_line(tmp_path, text, item, note):
    report = read_history(write(tmp_path / "h.csv", text))
    (series,) = report.history
    notes = [found.message for found in report.findings if found.rule is Rule.READ]
    assert (series.item_id, note in notes) == (item, True), notes
    np.testing.assert_allclose(series.values, RATES, rtol=1e-12)


def test_of_a_plain_table_nothing_is_told(tmp_path):
    path = write(tmp_path / "h.csv", csv("timestamp,qps", None))
    assert read_history(path).findings == ()


COUNTS = csv("timestamp,RequestCount", scaled(60))
DAYS = "\n".join(["time,qps", *(f"03/04/2026 00:{i:02},{RATES[i]}" for i in range(N)), ""])
TWO_TEXTS = csv("timestamp,region,host,qps", ["eu"] * N, ["a"] * N, None)
TWO_UNKNOWN = csv("timestamp,checkout,p99_seconds", None, [0.25] * N)
COMMAS = csv("timestamp;qps", [f"{round(rate) % 9 + 1},250" for rate in RATES], sep=";")
DOTS = csv("timestamp;qps", [f"{round(rate) % 9 + 1}.250" for rate in RATES], sep=";")
UTC = {"timezone": "UTC"}


@pytest.mark.parametrize(
    ("text", "option", "hints"),
    [
        pytest.param(COUNTS, "--unit", {"unit": "count"}, id="a count of what time?"),
        pytest.param(DAYS, "--dates", {"dates": "day-first", **UTC}, id="3 April or 4 March?"),
        pytest.param(TWO_TEXTS, "--item-column", {"item_column": "Host"}, id="which text?"),
        pytest.param(
            TWO_UNKNOWN, "--value-column", {"value_columns": ("checkout",)}, id="which column?"
        ),
        pytest.param(
            csv("timestamp,p99_seconds", None),
            "--value-column",
            {"value_columns": ("p99_seconds",)},
            id="no traffic by its name",
        ),
        pytest.param(
            csv("timestamp,item_id,a,b", ["x"] * N, None, None),
            "--value-column",
            {"value_columns": ("a",)},
            id="which of two?",
        ),
        pytest.param(COMMAS, "--decimal", {"decimal": ","}, id="thousands or a fraction?"),
        pytest.param(DOTS, "--decimal", {"decimal": "."}, id="the same of dots"),
        pytest.param(
            "\n".join(
                ["time,qps", *(f"20{26 + i // 12}-{i % 12 + 1:02}-01,1" for i in range(N)), ""]
            ),
            "--timezone",
            UTC,
            id="dates without a time of day",
        ),
        pytest.param(
            "\n".join(["time,qps", *(f"2026030200{i:02},{RATES[i]}" for i in range(N)), ""]),
            "--timezone",
            UTC,
            id="digits of a local time",
        ),
    ],
)
def test_what_is_ambiguous_is_refused_with_the_option_that_makes_it_work(
    tmp_path, text, option, hints
):
    path = write(tmp_path / "h.csv", text)
    with pytest.raises(HistoryError, match=option):
        read_raw(path)
    hints = dict(hints)
    zone = hints.pop("timezone", None)
    if option != "--timezone":
        with pytest.raises(HistoryError, match=option):
            read_raw(path, timezone=zone)
    (raw,) = read_raw(path, timezone=zone, hints=FileHints(**hints))
    assert len(raw.values) == N


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        pytest.param(
            "h.csv",
            csv("timestamp,shop/api,shop/api", None, scaled(2)),
            "two columns that are called 'shop/api'",
            id="a name for two columns",
        ),
        pytest.param(
            "h.csv", "timestamp,qps\n1,100,5\n", "row 2 has more cells than the 2", id="a comma"
        ),
        pytest.param(
            "h.csv",
            "PK\x03\x04",
            "a workbook of Excel or an archive; save the sheet as CSV",
            id="a workbook",
        ),
        pytest.param(
            "h.csv",
            csv("timestamp,checkout", [f"{rate} ms" for rate in RATES]),
            "no rate of requests; name the column of the traffic by --value-column",
            id="a latency by its unit",
        ),
        pytest.param(
            "h.csv",
            "time,qps\n2026-03-04,1\n13.04.2026,1\n",
            "row 3: '13.04.2026' is not a time",
            id="two manners of dates",
        ),
        pytest.param(
            "h.csv",
            "time,qps\n13/04/2026,1\n04/13/2026,1\n",
            "others have them the other way round",
            id="two orders of dates",
        ),
        pytest.param(
            "h.json",
            json.dumps({"status": "error", "error": "query timed out"}),
            "an error instead of series: 'query timed out'",
            id="an error of a server",
        ),
        pytest.param(
            "h.json",
            json.dumps({"status": "success", "data": {"resultType": "vector", "result": []}}),
            "of one instant; ask for a query_range",
            id="an instant",
        ),
        pytest.param(
            "h.json",
            json.dumps([{"metric": {"a": "b"}, "histograms": []}]),
            "query e.g. its _count",
            id="a histogram",
        ),
        pytest.param("h.json", '{"a": 1', "is no JSON", id="half a document"),
        pytest.param("h.json", '{"a": 1}', "JSON of no known kind", id="another document"),
        pytest.param("h.json", "[" * 100_000, "is no JSON", id="a deep document"),
        pytest.param("h.json", "[]", "holds no series", id="an empty answer"),
        pytest.param(
            "h.json",
            json.dumps({"MetricDataResults": [{"Id": "m1", "Timestamps": [], "Values": []}]}),
            "does not say what its values are; say --unit count",
            id="CloudWatch's data without a unit",
        ),
        pytest.param(
            "h.json",
            json.dumps({"Label": "Latency", "Datapoints": [{"Average": 1, "Unit": "Seconds"}]}),
            "'Latency' in 'Seconds', which is no traffic",
            id="CloudWatch's latency",
        ),
        pytest.param(
            "h.json",
            json.dumps({"Label": "RequestCount", "Datapoints": [{"Average": 1, "Unit": "Count"}]}),
            "export --statistics Sum",
            id="CloudWatch's average of a count",
        ),
        pytest.param(
            "h.om", "# TYPE qps gauge\nqps 1\n# EOF\n", "is of one instant", id="a scrape"
        ),
        pytest.param(
            "h.om", "# TYPE qps gauge\nqps 1 x\n# EOF\n", "is not OpenMetrics", id="no OpenMetrics"
        ),
        pytest.param(
            "h.om",
            "a 1 1\nb 1 1\n# EOF\n",
            "holds the metrics 'a', 'b'; name that of the traffic by --value-column",
            id="two metrics",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_reason(tmp_path, name, text, words):
    with pytest.raises(HistoryError) as error:
        read_raw(write(tmp_path / name, text), timezone="UTC")
    assert words in str(error.value)


LONG = "x" * 5000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("h.csv", f"timestamp,qps\n1,{LONG}\n", id="a value"),
        pytest.param("h.csv", f"timestamp,qps\n{LONG},1\n", id="a stamp"),
        pytest.param("h.csv", "timestamp,qps\n1\n" + "\x07" * 5000, id="no characters"),
        pytest.param("h.csv", f"{LONG},{LONG}1,{LONG}2\n1,2,3\n", id="names"),
        pytest.param("h.csv", f"timestamp,{LONG},{LONG}\n1,2,3\n", id="a name given twice"),
        pytest.param("h.csv", f"timestamp,{LONG}_p99\n1,2\n", id="a name of no traffic"),
        pytest.param("h.json", json.dumps({"status": "error", "error": LONG}), id="an error"),
        pytest.param("h.om", f"{LONG} {LONG} {LONG}\n# EOF\n", id="a sample"),
    ],
)
def test_a_message_quotes_at_most_200_characters(tmp_path, name, text):
    with pytest.raises(HistoryError) as error:
        read_raw(write(tmp_path / name, text))
    message = str(error.value).removeprefix(str(tmp_path))
    assert max(map(len, message.replace("... (", " ").split())) <= 200
    assert len(message) < 500


def test_a_partial_answer_is_told_as_such(tmp_path):
    values = [[60 * i, str(rate)] for i, rate in enumerate(RATES)]
    answer = {
        "status": "success",
        "isPartial": True,
        "data": {"resultType": "matrix", "result": [{"metric": {}, "values": values}]},
    }
    report = read_history(write(tmp_path / "h.json", json.dumps(answer)))
    assert "the server says that data is missing: 'isPartial'" in [
        found.message for found in report.findings
    ]


def test_of_a_frame_the_same_is_told_by_the_log(caplog):
    frame = wide()[["timestamp", "shop/api"]].set_axis(["timestamp", "requests_per_minute"], axis=1)
    history_from_frame(frame)
    assert "holds requests per minute; divided by 60" in caplog.text


def test_an_index_in_parquet_is_left_out(tmp_path):
    wide()[lambda frame: frame.index > 2].to_parquet(tmp_path / "h.parquet")
    raw = read_raw(tmp_path / "h.parquet")
    assert [one.item_id for one in raw] == ["shop/api", "pay/api"]


def test_an_item_of_a_wide_table_may_be_called_like_anything(tmp_path):
    names = ["timestamp", "shop/latency", "shop/errors"]
    path = write(tmp_path / "h.csv", text_of(wide().set_axis(names, axis=1)))
    assert [one.item_id for one in read_raw(path)] == names[1:]


CASES = TRACES.parent / "cases"


@pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not here")
@pytest.mark.parametrize(
    "name",
    [
        *("index-column/history", "index-column/headers", "index-column/group"),
        *("latency-column/history", "latency-column/collector", "per-minute-counts/history"),
        *("other-delimiters/comment", "other-delimiters/decimal-comma", "other-delimiters/tab"),
        *("other-delimiters/semicolon", "other-delimiters/sep-line"),
        "other-delimiters/trailing-comma",
    ],
)
def test_the_cases_are_read_with_a_line_that_says_how(name):
    report = read_history(CASES / f"{name}.csv")
    (series,) = report.history
    assert any(found.rule is Rule.READ for found in report.findings)
    assert np.nanmax(series.values) in (170, 170.5)
