"""The data-quality pass: applies the rules to each item in their order.

Rules of this file: stamps are checked first, then the grid, then the values. The rules on values
run until none finds any more, so that a second pass finds nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np

from forecaster.data.quality.checks import (
    check_clock,
    check_grid,
    check_step,
    check_values,
    mask_implausible,
    note_gaps,
)
from forecaster.data.quality.finding_log import EPOCH, FindingLog
from forecaster.data.quality.grid import common_step, to_grid, unit_of
from forecaster.data.quality.masks import ending_spike
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
        step: spacing of the grid; None: the most common spacing in the data.
        rules: the thresholds.
        mask: spans to set missing.
        now: samples after it are refused; None: they are not checked.

    Raises:
        HistoryError: the message lists every refused item with its span and the fix.
    """
    return verdict(*examine(raw, step=step, rules=rules, mask=mask, now=now), rules)


def verdict(
    series: tuple[Series, ...], findings: tuple[Finding, ...], rules: QualityRules = DEFAULT_RULES
) -> QualityReport:
    """Return the results of `examine` as a report.

    Raises:
        HistoryError: an item is refused, or there is none.
    """
    refused = [
        finding
        for finding in findings
        if finding.action is Action.REFUSED or (finding.action is Action.LEFT_OUT and not series)
    ]
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
    """Return the usable items and all findings, including refusals, in the order of ``raw``."""
    items = list(raw)
    names = Counter(item.item_id for item in items)
    seconds = _seconds(step, items)
    usable: list[Series] = []
    findings: list[Finding] = []
    for item in items:
        log = FindingLog(item.item_id, timedelta(seconds=seconds), rules)
        if names[item.item_id] > 1:
            message = (
                f"{names[item.item_id]} series have this name; name them by a label that tells "
                "them apart, or add them up: sum by (...) (...)"
            )
            log.add_all(Rule.ITEM, Action.REFUSED, item, message)
        series = _examine_item(item, log, mask, now)
        if series is not None:
            usable.append(series)
        findings += log.findings
    return tuple(usable), tuple(findings + _unknown_items(mask, tuple(names)))


def masked(history: History, mask: tuple[Window, ...]) -> QualityReport:
    """Return the history with the marked spans set missing, and one finding per item affected.

    Raises:
        HistoryError: a window names an unknown item.
    """
    series, findings = [], _unknown_items(mask, history.item_ids)
    for item in history:
        log = FindingLog(item.item_id, item.step, DEFAULT_RULES, int(item.start.timestamp()))
        values = item.values.copy()
        log.mask_windows(values, mask)
        series.append(replace(item, values=values))
        findings += log.findings
    return verdict(tuple(series), tuple(findings))


def believable(series: Series, rules: QualityRules = DEFAULT_RULES) -> QualityReport:
    """Return a series that is on its grid already, with implausible samples set missing.

    A spike with which it ends is set missing, too: a flash crowd lasts longer.
    """
    log = FindingLog(series.item_id, series.step, rules, int(series.start.timestamp()))
    values = series.values.copy()
    mask_implausible(values, log)
    ends = ending_spike(values, rules)
    log.add(Rule.SPIKE, Action.REPAIRED, ends, f"{ends.sum()} last samples are far above the rest")
    values[ends] = np.nan
    kept = replace(series, values=values)
    return QualityReport(History((kept,)), tuple(log.findings))


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
    raw: RawSeries, log: FindingLog, mask: tuple[Window, ...], now: datetime | None
) -> Series | None:
    """Return the cleaned item, or None if it is refused."""
    if not log.unusable:
        check_clock(raw, log, now)
    if not log.unusable:
        check_step(raw, log)
    if log.unusable:
        return None
    infinite = np.isinf(raw.values)
    negative = (raw.values < 0) & ~infinite
    plausible = np.where(negative | infinite, np.nan, raw.values)
    grid = to_grid(raw.stamps, plausible, log.seconds, log.rules.snap_within)
    log.first = grid.first
    check_grid(raw, grid, log)
    values = grid.values
    slots = (raw.stamps - grid.first + log.seconds // 2) // log.seconds
    for rule, bad in ((Rule.NEGATIVE, negative), (Rule.INFINITE, infinite)):
        where = np.zeros(len(values), dtype=bool)
        where[slots[bad]] = True
        log.add(rule, Action.REPAIRED, where, f"{bad.sum()} {rule.value} values; set missing")
    if log.unusable:
        return None
    note_gaps(values, log)
    log.mask_windows(values, mask)
    mask_implausible(values, log)
    check_values(values, log)
    start = EPOCH + timedelta(seconds=grid.first)
    if log.unusable:
        return None
    began = int(np.isfinite(values).argmax())
    start += began * log.step
    return Series(raw.item_id, start, log.step, values[began:], raw.timezone)
