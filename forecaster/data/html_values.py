"""A history and a forecast as small tables in HTML."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from forecaster.data.html_tables import figure_text, html_table
from forecaster.data.summary import summary_of

if TYPE_CHECKING:
    from forecaster.data.series import Forecast, History


def history_html(history: History) -> str:
    """Return a row per item: its span, and what is known of it."""
    heads = ("item", "from (UTC)", "to", "samples", "missing", "mean req/s", "largest")
    rows = [
        (
            one.item_id, _minute(one.start), _minute(one.end), f"{one.samples:,}",
            f"{100 * one.missing:.2g} %", figure_text(one.mean), figure_text(one.maximum),
        )
        for one in map(summary_of, history)
    ]  # fmt: skip
    return html_table(f"History in steps of {history.step}", heads, rows)


def forecast_html(forecast: Forecast) -> str:
    """Return the first, the middle and the last step of each item."""
    heads = ("item", "at (UTC)", "by", *(f"quantile {q:g}" for q in forecast.quantile_levels))
    last = forecast.prediction_length - 1
    items = zip(forecast.item_ids, forecast.origins, forecast.sources, strict=True)
    rows = [
        (
            item_id, _minute(origin + (at + 1) * forecast.step), source,
            *map(figure_text, forecast.values[i, at].tolist()),
        )
        for i, (item_id, origin, source) in enumerate(items)
        for at in sorted({0, last // 2, last})
    ]  # fmt: skip
    return html_table("Forecast in requests per second", heads, rows)


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"
