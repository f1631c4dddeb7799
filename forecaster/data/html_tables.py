"""Small tables in HTML, as notebooks show values; every text is escaped."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

MOST_ROWS = 20


def html_table(caption: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table of at most `MOST_ROWS` rows; its caption says how many more there are.

    >>> html_table("a & b", ["item"], [["<i>"]])
    '<table><caption>a &amp; b</caption><tr><th>item</th></tr><tr><td>&lt;i&gt;</td></tr></table>'
    """
    more = len(rows) - MOST_ROWS
    caption += f"; {more} more rows are not shown" if more > 0 else ""
    lines = [_row("th", heads), *(_row("td", row) for row in rows[:MOST_ROWS])]
    return f"<table><caption>{escape(caption)}</caption>{''.join(lines)}</table>"


def figure_text(value: float) -> str:
    """Return a number with four digits; one that is not known is a dash, never 0.

    >>> figure_text(1234.56), figure_text(0.61234), figure_text(math.nan)
    ('1,235', '0.6123', '–')
    """
    if not math.isfinite(value):
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
