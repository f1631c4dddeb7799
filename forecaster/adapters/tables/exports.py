"""JSON that dashboards and clouds export: Grafana, Datadog, Graphite, and those of `cloud_exports`.

Used by `documents` alone. Each reader takes the part of the document that it knows. What a series
is measured in becomes the name of its metric, so that it is judged as the name of a column is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from forecaster.adapters.prometheus.label_sets import item_named_by, item_of_labels
from forecaster.adapters.tables.cloud_exports import (
    azure_metrics,
    date_histograms,
    elasticsearch_counts,
    google_series,
    metric_data,
    statistics,
)
from forecaster.adapters.tables.metric_series import (
    PER_SPACING,
    FrameAndSource,
    MetricSeries,
    Records,
    long_frame,
    part_at,
    records_with,
)
from forecaster.adapters.tables.sources import TableSource

UNNAMED = frozenset(("", "value", "values"))  # fields and scopes that name nothing
NO_UNIT = frozenset(("", "none", "short", "sishort"))


def frame_of_export(found: object, source: TableSource) -> FrameAndSource | None:
    """Return the series of an export; None if it is of no kind that is known here.

    Raises:
        HistoryError: it holds no traffic, or does not say what it holds.
    """
    for part, reader in READERS:
        records = part(found)
        if isinstance(records, list) and all(isinstance(one, dict) for one in records):
            try:
                return reader(records, source)
            except (KeyError, TypeError, AttributeError, ValueError, StopIteration) as error:
                reason = f"{type(error).__name__}: {str(error)[:100]}"
                raise source.refusal(f"is not whole ({reason}); export it again") from error
    return None


def _grafana_frames(found: object) -> Any:  # noqa: ANN401 - JSON
    """Return the data frames in an answer of /api/ds/query or of Inspect, in its JSON."""
    results = part_at(found, "results")
    if isinstance(results, dict):
        return [frame for one in results.values() for frame in part_at(one, "frames") or []]
    frames = found if isinstance(found, list) else part_at(found, "series")
    return records_with(frames, "schema", "fields")


def _grafana(frames: Records, source: TableSource) -> FrameAndSource:
    tables = [
        list(
            zip(part_at(frame, "schema", "fields") or frame["fields"], _values(frame), strict=True)
        )
        for frame in frames
    ]
    source.note(f"read as data frames of Grafana: {len(frames)}")
    if len(tables) == 1 and not any(field.get("labels") for field, _ in tables[0]):
        names = [_shown(field) or str(field["name"]) for field, _ in tables[0]]
        return pd.DataFrame(
            dict(zip(names, (cells for _, cells in tables[0]), strict=True))
        ), source
    series = []
    for table in tables:
        times: Sequence[Any] = next(
            (cells for field, cells in table if field.get("type") == "time"), []
        )
        for field, cells in table:
            if field.get("type") == "number":
                labels = {str(key): str(text) for key, text in (field.get("labels") or {}).items()}
                unit = str(part_at(field, "config", "unit") or "").lower()
                metric = labels.pop("__name__", "value" if unit in NO_UNIT else unit)
                item = item_named_by(labels) if labels else _shown(field) or source.default_item
                series.append(MetricSeries(metric, item, list(zip(times, cells, strict=True))))
    return long_frame(series, (), source)


def _values(frame: Mapping[str, Any]) -> Sequence[Any]:
    found = part_at(frame, "data", "values")
    return [field["values"] for field in frame["fields"]] if found is None else found


def _shown(field: Mapping[str, Any]) -> str:
    """Return the name that Grafana shows of a field; "" for one like "Value"."""
    names = (
        part_at(field, "state", "displayName"),
        part_at(field, "config", "displayName"),
        part_at(field, "config", "displayNameFromDS"),
        field.get("name"),
    )
    name = str(next(name for name in names if name))
    return "" if name.lower() in UNNAMED else name


def _graphite(targets: Records, source: TableSource) -> FrameAndSource:
    source.note(f"read as targets with datapoints, {len(targets)} series")
    series = [
        MetricSeries(
            "value",
            item_of_labels(str(one["target"])),
            [(stamp, number) for number, stamp in one["datapoints"]],
        )
        for one in targets
    ]
    return long_frame(series, (), source)


def _datadog(found: Records, source: TableSource) -> FrameAndSource:
    series = []
    for one in found:
        scope = str(one.get("scope") or "")
        item = source.default_item if scope in {"", "*"} else scope
        metric = _datadog_unit(one.get("unit"), str(one.get("expression") or ""), source)
        series.append(MetricSeries(metric, item, [(at, value) for at, value in one["pointlist"]]))
    source.note(f"read as series of Datadog: {len(series)}")
    return long_frame(series, (), source)


def _datadog_v2(found: object) -> Any:  # noqa: ANN401 - JSON
    """Return the series of an answer of version 2 as those of version 1."""
    answer = part_at(found, "data", "attributes") or {}
    times, values = answer.get("times"), answer.get("values")
    if not times or not values:
        return None
    return [
        {
            "scope": ",".join(one.get("group_tags") or ()),
            "unit": one.get("unit"),
            "pointlist": list(zip(times, cells, strict=True)),
        }
        for one, cells in zip(answer.get("series") or (), values, strict=True)
    ]


def _datadog_unit(unit: object, expression: str, source: TableSource) -> str:
    """Return what a series is measured in, such as "requests/second"."""
    if isinstance(unit, list) and unit and unit[0]:
        names = [str(part_at(unit[0], "plural") or part_at(unit[0], "name"))]
        names += [str(part_at(one, "name")) for one in unit[1:] if one]
        if len(names) == 1 and "as_count(" in expression:
            return PER_SPACING
        return "/".join(names)
    if "as_rate(" in expression or "per_second(" in expression:
        return "rps"
    if "as_count(" in expression:
        return PER_SPACING
    if source.hints.unit is None:
        raise source.refusal(
            "is of Datadog and states no unit; say --unit rps for requests per second, or "
            "--unit count for counts from stamp to stamp"
        )
    return "value"


def _one_with(key: str) -> Callable[[object], Any]:
    return lambda found: [found] if isinstance(part_at(found, key), list) else None


# What each kind is known by, and how that part is read.
READERS: tuple[tuple[Callable[[object], Any], Callable[..., FrameAndSource]], ...] = (
    (_grafana_frames, _grafana),
    (lambda found: records_with(found, "datapoints"), _graphite),
    (lambda found: records_with(part_at(found, "series"), "pointlist"), _datadog),
    (_datadog_v2, _datadog),
    (_one_with("Datapoints"), statistics),
    (lambda found: part_at(found, "MetricDataResults"), metric_data),
    (lambda found: records_with(part_at(found, "value"), "timeseries"), azure_metrics),
    (lambda found: records_with(part_at(found, "timeSeries"), "points"), google_series),
    (date_histograms, elasticsearch_counts),
)
