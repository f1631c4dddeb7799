"""What `forecaster evaluate` prints: a table of candidates, one of items, and the verdict."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from forecaster.commands.terminal import print_table, table_of
from forecaster.evaluation.backtest import SERVED, Backtest
from forecaster.plots.labels import name_of, reason_text
from forecaster.plots.scores import ranked
from forecaster.report.backtest_page import hardest_first
from forecaster.report.findings import extent, high_levels, number, sentences, verdict

MOST_ITEMS = 20


def print_backtest(
    backtest: Backtest, console: Console, fit_seconds: Mapping[str, float] | None = None
) -> None:
    """Print a table of the candidates, one of the hardest items, and the verdict."""
    console.print(Text(f"Backtest: {extent(backtest)}"), style="dim")
    print_table(console, _candidates(backtest, fit_seconds or {}))
    print_table(console, _items(backtest))
    more = len(backtest.items) - MOST_ITEMS
    if more > 0:
        console.print(f"... and {more} more items; --json FILE.json holds all")
    for sentence in sentences(backtest):
        console.print(Text(sentence))
    passed, text = verdict(backtest)
    console.print(Text(text, style="bold green" if passed else "bold yellow"))


def _candidates(backtest: Backtest, fit_seconds: Mapping[str, float]) -> Table:
    levels = high_levels(backtest)
    covers = (f"covers\n{level:g}" for _, level in levels)
    heads = ("candidate", "loss", "at\npeaks", *covers, "WAPE", "fit\n(s)", "use\n(s)")
    table = table_of(heads, words=["candidate"])
    for name, score in ranked(backtest):
        table.add_row(
            name_of(name),
            number(score.relative),
            number(score.relative_peaks),
            *(number(score.coverage[i]) for i, _ in levels),
            number(score.wape),
            _seconds(fit_seconds.get(name), 1),
            _seconds(backtest.predict_seconds.get(name), 2),
            style="bold" if name == SERVED else None,
        )
    return table


def _seconds(seconds: float | None, digits: int) -> str:
    return "" if seconds is None else f"{seconds:.{digits}f}"


def _items(backtest: Backtest) -> Table:
    heads = ("item,\nhardest first", "served by", "loss", "why")
    table = table_of(heads, words=heads[:2], sentences=heads[3:])
    for item in hardest_first(backtest)[:MOST_ITEMS]:
        relative = number(item.scores[SERVED].relative)
        table.add_row(
            Text(item.item_id), name_of(item.source), relative, Text(reason_text(item.reason))
        )
    return table
