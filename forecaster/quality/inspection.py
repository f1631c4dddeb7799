"""The order of the rules."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from forecaster.quality.values import Finding, QualityReport, QualityRules, RawSeries, Window
from forecaster.series import History, Series

DEFAULT_RULES = QualityRules()


def inspect(
    raw: Iterable[RawSeries],
    *,
    step: timedelta | None = None,
    rules: QualityRules = DEFAULT_RULES,
    mask: tuple[Window, ...] = (),
    now: datetime | None = None,
) -> QualityReport:
    """Return the history on a regular grid, and what was repaired or noted.

    Args:
        raw: one per item.
        step: spacing of the grid; None takes the commonest spacing in the data.
        mask: spans to set missing.
        now: samples after it are refused; None checks nothing.

    Raises:
        HistoryError: naming every refused item with its span and the fix.
    """
    raise NotImplementedError


def examine(
    raw: Iterable[RawSeries],
    *,
    step: timedelta | None = None,
    rules: QualityRules = DEFAULT_RULES,
    mask: tuple[Window, ...] = (),
    now: datetime | None = None,
) -> tuple[tuple[Series, ...], tuple[Finding, ...]]:
    """Return the usable items and all findings, refusals included; raises nothing."""
    raise NotImplementedError


def masked(history: History, mask: tuple[Window, ...]) -> QualityReport:
    """Return the history with the marked spans set missing, and one finding per item hit."""
    raise NotImplementedError
