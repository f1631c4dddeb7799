"""`scaler why`: the steps of the decision on a service, one sentence for each."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from forecaster.commands.documents import TABLE, add_output_argument, print_document
from forecaster.commands.spans import accept_relative_moments
from scaler.commands.service_sources import (
    add_source_arguments,
    check_sources,
    endpoint_of,
    named_service,
)
from scaler.errors import PolicyError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    accept_relative_moments(parser)
    parser.add_argument(
        "service", metavar="SERVICE", help="namespace/name, or a name with -n NAMESPACE"
    )
    parser.add_argument("-n", "--namespace", help="of SERVICE")
    add_output_argument(parser)
    add_source_arguments(parser)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "A cluster's policies say what was decided and what bound it; the endpoint and a\n"
        "journal know all steps, and a journal also those of the past. Exits with 1 if a\n"
        "journal's decisions do not come out again.\n\n"
        "examples:\n"
        "  scaler why shop/checkout\n"
        "  scaler why checkout -n shop --kubeconfig ~/.kube/config\n"
        "  scaler why shop/checkout --journal journal/ --at 03:12"
    )


def run(args: argparse.Namespace) -> int:
    check_sources(args)
    service = _service(args)
    if args.journal is not None:
        return _told_by_journal(args, service)
    found: Mapping[str, Any]
    if args.kubeconfig is not None or args.context is not None:
        from scaler.adapters.kube.client import connected
        from scaler.adapters.kube.policy_records import read_policy_record

        found = read_policy_record(connected(args.kubeconfig, args.context), service)
    else:
        found = endpoint_of(args).explanation(service)
    if args.output == TABLE:
        _print(found)
    else:
        print_document(found, args.output)
    return 0


def _service(args: argparse.Namespace) -> str:
    namespace, name = named_service(args.service, args.namespace, "SERVICE")
    if not namespace or not name:
        raise PolicyError(
            f"SERVICE is {args.service!r}, but must look like shop/checkout, or stand with -n"
        )
    return f"{namespace}/{name}"


def _told_by_journal(args: argparse.Namespace, service: str) -> int:
    from scaler.commands.journal_output import print_tick
    from scaler.commands.journal_record import journal_record
    from scaler.commands.replay_journal import answered

    findings, answer = answered(args.journal, service, args.at or "now")
    if args.output == TABLE:
        print_tick(findings, answer)
    else:
        print_document(journal_record(findings, answer), args.output)
    return 1 if findings.differences else 0


def _print(found: Mapping[str, Any]) -> None:
    from rich.text import Text

    from forecaster.commands.log_lines import printable
    from forecaster.commands.terminal import Terminal
    from scaler.commands.get_output import human_duration

    terminal = Terminal()
    since = ""
    if found.get("at") is not None:
        now = time.time()  # noqa: TID251 - a command reads the clock
        since = f", decided {human_duration(now - found['at'])} ago"
    terminal.print(Text(f"{found['service']}{since}", style="dim"))
    for sentence in found["words"]:
        terminal.print(Text(printable(sentence)))
