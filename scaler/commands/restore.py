"""`scaler restore`: put back the floor of every autoscaler that tidegate has raised."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.errors import ClusterError

if TYPE_CHECKING:
    from scaler.hpa.floor_ownership import Autoscaler


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kubeconfig", type=Path, help="file to reach the cluster by")
    parser.add_argument("--context", help="of that file; its current one if not given")
    parser.add_argument("--namespace", help="the only one to look at; all if not given")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "acts on the HorizontalPodAutoscalers that carry the annotation\n"
        "tidegate.dev/original-min-replicas. Stop `scaler run` first, or set the policies' mode\n"
        "to Recommend: under Enforce a floor is raised again. Exits with 2 if any could not be\n"
        "put back; doing it again does the rest.\n\n"
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
    """Return in words what restoring does."""
    if not seen.ours:
        return f"minReplicas stays {seen.min_replicas}, written by somebody else since"
    return f"minReplicas {seen.min_replicas} -> {seen.original_min_replicas}"
