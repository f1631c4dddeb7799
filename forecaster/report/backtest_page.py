"""The HTML page of a backtest: the verdict, the candidates, the calibration, the items."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from forecaster import __version__
from forecaster.evaluation.backtest import SERVED, Backtest, ItemResult
from forecaster.plots import (
    backtest_fan,
    coverage_by_minute,
    error_by_horizon,
    error_by_level,
    reliability_diagram,
)
from forecaster.plots.labels import duration, name_of, reason_text
from forecaster.plots.scores import ranked
from forecaster.report.findings import extent, high_levels, least_covered_minutes, number
from forecaster.report.page import Column, PageTable, figure_data, render_page
from forecaster.report.top import INTRO, page_findings

MOST_ITEMS = 200
MOST_FANS = 4
FAN_SPAN = timedelta(days=4)


def html_report(
    backtest: Backtest,
    title: str,
    *,
    facts: Mapping[str, str] | None = None,
    fit_seconds: Mapping[str, float] | None = None,
) -> str:
    """Return a page that needs no network: about 5 MB, for it carries the plotting library.

    Args:
        backtest: the results.
        title: heading of the page.
        facts: shown below the heading, such as the model's version.
        fit_seconds: seconds that fitting took, per candidate; empty if not known.
    """
    items = hardest_first(backtest)
    values = {
        "title": title,
        "about": " · ".join([*(f"{k}: {v}" for k, v in (facts or {}).items()), extent(backtest)]),
        "intro": INTRO,
        "findings": page_findings(backtest),
        "candidates": _candidates(backtest, fit_seconds or {}),
        "error_by_horizon": figure_data(error_by_horizon(backtest)),
        "error_by_level": figure_data(error_by_level(backtest)),
        "coverage": _coverage(backtest),
        "reliability": figure_data(reliability_diagram(backtest)),
        "by_minute": _by_minute(backtest),
        "items": _items(backtest, items[:MOST_ITEMS]),
        "items_left_out": len(items[MOST_ITEMS:]),
        "fans": [_fan(backtest, item) for item in spread_out(items)],
        "version": __version__,
    }
    return render_page("backtest.html", values, package=__package__)


def _candidates(backtest: Backtest, fit_seconds: Mapping[str, float]) -> PageTable:
    levels = high_levels(backtest)
    columns = [Column("candidate", words=True), Column("loss"), Column("at peaks")]
    columns += [Column(f"covers {level:g}") for _, level in levels]
    columns += [Column("WAPE"), Column("predict (s)")]
    columns += [Column("fit (s)")] if fit_seconds else []
    rows = []
    for name, score in ranked(backtest):
        row = [name_of(name), number(score.relative), number(score.relative_peaks)]
        row += [number(score.coverage[i]) for i, _ in levels]
        row += [number(score.wape), number(backtest.predict_seconds.get(name, math.nan))]
        row += [number(fit_seconds.get(name, math.nan), 1)] if fit_seconds else []
        rows.append(row)
    return PageTable(columns, rows, marked=0)


def _coverage(backtest: Backtest) -> PageTable:
    served = backtest.summary[SERVED]
    columns = ["quantile", "all moments", "lowest", "highest", "peaks", "day's 5 highest"]
    rows = []
    for i, level in enumerate(backtest.quantile_levels):
        items = [item.scores[SERVED].coverage[i] for item in backtest.items]
        known = [share for share in items if math.isfinite(share)] or [math.nan]
        found = served.coverage[i], min(known), max(known), served.peak_coverage[i]
        rows.append([f"{level:g}", *map(number, (*found, served.top_coverage[i]))])
    return PageTable([Column(name) for name in columns], rows)


def _items(backtest: Backtest, items: Sequence[ItemResult]) -> PageTable:
    levels = high_levels(backtest)[:1]
    columns = [Column("item", words=True), Column("served by", words=True)]
    columns += [Column("loss"), Column("at peaks")]
    columns += [Column(f"covers {level:g}") for _, level in levels]
    columns += [Column("why", words=True)]
    rows = []
    for item in items:
        score = item.scores[SERVED]
        figures = [score.relative, score.relative_peaks, *(score.coverage[i] for i, _ in levels)]
        rows.append(
            [item.item_id, name_of(item.source), *map(number, figures), reason_text(item.reason)]
        )
    return PageTable(columns, rows)


@dataclass(frozen=True)
class _ItemFigure:
    """A figure of one item, such as its forecasts over what happened."""

    heading: str
    figure: str


def _by_minute(backtest: Backtest) -> list[_ItemFigure]:
    """Return the coverage by minute of the item with the least covered one; none if unknown."""
    return [
        _ItemFigure(
            f"{item.item_id}: by minute of the hour",
            figure_data(coverage_by_minute(backtest, item.item_id)),
        )
        for item, _, _ in least_covered_minutes(backtest)[:1]
    ]


def _fan(backtest: Backtest, item: ItemResult) -> _ItemFigure:
    length = duration(item.actual.shape[1] * backtest.step_seconds)
    return _ItemFigure(
        f"{item.item_id}: {length} ahead, by {name_of(item.source)}",
        figure_data(backtest_fan(backtest, item.item_id, last=FAN_SPAN)),
    )


def hardest_first(backtest: Backtest) -> list[ItemResult]:
    """Return the items by relative loss, the highest first; those without any come last."""

    def place(item: ItemResult) -> float:
        relative = item.scores[SERVED].relative
        return -relative if math.isfinite(relative) else math.inf

    return sorted(backtest.items, key=place)


def spread_out(items: Sequence[ItemResult]) -> list[ItemResult]:
    """Return at most four of the items that have a loss: the first, the last, and between them."""
    judged = [item for item in items if math.isfinite(item.scores[SERVED].relative)]
    count = min(MOST_FANS, len(judged))
    places = [round(i * (len(judged) - 1) / max(count - 1, 1)) for i in range(count)]
    return [judged[place] for place in places]
