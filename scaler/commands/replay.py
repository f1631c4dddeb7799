"""`scaler replay`: what tidegate would have done on recorded traffic, beside the user's HPA.

With ``--journal`` instead: what a recorded run decided; see `scaler.commands.replay_journal`.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.commands.documents import TABLE, add_output_argument, print_document
from forecaster.commands.histories import file_history
from forecaster.commands.holidays import add_holidays_argument, with_holidays
from forecaster.commands.output_files import (
    add_report_arguments,
    check_reports,
    write_file,
    write_report,
)
from forecaster.commands.progress import working
from forecaster.commands.spans import accept_relative_moments, moment
from scaler.commands.replay_inputs import (
    add_input_arguments,
    check_inputs,
    forecaster_of,
    policy_of,
)
from scaler.commands.replay_marks import add_mark_arguments, check_marks, marks_of
from scaler.errors import ReplayError

if TYPE_CHECKING:
    from forecaster.data.series import Series
    from forecaster.models.forecaster import Forecaster
    from scaler.simulation.contest import Contest
    from scaler.simulation.gateway_outcome import GatewayOutcome
    from scaler.simulation.preparation import ReplayPart


def add_arguments(parser: argparse.ArgumentParser) -> None:
    accept_relative_moments(parser)
    _add_journal_arguments(parser)
    add_input_arguments(parser)
    _add_part_arguments(parser)
    add_holidays_argument(parser)
    add_mark_arguments(parser)
    parser.add_argument(
        "--rate-limits",
        action="store_true",
        help="also send the busiest hour through gateways, request by request, at the limits that "
        "tidegate published (some seconds)",
    )
    parser.add_argument(
        "--no-frontier", action="store_true", help="leave out the sweep of targets, which is faster"
    )
    parser.add_argument(
        "--workers", metavar="N", type=int, default=2, help="processes (default %(default)s)"
    )
    add_output_argument(parser)
    add_report_arguments(parser)


def _add_part_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--from", dest="begin", metavar="WHEN",
        help="first moment that is replayed: ISO-8601 with zone, or back from the end of the "
        "history: -1d (default: the part that the model was not fitted on, or the last quarter)",
    )  # fmt: skip
    parser.add_argument(
        "--to", dest="end", metavar="WHEN",
        help="end of what is replayed, not included; as --from (default: the end of the history)",
    )  # fmt: skip
    parser.add_argument(
        "--skip-gaps",
        action="store_true",
        help="leave out of all figures also gaps of the history that are longer than half an hour",
    )


def _add_journal_arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "examples:\n"
        "  scaler replay --history traffic.parquet --policy shop.yaml --report shop.html\n"
        "  scaler replay --journal journal/ --service prod/shop --at 03:12"
    )
    group = parser.add_argument_group("or, of what 'scaler run --journal' has recorded")
    group.add_argument(
        "--journal", metavar="DIR", type=Path,
        help="work out again what was decided and handed out, and compare; exit 1 if it differs",
    )  # fmt: skip
    group.add_argument("--service", metavar="NAMESPACE/NAME", help="tell of this one alone")
    group.add_argument(
        "--at", metavar="TIME",
        help="tell what was decided then, and why: ISO-8601 with zone, back from the journal's "
        "end (-1h), or a time of its last day in UTC (03:12)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    if args.journal is not None:
        from scaler.commands.replay_journal import run_journal

        return run_journal(args)
    missing = [f"--{name}" for name in ("history", "policy") if getattr(args, name) is None]
    if missing:
        raise ReplayError(f"{' and '.join(missing)} must be given, or else --journal")
    for name in ("service", "at"):
        if getattr(args, name) is not None:
            raise ReplayError(f"--{name} is of a --journal, which is not given")
    return _run_history(args)


def _check(args: argparse.Namespace) -> None:
    """Raise before anything is loaded if something is wrong with the options alone."""
    if args.workers < 1:
        raise ReplayError(f"--workers is {args.workers}, but must be at least 1")
    for option, text in (("--from", args.begin), ("--to", args.end)):
        if text is not None:  # only its form: what it is counted from is not known yet
            moment(text, option, now=datetime.now(UTC), step=timedelta(seconds=1))  # noqa: TID251 - as said
    check_inputs(args)
    check_marks(args)
    check_reports(args)


def _run_history(args: argparse.Namespace) -> int:
    _check(args)
    policy, settings = policy_of(args)
    with working("reading the history and the model"):
        from scaler.commands.replay_output import counted, print_contest, tell_of_gaps
        from scaler.simulation.contest import TARGETS, contest, run_count
        from scaler.simulation.gateway_replay import rate_limited
        from scaler.simulation.preparation import prepared
        from scaler.simulation.replay import series_of

        forecaster = forecaster_of(args, policy)
        history = with_holidays(file_history(args), args)
    series, part = _part(args, series_of(history, policy, forecaster))
    part = replace(part, marks=marks_of(args, policy, series))
    _warn_of_known_data(forecaster, series, part.start)
    targets = () if args.no_frontier else TARGETS
    with counted(run_count(len(targets))) as progress:
        setting = prepared(series, policy, settings, forecaster, part)
        tell_of_gaps(setting.scene)
        found = contest(setting, targets=targets, workers=args.workers, progress=progress)
    if args.output == TABLE:
        print_contest(found)
    limited = None
    if args.rate_limits:
        with working("sending the busiest hour through gateways"):
            limited = rate_limited(found)
    _tell(args, found, limited)
    if args.report is not None:
        from scaler.simulation.report import html_report

        model = args.model or str(policy.model) if forecaster else "Holt-Winters (no model named)"
        facts = {"forecast by": model}
        page = html_report(found, f"Replay of {series.item_id}", facts=facts, limited=limited)
        write_report(args, page)
    return 0


def _tell(args: argparse.Namespace, found: Contest, limited: GatewayOutcome | None) -> None:
    """Print what follows the table, or all as a document; write it where ``--json`` says."""
    from forecaster.adapters.exact_json import json_bytes
    from scaler.commands.replay_output import print_rate_limits
    from scaler.simulation.report import record

    figures = record(found, limited)
    if args.output == TABLE:
        print_rate_limits(limited)
    else:
        print_document(figures, args.output)
    if args.json is not None:
        write_file(args.json, "--json", json_bytes(figures))


def _part(args: argparse.Namespace, series: Series) -> tuple[Series, ReplayPart]:
    """Return the history up to the end of the replay, and what to replay of it."""
    from scaler.simulation.preparation import ReplayPart

    begin, until = _begin(args, series), _until(args, series)
    if begin is not None and begin >= until.end:
        raise ReplayError(f"--from is {begin}, but must be before --to, {until.end}")
    return until, ReplayPart(begin, args.skip_gaps)


def _until(args: argparse.Namespace, series: Series) -> Series:
    """Return the history up to ``--to``."""
    if args.end is None:
        return series
    end = moment(args.end, "--to", now=series.end, step=series.step)
    if not series.start < end <= series.end:
        raise ReplayError(_outside("--to", end, series))
    return series.between(series.start, end)


def _outside(option: str, moment: datetime, series: Series) -> str:
    return (
        f"{option} is {moment}, but the history of {series.item_id} reaches from {series.start} "
        f"to {series.end}"
    )


def _begin(args: argparse.Namespace, series: Series) -> datetime | None:
    if args.begin is None:
        return None
    start = moment(args.begin, "--from", now=series.end, step=series.step)
    if not series.start < start < series.end:
        raise ReplayError(_outside("--from", start, series))
    return start


def _warn_of_known_data(
    forecaster: Forecaster | None, series: Series, start: datetime | None
) -> None:
    """Warn if the replay begins in the data that the model was fitted and calibrated on."""
    until = forecaster.item_model(series.item_id).trained_until if forecaster else None
    if until is not None and start is not None and start < until:
        print(
            f"--from {start.isoformat()} lies within the data that the model was fitted and "
            f"calibrated on, which ends at {until.isoformat()}: these figures flatter tidegate",
            file=sys.stderr,
        )
