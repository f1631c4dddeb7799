"""The page of a backtest, from the verdict down to the single item."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

from forecaster import __version__
from forecaster.evaluation.backtest import SERVED, Backtest, ItemResult
from forecaster.plots import backtest_fan, error_by_horizon, error_by_level, reliability_diagram
from forecaster.plots.labels import duration, name_of
from forecaster.plots.scores import ranked
from forecaster.report.findings import extent, high_levels, number, sentences, verdict
from forecaster.report.page import Column, document, drawing, table, text

MOST_ITEMS = 200
MOST_FANS = 4
FAN_SPAN = timedelta(days=4)
GLOSSARY = {
    "Loss": "Pinball loss, the error of quantiles: missing high costs more at a high quantile. "
    "Relative to last value means divided by the loss of a forecast that repeats the last known "
    "value; below 1 is better. Over items it is a geometric mean.",
    "Baselines": "What could be had for free: last value, the same time yesterday and last week, "
    "the smoothed shape of a day, Holt-Winters, ridge regression, gradient boosting. Each is "
    "calibrated like the LSTM, and forecasts from the same origins.",
    "Served": "Per item, the candidate chosen on the calibration part, which lies before the "
    "backtest. The backtest has no say in the choice.",
    "Covers": "The share of moments at or below a quantile: 0.95 should cover 0.95.",
    "Peaks": "The top 5 % of an item's moments, by demand.",
    "WAPE": "Sum of the median's absolute errors over the sum of demand.",
}


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
        facts: what else to say on top, such as the model's version.
        fit_seconds: what fitting each candidate took, where known.
    """
    body = [
        *_head(backtest, title, facts or {}),
        *_candidates(backtest, fit_seconds or {}),
        *_calibration(backtest),
        *_items(backtest),
        *_glossary(),
        text(f"Written by forecaster {__version__} (tidegate).", kind="quiet"),
    ]
    return document(title, body)


def _head(backtest: Backtest, title: str, facts: Mapping[str, str]) -> list[str]:
    passed, first = verdict(backtest)
    told = "".join(text(sentence) for sentence in sentences(backtest))
    kind = "verdict passed" if passed else "verdict"
    about = " · ".join([*(f"{name}: {fact}" for name, fact in facts.items()), extent(backtest)])
    return [
        text(title, "h1"),
        text(about, kind="quiet"),
        f'<div class="{kind}">{text(first, kind="first")}{told}</div>',
    ]


def _candidates(backtest: Backtest, fit_seconds: Mapping[str, float]) -> list[str]:
    levels = high_levels(backtest)
    columns = [Column("candidate", words=True), Column("relative loss"), Column("at peaks")]
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
    return [
        text("Candidates", "h2"),
        text("Loss relative to last value; below 1 is better.", kind="quiet"),
        table(columns, rows, first=True),
        text("Error by horizon", "h3"),
        drawing(error_by_horizon(backtest), "Relative loss of each candidate per step ahead"),
        text("Error by quantile", "h3"),
        drawing(error_by_level(backtest), "Relative loss of each candidate per quantile level"),
    ]


def _calibration(backtest: Backtest) -> list[str]:
    served = backtest.summary[SERVED]
    columns = ["quantile", "all moments", "lowest item", "highest item", "peaks"]
    rows = []
    for i, level in enumerate(backtest.quantile_levels):
        items = [item.scores[SERVED].coverage[i] for item in backtest.items]
        known = [share for share in items if math.isfinite(share)] or [math.nan]
        found = served.coverage[i], min(known), max(known), served.peak_coverage[i]
        rows.append([f"{level:g}", *map(number, found)])
    return [
        text("Calibration of what is served", "h2"),
        text(
            "The share of moments at or below each quantile. On the dashed line, a quantile "
            "covers what it promises; below it, too little. Bars span the items.",
            kind="quiet",
        ),
        table([Column(name) for name in columns], rows),
        drawing(reliability_diagram(backtest), "Promised against observed coverage"),
    ]


def _items(backtest: Backtest) -> list[str]:
    order = hardest_first(backtest)
    levels = high_levels(backtest)[:1]
    columns = [Column("item", words=True), Column("served by", words=True)]
    columns += [Column("relative loss"), Column("at peaks")]
    columns += [Column(f"covers {level:g}") for _, level in levels]
    columns += [Column("why", words=True)]
    rows = []
    for item in order[:MOST_ITEMS]:
        score = item.scores[SERVED]
        figures = [score.relative, score.relative_peaks, *(score.coverage[i] for i, _ in levels)]
        rows.append([item.item_id, name_of(item.source), *map(number, figures), item.reason])
    more = len(order) - len(rows)
    body = [text("Items, hardest first", "h2"), table(columns, rows)]
    if more:
        body.append(text(f"And {more} more; the JSON report holds all.", kind="quiet"))
    judged = [item for item in order if math.isfinite(item.scores[SERVED].relative)]
    for item in spread_out(judged):
        fan = backtest_fan(backtest, item.item_id, last=FAN_SPAN)
        ahead = duration(item.actual.shape[1] * backtest.step_seconds)
        heading = f"{item.item_id}: {ahead} ahead, by {name_of(item.source)}"
        body += [text(heading, "h3"), drawing(fan, f"Quantiles over what happened, {heading}")]
    return body


def hardest_first(backtest: Backtest) -> list[ItemResult]:
    """Return the items by relative loss, the highest first; those without any come last."""

    def place(item: ItemResult) -> float:
        relative = item.scores[SERVED].relative
        return -relative if math.isfinite(relative) else math.inf

    return sorted(backtest.items, key=place)


def spread_out(order: Sequence[ItemResult]) -> list[ItemResult]:
    """Return at most four items: the first, the last and what lies evenly between."""
    count = min(MOST_FANS, len(order))
    places = [round(i * (len(order) - 1) / max(count - 1, 1)) for i in range(count)]
    return [order[place] for place in places]


def _glossary() -> list[str]:
    terms = "".join(text(term, "dt") + text(meaning, "dd") for term, meaning in GLOSSARY.items())
    return [text("How to read this", "h2"), f"<dl>{terms}</dl>"]
