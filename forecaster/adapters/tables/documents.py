"""Series in documents that are no tables: JSON of Prometheus and CloudWatch, and OpenMetrics.

Used by `table_files` alone. Each becomes a frame whose value column is named by its metric.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd
from prometheus_client import parser as text_format
from prometheus_client.openmetrics import parser as openmetrics_format

from forecaster.adapters.prometheus.answers import remarks
from forecaster.adapters.prometheus.label_sets import item_named_by
from forecaster.adapters.tables.columns import traffic_columns, unit_of_name
from forecaster.adapters.tables.sources import SECONDS, TableSource, listed, quoted
from forecaster.errors import HistoryError

EXPOSITION = re.compile(
    r"# (?:HELP|TYPE|UNIT) |[a-zA-Z_:][\w:]*(?:\{.*\})? (?:[-+]?[\d.][\deE.+-]*|NaN|[+-]Inf)"
    r"(?: [\d.]+)?$"
)
END = "# EOF"
# Units of CloudWatch in which requests are counted, and the one that is a rate.
COUNTS, RATE = (None, "None", "Count"), "Count/Second"
KNOWN = (
    "the Prometheus API (query_range), promtool query range -o json, CloudWatch "
    "(get-metric-statistics, get-metric-data), or a list of records"
)

FrameAndSource = tuple[pd.DataFrame, TableSource]


class _MetricSeries(NamedTuple):
    metric: str
    item: str
    samples: Sequence[tuple[Any, Any]]


def is_json(text: str) -> bool:
    return text.lstrip()[:1] in {"{", "["}


def is_exposition(text: str) -> bool:
    """Return whether a text is in Prometheus's format or that of OpenMetrics."""
    first = next((line for line in text[:100_000].splitlines() if line.strip()), "")
    return text.rstrip().endswith(END) or bool(EXPOSITION.match(first))


def frame_of_json(text: str, source: TableSource) -> FrameAndSource:
    """Return the series in a JSON document, or in one record per line.

    Raises:
        HistoryError: it is none that is known, or holds an error or a single sample.
    """
    found = _loaded(text, source)
    if isinstance(found, dict) and found.get("status") == "error":
        raise source.refusal(f"holds an error of Prometheus: {quoted(found.get('error'))}")
    if isinstance(found, dict) and isinstance(found.get("Datapoints"), list):
        return _statistics(found, source)
    if isinstance(found, dict) and isinstance(found.get("MetricDataResults"), list):
        return _metric_data(found["MetricDataResults"], source)
    data = found.get("data", found) if isinstance(found, dict) else found
    kind = data.get("resultType", "matrix") if isinstance(data, dict) else "matrix"
    if kind != "matrix":
        raise source.refusal(f"holds a {quoted(kind)}, of one instant; ask for a query_range")
    series = data.get("result") if isinstance(data, dict) else data
    if isinstance(found, dict) and (partial := remarks(found)[1]):
        source.note(f"the server says that data is missing: {quoted(partial[0])}")
    if not isinstance(series, list) or not all(isinstance(one, dict) for one in series):
        raise source.refusal(f"is JSON of no known kind; known is that of {KNOWN}")
    if series and not any("metric" in one for one in series):
        return pd.DataFrame(series), source
    return _matrix(series, source)


def frame_of_exposition(text: str, source: TableSource) -> FrameAndSource:
    """Return the samples in Prometheus's text format or that of OpenMetrics.

    Raises:
        HistoryError: it is neither, or has no stamps.
    """
    complete = text.rstrip().endswith(END)
    parser = openmetrics_format if complete else text_format
    series: dict[tuple[str, str], list[tuple[Any, Any]]] = {}
    counters = set()
    try:
        for family in parser.text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.timestamp is None:
                    raise source.refusal(
                        f"has no stamp behind {quoted(sample.name)}: it is of one instant; "
                        "write e.g. promtool tsdb dump-openmetrics"
                    )
                key = sample.name, item_named_by({"__name__": sample.name} | sample.labels)
                series.setdefault(key, []).append((float(sample.timestamp), sample.value))
                if family.type == "counter":
                    counters.add(sample.name)
    except (ValueError, KeyError, IndexError) as error:
        raise source.refusal(f"is not OpenMetrics as it should be ({str(error)[:200]})") from error
    source.note(f"read as OpenMetrics, {len(series)} series")
    found = [_MetricSeries(metric, item, samples) for (metric, item), samples in series.items()]
    return _long(found, counters, source)


def _loaded(text: str, source: TableSource) -> Any:  # noqa: ANN401 - JSON
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        try:
            return [json.loads(line) for line in text.splitlines() if line.strip()]
        except (ValueError, RecursionError):
            raise source.refusal(f"is no JSON ({str(error)[:200]}); is it complete?") from error


