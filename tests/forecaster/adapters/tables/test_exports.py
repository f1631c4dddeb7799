"""JSON and text that monitoring exports hold the samples that are meant, or are refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from forecaster.adapters.tables.history_files import read_raw
from forecaster.errors import HistoryError
from tests.forecaster.adapters.tables.test_wild_files import EPOCHS, ISO, RATES, N, assert_holds

TWICE = [2 * rate for rate in RATES]
MILLIS = [1000 * epoch for epoch in EPOCHS]
TWO = {"a": RATES, "b": TWICE}
BY_MINUTE = [60 * rate for rate in RATES]


def field(values, name="Value", kind="number", **more):
    return {"name": name, "type": kind, "values": list(values)} | more


def framed(*fields):
    """Return a data frame as Grafana's servers write it."""
    schema = [{key: one[key] for key in one if key != "values"} for one in fields]
    return {"schema": {"fields": schema}, "data": {"values": [one["values"] for one in fields]}}


TIME = field(MILLIS, "Time", "time")


def service(name: str, values, **more):
    return field(values, labels={"service": name}, **more)


def queried(*frames):
    return {"results": {"A": {"status": 200, "frames": list(frames)}}}


def datadog(scope: str, values, unit=("requests", "second"), **more):
    named = unit and [{"plural": unit[0]}, unit[1] and {"name": unit[1]}]
    points = [list(pair) for pair in zip(MILLIS, values, strict=True)]
    return {"scope": scope, "unit": named, "pointlist": points} | more


def datadog_v2(values, unit):
    series = [{"group_tags": ["service:a"], "unit": unit}]
    return {"data": {"attributes": {"series": series, "times": MILLIS, "values": [values]}}}


def matrix(name: str, values, part=slice(None)):
    pairs = list(zip(EPOCHS, map(str, values), strict=True))[part]
    found = {"metric": {"service": name}, "values": pairs}
    return {"status": "success", "data": {"resultType": "matrix", "result": [found]}}


def victoria(name: str, values):
    return {"metric": {"service": name}, "values": values, "timestamps": MILLIS}


def azure(values, name="Requests", **tags):
    data = [{"timeStamp": at, "total": value} for at, value in zip(ISO, values, strict=True)]
    named = [{"name": {"value": key}, "value": text} for key, text in tags.items()]
    timeseries = [{"metadatavalues": named, "data": data}]
    return {"name": {"value": name}, "unit": "Count", "timeseries": timeseries}


def google(values, kind="DELTA", unit="1"):
    points = [
        {"interval": {"endTime": at}, "value": {"doubleValue": value}}
        for at, value in zip(ISO, values, strict=True)
    ]
    labels = {"labels": {"service": "a"}}
    return {"metric": labels, "metricKind": kind, "unit": unit, "points": points[::-1]}


def histogram(values):
    return {
        "buckets": [
            {"key_as_string": ISO[i], "key": MILLIS[i], "doc_count": round(60 * values[i])}
            for i in range(N)
        ]
    }


HITS = datadog("service:a", BY_MINUTE, ("hits", None))
GROWN = [np.nan, *[10.0] * (N - 1)]
LINES = "\n".join(f"{rate} @[{epoch}]" for rate, epoch in zip(RATES, EPOCHS, strict=True))


