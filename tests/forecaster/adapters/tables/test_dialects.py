"""One history in every manner in which tools and people write it is read back equal."""

from __future__ import annotations

import codecs
import csv
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from forecaster.adapters.tables.history_files import read_raw
from forecaster.adapters.tables.sources import FileHints

START = datetime(2026, 3, 4, 22, 50, tzinfo=UTC)
ITEMS = ("shop/api", "pay/api")


def at(i: int) -> datetime:
    return START + timedelta(minutes=i)


def excel_days(when: datetime) -> float:
    return (when - datetime(1899, 12, 30, tzinfo=UTC)).total_seconds() / 86_400


STAMPS = {
    "a Z": (lambda t: f"{t:%Y-%m-%dT%H:%M:%SZ}", {}),
    "an offset": (lambda t: f"{t + timedelta(hours=1):%Y-%m-%d %H:%M:%S}+01:00", {}),
    "Go": (lambda t: f"{t:%Y-%m-%d %H:%M:%S} +0000 UTC", {}),
    "JavaScript": (lambda t: f"{t:%a %b %d %Y %H:%M:%S} GMT+0000 (Coordinated Universal Time)", {}),
    "seconds": (lambda t: f"{t.timestamp():.0f}", {}),
    "milliseconds": (lambda t: f"{1000 * t.timestamp():.0f}", {}),
    "no zone": (lambda t: f"{t:%Y-%m-%d %H:%M:%S}", {"timezone": "UTC"}),
    "digits": (lambda t: f"{t:%Y%m%d%H%M}", {"timezone": "UTC"}),
    "digits with seconds": (lambda t: f"{t:%Y%m%d%H%M%S}", {"timezone": "UTC"}),
    "Excel's days": (lambda t: f"{excel_days(t):.6f}", {"timezone": "UTC"}),
    "a German Excel's days": (
        lambda t: f"{excel_days(t):.6f}".replace(".", ","),
        {"timezone": "UTC"},
    ),
    "dots": (lambda t: f"{t:%d.%m.%Y %H:%M}", {"timezone": "UTC"}),
    "American": (
        lambda t: f"{t:%m/%d/%Y %I:%M %p}",
        {"timezone": "UTC", "dates": "month-first"},
    ),
    "British": (lambda t: f"{t:%d/%m/%y, %H:%M}", {"timezone": "UTC", "dates": "day-first"}),
    "Japanese": (lambda t: f"{t.year}/{t.month}/{t.day} {t:%H:%M}", {"timezone": "UTC"}),
}
NUMBERS = {
    "plain": str,
    "comma": lambda v: f"{v:.2f}".replace(".", ","),
    "thousands": lambda v: f"{v:,.2f}",
    "German thousands": lambda v: f"{v:,.2f}".translate(str.maketrans(",.", ".,")),
    "French thousands": lambda v: f"{v:,.2f}".replace(",", "\u202f").replace(".", ","),
    "a unit": lambda v: f"{v} req/s",
    "K": lambda v: f"{v / 1000:.8f} K",
}
HEADS = {
    "long": ["item_id", "timestamp", "qps"],
    "Grafana's": ["Series", "Time", "Value"],
    "wide": ["Time", *ITEMS],
    "of labels": ["Time", '{namespace="shop", service="api"}', '{namespace="pay", service="api"}'],
    "of one item": ["timestamp", "qps"],
}


@dataclass
class Table:
    """A table as it is to be written; each wrap changes it or its text."""

    head: list[str]
    rows: list[list[str]]
    delimiter: str = ","
    before: str = ""
    encoding: str = "utf-8"
    after: bytes = b""
    between: list[list[str]] = field(default_factory=list)

    def data(self) -> bytes:
        text = io.StringIO()
        writer = csv.writer(text, delimiter=self.delimiter, lineterminator="\n")
        half = len(self.rows) // 2
        writer.writerows([self.head, *self.rows[:half], *self.between, *self.rows[half:]])
        return (self.before + text.getvalue()).encode(self.encoding) + self.after


def indexed(table: Table) -> None:
    table.head = ["", *table.head]
    table.rows = [[str(i), *row] for i, row in enumerate(table.rows)]


def with_more_headers(table: Table) -> None:
    table.between = [table.head]


