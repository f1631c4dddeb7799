"""`scaler run`: watch policies, decide every tick, act, and serve what follows."""

from __future__ import annotations

import argparse
import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from scaler.commands.signals import pause, stopped_by_signals
from scaler.errors import PolicyError

if TYPE_CHECKING:
    from scaler.adapters.api.serving import Address
    from scaler.adapters.api.settings import ApiSettings
    from scaler.adapters.tracing import Tracing
    from scaler.ports import Cluster, Leadership
    from scaler.published import Board
    from scaler.world import Models as ForecastModels
    from scaler.world import Traffic, Watched, Workloads

LOGGER = logging.getLogger(__name__)

STEP = timedelta(minutes=1)
LEASE = "tidegate"
# Conditions that say that a call has failed, and whose.
FAILURES = {"QueryFailed": "prometheus", "ClusterFailed": "kubernetes"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from forecaster.commands.sources import add_access_arguments

    parser.add_argument("--prometheus", metavar="URL", required=True, help="base URL")
    parser.add_argument(
        "--models", metavar="PATH", default="models/", help="registry (%(default)s)"
    )
    parser.add_argument("--tick", metavar="SPAN", default="15s", help="default %(default)s")
    parser.add_argument(
        "--once", action="store_true", help="decide once, print what would be done, and exit"
    )
    parser.add_argument("--log-format", choices=("text", "json"), default="text")
    parser.add_argument(
        "--otlp", metavar="URL", help="send traces to this collector (OTLP over HTTP)"
    )
    _add_cluster_arguments(parser.add_argument_group("policies and cluster"))
    _add_endpoint_arguments(parser.add_argument_group("endpoint"))
    access = parser.add_argument_group("access to Prometheus")
    add_access_arguments(access)
    access.add_argument("--timeout", metavar="SPAN", default="5s", help="default %(default)s")
    access.add_argument("--retries", metavar="N", type=int, default=1, help="default %(default)s")


def _add_cluster_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--policies", metavar="PATH", type=Path, action="append", default=[],
        help="a policy file or a directory of them, repeatable; without it, the DemandPolicies "
        "of the cluster",
    )  # fmt: skip
    group.add_argument(
        "--no-cluster", action="store_true",
        help="touch no cluster: plans are taken to be carried out (with --policies)",
    )  # fmt: skip
    group.add_argument("--kubeconfig", metavar="FILE", type=Path, help="to reach the cluster by")
    group.add_argument("--context", help="of that file (default: its current one)")
    group.add_argument("--namespace", help="the only one to watch (default: all)")
    group.add_argument(
        "--leader-elect", action="store_true", help="act only while holding the Lease"
    )
    group.add_argument(
        "--identity", metavar="NAME", default=socket.gethostname(),
        help="of this replica, in the Lease and in Events; no other may have it (the host's name)",
    )  # fmt: skip
    group.add_argument(
        "--lease-duration", metavar="SPAN", default="15s",
        help="after which another replica takes over from one that is silent (%(default)s)",
    )  # fmt: skip
    group.add_argument(
        "--lease-namespace", metavar="NAMESPACE", default="tidegate", help="(%(default)s)"
    )


def _add_endpoint_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--listen", metavar="HOST:PORT", default="127.0.0.1:8080", help="default %(default)s"
    )
    group.add_argument(
        "--grpc-listen", metavar="HOST:PORT",
        help="also serve gRPC there: Envoy's rate limit services and KEDA's external scaler "
        "(needs the extra: tidegate[grpc]; same access and TLS)",
    )  # fmt: skip
    group.add_argument("--token-file", metavar="FILE", type=Path, help="bearer tokens, one a line")
    group.add_argument("--allow-anonymous", action="store_true", help="serve without a token")
    group.add_argument("--tls-cert", metavar="FILE", type=Path)
    group.add_argument("--tls-key", metavar="FILE", type=Path)
    group.add_argument(
        "--client-ca", metavar="FILE", type=Path, help="clients must show a certificate of it"
    )


def run(args: argparse.Namespace, *, clock: Callable[[], float] = time.time) -> int:  # noqa: TID251 - a command reads the clock
    from forecaster.commands.sources import settings_from
    from forecaster.commands.spans import span
    from scaler.adapters.logs import DecisionLog, log_as
    from scaler.adapters.models import Models
    from scaler.adapters.traffic import PrometheusTraffic
    from scaler.loop import Loop

    tick_s = span(args.tick, "--tick").total_seconds()
    log_as(args.log_format)
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        if not args.once:
            stack.enter_context(stopped_by_signals(stop))
        tracing = _tracing(args, stack)
        policies, workloads, leadership = _world(args, stack, stop)
        publish = [] if args.once else [_serve(args, stack, tracing), DecisionLog().write]
        prometheus = PrometheusTraffic(settings_from(args), STEP, stopping=stop)
        stack.callback(prometheus.close)

        def published(board: Board) -> None:
            for one in publish:
                one(board)

        world: tuple[Traffic, ForecastModels, Workloads] = (
            prometheus, Models(args.models), workloads,
        )  # fmt: skip
        if tracing is not None:
            world = tracing.world(*world)
        loop = Loop(*world, STEP, published, leadership.leads)

        def tick() -> Board:
            return loop.tick(policies.current(), clock())

        if args.once:
            from scaler.commands.run_output import print_board

            print_board(tick())
            return 0
        _ticking(tracing.tick(tick) if tracing is not None else tick, tick_s, stop)
    return 0


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

    def current(self) -> tuple[Watched, ...]: ...


