"""`forecaster predict`: the quantiles of the next steps, printed or written to a file."""

from __future__ import annotations

import argparse
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.commands.documents import TABLE, add_output_argument, print_document
from forecaster.commands.histories import add_history_arguments, check_source, history_from
from forecaster.commands.output_files import check_writable, write_file
from forecaster.commands.progress import working
from forecaster.commands.stored_models import add_stored_arguments
from forecaster.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from forecaster.data.series import Forecast

SHOWN_STEPS = 6
SHOWN_ITEMS = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_history_arguments(parser)
    add_stored_arguments(parser)
    add_output_argument(parser)
    parser.add_argument(
        "--out", metavar="FILE", type=Path, help="write all steps to a .csv, .parquet or .json file"
    )


def run(args: argparse.Namespace, *, now: datetime | None = None) -> int:
    now = now or datetime.now(UTC)  # noqa: TID251 - a command reads the clock
    if args.out is not None and args.out.suffix not in {".csv", ".json", ".parquet"}:
        raise ConfigError(f"--out is {args.out}, but must end in .csv, .parquet or .json")
    check_writable(args.out, "--out")
    check_source(args, now=now)

    with working("reading the model and the history") as work:
        from forecaster.adapters.registry.loading import load_forecaster
        from forecaster.adapters.tables.history_files import forecast_to_frame

        forecaster = load_forecaster(args.models, args.name, args.version)
        history = history_from(args, now=now, brief=True)
        work.now("forecasting")
        forecast = forecaster.predict(history)
    if args.out is None and args.output == TABLE:
        _print(forecast)
        return 0
    frame = forecast_to_frame(forecast)
    if args.out is None:
        steps = json.loads(frame.to_json(orient="records", date_format="iso"))
        print_document(steps, args.output)
        return 0
    if args.out.suffix == ".csv":
        write_file(args.out, "--out", frame.to_csv(index=False))
    elif args.out.suffix == ".json":
        write_file(args.out, "--out", frame.to_json(orient="records", date_format="iso"))
    else:
        write_file(args.out, "--out", frame.to_parquet())
    print(f"{args.out}: {len(forecast.item_ids)} items, {forecast.prediction_length} steps ahead")
    return 0


def _print(forecast: Forecast) -> None:
    """Print a few steps of each item; ``--out`` writes all of them."""
    from rich.text import Text

    from forecaster.commands.terminal import Terminal, print_table

    terminal = Terminal()
    terminal.print("requests per second, by quantile")
    for i, item_id in enumerate(forecast.item_ids[:SHOWN_ITEMS]):
        after = f"{forecast.origins[i]:%Y-%m-%d %H:%M:%S} UTC"
        terminal.print(Text(f"\n{item_id} after {after}, by {forecast.sources[i]}"))
        print_table(terminal, _table(forecast, i))
    if len(forecast.item_ids) > SHOWN_ITEMS:
        print(f"and {len(forecast.item_ids) - SHOWN_ITEMS} more items; --out FILE writes them all")


def _table(forecast: Forecast, i: int) -> Table:
    """Return a table of some steps of one item, at most 80 columns wide."""
    from forecaster.commands.terminal import table_of

    heads = ("at", "ahead", *(f"{level:g}" for level in forecast.quantile_levels))
    table = table_of(heads)
    for column in table.columns:
        column.min_width = 8
    last = forecast.prediction_length - 1
    for step in sorted({round(last * k / (SHOWN_STEPS - 1)) for k in range(SHOWN_STEPS)}):
        ahead = (step + 1) * forecast.step
        values = [f"{value:,.4g}" for value in forecast.values[i, step]]
        table.add_row(f"{forecast.origins[i] + ahead:%m-%d %H:%M:%S}", _minutes(ahead), *values)
    return table


def _minutes(ahead: timedelta) -> str:
    return f"{ahead.total_seconds() / 60:g} min"
