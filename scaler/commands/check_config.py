"""`scaler check-config`: whether policy files can be used, and if not, everything that is wrong."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.errors import PolicyError

if TYPE_CHECKING:
    from scaler.policy.files import PolicyDocument


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
        "prints one line for each policy that can be used; exits with 2 if any cannot, after\n"
        "naming every fault by its path, the rule, the value found and its line. Nothing is\n"
        "contacted and nothing is written.\n\n"
        "examples:\n"
        "  scaler check-config policy.yaml\n"
        "  scaler check-config examples/policies/"
    )


def run(args: argparse.Namespace) -> int:
    from scaler.policy.files import examine_policies

    good, wrong = examine_policies(args.paths)
    for document in good:
        print(_line(document))
    if wrong:
        total = len(good) + len(wrong)
        count = [f"{len(wrong)} of {total} cannot be used"] if total > 1 else []
        raise PolicyError("\n".join([*count, *wrong]))
    return 0


def _line(document: PolicyDocument) -> str:
    """Return what an operator wants to see confirmed."""
    policy = document.policy
    scale = policy.scale
    said = [policy.mode.value, f"{scale.min_replicas} to {scale.max_replicas} replicas"]
    if policy.capacity_qps is None:
        said.append("learned capacity")
    else:
        said.append(f"{policy.capacity_qps:g} requests/s each")
    said.append(f"risk {policy.trust.risk:g}")
    for count, one, many in (
        (len(policy.events), "event", "events"),
        (len(policy.classes), "class", "classes"),
    ):
        if count:
            said.append(f"{count} {one if count == 1 else many}")
    if policy.demand_query is None:
        said.append("replay only (no demand.query)")
    return f"{policy.item_id}: {', '.join(said)} ({document.where})"
