"""`forecaster models`: list, show, promote and roll back stored forecasters.

Only argparse is loaded at the top: the options of every command are built to answer `--help`.
"""

from __future__ import annotations

import argparse

from forecaster.commands.documents import add_json_argument
from forecaster.commands.stored_models import add_registry_argument


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the four actions; each of them has `--models` and `--output`."""
    shared = argparse.ArgumentParser(add_help=False)
    add_registry_argument(shared)
    add_json_argument(shared)
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("list", parents=[shared], help="print every model with its champion")
    show = actions.add_parser("show", parents=[shared], help="check and print one version")
    show.add_argument("model", metavar="NAME[@VERSION]", help="without a version: the champion")
    promote = actions.add_parser("promote", parents=[shared], help="make a version the champion")
    promote.add_argument("name", metavar="NAME")
    promote.add_argument("version", metavar="VERSION")
    rollback = actions.add_parser(
        "rollback", parents=[shared], help="make the champion before it champion again"
    )
    rollback.add_argument("name", metavar="NAME")


def run(args: argparse.Namespace) -> int:
    """Do one action and print its result."""
    from forecaster.adapters.registry.registry import Registry
    from forecaster.commands import models_output as output

    registry = Registry(args.models)
    if args.action == "list":
        output.print_list(registry, form=args.output)
    elif args.action == "show":
        output.print_version(registry, args.model, form=args.output)
    elif args.action == "promote":
        before = output.champion_or_none(registry, args.name)
        registry.promote(args.name, args.version)
        output.print_move(args.name, before, args.version, form=args.output)
    else:
        before = output.champion_or_none(registry, args.name)
        output.print_move(args.name, before, registry.rollback(args.name), form=args.output)
    return 0
