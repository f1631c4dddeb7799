"""`forecaster evaluate`: a stored forecaster beside every baseline, on time it has not seen."""

from __future__ import annotations

import argparse
import itertools
import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from forecaster.commands.documents import TABLE, add_output_argument, print_document
from forecaster.commands.histories import add_history_arguments, check_source, history_from
from forecaster.commands.output_files import (
    add_report_arguments,
    check_reports,
    write_file,
    write_report,
)
from forecaster.commands.progress import working
from forecaster.commands.spans import moment
from forecaster.commands.stored_models import add_stored_arguments

if TYPE_CHECKING:
    from forecaster.adapters.registry.loading import Loaded
    from forecaster.data.series import History
    from forecaster.evaluation.backtest import Backtest
    from forecaster.models.forecaster import Forecaster


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_history_arguments(parser)
    add_stored_arguments(parser)
    parser.add_argument(
        "--from", dest="begin", metavar="WHEN",
        help="first moment to forecast (default: the end of what was fitted and calibrated on)",
    )  # fmt: skip
    add_output_argument(parser)
    add_report_arguments(parser)


def run(args: argparse.Namespace, *, now: datetime | None = None) -> int:
    now = now or datetime.now(UTC)  # noqa: TID251 - a command reads the clock
    check_source(args, now=now)
    if args.begin is not None:
        moment(args.begin, "--from", now=now, step=timedelta(seconds=1))
    check_reports(args)
    with working("reading the model and the history"):
        from forecaster.adapters.registry.loading import load
        from forecaster.evaluation.backtest import backtest

        stored = load(args.models, args.name, args.version)
        forecaster = stored.forecaster
        history = history_from(args, now=now, brief=True)
    start = None
    if args.begin is not None:
        start = moment(args.begin, "--from", now=now, step=history.step)
        _warn_of_known_data(forecaster, history, start)
    items, done = len(history), itertools.count(1)
    with working("backtesting every candidate") as work:
        result = backtest(
            forecaster, history, start=start,
            on_item=lambda _: work.now("backtesting every candidate", next(done), items),
        )  # fmt: skip
    for reason in result.left_out.values():
        print(f"left out: {reason}", file=sys.stderr)
    _write(args, result, stored)
    return 0


def _write(args: argparse.Namespace, result: Backtest, stored: Loaded) -> None:
    """Print the results, and write them to the files that are asked for."""
    from forecaster.adapters.exact_json import json_bytes, plain_object
    from forecaster.commands.evaluate_output import print_backtest
    from forecaster.commands.terminal import Terminal
    from forecaster.report import html_report
    from forecaster.report.findings import minute_warning

    fit_seconds = stored.report.get("fit_seconds", {})
    record = plain_object(result.record(), "record", non_finite_as_null=True)
    if args.output == TABLE:
        print_backtest(result, Terminal(), fit_seconds)
    else:
        print_document(record, args.output)
        if warning := minute_warning(result):
            print(warning, file=sys.stderr)
    if args.json is not None:
        write_file(args.json, "--json", json_bytes(record))
    if args.report is not None:
        page = html_report(result, f"{args.name} {stored.version}", fit_seconds=fit_seconds)
        write_report(args, page)


def _warn_of_known_data(forecaster: Forecaster, history: History, start: datetime) -> None:
    """Warn if origins lie in the data that the model was fitted and calibrated on."""
    until = {item: forecaster.item_model(item).trained_until for item in history.item_ids}
    known = [item for item, end in until.items() if end is not None and start < end]
    if known:
        print(
            f"--from {start.isoformat()} lies within the data that the model was fitted and "
            f"calibrated on ({len(known)} items, {known[0]} first): these figures flatter it",
            file=sys.stderr,
        )
