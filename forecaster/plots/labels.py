"""Labels for figures, pages and tables: names of candidates, durations, escaped text."""

from __future__ import annotations

import re
from html import escape

from forecaster.evaluation.backtest import SERVED
from forecaster.models.candidates import BLEND
from forecaster.models.lstm_ensemble import LSTM
from forecaster.models.naive import DAY_SHAPE, HOLT_WINTERS, LAST_VALUE, SEASONAL_DAY, SEASONAL_WEEK
from forecaster.models.tabular import BOOSTING, RIDGE

NAMES = {
    SERVED: "served",
    BLEND: "LSTM and boosting",
    LSTM: "LSTM",
    BOOSTING: "gradient boosting",
    RIDGE: "ridge regression",
    HOLT_WINTERS: "Holt-Winters",
    DAY_SHAPE: "smoothed day shape",
    SEASONAL_DAY: "same time yesterday",
    SEASONAL_WEEK: "same time last week",
    LAST_VALUE: "last value",
}
_INTERNAL = re.compile(rf"\b(?:{'|'.join(name for name in NAMES if name != SERVED)})\b")
MAX_LABEL = 48


def name_of(candidate: str) -> str:
    """Return the display name of a candidate; an unknown one keeps its name.

    >>> name_of("seasonal_day")
    'same time yesterday'
    """
    return NAMES.get(candidate, candidate)


def reason_text(reason: str) -> str:
    """Return the reason of a choice with the display names of candidates.

    >>> reason_text("50.0 % below last_value, the best of the others")
    '50.0 % below the loss of last value, the best of the others'
    >>> reason_text("boosting was 3.4 % below served, but within 2 standard errors")
    'gradient boosting was 3.4 % below the loss of what is served, but within 2 standard errors'
    """
    reason = reason.replace(f"below {SERVED}", "below what is served")
    reason = reason.replace("% below ", "% below the loss of ")
    return _INTERNAL.sub(lambda found: NAMES[found[0]], reason)


def duration(seconds: float) -> str:
    """Return a duration in the largest unit of which it is a multiple.

    >>> duration(1800), duration(86_400), duration(90), duration(7_200)
    ('30 minutes', '1 day', '90 seconds', '2 hours')
    """
    units = {86_400: "day", 3600: "hour", 60: "minute"}
    size = next((size for size in units if seconds >= size and seconds % size == 0), 1)
    unit = units.get(size, "second")
    count = round(seconds / size)
    return f"{count} {unit}{'' if count == 1 else 's'}"


def label(text: str) -> str:
    """Return text for a figure, escaped, as plotly reads labels as markup, and shortened.

    >>> label("<b>shop</b>")
    '&lt;b&gt;shop&lt;/b&gt;'
    """
    if len(text) > MAX_LABEL:
        half = MAX_LABEL // 2
        text = f"{text[: half - 1]}…{text[-half:]}"
    return escape(text, quote=False)