@pytest.mark.parametrize(
    ("document", "meant"),
    [
        pytest.param(
            queried(framed(TIME, service("a", RATES)), framed(TIME, service("b", TWICE))),
            TWO,
            id="Grafana's /api/ds/query",
        ),
        pytest.param(
            queried(framed(TIME, service("a", RATES), service("b", TWICE))),
            TWO,
            id="one frame of several labelled fields",
        ),
        pytest.param(queried(framed(TIME, field(RATES))), {"h": RATES}, id="a field of no name"),
        pytest.param(
            queried(framed(TIME, field(RATES, "a"), field(TWICE, "b"))), TWO, id="a wide frame"
        ),
        pytest.param(
            queried(
                framed(
                    field(MILLIS * 2, "Time", "time"),
                    field(["a"] * N + ["b"] * N, "service", "string"),
                    field(RATES + TWICE),
                )
            ),
            TWO,
            id="a long frame",
        ),
        pytest.param(
            [framed(TIME, service("a", RATES)), framed(TIME, service("b", TWICE))],
            TWO,
            id="Grafana's Inspect, data frames",
        ),
        pytest.param(
            {
                "state": "Done",
                "series": [
                    {"refId": "A", "fields": [TIME, service("a", RATES)]},
                    {"refId": "A", "fields": [TIME, service("b", TWICE)]},
                ],
            },
            TWO,
            id="Grafana's Inspect, panel data",
        ),
        pytest.param(
            queried(
                framed(TIME, service("a", [None, *RATES[1:]], config={"unit": "reqps"})),
                framed(TIME, service("a", TWICE, config={"unit": "ms"})),
            ),
            {"a": [np.nan, *RATES[1:]]},
            id="a latency beside, by its unit",
        ),
        pytest.param(
            [
                {"target": name, "datapoints": [list(pair) for pair in zip(v, EPOCHS, strict=True)]}
                for name, v in TWO.items()
            ],
            TWO,
            id="Graphite",
        ),
        pytest.param(
            {"series": [datadog("service:a", RATES), datadog("service:b", [None, *TWICE[1:]])]},
            {"service:a": RATES, "service:b": [np.nan, *TWICE[1:]]},
            id="Datadog",
        ),
        pytest.param(
            {"series": [datadog("*", BY_MINUTE, ("hits", "minute"))]},
            {"h": RATES},
            id="Datadog's hits per minute",
        ),
        pytest.param(
            {"series": [datadog("*", RATES, None, expression="sum:hits{*}.as_rate()")]},
            {"h": RATES},
            id="Datadog's as_rate",
        ),
        pytest.param(
            {"series": [HITS | {"expression": "sum:hits{*}.as_count()"}]},
            {"service:a": RATES},
            id="Datadog's as_count",
        ),
        pytest.param(
            datadog_v2(RATES, [{"plural": "requests"}, {"name": "second"}]),
            {"service:a": RATES},
            id="Datadog's second version",
        ),
        pytest.param([matrix("a", RATES), matrix("b", TWICE)], TWO, id="answers in a list"),
        pytest.param(
            [matrix("a", RATES, slice(0, 9)), matrix("a", RATES, slice(9, None))],
            {"a": RATES},
            id="answers of parts of a span",
        ),
        pytest.param(victoria("a", RATES), {"a": RATES}, id="VictoriaMetrics' only line"),
        pytest.param({"value": [azure(BY_MINUTE)]}, {"h": RATES}, id="Azure Monitor"),
        pytest.param({"value": [azure(BY_MINUTE, app="a")]}, {"a": RATES}, id="Azure's dimensions"),
        pytest.param({"timeSeries": [google(BY_MINUTE)]}, {"a": RATES}, id="Google Cloud"),
        pytest.param(
            {"timeSeries": [google(RATES, "GAUGE", "{request}/s")]},
            {"a": RATES},
            id="Google Cloud's rates",
        ),
        pytest.param(
            {"timeSeries": [google([600 * i for i in range(N)], "CUMULATIVE")]},
            {"a": GROWN},
            id="Google Cloud's counters",
        ),
        pytest.param({"aggregations": {"t": histogram(RATES)}}, {"h": RATES}, id="Elasticsearch"),
        pytest.param(
            {
                "aggregations": {
                    "services": {
                        "buckets": [
                            {"key": k, "doc_count": 1, "t": histogram(v)} for k, v in TWO.items()
                        ]
                    }
                }
            },
            TWO,
            id="Elasticsearch by term",
        ),
    ],
)
def test_an_export_holds_the_series_that_are_meant(tmp_path, document, meant):
    assert_holds(tmp_path / "h.json", json.dumps(document), meant)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        pytest.param(
            json.dumps(matrix("a", RATES), indent=1) + json.dumps(matrix("b", TWICE)),
            TWO,
            id="answers put one behind the other",
        ),
        pytest.param(f'{{service="a"}} =>\n{LINES}\n', {"a": RATES}, id="promtool's text"),
        pytest.param(f'rps{{service="a"}} =>\n{LINES}\n', {"a": RATES}, id="with a metric"),
        pytest.param(
            "".join(
                f'{{__name__="http_requests_total", service="a"}} {600 * i} {MILLIS[i]}\n'
                for i in range(N)
            ),
            {"a": GROWN},
            id="promtool tsdb dump",
        ),
    ],
)
def test_text_of_prometheus_s_tools_is_read(tmp_path, text, meant):
    assert_holds(tmp_path / "h.txt", text, meant)


