"""`forecaster check`: what is in a history file, and what is wrong with it."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecaster.commands.documents import TABLE, add_json_argument, print_document
from forecaster.commands.file_hints import add_file_arguments, hints_from, stamp_zone
from forecaster.commands.histories import check_file
from forecaster.commands.masks import add_mask_argument, windows
from forecaster.commands.spans import span
from forecaster.errors import HistoryError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecaster.data.quality import Finding
    from forecaster.data.series import Series

ITEM_HEADS = ("item", "from - to", "step", "samples", "missing", "mean", "max")
FINDING_HEADS = ("item", "found", "from - to", "what")
COLOURS = {"refused": "bold red", "left_out": "bold yellow", "repaired": "yellow", "noted": "cyan"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--history",
        metavar="FILE",
        type=Path,
        required=True,
        help="CSV, Parquet, JSON, OpenMetrics; long: item_id,timestamp,qps; or one column per item",
    )
    parser.add_argument(
        "--step", metavar="SPAN", help="spacing of the samples (default: the most common one)"
    )
    add_file_arguments(parser)
    add_mask_argument(parser)
    parser.add_argument(
        "--skip-refused",
        action="store_true",
        help="exit with 0 as long as one item is usable",
    )
    parser.add_argument(
        "--recheck",
        action="store_true",
        help="inspect a file again that was inspected when it was written",
    )
    add_json_argument(parser)


def run(args: argparse.Namespace, *, now: datetime | None = None) -> int:
    check_file(args.history)
    from forecaster.adapters.tables.history_files import examine_history
    from forecaster.data.quality import Action, QualityRules

    now = now or datetime.now(UTC)  # noqa: TID251 - a command reads the clock
    series, findings = examine_history(
        args.history,
        step=span(args.step, "--step") if args.step else None,
        rules=QualityRules() if args.recheck else None,
        mask=windows(args.mask),
        timezone=stamp_zone(args),
        hints=hints_from(args),
        now=now,
    )
    refused = len({found.item_id for found in findings if found.action is Action.REFUSED})
    usable = bool(series) and (args.skip_refused or not refused)
    if args.output == TABLE:
        _print_tables(series, findings)
    else:
        record = _record(args.history, series, findings, usable=usable)
        print_document(record, args.output)
    if not usable:
        raise HistoryError(f"{args.history} cannot be used: {_refusals(refused)}")
    return 0


def _refusals(count: int) -> str:
    if not count:
        return "it holds no series"
    return f"{count} item{'s' if count > 1 else ''} refused; the findings say why and what to do"


def _summary(series: Series) -> dict[str, Any]:
    """Return the figures of one item; a figure of no samples is None."""
    import numpy as np

    known = series.values[np.isfinite(series.values)]
    return {
        "item_id": series.item_id,
        "start": series.start.isoformat(),
        "end": series.end.isoformat(),
        "step_seconds": int(series.step.total_seconds()),
        "samples": len(series),
        "missing_ratio": 1 - len(known) / len(series) if len(series) else None,
        "mean_qps": float(known.mean()) if len(known) else None,
        "max_qps": float(known.max()) if len(known) else None,
    }


def _record(
    path: Path, series: Sequence[Series], findings: Sequence[Finding], *, usable: bool
) -> dict[str, Any]:
    return {
        "history": str(path),
        "usable": usable,
        "items": [_summary(item) for item in series],
        "findings": [finding.to_record() for finding in findings],
    }


def _print_tables(series: Sequence[Series], findings: Sequence[Finding]) -> None:
    from rich.text import Text

    from forecaster.commands.terminal import Terminal, print_table, table_of

    terminal = Terminal()
    items = table_of(ITEM_HEADS, words=ITEM_HEADS[:2])
    for row in map(_summary, series):
        items.add_row(
            Text(row["item_id"]),
            f"{_short(row['start'])}\n{_short(row['end'])}",
            f"{row['step_seconds']}s",
            str(row["samples"]),
            *(_number(row[name]) for name in ("missing_ratio", "mean_qps", "max_qps")),
        )
    if series:
        print_table(terminal, items)
    found = table_of(FINDING_HEADS, words=FINDING_HEADS[:3], sentences=FINDING_HEADS[3:])
    for finding in findings:
        record = finding.to_record()
        action = Text(record["action"], style=COLOURS[record["action"]])
        found.add_row(
            Text(finding.item_id),
            Text.assemble(record["rule"], "\n", action),
            f"{_short(record['start'])}\n{_short(record['end'])}" if finding.count else "",
            Text(finding.message),
        )
    if findings:
        print_table(terminal, found)
    else:
        terminal.print("Nothing found: every sample is used as it is.")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _short(stamp: str) -> str:
    return stamp[:16].replace("T", " ")
