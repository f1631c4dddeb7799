"""`scaler check-config`: validate policy files and print every fault in them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.errors import PolicyError

if TYPE_CHECKING:
    from scaler.policy.files import PolicyDocument
    from scaler.policy.policy import Policy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        metavar="PATH",
        type=Path,
        nargs="+",
        help="a policy file, or a directory of files ending in .yaml or .yml",
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "prints one line for each valid policy. If any policy is invalid, it names every fault by\n"
        "its path, the rule, the value found and its line, and exits with 2. It warns where no\n"
        "model is named, and where a query is no PromQL or asks for a raw counter. Nothing is\n"
        "contacted and nothing is written.\n\n"
        "examples:\n"
        "  scaler check-config policy.yaml\n"
        "  scaler check-config examples/policies/"
    )


def run(args: argparse.Namespace) -> int:
    from scaler.policy.files import examine_policies

    valid, faults = examine_policies(args.paths)
    for document in valid:
        print(_line(document))
        for doubt in _doubts(document.policy):
            print(f"warning: {document.where}: {doubt}", file=sys.stderr)
    if faults:
        total = len(valid) + len(faults)
        count = [f"{len(faults)} of {total} cannot be used"] if total > 1 else []
        raise PolicyError("\n".join([*count, *faults]))
    return 0


def _doubts(policy: Policy) -> Iterator[str]:
    """Yield what is valid but can hardly be meant."""
    from scaler.adapters.promql_checks import doubts

    if policy.model is None:
        yield (
            "spec.demand.model names no forecaster, so nothing is forecast; name one that "
            "'forecaster train --name NAME' has stored"
        )
    for key, query in (
        ("demand.query", policy.demand_query),
        ("slo.query", policy.slo.query),
        ("capacity.replicasQuery", policy.replicas_query),
    ):
        yield from (f"spec.{key} {doubt}" for doubt in doubts(query or "0"))


def _line(document: PolicyDocument) -> str:
    """Return one line with the main values of a policy."""
    policy = document.policy
    scale = policy.scale
    parts = [policy.mode.value, f"{scale.min_replicas} to {scale.max_replicas} replicas"]
    if policy.capacity_qps is None:
        parts.append("learned capacity")
    else:
        parts.append(f"{policy.capacity_qps:g} requests/s each")
    parts.append(f"risk {policy.trust.risk:g}")
    for count, one, many in (
        (len(policy.events), "event", "events"),
        (len(policy.classes), "class", "classes"),
    ):
        if count:
            parts.append(f"{count} {one if count == 1 else many}")
    if policy.demand_query is None:
        parts.append("replay only (no demand.query)")
    return f"{policy.item_id}: {', '.join(parts)} ({document.where})"
