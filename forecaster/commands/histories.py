"""The history that a command reads from a file or fetches from Prometheus."""

from __future__ import annotations

import argparse
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.commands.file_hints import (
    add_file_arguments,
    hints_from,
    in_zones,
    stamp_zone,
)
from forecaster.commands.masks import add_mask_argument, windows
from forecaster.commands.sources import (
    DEFAULT_STEP,
    add_prometheus_arguments,
    fetch_from,
    query_from,
    settings_from,
)
from forecaster.commands.spans import span
from forecaster.errors import ConfigError, HistoryError

if TYPE_CHECKING:
    from forecaster.data.series import History

FILE_HELP = "CSV, Parquet, JSON or OpenMetrics, long or wide"
SKIP_REFUSED_HELP = "leave out items that the quality checks refuse, as long as one remains"


def add_history_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--history``, and the options of ``--prometheus``, of which one is to be given."""
    parser.add_argument(
        "--history",
        metavar="FILE",
        type=Path,
        help=f"{FILE_HELP}; or give --prometheus",
    )
    parser.add_argument("--skip-refused", action="store_true", help=SKIP_REFUSED_HELP)
    add_file_arguments(parser)
    add_mask_argument(parser)
    add_prometheus_arguments(parser)


def check_source(args: argparse.Namespace, *, now: datetime) -> None:
    """Raise before anything is loaded or fetched if the options cannot name a history.

    Raises:
        ConfigError: neither or both sources are given, or an option is wrong.
        HistoryError: there is no such file.
    """
    if (args.history is None) == (args.prometheus is None):
        given = "both" if args.history else "neither"
        raise ConfigError(f"give either --history FILE or --prometheus URL (got {given})")
    windows(args.mask)
    stamp_zone(args)
    if args.step is not None:
        span(args.step, "--step")
    if args.history is not None:
        check_file(args.history)
        return
    if hints_from(args).given:
        raise ConfigError(
            "--value-column, --item-column, --unit, --decimal and --dates are of --history FILE; "
            "let the query return requests per second"
        )
    args.step = args.step or DEFAULT_STEP
    settings_from(args)
    query_from(args, now=now)


def check_file(path: Path) -> None:
    """Raise HistoryError if there is no such file."""
    if not path.exists():
        raise HistoryError(f"{path} does not exist; check the path")
    if path.is_dir():
        raise HistoryError(f"{path} is a folder; name the file of a history in it")


def history_from(args: argparse.Namespace, *, now: datetime, brief: bool = False) -> History:
    """Return the inspected history; the findings are printed to stderr.

    Args:
        args: of `add_history_arguments`.
        now: the time.
        brief: one line for all findings in a file, which `forecaster check` lists.

    Raises:
        ConfigError: neither or both sources are given, or an option is wrong.
        HistoryError: an item cannot be used.
        PrometheusError: the server refuses the query, cannot be reached, or has no such series.
    """
    check_source(args, now=now)
    step = None if args.step is None else span(args.step, "--step")
    if args.history is not None:
        return in_zones(_from_file(args, step, now, brief), args)
    from forecaster.data.quality import QualityRules, inspect

    fetched = fetch_from(args, now=now)
    rules = QualityRules(skip_refused=args.skip_refused)
    report = inspect(
        fetched.series,
        step=span(args.step, "--step"),
        rules=rules,
        mask=windows(args.mask),
        now=now,
    )
    _print(report.findings)
    return in_zones(report.history, args)


def _from_file(
    args: argparse.Namespace, step: timedelta | None, now: datetime, brief: bool
) -> History:
    from forecaster.adapters.tables.history_files import read_history
    from forecaster.data.quality import QualityRules

    rules = QualityRules(skip_refused=True) if args.skip_refused else None
    report = read_history(
        args.history,
        rules=rules,
        mask=windows(args.mask),
        timezone=stamp_zone(args),
        hints=hints_from(args),
        now=now,
    )
    if brief:
        count_notes(args.history, len(report.findings))
    else:
        _print(report.findings)
    if step is None or step == report.history.step:
        return report.history
    return report.history.resampled(step)


def file_history(args: argparse.Namespace) -> History:
    """Return the inspected history in a file, saying on stderr how many findings there are.

    Args:
        args: with ``history`` and the options of `add_file_arguments`.

    Raises:
        HistoryError: an item cannot be used.
        ConfigError: a zone is named of an unknown item.
    """
    from forecaster.adapters.tables.history_files import read_history

    report = read_history(args.history, timezone=stamp_zone(args), hints=hints_from(args))
    count_notes(args.history, len(report.findings))
    return in_zones(report.history, args)


def count_notes(file: Path, count: int) -> None:
    """Say on stderr how many findings there are in a file, and how to see them."""
    if count:
        notes = "1 note" if count == 1 else f"{count} notes"
        print(f"{notes} on data quality: forecaster check --history {file}", file=sys.stderr)


def _print(findings: tuple[object, ...]) -> None:
    for finding in findings:
        print(finding, file=sys.stderr)
