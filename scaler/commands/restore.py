"""`scaler restore`: put back the floors of autoscalers that tidegate has raised."""

from __future__ import annotations

import argparse
import time
from typing import TYPE_CHECKING

from scaler.commands.run_options import add_kubeconfig_arguments
from scaler.errors import ClusterError, PolicyError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from scaler.adapters.kube.cluster import KubernetesCluster
    from scaler.control.cluster_port import PolicyObject
    from scaler.hpa.floor_ownership import Autoscaler, Target

HOLD = "15m"  # enough for a sync of GitOps to be tried again


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "service",
        metavar="SERVICE",
        nargs="?",
        help="namespace/name of one DemandPolicy, or of an autoscaler without one (default: all)",
    )
    add_kubeconfig_arguments(parser)
    parser.add_argument("--namespace", help="look at this one only (default: at all)")
    parser.add_argument(
        "--hold",
        metavar="SPAN",
        help=f"have a running scaler leave the floors alone for so long (default: {HOLD} with "
        "SERVICE, else not at all)",
    )
    parser.add_argument(
        "--release",
        action="store_true",
        help="let the policies go, too: remove the finalizer of those whose floor is put back",
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be done")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "acts on the HorizontalPodAutoscalers that carry the annotation\n"
        "tidegate.dev/original-min-replicas. Under Enforce a running scaler raises floors\n"
        "again, unless there is a --hold. Exits with 2 if a floor could not be put back;\n"
        "run it again for the rest.\n\n"
        "examples:\n"
        "  scaler restore --dry-run\n"
        "  scaler restore shop/checkout\n"
        "  scaler restore --release --hold 1h"
    )


def run(args: argparse.Namespace) -> int:
    from scaler.adapters.kube.client import connected
    from scaler.adapters.kube.cluster import ClusterSettings, KubernetesCluster

    if args.service is not None and not all(args.service.partition("/")):
        raise PolicyError(f"SERVICE is {args.service!r}, but must look like shop/checkout")
    api = connected(args.kubeconfig, args.context)
    namespace = args.service.partition("/")[0] if args.service else args.namespace
    cluster = KubernetesCluster(api, ClusterSettings(namespace=namespace))
    policies = _policies(cluster, args)
    targets = _targets(args, policies)
    held = args.service is not None or args.hold is not None
    if held:  # first, or a running scaler would raise floors again in between
        _leave(cluster, policies, args)
    seen = [one for one in cluster.find_raised() if targets is None or one.target in targets]
    failed = _restore(cluster, seen, dry_run=args.dry_run)
    if args.release:
        _release(cluster, policies, failed, dry_run=args.dry_run)
    if failed:
        lines = "\n".join(f"  {target}: {error}" for target, error in failed.items())
        raise ClusterError(f"{len(failed)} of {len(seen)} could not be put back:\n{lines}")
    if not seen and not held:
        print("no floor is raised by tidegate")
    return 0


def _leave(
    cluster: KubernetesCluster, policies: Iterable[PolicyObject], args: argparse.Namespace
) -> None:
    """Have a running scaler leave the floors of these policies alone."""
    from forecaster.commands.spans import span

    hold = args.hold or HOLD
    until = time.time() + span(hold, "--hold").total_seconds()  # noqa: TID251 - it is written
    for one in policies:
        if not args.dry_run:
            cluster.leave(one.item_id, until)
        print(f"{one.item_id}: left alone for {hold}{' (dry run)' if args.dry_run else ''}")


def _policies(cluster: KubernetesCluster, args: argparse.Namespace) -> list[PolicyObject]:
    """Return the policies that this is about; none where they are not needed."""
    if args.service is None and not args.release and args.hold is None:
        return []
    found = cluster.find_policies()
    return [one for one in found if args.service in (None, one.item_id)]


def _targets(args: argparse.Namespace, policies: Iterable[PolicyObject]) -> set[Target] | None:
    """Return whose floors are to be put back; None: all."""
    from scaler.adapters.kube.claims import target_of
    from scaler.hpa.floor_ownership import Target

    if args.service is None:
        return None
    named = {target_of(one.policy) for one in policies if one.policy is not None}
    namespace, _, name = args.service.partition("/")
    return named or {Target(namespace, name)}


def _restore(
    cluster: KubernetesCluster, raised: Iterable[Autoscaler], *, dry_run: bool
) -> dict[Target, ClusterError]:
    """Put floors back; return those that could not be, and why."""
    failed: dict[Target, ClusterError] = {}
    for seen in raised:
        if dry_run:
            print(f"{seen.target}: {_change(seen)} (dry run)")
            continue
        try:
            cluster.restore(seen.target)
        except ClusterError as error:
            failed[seen.target] = error
        else:
            print(f"{seen.target}: {_change(seen)}")
    return failed


def _release(
    cluster: KubernetesCluster,
    policies: Iterable[PolicyObject],
    failed: Iterable[Target],
    *,
    dry_run: bool,
) -> None:
    """Remove the finalizer of each policy whose floor was not left behind."""
    from scaler.adapters.kube.claims import target_of

    namespaces = {target.namespace for target in failed}
    for one in policies:
        # Which floor a policy owns that cannot be read is not known.
        left = one.item_id.partition("/")[0] in namespaces
        if one.policy is not None:
            left = target_of(one.policy) in set(failed)
        if not one.guarded or left:
            continue
        if not dry_run:
            cluster.release(one.item_id)
        print(f"{one.item_id}: released{' (dry run)' if dry_run else ''}")


def _change(seen: Autoscaler) -> str:
    """Return a description of what restoring changes."""
    from scaler.hpa.floor_ownership import restored_floor

    floor = restored_floor(seen, None)
    if floor == seen.min_replicas and not seen.ours:
        return f"minReplicas stays {seen.min_replicas}, somebody else has written it since"
    return f"minReplicas {seen.min_replicas} -> {floor}"
