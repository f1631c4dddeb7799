"""`forecaster fetch`: Prometheus -> inspected history -> Parquet."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from forecaster.commands.file_hints import add_zone_argument, in_zones, stamp_zone
from forecaster.commands.histories import SKIP_REFUSED_HELP
from forecaster.commands.holidays import add_holidays_argument, holidays_in, with_holidays
from forecaster.commands.output_files import check_history_file
from forecaster.commands.sources import add_prometheus_arguments, fetch_from
from forecaster.commands.spans import span


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_prometheus_arguments(parser, required=True)
    parser.add_argument(
        "--out", metavar="FILE.parquet", type=Path, required=True, help="file to write"
    )
    add_zone_argument(parser)
    add_holidays_argument(parser, default="none")
    parser.add_argument("--skip-refused", action="store_true", help=SKIP_REFUSED_HELP)


def run(args: argparse.Namespace, *, now: datetime | None = None) -> int:
    check_history_file(args.out)
    stamp_zone(args)
    if args.holidays is not None:
        holidays_in(args.holidays)
    now = now or datetime.now(UTC)  # noqa: TID251 - a command reads the clock
    fetched = fetch_from(args, now=now)

    from forecaster.adapters.tables.history_files import write_history
    from forecaster.data.quality import QualityRules, inspect

    rules = QualityRules(skip_refused=args.skip_refused)
    report = inspect(fetched.series, step=span(args.step, "--step"), rules=rules, now=now)
    for finding in report.findings:
        print(finding)
    history = with_holidays(in_zones(report.history, args), args)
    write_history(args.out, history, report.findings)
    samples = sum(len(series) for series in report.history)
    print(f"{args.out}: {len(report.history)} items, {samples} samples, step {args.step}")
    return 0
