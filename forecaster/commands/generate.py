"""`forecaster generate`: a generated history as a Parquet file."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path

from forecaster.commands.output_files import check_history_file
from forecaster.commands.spans import accept_relative_moments, moment, span
from forecaster.errors import ConfigError

MOST_DAYS = 3660  # ten years, with their leap days


def add_arguments(parser: argparse.ArgumentParser) -> None:
    accept_relative_moments(parser)
    parser.add_argument(
        "--out", metavar="FILE.parquet", type=Path, required=True, help="file to write"
    )
    parser.add_argument(
        "--items", metavar="N", type=int, default=3, help="services (default %(default)s)"
    )
    parser.add_argument(
        "--days", metavar="N", type=int, default=28, help="length (default %(default)s)"
    )
    parser.add_argument(
        "--seed",
        metavar="N",
        type=int,
        default=0,
        help="of the random numbers (default %(default)s)",
    )
    parser.add_argument(
        "--step", metavar="SPAN", default="60s", help="spacing (default %(default)s)"
    )
    parser.add_argument(
        "--start",
        metavar="WHEN",
        default="2026-01-05T00:00:00Z",
        help="first sample: ISO-8601 with zone, or back from now: -28d (default %(default)s)",
    )


def run(args: argparse.Namespace, *, now: datetime | None = None) -> int:
    for option, value, least in (("--items", args.items, 1), ("--days", args.days, 1)):
        if value < least:
            raise ConfigError(f"{option} is {value}, but must be at least {least}")
    if args.days > MOST_DAYS:
        raise ConfigError(f"--days is {args.days}, but must be at most {MOST_DAYS}")
    if args.seed < 0:
        raise ConfigError(f"--seed is {args.seed}, but must not be negative")
    check_history_file(args.out)
    step = span(args.step, "--step")
    if step > timedelta(days=args.days):
        raise ConfigError(f"--step is {args.step}, but must fit into {args.days} days")

    from forecaster.adapters.tables.history_files import write_history
    from forecaster.data.synthetic import generate_history

    now = now or datetime.now(UTC)  # noqa: TID251 - a command reads the clock
    start = moment(args.start, "--start", now=now, step=step)
    traffic = generate_history(args.items, args.days, step=step, seed=args.seed, start=start)
    write_history(args.out, traffic.history)
    samples = sum(len(series) for series in traffic.history)
    print(
        f"{args.out}: {len(traffic.history)} generated items, {samples} samples, step {args.step}"
    )
    for event in traffic.events:
        print(
            f"announced: {event.item_id} {event.kind.value} {event.start:%Y-%m-%dT%H:%MZ} to "
            f"{event.end:%Y-%m-%dT%H:%MZ}, about x{event.ratio:.1f}"
        )
    return 0
