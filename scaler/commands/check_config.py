"""`scaler check-config`: validate policy files and print every fault in them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.commands.documents import TABLE, add_output_argument, print_document
from scaler.commands.run_options import add_label_argument
from scaler.errors import PolicyError, QueryRefusedError

if TYPE_CHECKING:
    from scaler.policy.files import PolicyDocument
    from scaler.policy.policy import Policy


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        metavar="PATH",
        type=Path,
        nargs="*",
        help="a policy file, or a directory of files ending in .yaml or .yml",
    )
    parser.add_argument(
        "--token-file", metavar="FILE", type=Path,
        help="of scaler run: also validate it, and warn where everybody can read it",
    )  # fmt: skip
    parser.set_defaults(usage_error=parser.error)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "prints one line for each valid policy. If any policy is invalid, it names every\n"
        "fault by its path, the rule, the value found and its line, and exits with 2. It\n"
        "warns where no model is named, and where a query is no PromQL or asks for a raw\n"
        "counter. Nothing is contacted and nothing is written.\n\n"
        "examples:\n"
        "  scaler check-config policy.yaml\n"
        "  scaler check-config examples/policies/ --token-file tokens\n"
        "  scaler check-config --enforce-namespace-label namespace policies/"
    )
    add_label_argument(parser)
    add_output_argument(parser)


def run(args: argparse.Namespace) -> int:
    from scaler.policy.files import examine_policies

    if not args.paths and args.token_file is None:
        args.usage_error("there is nothing to check; give a PATH, or --token-file")
    tokens = None if args.token_file is None else _check_tokens(args.token_file)
    valid, wrong = examine_policies(args.paths)
    faults, records = list(wrong), []
    total = len(valid) + len(faults)
    if args.output == TABLE and tokens is not None:
        print(f"{args.token_file}: {tokens} tokens and certificates")
    for document in valid:
        warnings, (held, refused) = list(_doubts(document.policy)), _held(document.policy, args)
        for doubt in warnings:
            print(f"warning: {document.where}: {doubt}", file=sys.stderr)
        faults += [f"{document.where}: {one}" for one in refused]
        records.append({**_record(document), "warnings": warnings, "asked_as": held})
        if args.output == TABLE:
            print(_line(document))
            for key, query in held.items():
                print(f"  {key} is asked as: {query}")
    if args.output != TABLE:
        found = {"policies": records, "faults": faults, "tokens": tokens}
        print_document(found, args.output)
    if faults:
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
    for key, query in _queries(policy):
        yield from (f"{key} {doubt}" for doubt in doubts(query))


def _held(policy: Policy, args: argparse.Namespace) -> tuple[dict[str, str], list[str]]:
    """Return what each query becomes under the label that is enforced, and why others cannot."""
    held: dict[str, str] = {}
    refused: list[str] = []
    if args.enforce_namespace_label is None:
        return held, refused
    from scaler.adapters.namespace_label import holder_of

    hold, namespace = holder_of(args.enforce_namespace_label), policy.item_id.partition("/")[0]
    for key, query in _queries(policy):
        try:
            held[key] = hold(namespace, query)
        except QueryRefusedError as error:
            refused.append(f"{key}: {error}")
    return held, refused


def _queries(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield the key and the PromQL of each query that is given."""
    for key, query in (
        ("spec.demand.query", policy.demand_query),
        ("spec.demand.maskQuery", policy.mask_query),
        ("spec.slo.query", policy.slo.query),
        ("spec.capacity.replicasQuery", policy.replicas_query),
    ):
        if query is not None:
            yield key, query


def _check_tokens(path: Path) -> int:
    """Return how many tokens and certificates a file holds; warn of what is dangerous about it.

    Raises:
        ScalerError: it cannot be read, or a line is wrong.
    """
    from scaler.adapters.http.auth import token_warnings
    from scaler.adapters.http.grants import read_grants

    try:
        # Only `scaler run` knows whether clients show certificates.
        grants = read_grants(path.read_text("utf-8"), str(path), peers_verified=True)
        warnings = list(token_warnings(path, grants))
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"tokens cannot be read from {path}: {error}") from error
    if not grants:
        raise PolicyError(f"{path} holds no token; write one per line")
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    return len(grants)


def _record(document: PolicyDocument) -> dict[str, object]:
    """Return the main values of a policy; the capacity is None where it is learned."""
    policy = document.policy
    return {
        "service": policy.item_id,
        "where": str(document.where),
        "mode": policy.mode.value,
        "min_replicas": policy.scale.min_replicas,
        "max_replicas": policy.scale.max_replicas,
        "requests_per_replica": policy.capacity_qps,
        "risk": policy.trust.risk,
        "events": len(policy.events) + len(policy.recurring),
        "classes": len(policy.classes),
        "replay_only": policy.demand_query is None,
    }


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
        (len(policy.events) + len(policy.recurring), "event", "events"),
        (len(policy.classes), "class", "classes"),
    ):
        if count:
            parts.append(f"{count} {one if count == 1 else many}")
    if policy.demand_query is None:
        parts.append("replay only (no demand.query)")
    return f"{policy.item_id}: {', '.join(parts)} ({document.where})"