def with_a_trailing_delimiter(table: Table) -> None:
    table.rows = [[*row, ""] for row in table.rows]


def with_sep_line(table: Table) -> None:
    table.before = f"sep={table.delimiter}\n"


def with_comments(table: Table) -> None:
    table.before = "# exported by a tool, at noon\n\n"


def with_latency(table: Table) -> None:
    if table.head[-1].lower() in {"qps", "value"}:
        table.head = [*table.head, "p99_seconds", "replicas"]
        table.rows = [[*row, "0.25", "3"] for row in table.rows]


WRAPS = {
    "as it is": lambda table: None,
    "an index": indexed,
    "cat a b": with_more_headers,
    "a trailing delimiter": with_a_trailing_delimiter,
    "sep=": with_sep_line,
    "comments": with_comments,
    "a BOM": lambda table: setattr(table, "encoding", "utf-8-sig"),
    "UTF-16": lambda table: setattr(table, "encoding", "utf-16"),
    "a crash": lambda table: setattr(table, "after", b"2026-03-0" + bytes(512)),
    "latency": with_latency,
}

values = st.lists(
    st.one_of(st.just(np.nan), st.integers(1, 10**7).map(lambda n: n / 4)), min_size=9, max_size=30
)


def table_of(layout: str, samples: list[float], stamp, number) -> Table:
    """Return items of which the second has twice the values of the first."""
    cells = [
        [("" if np.isnan(v) else number(k * v)) for v in samples] for k in range(1, len(ITEMS) + 1)
    ]
    stamps = [stamp(at(i)) for i in range(len(samples))]
    if layout in ("long", "Grafana's"):
        rows = [
            [item, when, cell]
            for item, column in zip(ITEMS, cells, strict=True)
            for when, cell in zip(stamps, column, strict=True)
        ]
    else:
        columns = cells[:1] if layout == "of one item" else cells
        rows = [list(row) for row in zip(stamps, *columns, strict=True)]
    return Table(HEADS[layout], rows)


def assert_holds(path, layout: str, samples: list[float], how: dict[str, str]) -> None:
    hints = FileHints(**{name: how[name] for name in how if name != "timezone"})
    raw = read_raw(path, timezone=how.get("timezone"), hints=hints)
    items = ("h",) if layout == "of one item" else ITEMS
    assert tuple(one.item_id for one in raw) == items
    for k, one in enumerate(raw, start=1):
        stamps = [at(i).timestamp() for i in range(len(samples))]
        np.testing.assert_array_equal(one.stamps, stamps)
        np.testing.assert_allclose(one.values, k * np.array(samples), rtol=1e-12)


@given(
    samples=values,
    layout=st.sampled_from(list(HEADS)),
    stamps=st.sampled_from(list(STAMPS)),
    delimiter=st.sampled_from([",", ";", "\t", "|"]),
    manner=st.tuples(st.sampled_from(list(NUMBERS)), st.sampled_from(list(WRAPS))),
)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_dialect_of_a_table_is_read_back_equal(
    tmp_path, samples, layout, stamps, delimiter, manner
):
    (stamp, how), (numbers, wrap) = STAMPS[stamps], manner
    table = table_of(layout, samples, stamp, NUMBERS[numbers])
    table.delimiter = delimiter
    WRAPS[wrap](table)
    (tmp_path / "h.csv").write_bytes(table.data())
    assert_holds(tmp_path / "h.csv", layout, samples, how)


def labels(item: str) -> dict[str, str]:
    namespace, service = item.split("/")
    return {"namespace": namespace, "service": service}


def matrix(samples: list[float], **more: str) -> list[dict[str, object]]:
    return [
        {
            "metric": labels(item) | more,
            "values": [[at(i).timestamp(), str(k * v)] for i, v in enumerate(samples)],
        }
        for k, item in enumerate(ITEMS, start=1)
    ]


def prometheus(samples):
    data = {"resultType": "matrix", "result": matrix(samples)}
    return json.dumps({"status": "success", "data": data})


def promtool(samples):
    return json.dumps(matrix(samples, __name__="job:requests:rate5m"))


def victoria_metrics(samples):
    lines = (
        {
            "metric": one["metric"],
            "values": [float(text) for _, text in one["values"]],
            "timestamps": [round(1000 * stamp) for stamp, _ in one["values"]],
        }
        for one in matrix(samples)
    )
    return "\n".join(map(json.dumps, lines))


