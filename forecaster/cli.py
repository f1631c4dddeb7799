"""The `forecaster` command: one parser, one module per subcommand.

Only argparse is loaded to answer `--help`; a subcommand's module is imported when it is called.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from forecaster import __version__
from forecaster.errors import ForecasterError

COMMANDS = {
    "fetch": "download a history from Prometheus into a Parquet file",
    "check": "inspect a history and print what is wrong with it",
    "generate": "write a generated history (demo and tests; says nothing about accuracy)",
    "train": "fit, calibrate and store a forecaster",
    "evaluate": "backtest a stored forecaster beside the baselines",
    "predict": "print or write the forecast for the next steps",
    "models": "list, show, promote and roll back stored forecasters",
}


def build_parser() -> argparse.ArgumentParser:
    """Return the whole parser; the options of a subcommand are added by its module."""
    parser = argparse.ArgumentParser(
        prog="forecaster",
        description="Forecast requests per second from a Prometheus history, as quantiles.",
        epilog="'forecaster COMMAND --help' lists the options of a command.",
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log what is done to stderr")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, help=summary, description=summary.capitalize() + ".")
        importlib.import_module(f"forecaster.commands.{name}").add_arguments(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one subcommand; return 0, or 2 after printing an error that the user can act on."""
    args = build_parser().parse_args(argv)
    # Threads that wait by spinning stall each other where cores are shared or capped, as in a pod.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # noqa: TID251 - read when torch is loaded
    logging.basicConfig(
        level=logging.INFO if args.verbose else logging.WARNING,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    try:
        return int(importlib.import_module(f"forecaster.commands.{args.command}").run(args))
    except ForecasterError as error:
        print(f"forecaster {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"forecaster {args.command}: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    raise SystemExit(main())