def _world(
    args: argparse.Namespace, stack: contextlib.ExitStack, stop: threading.Event
) -> tuple[Policies, Workloads, Leadership]:
    """Return where policies come from, where plans go to, and whether we act."""
    from scaler.adapters.clustered import Clustered
    from scaler.adapters.policies import ClusterPolicies, FilePolicies
    from scaler.adapters.standalone import Standalone
    from scaler.ports import AlwaysLeading

    if args.no_cluster:
        if not args.policies:
            raise PolicyError("--no-cluster needs --policies: there is nowhere else to read them")
        return FilePolicies(args.policies), Standalone(), AlwaysLeading()
    cluster, leadership = _cluster(args, stack, stop)
    clustered = Clustered(cluster, leadership, stopping=stop)
    stack.callback(clustered.close)
    policies = FilePolicies(args.policies) if args.policies else ClusterPolicies(cluster)
    return policies, clustered, leadership


def _cluster(
    args: argparse.Namespace, stack: contextlib.ExitStack, stop: threading.Event
) -> tuple[Cluster, Leadership]:
    from forecaster.commands.spans import span
    from scaler.adapters.kube.client import connected
    from scaler.adapters.kube.cluster import ClusterSettings, KubernetesCluster
    from scaler.adapters.kube.leading import LeaderLabel
    from scaler.adapters.kube.lease import LeaseTerms, candidate
    from scaler.ports import AlwaysLeading

    api = connected(args.kubeconfig, args.context)
    asking = replace(api, sleep=lambda seconds: pause(stop, seconds))
    settings = ClusterSettings(namespace=args.namespace, instance=args.identity)
    cluster = KubernetesCluster(asking, settings)
    cluster.start()
    stack.callback(cluster.close)
    if not args.leader_elect:
        return cluster, AlwaysLeading()
    duration_s = max(round(span(args.lease_duration, "--lease-duration").total_seconds()), 1)
    terms = LeaseTerms.lasting(args.lease_namespace, LEASE, args.identity, duration_s)
    label = LeaderLabel(api, args.lease_namespace, args.identity)
    label.start()
    stack.callback(label.close)
    standing = candidate(api, terms, time.time, label.changed)  # noqa: TID251 - it is written into the Lease
    standing.start()
    stack.callback(standing.close)
    return cluster, standing


def _serve(
    args: argparse.Namespace, stack: contextlib.ExitStack, tracing: Tracing | None
) -> Callable[[Board], None]:
    """Start the endpoint that the options ask for; return what publishes a board to it."""
    address = _address(args, args.listen, "--listen")
    rpc = args.grpc_listen and _address(args, args.grpc_listen, "--grpc-listen")
    return _served(_api_settings(args), address, stack, tracing, rpc or None)


def serve(listen: str, stack: contextlib.ExitStack) -> Callable[[Board], None]:
    """Start an endpoint without tokens, on loopback; return what publishes a board to it."""
    from scaler.adapters.api.serving import Address
    from scaler.adapters.api.settings import ApiSettings

    return _served(ApiSettings(), Address(*host_port(listen, "--listen")), stack)


def _served(
    settings: ApiSettings,
    address: Address,
    stack: contextlib.ExitStack,
    tracing: Tracing | None = None,
    rpc: Address | None = None,
) -> Callable[[Board], None]:
    from scaler.adapters.api.app import add_page, create_app
    from scaler.adapters.api.holder import BoardHolder
    from scaler.adapters.api.metrics import Telemetry
    from scaler.adapters.api.serving import ApiServer, check_access
    from scaler.adapters.dashboard import page
    from scaler.commands.rpc import beside

    check_access(address, settings)
    holder = BoardHolder()
    telemetry = Telemetry(holder)
    trusted = address.tls is not None and address.tls.client_ca is not None
    app = create_app(holder, settings, telemetry=telemetry, trusted_peers=trusted)
    add_page(app, *page())
    if tracing is not None:
        tracing.instrument(app)
    server = stack.enter_context(ApiServer(app, address, beside(app, holder, settings, rpc)))
    print(f"serving {server.url}", flush=True)

    def publish(board: Board) -> None:
        telemetry.observe(board)
        for condition in (c for view in board.services.values() for c in view.conditions):
            if condition.reason in FAILURES:
                telemetry.failed(FAILURES[condition.reason], condition.reason)
        holder.publish(board)

    return publish


def _api_settings(args: argparse.Namespace) -> ApiSettings:
    from scaler.adapters.api.settings import ApiSettings

    if args.token_file is not None and args.allow_anonymous:
        raise PolicyError("--token-file and --allow-anonymous exclude each other; choose one")
    return ApiSettings(tokens=args.token_file, allow_anonymous=args.allow_anonymous)


def _address(args: argparse.Namespace, listen: str, option: str) -> Address:
    from scaler.adapters.api.serving import Address, Tls

    host, port = host_port(listen, option)
    if (args.tls_cert is None) != (args.tls_key is None):
        raise PolicyError("--tls-cert and --tls-key belong together; give both")
    if args.client_ca is not None and args.tls_cert is None:
        raise PolicyError("--client-ca needs --tls-cert and --tls-key")
    tls = Tls(args.tls_cert, args.tls_key, args.client_ca) if args.tls_cert else None
    return Address(host, port, tls)


def host_port(listen: str, option: str) -> tuple[str, int]:
    """Return host and port of an option's value; without a host: any address."""
    host, colon, port = listen.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65_535:
        raise PolicyError(f"{option} is {listen!r}, but must look like 127.0.0.1:8080")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 - as asked for