def cloudwatch_data(samples):
    found = [
        {
            "Id": f"m{k}",
            "Label": item,
            "Timestamps": [at(i).isoformat() for i in range(len(samples))][::-1],
            "Values": [60 * k * v for v in samples][::-1],
            "StatusCode": "Complete",
        }
        for k, item in enumerate(ITEMS, start=1)
    ]
    return json.dumps({"MetricDataResults": found})


def openmetrics(samples):
    lines = [
        f'qps{{namespace="{labels(item)["namespace"]}",service="{labels(item)["service"]}"}} '
        f"{k * v} {at(i).timestamp()}"
        for k, item in enumerate(ITEMS, start=1)
        for i, v in enumerate(samples)
    ]
    return "\n".join(["# TYPE qps gauge", *lines, "# EOF", ""])


def records(samples):
    return json.dumps(
        [
            {"item_id": item, "timestamp": at(i).isoformat(), "qps": k * v}
            for k, item in enumerate(ITEMS, start=1)
            for i, v in enumerate(samples)
        ]
    )


@pytest.mark.parametrize(
    ("write", "how"),
    [
        pytest.param(prometheus, {}, id="the API of Prometheus"),
        pytest.param(promtool, {}, id="promtool"),
        pytest.param(victoria_metrics, {}, id="VictoriaMetrics' export"),
        pytest.param(cloudwatch_data, {"unit": "count"}, id="CloudWatch's get-metric-data"),
        pytest.param(openmetrics, {}, id="OpenMetrics"),
        pytest.param(records, {}, id="records"),
        pytest.param(
            lambda samples: "\n".join(map(json.dumps, json.loads(records(samples)))),
            {},
            id="a record per line",
        ),
    ],
)
@given(samples=values)
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_kind_of_document_is_read_back_equal(tmp_path, write, how, samples):
    (tmp_path / "h.json").write_text(write(samples))
    assert_holds(tmp_path / "h.json", "long", samples, how)


@given(samples=values, period=st.sampled_from([60, 3600]))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cloudwatch_s_sums_are_divided_by_their_period(tmp_path, samples, period):
    points = [
        {
            "Timestamp": (START + i * timedelta(seconds=period)).isoformat(),
            "Sum": period * v,
            "Unit": "Count",
        }
        for i, v in enumerate(samples)
    ]
    found = {"Label": "RequestCount", "Datapoints": points[::2] + points[1::2]}
    (tmp_path / "shop.json").write_text(json.dumps(found))
    (raw,) = read_raw(tmp_path / "shop.json")
    assert raw.item_id == "shop"
    np.testing.assert_allclose(raw.values, samples, rtol=1e-12)
    assert np.diff(raw.stamps).tolist() == [period] * (len(samples) - 1)


def test_a_counter_becomes_its_increase_per_second(tmp_path):
    grown = [0, 600, 1800, 60, 120]  # began anew after the third
    lines = [f"http_requests_total {v} {at(i).timestamp()}" for i, v in enumerate(grown)]
    path = tmp_path / "h.om"
    path.write_text("\n".join(["# TYPE http_requests counter", *lines, "# EOF", ""]))
    (raw,) = read_raw(path)
    np.testing.assert_array_equal(raw.values, [np.nan, 10, 20, 1, 1])


def test_a_block_of_nul_takes_the_line_that_it_cuts_off_with_it(tmp_path):
    lines = [f"{at(i):%Y-%m-%dT%H:%M:%SZ},{100 + i}" for i in range(6)]
    text = "\n".join(["timestamp,qps", *lines[:3], lines[3][:-1] + "\0" * 9, *lines[4:], ""])
    (tmp_path / "h.csv").write_text(text)
    (raw,) = read_raw(tmp_path / "h.csv")
    assert raw.values.tolist() == [100, 101, 102, 104, 105]


def test_excel_s_unicode_text_is_read(tmp_path):
    text = "timestamp\tqps\r\n2026-03-01T00:00:00Z\t1\r\n"
    (tmp_path / "h.txt").write_bytes(codecs.BOM_UTF16_LE + text.encode("utf-16-le"))
    (raw,) = read_raw(tmp_path / "h.txt")
    assert raw.values.tolist() == [1]
