"""`scaler restore`: put back the floor of every autoscaler that tidegate has raised."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from scaler.commands.run_options import add_kubeconfig_arguments
from scaler.errors import ClusterError

if TYPE_CHECKING:
    from scaler.hpa.floor_ownership import Autoscaler


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_kubeconfig_arguments(parser)
    parser.add_argument("--namespace", help="look at this one only (default: at all)")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "acts on the HorizontalPodAutoscalers that carry the annotation\n"
        "tidegate.dev/original-min-replicas. Stop `scaler run` first, or set the policies' mode\n"
        "to Recommend: under Enforce, floors are raised again. Exits with 2 if a floor could not\n"
        "be put back; run it again for the rest.\n\n"
        "examples:\n"
        "  scaler restore --dry-run\n"
        "  scaler restore --namespace shop"
    )


def run(args: argparse.Namespace) -> int:
    from scaler.adapters.kube.client import connected
    from scaler.adapters.kube.cluster import ClusterSettings, KubernetesCluster

    api = connected(args.kubeconfig, args.context)
    cluster = KubernetesCluster(api, ClusterSettings(namespace=args.namespace))
    failed: list[str] = []
    count = 0
    for seen in cluster.find_raised():
        count += 1
        if args.dry_run:
            print(f"{seen.target}: {_change(seen)} (dry run)")
            continue
        try:
            cluster.restore(seen.target)
        except ClusterError as error:
            failed.append(f"  {seen.target}: {error}")
        else:
            print(f"{seen.target}: {_change(seen)}")
    if failed:
        lines = "\n".join(failed)
        raise ClusterError(f"{len(failed)} of {count} could not be put back:\n{lines}")
    if not count:
        print("no floor is raised by tidegate")
    return 0


def _change(seen: Autoscaler) -> str:
    """Return a description of what restoring changes."""
    if not seen.ours:
        return f"minReplicas stays {seen.min_replicas}, somebody else has written it since"
    return f"minReplicas {seen.min_replicas} -> {seen.original_min_replicas}"
