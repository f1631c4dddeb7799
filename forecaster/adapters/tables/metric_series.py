"""Series of a document, each with its metric and item, as one long frame of the traffic.

Used by `documents`, `exports` and `cloud_exports`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from forecaster.adapters.tables.columns import traffic_columns
from forecaster.adapters.tables.sources import TableSource, listed
from forecaster.errors import HistoryError

FrameAndSource = tuple[pd.DataFrame, TableSource]
Records = Sequence[Mapping[str, Any]]
PER_SPACING = "sum"  # a metric of counts from stamp to stamp
NAMED_OTHERWISE = frozenset(("item_id", "timestamp"))


class MetricSeries(NamedTuple):
    """A series: ``metric`` says by its name what the values are, ``item`` whose."""

    metric: str
    item: str
    samples: Sequence[tuple[Any, Any]]


def long_frame(
    series: Sequence[MetricSeries], counters: Iterable[str], source: TableSource
) -> FrameAndSource:
    """Return a long frame of the one metric that is the traffic.

    Args:
        series: of any metrics.
        counters: those of the metrics that are known to be counters.
        source: of the document.

    Raises:
        HistoryError: there is no series, or it is not clear which metric is the traffic.
    """
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
    hints = source.hints
    if hints.unit is None and (metric in counters or metric.endswith("_total")):
        hints = replace(hints, unit="counter")
    # The numbers of documents have dots, and commas nowhere.
    source = replace(source, hints=replace(hints, decimal=hints.decimal or "."))
    value = "value" if metric in NAMED_OTHERWISE else metric
    rows = [(one.item, stamp, number) for one in series for stamp, number in one.samples]
    frame = pd.DataFrame(rows, columns=["item_id", "timestamp", value])
    if all(isinstance(stamp, int | float) for stamp in frame["timestamp"]):
        return frame.astype({"timestamp": float}), source
    return frame, source


def part_at(found: object, *keys: str) -> Any:  # noqa: ANN401 - JSON
    """Return what lies under the keys; None if something is missing on the way."""
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def records_with(found: object, *keys: str) -> Any:  # noqa: ANN401 - JSON
    """Return a list of which each record has one of the keys; None for others."""
    if isinstance(found, list) and found:
        return found if all(any(key in one for key in keys) for one in found) else None
    return None
