"""The order of the rules.

Rules of this file: clock mistakes come before the grid, the grid before the values; the rules on
values run until none finds anything more, so that a second pass finds nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta

import numpy as np

from forecaster.data.quality.checks import (
    check_clock,
    check_grid,
    check_step,
    judge,
    mask_implausible,
    note_gaps,
)
from forecaster.data.quality.grid import common_step, to_grid, unit_of
from forecaster.data.quality.sheet import EPOCH, Sheet
from forecaster.data.quality.values import (
    Action,
    Finding,
    QualityReport,
    QualityRules,
    RawSeries,
    Rule,
    Window,
)
from forecaster.data.series import History, Series
from forecaster.errors import HistoryError

DEFAULT_RULES = QualityRules()
DEFAULT_STEP_SECONDS = 60


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
        rules: the thresholds.
        mask: spans to set missing.
        now: samples after it are refused; None checks nothing.

    Raises:
        HistoryError: naming every refused item with its span and the fix.
    """
    return verdict(*examine(raw, step=step, rules=rules, mask=mask, now=now), rules)


def verdict(
    series: tuple[Series, ...], findings: tuple[Finding, ...], rules: QualityRules = DEFAULT_RULES
) -> QualityReport:
    """Return what `examine` found as a report; raises HistoryError where that is refused."""
    refused = [finding for finding in findings if finding.action is Action.REFUSED]
    if not series and not refused:
        raise HistoryError("the history holds no series; check the file or the query")
    if refused and not (rules.skip_refused and series):
        lines = "\n".join(f"  {finding}" for finding in refused)
        raise HistoryError(f"the history cannot be used as it is:\n{lines}")
    return QualityReport(History(series), findings)


def examine(
    raw: Iterable[RawSeries],
    *,
    step: timedelta | None = None,
    rules: QualityRules = DEFAULT_RULES,
    mask: tuple[Window, ...] = (),
    now: datetime | None = None,
) -> tuple[tuple[Series, ...], tuple[Finding, ...]]:
    """Return the usable items and all findings, refusals included, in the order of ``raw``."""
    items = list(raw)
    names = Counter(item.item_id for item in items)
    seconds = _seconds(step, items)
    usable: list[Series] = []
    findings: list[Finding] = []
    for item in items:
        sheet = Sheet(item.item_id, timedelta(seconds=seconds), rules)
        if names[item.item_id] > 1:
            message = (
                f"{names[item.item_id]} series have this name; name them by a label that tells "
                "them apart, or add them up: sum by (...) (...)"
            )
            sheet.add_all(Rule.ITEM, Action.REFUSED, item, message)
        series = _examine_item(item, sheet, mask, now)
        if series is not None:
            usable.append(series)
        findings += sheet.findings
    return tuple(usable), tuple(findings + _unknown_items(mask, tuple(names)))


def masked(history: History, mask: tuple[Window, ...]) -> QualityReport:
    """Return the history with the marked spans set missing, and one finding per item hit.

    Raises:
        HistoryError: a window names an item that is not there.
    """
    series, findings = [], _unknown_items(mask, history.item_ids)
    for item in history:
        sheet = Sheet(item.item_id, item.step, DEFAULT_RULES, int(item.start.timestamp()))
        values = item.values.copy()
        sheet.mask_windows(values, mask)
        series.append(Series(item.item_id, item.start, item.step, values))
        findings += sheet.findings
    return verdict(tuple(series), tuple(findings))


def _unknown_items(mask: tuple[Window, ...], item_ids: tuple[str, ...]) -> list[Finding]:
    text = f"a marked window names this item, but there are only {', '.join(item_ids) or 'none'}"
    return [
        Finding(name, Rule.MASKED, Action.REFUSED, EPOCH, EPOCH, 0, text)
        for name in sorted({w.item_id for w in mask if w.item_id is not None} - set(item_ids))
    ]


def _seconds(step: timedelta | None, items: list[RawSeries]) -> int:
    if step is not None:
        if step < timedelta(seconds=1) or step % timedelta(seconds=1):
            raise HistoryError(f"step is {step}, but it must be whole seconds, e.g. 60s")
        return int(step.total_seconds())
    readable = [i.stamps for i in items if unit_of(i.stamps)[1] == 1]
    return common_step(readable) or DEFAULT_STEP_SECONDS


def _examine_item(
    raw: RawSeries, sheet: Sheet, mask: tuple[Window, ...], now: datetime | None
) -> Series | None:
    """Return the cleaned item, or None where the sheet holds a refusal."""
    if not sheet.refused:
        check_clock(raw, sheet, now)
    if not sheet.refused:
        check_step(raw, sheet)
    if sheet.refused:
        return None
    infinite = np.isinf(raw.values)
    negative = (raw.values < 0) & ~infinite
    plausible = np.where(negative | infinite, np.nan, raw.values)
    grid = to_grid(raw.stamps, plausible, sheet.seconds, sheet.rules.snap_within)
    sheet.first = grid.first
    check_grid(raw, grid, sheet)
    values = grid.values
    slots = (raw.stamps - grid.first + sheet.seconds // 2) // sheet.seconds
    for rule, bad in ((Rule.NEGATIVE, negative), (Rule.INFINITE, infinite)):
        where = np.zeros(len(values), dtype=bool)
        where[slots[bad]] = True
        sheet.add(rule, Action.REPAIRED, where, f"{bad.sum()} {rule.value} values; set missing")
    if sheet.refused:
        return None
    note_gaps(values, sheet)
    sheet.mask_windows(values, mask)
    mask_implausible(values, sheet)
    judge(values, sheet)
    start = EPOCH + timedelta(seconds=grid.first)
    return None if sheet.refused else Series(raw.item_id, start, sheet.step, values)
