"""`scaler get`: policies, limits, forecasts or savings in a table, in kubectl's manner."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable

from forecaster.commands.documents import TABLE, YAML, add_output_argument, print_document
from forecaster.commands.spans import accept_relative_moments
from scaler.commands.get_output import COLUMNS, SAVINGS, RecordTable, with_totals
from scaler.commands.service_sources import (
    POLICIES,
    Record,
    ServiceSource,
    add_source_arguments,
    check_sources,
    named_service,
    source_of,
)
from scaler.errors import PolicyError

# As kubectl, which takes the singular and the short name of a kind.
ALIASES = {
    **{kind: kind for kind in COLUMNS},
    "policy": "policies",
    "limit": "limits",
    "forecast": "forecasts",
    "demandpolicies": "policies",
    "demandpolicy": "policies",
    "dp": "policies",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    accept_relative_moments(parser)
    parser.add_argument(
        "kind",
        metavar="KIND",
        nargs="?",
        choices=tuple(ALIASES),
        default=POLICIES,
        help="policies (also dp), limits, forecasts or savings (default %(default)s)",
    )
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="of one: namespace/name, or a name with -n"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument("-n", "--namespace", help="the only one to show (default: all)")
    which.add_argument(
        "-A", "--all-namespaces", action="store_true", help="show all, as without -n"
    )
    add_output_argument(parser)
    parser.add_argument(
        "-w", "--watch", action="store_true",
        help="go on, and print a line for each change until interrupted",
    )  # fmt: skip
    add_source_arguments(parser)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "P50 and P90 are the highest of these quantiles over the whole forecast. AGE is\n"
        "that of the decision, of a forecast's last sample, or of a cluster's object.\n"
        "What is not known is <none>. HOURS are replica-hours saved against the\n"
        "autoscaler alone, LOW and HIGH the ends of a 95 % interval of what is SAVED.\n\n"
        "examples:\n"
        "  scaler get policies -A\n"
        "  scaler get limits -n shop -w --endpoint http://tidegate:8080\n"
        "  scaler get dp shop/checkout -o yaml --kubeconfig ~/.kube/config\n"
        "  scaler get forecasts --journal journal/ --at 03:12"
    )


def run(args: argparse.Namespace, *, sleep: Callable[[float], None] = time.sleep) -> int:
    check_sources(args)
    if args.watch and args.journal is not None:
        raise PolicyError("--watch and --journal exclude each other: what was does not change")
    kind, wanted, source = ALIASES[args.kind], _wanted(args), source_of(args)
    records = source.records(kind, wanted)
    if args.name is not None and not records:
        raise PolicyError(_no_such(args.name, source, kind))
    show = _table(kind, source) if args.output == TABLE else _documents(args)
    if not records and args.output == TABLE:
        where = f" in {args.namespace}" if args.namespace else ""
        print(f"no {kind} found{where}", file=sys.stderr)
    show(records)
    while args.watch:
        sleep(source.pause_s)
        show(source.records(kind, wanted))
    return 0


def _wanted(args: argparse.Namespace) -> Callable[[str], bool]:
    """Return which services are asked for."""
    namespace, name = named_service(args.name or "", args.namespace, "NAME")

    def is_wanted(item_id: str) -> bool:
        its_namespace, _, its_name = item_id.partition("/")
        return namespace in (None, its_namespace) and name in ("", its_name)

    return is_wanted


def _no_such(name: str, source: ServiceSource, kind: str) -> str:
    there = [one["service"] for one in source.records(kind, lambda _: True)]
    more = f" and {len(there) - 8} more" if len(there) > 8 else ""
    return f"there is no {name!r}; there is {', '.join(there[:8]) or 'none'}{more}"


def _table(kind: str, source: ServiceSource) -> Callable[[list[Record]], None]:
    table = RecordTable(COLUMNS[kind])

    def show(records: list[Record]) -> None:
        shown = with_totals(records) if kind == SAVINGS else records
        for line in table.lines(shown, source.now()):
            print(line, flush=True)

    return show


def _documents(args: argparse.Namespace) -> Callable[[list[Record]], None]:
    """Return what prints records: all in a list, but each alone where they are watched."""
    shown: dict[str, Record] = {}

    def show(records: list[Record]) -> None:
        changed = [one for one in records if shown.get(one["service"]) != one]
        shown.update({one["service"]: one for one in changed})
        if not args.watch:
            one_alone = args.name is not None and len(changed) == 1
            print_document(changed[0] if one_alone else changed, args.output)
            return
        for one in changed:
            if args.output == YAML:
                print("---")
            print_document(one, args.output)
            print(end="", flush=True)

    return show
