"""JSON of clouds: CloudWatch, Azure Monitor and Google Cloud, and counts of Elasticsearch.

Used by `exports` alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from forecaster.adapters.prometheus.label_sets import item_named_by
from forecaster.adapters.tables.columns import unit_of_name
from forecaster.adapters.tables.metric_series import (
    PER_SPACING,
    FrameAndSource,
    MetricSeries,
    Records,
    long_frame,
    part_at,
)
from forecaster.adapters.tables.sources import SECONDS, TableSource, listed, quoted

# Units of CloudWatch in which requests are counted, and the one that is a rate.
COUNTS, RATE = (None, "None", "Count"), "Count/Second"


def azure_metrics(metrics: Records, source: TableSource) -> FrameAndSource:
    series = []
    for one in metrics:
        name = str(part_at(one, "name", "value"))
        rate = str(one.get("unit")) == "CountPerSecond"
        for part in one["timeseries"]:
            points = part.get("data") or []
            key = "average" if rate else "total"
            if points and not any(key in point for point in points):
                raise source.refusal(
                    f"holds {quoted(name)} of Azure without its {key}; export it with "
                    f"--aggregation {key.capitalize()}"
                )
            tags = {
                part_at(tag, "name", "value"): tag["value"] for tag in part["metadatavalues"] or ()
            }
            item = item_named_by(tags) if tags else source.default_item
            samples = [(point["timeStamp"], point.get(key)) for point in points]
            series.append(MetricSeries(name, item, samples))
    source.note(f"read as metrics of Azure Monitor, {len(series)} series")
    chosen = source.hints.value_columns or {one.metric for one in series}
    series = [one for one in series if one.metric in chosen]
    if len({one.metric for one in series}) > 1:
        raise source.refusal(
            f"holds the metrics {listed(chosen)}; name that of the traffic by --value-column"
        )
    unit = "rps" if metrics[0].get("unit") == "CountPerSecond" else PER_SPACING
    source = replace(source, hints=replace(source.hints, value_columns=()))
    return long_frame([one._replace(metric=unit) for one in series], (), source)


def google_series(found: Records, source: TableSource) -> FrameAndSource:
    series, kinds = [], {"DELTA": PER_SPACING, "CUMULATIVE": "counter"}
    for one in found:
        labels = dict(part_at(one, "resource", "labels") or {}) | dict(
            part_at(one, "metric", "labels") or {}
        )
        rate = "rps" if str(one.get("unit") or "").endswith("/s") else "value"
        samples = [
            (part_at(point, "interval", "endTime"), next(iter(point["value"].values())))
            for point in one["points"]
        ]
        metric = kinds.get(str(one.get("metricKind")), rate)
        series.append(MetricSeries(metric, item_named_by(labels), samples))
    source.note(f"read as time series of Google Cloud: {len(series)}")
    return long_frame(series, {"counter"}, source)


def date_histograms(found: object) -> Any:  # noqa: ANN401 - JSON
    """Return the date histograms of Elasticsearch, each with the term that it is under."""
    aggregations = part_at(found, "aggregations")
    return list(_buckets(aggregations, "")) if aggregations else None


def _buckets(found: Mapping[str, Any], item: str) -> Iterator[dict[str, Any]]:
    for part in found.values():
        buckets = part_at(part, "buckets")
        if not isinstance(buckets, list):
            continue
        dates = [one for one in buckets if "key_as_string" in one and "doc_count" in one]
        if dates:
            yield {"item": item, "buckets": dates}
        else:
            for one in buckets:
                yield from _buckets(one, f"{item}/{one.get('key')}".strip("/"))


def elasticsearch_counts(found: Records, source: TableSource) -> FrameAndSource:
    source.note(f"read as date histograms of Elasticsearch: {len(found)}")
    series = [
        MetricSeries(
            PER_SPACING,
            one["item"] or source.default_item,
            [(bucket["key"], bucket["doc_count"]) for bucket in one["buckets"]],
        )
        for one in found
    ]
    return long_frame(series, (), source)


def statistics(found: Records, source: TableSource) -> FrameAndSource:
    """Return the points of CloudWatch's get-metric-statistics, which come in any order."""
    (answer,) = found
    points = answer["Datapoints"]
    label = quoted(answer.get("Label"))
    if not points:
        raise source.refusal(f"holds no datapoint of {label}; check its dimensions and its span")
    units = {point.get("Unit") for point in points}
    if not units <= {*COUNTS, RATE} and not source.hints.value_columns:
        raise source.refusal(
            f"holds {label} in {listed(units)}, which is no traffic; "
            "export RequestCount or the like, or say which statistic is: --value-column"
        )
    frame = pd.DataFrame(points).drop(columns="Unit", errors="ignore")
    statistics = [name for name in frame.columns if name != "Timestamp"]
    if not source.hints.value_columns and "Sum" not in statistics and units != {RATE}:
        raise source.refusal(
            f"holds {listed(statistics)} of {label}, of which none counts "
            "requests; export --statistics Sum"
        )
    if units == {RATE} and statistics:
        frame = frame.rename(columns={statistics[0]: "rps"})
    source.note(f"read as CloudWatch's statistics, {len(frame)} points")
    return frame.sort_values("Timestamp", ignore_index=True), source


def metric_data(results: Records, source: TableSource) -> FrameAndSource:
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
            MetricSeries(metric, label if len(results) > 1 else source.default_item, samples)
        )
    return long_frame(series, (), source)
