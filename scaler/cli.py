"""The `scaler` command: one parser, one module per subcommand.

Only argparse is loaded to answer `--help`; a subcommand's module is imported when it is called.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from types import ModuleType

from forecaster.errors import ForecasterError
from scaler.errors import ScalerError

COMMANDS = {
    "replay": "run a policy over recorded traffic, beside your autoscaler",
    "run": "watch policies, decide every tick, act, and serve what follows",
    "rls": "decide for an Envoy beside it, by leases asked for over HTTP",
    "demo": "watch the loop at work in a simulated cluster, faster than life",
    "check-config": "validate policy files and name everything that is wrong with them",
    "crd": "print the CustomResourceDefinition of DemandPolicy",
    "restore": "put back the floor of every autoscaler that tidegate has raised",
}


def build_parser() -> argparse.ArgumentParser:
    """Return the whole parser; the options of a subcommand are added by its module."""
    width = max(map(len, COMMANDS))
    table = "\n".join(f"  {name:{width}}  {summary}" for name, summary in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="scaler",
        description="Turn forecast demand into a replica floor and a rate limit.",
        epilog=f"commands:\n{table}\n\n'scaler COMMAND --help' lists the options of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('tidegate')}")
    parser.add_argument("--verbose", action="store_true", help="log what is done to stderr")
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, help="one of those below"
    )
    for name, summary in COMMANDS.items():
        sub = commands.add_parser(name, description=summary.capitalize() + ".")
        _module(name).add_arguments(sub)
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
        return int(_module(args.command).run(args))
    except (ScalerError, ForecasterError) as error:
        print(f"scaler {args.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"scaler {args.command}: interrupted", file=sys.stderr)
        return 130


def _module(command: str) -> ModuleType:
    return importlib.import_module(f"scaler.commands.{command.replace('-', '_')}")


if __name__ == "__main__":
    raise SystemExit(main())
