"""`scaler run`: watch policies, decide every tick, act, and serve what follows."""

from __future__ import annotations

import argparse
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Protocol

from scaler.commands.endpoint import served
from scaler.commands.run_journal import started_journal
from scaler.commands.run_options import add_arguments, address_of, api_settings
from scaler.commands.signals import pause, stopped_by_signals
from scaler.errors import PolicyError

if TYPE_CHECKING:
    from scaler.adapters.tracing import Tracing
    from scaler.commands.run_journal import RunJournal
    from scaler.control.cluster_port import Cluster, Leadership
    from scaler.control.ports import WatchedPolicy, Workloads
    from scaler.control.snapshot import Snapshot

LOGGER = logging.getLogger(__name__)

STEP = timedelta(minutes=1)
LEASE = "tidegate"

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace, *, clock: Callable[[], float] = time.time) -> int:  # noqa: TID251 - a command reads the clock
    from forecaster.commands.sources import settings_from
    from forecaster.commands.spans import span
    from scaler.adapters.logs import DecisionLog, log_as
    from scaler.adapters.prometheus_traffic import PrometheusTraffic
    from scaler.adapters.registry_models import RegistryModels
    from scaler.control.loop import ControlLoop
    from scaler.control.ports import World

    tick_s = span(args.tick, "--tick").total_seconds()
    log_as(args.log_format)
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        if not args.once:
            stack.enter_context(stopped_by_signals(stop))
        journal = started_journal(args, api_settings(args), (STEP, tick_s), stack)
        tracing = _tracing(args, stack)
        policies, workloads, leadership = _world(args, stack, stop)
        publish: list[Callable[[Snapshot], None]] = [journal.publish]  # before gateways can ask
        if not args.once:
            publish += [_serve(args, stack, tracing, journal), DecisionLog().write]
        prometheus = PrometheusTraffic(settings_from(args), STEP, stopping=stop)
        stack.callback(prometheus.close)
        world = journal.world(World(prometheus, RegistryModels(args.models), workloads))
        if tracing is not None:
            world = tracing.world(world)
        loop = ControlLoop(world, STEP, _everywhere(publish), leadership.leads, tick_s)

        def tick() -> Snapshot:
            return journal.tick(loop, policies.current(), clock())

        if args.once:
            from scaler.commands.run_output import print_board

            print_board(tick())
            return 0
        _ticking(tracing.tick(tick) if tracing is not None else tick, tick_s, stop)
    return 0


def _everywhere(publish: Sequence[Callable[[Snapshot], None]]) -> Callable[[Snapshot], None]:
    """Return what hands a snapshot to each in turn."""

    def published(snapshot: Snapshot) -> None:
        for one in publish:
            try:
                one(snapshot)
            except Exception:  # a log or a page that fails must not fail the next tick
                LOGGER.exception("a snapshot could not be published everywhere")

    return published


def _tracing(args: argparse.Namespace, stack: contextlib.ExitStack) -> Tracing | None:
    if args.otlp is None:
        return None
    from scaler.adapters.tracing import Tracing

    tracing = Tracing(args.otlp)
    stack.callback(tracing.close)
    return tracing


def _ticking(tick: Callable[[], object], tick_s: float, stop: threading.Event) -> None:
    """Tick on a regular beat until told to stop; a tick that has begun is finished."""
    due = time.monotonic()
    while not stop.is_set():
        try:
            tick()
        except Exception:  # the next one may do better; until then gateways follow their schedule
            LOGGER.exception("a tick failed")
        # A beat that was missed is left out: two ticks at once tell nothing new.
        due = max(due + tick_s, time.monotonic())
        stop.wait(due - time.monotonic())


class Policies(Protocol):
    """Where policies come from."""

    def current(self) -> tuple[WatchedPolicy, ...]: ...


def _world(
    args: argparse.Namespace, stack: contextlib.ExitStack, stop: threading.Event
) -> tuple[Policies, Workloads, Leadership]:
    """Return where policies come from, where plans go to, and whether we act."""
    from scaler.adapters.dry_run_workloads import DryRunWorkloads
    from scaler.adapters.kube.workloads_port import ClusterWorkloads
    from scaler.adapters.policy_sources import ClusterPolicies, FilePolicies
    from scaler.control.cluster_port import AlwaysLeading

    if args.no_cluster:
        if not args.policies:
            raise PolicyError("--no-cluster needs --policies: there is nowhere else to read them")
        return FilePolicies(args.policies), DryRunWorkloads(), AlwaysLeading()
    cluster, leadership = _cluster(args, stack, stop)
    clustered = ClusterWorkloads(cluster, leadership, stopping=stop)
    stack.callback(clustered.close)
    policies = FilePolicies(args.policies) if args.policies else ClusterPolicies(cluster)
    return policies, clustered, leadership


def _cluster(
    args: argparse.Namespace, stack: contextlib.ExitStack, stop: threading.Event
) -> tuple[Cluster, Leadership]:
    from forecaster.commands.spans import span
    from scaler.adapters.kube.client import connected
    from scaler.adapters.kube.cluster import ClusterSettings, KubernetesCluster
    from scaler.adapters.kube.leader_election import ElectionSettings, candidate
    from scaler.adapters.kube.leader_label import LeaderLabel
    from scaler.control.cluster_port import AlwaysLeading

    api = connected(args.kubeconfig, args.context)
    asking = replace(api, sleep=lambda seconds: pause(stop, seconds))
    settings = ClusterSettings(namespace=args.namespace, instance=args.identity)
    cluster = KubernetesCluster(asking, settings)
    cluster.start()
    stack.callback(cluster.close)
    if not args.leader_elect:
        return cluster, AlwaysLeading()
    duration_s = max(round(span(args.lease_duration, "--lease-duration").total_seconds()), 1)
    terms = ElectionSettings.lasting(args.lease_namespace, LEASE, args.identity, duration_s)
    label = LeaderLabel(api, args.lease_namespace, args.identity)
    label.start()
    stack.callback(label.close)
    standing = candidate(api, terms, time.time, label.changed)  # noqa: TID251 - it is written into the Lease
    standing.start()
    stack.callback(standing.close)
    return cluster, standing


def _serve(
    args: argparse.Namespace,
    stack: contextlib.ExitStack,
    tracing: Tracing | None,
    journal: RunJournal,
) -> Callable[[Snapshot], None]:
    """Start the endpoint that the options ask for; return what publishes a board to it."""
    address = address_of(args, args.listen, "--listen")
    rpc = args.grpc_listen and address_of(args, args.grpc_listen, "--grpc-listen")
    return served(api_settings(args), address, stack, tracing, rpc or None, journal)
