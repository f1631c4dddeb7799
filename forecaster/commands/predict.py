"""`forecaster predict`: the quantiles of the next steps, printed or written."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.commands.files import write_file
from forecaster.commands.histories import add_history_arguments, history_from
from forecaster.errors import ConfigError

if TYPE_CHECKING:
    from forecaster.series import Forecast

SHOWN_STEPS = 6
SHOWN_ITEMS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_history_arguments(parser)
    parser.add_argument(
        "--models", metavar="PATH", default="models/", help="registry (%(default)s)"
    )
    parser.add_argument("--name", required=True, help="name of the forecaster in the registry")
    parser.add_argument("--version", help="such as v0003 (default: the champion)")
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="write every step: .csv, .parquet or .json"
    )


def run(args: argparse.Namespace, *, now: datetime | None = None) -> int:
    now = now or datetime.now(UTC)  # noqa: TID251 - a command reads the clock
    from forecaster.adapters.tables import forecast_to_frame
    from forecaster.predict import load_forecaster

    if args.out is not None and args.out.suffix not in {".csv", ".json", ".parquet"}:
        raise ConfigError(f"--out is {args.out}, but must end in .csv, .parquet or .json")
    forecaster = load_forecaster(args.models, args.name, args.version)
    forecast = forecaster.predict(history_from(args, now=now))
    if args.out is None:
        _print(forecast)
        return 0
    frame = forecast_to_frame(forecast)
    if args.out.suffix == ".csv":
        write_file(args.out, "--out", frame.to_csv(index=False))
    elif args.out.suffix == ".json":
        write_file(args.out, "--out", frame.to_json(orient="records", date_format="iso"))
    else:
        write_file(args.out, "--out", frame.to_parquet())
    print(f"{args.out}: {len(forecast.item_ids)} items, {forecast.prediction_length} steps ahead")
    return 0


def _print(forecast: Forecast) -> None:
    """Print a few steps of each item; all are in a file."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, title="requests per second, by quantile", title_justify="left")
    for name in ("item", "at (UTC)", "ahead"):
        table.add_column(name)
    for level in forecast.quantile_levels:
        table.add_column(f"{level:g}", justify="right")
    table.add_column("by")
    last = forecast.prediction_length - 1
    steps = sorted({round(last * i / (SHOWN_STEPS - 1)) for i in range(SHOWN_STEPS)})
    for i, item_id in enumerate(forecast.item_ids[:SHOWN_ITEMS]):
        for step in steps:
            ahead = (step + 1) * forecast.step
            values = [f"{value:,.4g}" for value in forecast.values[i, step]]
            at = forecast.origins[i] + ahead
            table.add_row(
                Text(item_id), f"{at:%Y-%m-%d %H:%M:%S}", _minutes(ahead), *values,
                forecast.sources[i],
            )  # fmt: skip
        table.add_section()
    Console().print(table)
    if len(forecast.item_ids) > SHOWN_ITEMS:
        print(f"and {len(forecast.item_ids) - SHOWN_ITEMS} more items; --out FILE writes them all")


def _minutes(ahead: timedelta) -> str:
    return f"{ahead.total_seconds() / 60:g} min"
