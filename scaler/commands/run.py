"""`scaler run`: watch policies, decide every tick, set floors, and serve rate limits."""

from __future__ import annotations

import argparse
import contextlib
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from forecaster.commands.documents import TABLE, print_document
from scaler.clocks.steady import steady_seconds
from scaler.commands.endpoint import ALONE, EndpointParts, served
from scaler.commands.run_checks import check_options
from scaler.commands.run_journal import started_journal
from scaler.commands.run_options import add_arguments, address_of, api_settings
from scaler.commands.signals import pause, stopped_by_signals

if TYPE_CHECKING:
    from scaler.adapters.prometheus_traffic import PrometheusTraffic
    from scaler.adapters.tracing import Tracing
    from scaler.control.cluster_port import Cluster, Leadership
    from scaler.control.ports import Workloads, World
    from scaler.control.reviewed_policies import PolicySource, ReviewedPolicies
    from scaler.control.snapshot import Snapshot

LOGGER = logging.getLogger(__name__)

STEP = timedelta(minutes=1)
LEASE = "tidegate"
WALL = time.time  # noqa: TID251 - it is written into Leases, and compared with the dates of answers
COUNTING_WORKERS = 4  # that ask for ready replicas where there is no cluster

__all__ = ["add_arguments", "run"]


def run(args: argparse.Namespace, *, clock: Callable[[], float] = time.time) -> int:  # noqa: TID251 - a command reads the clock
    check_options(args)
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        if not args.once:
            stack.enter_context(stopped_by_signals(stop))  # first: the rest takes seconds to load
        return _run(args, clock, stack, stop)


def _run(
    args: argparse.Namespace,
    clock: Callable[[], float],
    stack: contextlib.ExitStack,
    stop: threading.Event,
) -> int:
    from forecaster.commands.spans import span
    from scaler.adapters.http.reported_demand import ReportedDemand
    from scaler.adapters.logs import DecisionLog, set_log_format
    from scaler.control.loop import ControlLoop
    from scaler.control.publication import in_turn
    from scaler.control.timekeeper import Timekeeper

    tick_s = span(args.tick, "--tick").total_seconds()
    set_log_format(args.log_format)
    journal = started_journal(args, api_settings(args), (STEP, tick_s), stack)
    tracing = _tracing(args, stack)
    acting = stack.enter_context(contextlib.ExitStack())
    policies, workloads, leadership = _policies_and_workloads(args, acting, stop)
    publishers: list[Callable[[Snapshot], None]] = [journal.publish]  # before gateways can ask
    reports = ReportedDemand()
    if not args.once:
        parts = EndpointParts(
            tracing=tracing, journal=journal, reports=reports, reign=leadership.reign
        )
        publishers += [_serve(args, stack, parts), DecisionLog().write]
    reviews = _reviewed(args, policies, stack, leadership.leads, clock)
    publishers.append(reviews.publish)
    ports = journal.world(replace(_world(args, stack, stop, workloads), witness=reports))
    ports = ports if tracing is None else tracing.instrument_ports(ports)
    loop = ControlLoop(ports, STEP, in_turn(publishers), leadership.leads, tick_s)

    times = Timekeeper(clock, steady_seconds)

    def tick() -> Snapshot:
        return journal.tick(loop, reviews.current(), times.read())

    if args.once:
        _tell(tick(), args.output)
    else:
        _tick_regularly(tracing.tick(tick) if tracing is not None else tick, tick_s, stop)
        acting.close()  # first, so that another may lead while the rest still waits for something
    return 0


def _tell(snapshot: Snapshot, form: str) -> None:
    """Print what was decided; raises MetricsError where no demand was measured."""
    from scaler.commands.run_output import check_measured, print_snapshot, snapshot_record

    if form == TABLE:
        print_snapshot(snapshot)
    else:
        print_document(snapshot_record(snapshot), form)
    check_measured(snapshot)


def _reviewed(
    args: argparse.Namespace,
    policies: PolicySource,
    stack: contextlib.ExitStack,
    leads: Callable[[], bool],
    clock: Callable[[], float],
) -> ReviewedPolicies:
    """Return the policies with the settings that are chosen for them."""
    from forecaster.commands.sources import settings_from
    from scaler.commands.review_process import ReviewProcess, ReviewSources
    from scaler.control.reviewed_policies import ReviewedPolicies

    sources = ReviewSources(settings_from(args), args.enforce_namespace_label, args.models)
    process = ReviewProcess(sources)
    stack.callback(process.close)
    return ReviewedPolicies(policies, process, leads, clock)


