"""Series in documents that are no tables: JSON of Prometheus and of others, and OpenMetrics.

Used by `table_files` alone. Each becomes a frame whose value column is named by its metric.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from prometheus_client import parser as text_format
from prometheus_client.openmetrics import parser as openmetrics_format

from forecaster.adapters.prometheus.answers import remarks
from forecaster.adapters.prometheus.label_sets import item_named_by
from forecaster.adapters.tables.exports import frame_of_export
from forecaster.adapters.tables.metric_series import FrameAndSource, MetricSeries, long_frame
from forecaster.adapters.tables.sources import TableSource, quoted

# A sample's line, its series named by a metric or, as `promtool tsdb dump` does, by labels alone.
EXPOSITION = re.compile(
    r"# (?:HELP|TYPE|UNIT) |(?:[a-zA-Z_:][\w:]*(?:\{.*\})?|\{__name__=.*\}) "
    r"(?:[-+]?[\d.][\deE.+-]*|NaN|[+-]Inf)(?: [\d.]+)?$"
)
END = "# EOF"
FIRST_YEARS = 10**8  # seconds until 1973: stamps that are taken for milliseconds, but are none
# The text of `promtool query range`: a line of labels, and one per sample.
SERIES_LINE = re.compile(r"([^\s{]+)?\s*(\{.*\})?\s*=>\s*")
SAMPLE_LINE = re.compile(r"(\S+) @\[([\d.]+)\]\s*")
KNOWN = (
    "the Prometheus API (query_range), promtool, VictoriaMetrics, Grafana, Datadog, CloudWatch, "
    'Azure Monitor, or a list of records (as pandas\' to_json(orient="records") writes)'
)


def is_json(text: str) -> bool:
    return text.lstrip()[:1] in {"{", "["}


def is_exposition(text: str) -> bool:
    """Return whether a text is in Prometheus's format or that of OpenMetrics."""
    first = next((line for line in text[:100_000].splitlines() if line.strip()), "")
    known = EXPOSITION.match(first) or SERIES_LINE.fullmatch(first)
    return bool(known) or text.rstrip().endswith(END)


def frame_of_json(text: str, source: TableSource) -> FrameAndSource:
    """Return the series in a JSON document, or in one record per line.

    Raises:
        HistoryError: it is none that is known, or holds an error or a single sample.
    """
    documents = _loaded(text, source)
    found = documents[0] if len(documents) == 1 else documents
    for one in documents:
        if (error := _error_in(one)) is not None:
            raise source.refusal(f"holds an error instead of series: {quoted(error)}")
    export = frame_of_export(found, source)
    if export is not None:
        return export
    answers = found if isinstance(found, list) else [found]
    if not all(isinstance(one, dict) for one in answers):
        raise source.refusal(f"is JSON of no known kind; known is that of {KNOWN}")
    series = [one for answer in answers for one in _series_of(answer, source)]
    if any("metric" in one for one in series):
        return _matrix(series, source)
    nested = any(isinstance(cell, dict | list) for one in series[:1] for cell in one.values())
    if nested or series == [found]:
        raise source.refusal(f"is JSON of no known kind; known is that of {KNOWN}")
    return (pd.DataFrame(series), source) if series else _matrix(series, source)


def _error_in(found: object) -> object:
    """Return what a server says went wrong; None where nothing did."""
    if not isinstance(found, dict):
        return None
    results = found.get("results")
    answers = [found, *(results.values() if isinstance(results, dict) else ())]
    for one in answers:
        error = isinstance(one, dict) and (one.get("error") or one.get("errors"))
        if error and ("status" in one or len(one) <= 2):
            return error
    return None


def _series_of(answer: Mapping[str, Any], source: TableSource) -> Sequence[Mapping[str, Any]]:
    """Return the series in an answer of Prometheus; a series, or a record, as it is."""
    data = answer.get("data", answer)
    if not isinstance(data, dict):
        if isinstance(data, list) and all(isinstance(one, dict) for one in data):
            return data
        return [answer]
    if "resultType" not in data and "result" not in data:
        return [answer]
    kind = data.get("resultType", "matrix")
    if kind != "matrix":
        raise source.refusal(f"holds a {quoted(kind)}, of one instant; ask for a query_range")
    if partial := remarks(dict(answer))[1]:
        source.note(f"the server says that data is missing: {quoted(partial[0])}")
    return data.get("result") or []


def frame_of_exposition(text: str, source: TableSource) -> FrameAndSource:
    """Return the samples in Prometheus's text format or that of OpenMetrics.

    Raises:
        HistoryError: it is neither, or has no stamps.
    """
    complete = text.rstrip().endswith(END)
    parser = openmetrics_format if complete else text_format
    text = _from_promtool(text)
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
                if not complete and float(sample.timestamp) < FIRST_YEARS:
                    raise source.refusal(
                        f"has stamps in seconds, as OpenMetrics has, but does not end with {END}: "
                        "it is cut off; write it again"
                    )
                key = sample.name, item_named_by({"__name__": sample.name} | sample.labels)
                series.setdefault(key, []).append((float(sample.timestamp), sample.value))
                if family.type == "counter":
                    counters.add(sample.name)
    except (ValueError, KeyError, IndexError) as error:
        raise source.refusal(f"is not OpenMetrics as it should be ({str(error)[:200]})") from error
    source.note(f"read as OpenMetrics, {len(series)} series")
    found = [MetricSeries(metric, item, samples) for (metric, item), samples in series.items()]
    return long_frame(found, counters, source)


def _from_promtool(text: str) -> str:
    """Return what `promtool query range` prints in Prometheus's format; other text as it is."""
    lines = text.splitlines()
    if not lines or not SERIES_LINE.fullmatch(lines[0]):
        return text
    name, found = "", []
    for line in lines:
        if series := SERIES_LINE.fullmatch(line):
            name = (series[1] or "value") + (series[2] or "")
        elif sample := SAMPLE_LINE.fullmatch(line):
            found.append(f"{name} {sample[1]} {round(1000 * float(sample[2]))}")
    return "\n".join([*found, ""])


def _loaded(text: str, source: TableSource) -> list[Any]:
    """Return the documents that a text holds one behind the other, in lines or not."""
    decoder, found, at = json.JSONDecoder(), [], 0
    text = text.strip()
    try:
        while at < len(text):
            document, at = decoder.raw_decode(text, at)
            found.append(document)
            while text[at : at + 1].isspace():
                at += 1
    except (ValueError, RecursionError) as error:
        raise source.refusal(f"is no JSON ({str(error)[:200]}); is it complete?") from error
    return found


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
        found.append(MetricSeries(metric, item_named_by(labels), samples))
    source.note(f"read as an answer of Prometheus, {len(found)} series")
    return long_frame(found, set(), source)