@pytest.mark.parametrize(
    ("document", "option", "hints", "meant"),
    [
        pytest.param(
            {"series": [HITS]}, "--unit", {"unit": "count"}, {"service:a": RATES}, id="hits"
        ),
        pytest.param(
            {"series": [datadog("*", RATES, None)]},
            "--unit rps",
            {"unit": "rps"},
            {"h": RATES},
            id="no unit",
        ),
        pytest.param(
            datadog_v2(RATES, None), "--unit", {"unit": "rps"}, {"service:a": RATES}, id="version 2"
        ),
        pytest.param(
            {"value": [azure(BY_MINUTE), azure(TWICE, "Http5xx")]},
            "--value-column",
            {"value_columns": ("Requests",)},
            {"h": RATES},
            id="two metrics of Azure",
        ),
        pytest.param(
            {"timeSeries": [google(RATES, "GAUGE")]}, None, {}, {"a": RATES}, id="a gauge"
        ),
    ],
)
def test_what_an_export_does_not_say_an_option_says(tmp_path, document, option, hints, meant):
    path, text = tmp_path / "h.json", json.dumps(document)
    if option:
        with pytest.raises(HistoryError, match=option):
            assert_holds(path, text, meant)
    assert_holds(path, text, meant, **hints)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            json.dumps({"series": [datadog("*", RATES, ("seconds", None))]}),
            "no requests per second by their names",
            id="Datadog's latency",
        ),
        pytest.param(
            json.dumps(queried(framed(TIME, service("a", RATES, config={"unit": "ms"})))),
            "no requests per second by their names",
            id="Grafana's latency",
        ),
        pytest.param(
            json.dumps({"results": {"A": {"status": 400, "error": "parse error"}}}),
            "an error instead of series: 'parse error'",
            id="Grafana's error",
        ),
        pytest.param(json.dumps({"errors": ["Forbidden"]}), "Forbidden", id="Datadog's error"),
        pytest.param(
            json.dumps({"series": [{"pointlist": [[1]], "unit": None, "expression": "as_rate("}]}),
            "is not whole",
            id="half a point",
        ),
        pytest.param(
            json.dumps({"value": [azure(BY_MINUTE)]}).replace("total", "average"),
            "--aggregation Total",
            id="Azure's averages",
        ),
        pytest.param(
            json.dumps({"Label": "RequestCount", "Datapoints": []}),
            "no datapoint",
            id="CloudWatch's nothing",
        ),
        pytest.param(
            json.dumps({"columns": ["time", "qps"], "data": [[1, 2]]}), "records", id="pandas"
        ),
        pytest.param(json.dumps({"time": EPOCHS, "qps": RATES}), "records", id="lists by name"),
        pytest.param(
            f'rps{{service="a"}} 1 {EPOCHS[0]}.5\n', "does not end with # EOF", id="half a dump"
        ),
    ],
)
def test_what_holds_no_traffic_is_refused_with_the_reason(tmp_path, text, words):
    (tmp_path / "h.json").write_text(text)
    with pytest.raises(HistoryError, match=words):
        read_raw(tmp_path / "h.json")