def _matrix(series: Sequence[Mapping[str, Any]], source: TableSource) -> FrameAndSource:
    found = []
    for one in series:
        labels = {str(name): str(text) for name, text in dict(one.get("metric") or {}).items()}
        samples = one.get("values")
        if isinstance(samples, list) and isinstance(one.get("timestamps"), list):  # VictoriaMetrics
            samples = [list(pair) for pair in zip(one["timestamps"], samples, strict=False)]
        if not isinstance(samples, list) or any(
            not isinstance(sample, list) or len(sample) != 2 for sample in samples
        ):
            rule = "is a histogram or one instant, and no range of numbers; query e.g. its _count"
            raise source.refusal(f"holds a series {quoted(labels)} that {rule}")
        metric = labels.get("__name__", "value")
        found.append(_MetricSeries(metric, item_named_by(labels), samples))
    source.note(f"read as an answer of Prometheus, {len(found)} series")
    return _long(found, set(), source)


def _statistics(found: Mapping[str, Any], source: TableSource) -> FrameAndSource:
    """Return the points of CloudWatch's get-metric-statistics, which come in any order."""
    points = found["Datapoints"]
    units = {point.get("Unit") for point in points}
    if not units <= {*COUNTS, RATE} and not source.hints.value_columns:
        raise source.refusal(
            f"holds {quoted(found.get('Label'))} in {listed(units)}, which is no traffic; "
            "export RequestCount or the like, or say which statistic is: --value-column"
        )
    frame = pd.DataFrame(points).drop(columns="Unit", errors="ignore")
    statistics = [name for name in frame.columns if name != "Timestamp"]
    if not source.hints.value_columns and "Sum" not in statistics and units != {RATE}:
        raise source.refusal(
            f"holds {listed(statistics)} of {quoted(found.get('Label'))}, of which none counts "
            "requests; export --statistics Sum"
        )
    if units == {RATE} and statistics:
        frame = frame.rename(columns={statistics[0]: "rps"})
    source.note(f"read as CloudWatch's statistics, {len(frame)} points")
    return frame.sort_values("Timestamp", ignore_index=True) if len(frame) else frame, source


def _metric_data(results: Sequence[Mapping[str, Any]], source: TableSource) -> FrameAndSource:
    labels = [str(one.get("Label") or one.get("Id")) for one in results]
    if source.hints.unit is None and not all(unit_of_name(label) in SECONDS for label in labels):
        raise source.refusal(
            "is of CloudWatch's get-metric-data, which does not say what its values are; say "
            "--unit count for the statistic Sum, or --unit rps for requests per second"
        )
    partial = [one for one in results if one.get("StatusCode") not in (None, "Complete")]
    if partial:
        source.note(f"CloudWatch says that {len(partial)} of {len(results)} series are partial")
    source.note(f"read as CloudWatch's metric data, {len(results)} series")
    series = []
    for label, one in zip(labels, results, strict=True):
        samples = sorted(zip(one["Timestamps"], one["Values"], strict=False))
        metric = label if len(results) == 1 else "value"
        series.append(
            _MetricSeries(metric, label if len(results) > 1 else source.default_item, samples)
        )
    return _long(series, set(), source)


def _long(
    series: Sequence[_MetricSeries], counters: Iterable[str], source: TableSource
) -> FrameAndSource:
    """Return a long frame of the one metric that is the traffic."""
    metrics = list(dict.fromkeys(one.metric for one in series))
    if len(metrics) > 1:
        chosen = traffic_columns(metrics, source)
        if len(chosen) != 1:
            raise source.refusal(
                f"holds the metrics {listed(metrics)}; name that of the traffic by --value-column"
            )
        left_out = [name for name in metrics if name not in chosen]
        source.note(f"the traffic is in {listed(chosen)}; left out: {listed(left_out)}")
        series = [one for one in series if one.metric in chosen]
        metrics = [str(chosen[0])]
    if not series:
        raise HistoryError(f"{source.name} holds no series; check the query and its span")
    metric = metrics[0]
    if source.hints.unit is None and (metric in counters or metric.endswith("_total")):
        source = replace(source, hints=replace(source.hints, unit="counter"))
    value = metric if metric not in {"item_id", "timestamp"} else "value"
    rows = [(one.item, stamp, number) for one in series for stamp, number in one.samples]
    frame = pd.DataFrame(rows, columns=["item_id", "timestamp", value])
    if all(isinstance(stamp, int | float) for stamp in frame["timestamp"]):
        return frame.astype({"timestamp": float}), source
    return frame, source