def _world(
    args: argparse.Namespace, stack: contextlib.ExitStack, stop: threading.Event, cluster: Workloads
) -> World:
    from scaler.adapters.registry_models import RegistryModels
    from scaler.adapters.shipped_model import shipped_model
    from scaler.control.ports import World

    prometheus = _traffic(args, stack, stop)
    models = RegistryModels(args.models, args.anchors, shipped_model)
    stack.callback(models.close)
    return World(prometheus, models, cluster)


def _traffic(
    args: argparse.Namespace, stack: contextlib.ExitStack, stop: threading.Event, workers: int = 16
) -> PrometheusTraffic:
    from forecaster.commands.sources import settings_from
    from scaler.adapters.namespace_label import holder_of
    from scaler.adapters.prometheus_traffic import PrometheusTraffic

    hold = holder_of(args.enforce_namespace_label)
    traffic = PrometheusTraffic(settings_from(args), STEP, workers, stop, hold)
    traffic.wall = WALL
    stack.callback(traffic.close)
    return traffic


def _tracing(args: argparse.Namespace, stack: contextlib.ExitStack) -> Tracing | None:
    if args.otlp is None:
        return None
    from scaler.adapters.tracing import Tracing

    tracing = Tracing(args.otlp)
    stack.callback(tracing.close)
    return tracing


def _tick_regularly(tick: Callable[[], object], tick_s: float, stop: threading.Event) -> None:
    """Tick at regular intervals until the stop is asked for; a tick that has begun is finished."""
    due = steady_seconds()
    while not stop.is_set():
        try:
            tick()
        except Exception:  # the next one may succeed; until then gateways follow their schedules
            LOGGER.exception("a tick failed")
        # A tick that was missed is skipped: two ticks at once observe the same.
        due = max(due + tick_s, steady_seconds())
        stop.wait(due - steady_seconds())


def _policies_and_workloads(
    args: argparse.Namespace, stack: contextlib.ExitStack, stop: threading.Event
) -> tuple[PolicySource, Workloads, Leadership]:
    """Return where policies come from, where plans are carried out, and who leads."""
    from scaler.adapters.dry_run_workloads import DryRunWorkloads
    from scaler.adapters.kube.workloads_port import ClusterWorkloads
    from scaler.adapters.policy_sources import ClusterPolicies, FilePolicies
    from scaler.control.cluster_port import AlwaysLeading

    if args.no_cluster:
        counting = _traffic(args, stack, stop, COUNTING_WORKERS)
        return FilePolicies(args.policies), DryRunWorkloads(counting), AlwaysLeading()
    cluster, leadership = _cluster(args, stack, stop)
    workloads = ClusterWorkloads(cluster, leadership, stopping=stop)
    stack.callback(workloads.close)
    policies = FilePolicies(args.policies) if args.policies else ClusterPolicies(cluster)
    return policies, workloads, leadership


def _cluster(
    args: argparse.Namespace, stack: contextlib.ExitStack, stop: threading.Event
) -> tuple[Cluster, Leadership]:
    from forecaster.commands.spans import span
    from scaler.adapters.kube.client import connected
    from scaler.adapters.kube.cluster import ClusterSettings, KubernetesCluster
    from scaler.adapters.kube.leader_election import ElectionSettings, leader_elector
    from scaler.adapters.kube.leader_label import LeaderLabel
    from scaler.control.cluster_port import AlwaysLeading

    api = connected(args.kubeconfig, args.context)
    interruptible = replace(api, sleep=lambda seconds: pause(stop, seconds))
    settings = ClusterSettings(namespace=args.namespace, instance=args.identity)
    cluster = KubernetesCluster(interruptible, settings)
    cluster.start()
    stack.callback(cluster.close)
    if not args.leader_elect:
        return cluster, AlwaysLeading()
    duration_s = max(round(span(args.lease_duration, "--lease-duration").total_seconds()), 1)
    election = ElectionSettings.lasting(args.lease_namespace, LEASE, args.identity, duration_s)
    label = LeaderLabel(api, args.lease_namespace, args.identity)
    label.start()
    stack.callback(label.close)
    elector = leader_elector(api, election, WALL, label.changed)
    elector.start()
    stack.callback(elector.close)
    return cluster, elector


def _serve(
    args: argparse.Namespace, stack: contextlib.ExitStack, parts: EndpointParts = ALONE
) -> Callable[[Snapshot], None]:
    """Start the endpoint; return the function that publishes a snapshot to it."""
    address = address_of(args, args.listen, "--listen")
    if args.grpc_listen:
        parts = replace(parts, rpc=address_of(args, args.grpc_listen, "--grpc-listen"))
    return served(api_settings(args), address, stack, parts)
