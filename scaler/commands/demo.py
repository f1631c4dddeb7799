"""`scaler demo`: the control loop in a simulated cluster, faster than real time."""

from __future__ import annotations

import argparse
import contextlib
import threading
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from forecaster.commands.stored_models import add_registry_argument
from scaler.clocks.steady import steady_seconds
from scaler.commands.signals import stopped_by_signals
from scaler.errors import ReplayError

if TYPE_CHECKING:
    from forecaster.data.series import History
    from scaler.control.ports import WatchedPolicy
    from scaler.control.snapshot import Snapshot
    from scaler.policy.replay_settings import ReplaySettings
    from scaler.simulation.simulated_cluster import SimulatedCluster

TICK_S = 15.0
DAY = timedelta(days=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--history", metavar="FILE", type=Path, required=True, help="CSV or Parquet, long or wide"
    )
    parser.add_argument(
        "--policies", metavar="PATH", type=Path, action="append", required=True,
        help="a policy file or a directory of them, repeatable",
    )  # fmt: skip
    add_registry_argument(parser)
    parser.add_argument(
        "--model",
        metavar="NAME",
        required=True,
        help="forecaster in the registry, for all services",
    )
    parser.add_argument(
        "--speed", metavar="N", type=float, default=60.0,
        help="how many times faster than real time (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--once", action="store_true", help="run one day at full speed, print a table, and exit"
    )
    parser.add_argument(
        "--listen",
        metavar="HOST:PORT",
        default="127.0.0.1:8080",
        help="where the page and the limits are served (default %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    from scaler.adapters.registry_models import RegistryModels
    from scaler.commands.demo_output import print_ledger
    from scaler.commands.endpoint import serve
    from scaler.control.loop import ControlLoop
    from scaler.control.ports import World

    if not args.speed > 0:
        raise ReplayError(f"--speed is {args.speed}, but must be above 0")
    history, services = _services(args)
    start, cluster = _simulated_cluster(history, services)
    pause_s = 0.0 if args.once else TICK_S / args.speed
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        stack.enter_context(stopped_by_signals(stop))
        snapshots: list[Snapshot] = []
        publish = snapshots.append if args.once else serve(args.listen, stack)
        ports = World(cluster, RegistryModels(args.models), cluster)
        loop = ControlLoop(ports, history.step, publish)
        for tick in range(round(DAY.total_seconds() / TICK_S)):
            begun = steady_seconds()
            loop.tick([one.watched for one in services], start + tick * TICK_S)
            del snapshots[:-1]
            if stop.wait(max(pause_s - (steady_seconds() - begun), 0.0)):
                return 0
        if args.once:
            print_ledger(snapshots[-1])
        else:
            print("the simulated day is over; the page is served until you stop it", flush=True)
            stop.wait()
    return 0


class _DemoService(NamedTuple):
    watched: WatchedPolicy
    settings: ReplaySettings


def _services(args: argparse.Namespace) -> tuple[History, list[_DemoService]]:
    """Return the history and the policies of its items, which all use one model."""
    from forecaster.adapters.tables.history_files import read_history
    from scaler.control.ports import WatchedPolicy
    from scaler.policy.files import read_policies
    from scaler.policy.replay_settings import plain_hpa

    history = read_history(args.history).history
    services = []
    for document in (one for path in args.policies for one in read_policies(path)):
        policy = replace(document.policy, model=args.model, demand_query="recorded")
        if policy.item_id not in history.item_ids:
            raise ReplayError(
                f"the history holds no item {policy.item_id!r}, which {document.where} is of; "
                f"it holds {', '.join(history.item_ids[:8])}"
            )
        if policy.capacity_qps is None:
            raise ReplayError(f"{document.where}: spec.capacity.requestsPerReplica is not given")
        hpa = document.replay.hpa or plain_hpa(policy)
        services.append(_DemoService(WatchedPolicy(policy, hpa), document.replay))
    if not services:
        raise ReplayError("no policy is given; name a file or a directory by --policies")
    return history, services


def _simulated_cluster(
    history: History, demo_services: list[_DemoService]
) -> tuple[float, SimulatedCluster]:
    """Return the start of the history's last day, and a cluster that simulates that day."""
    from scaler.simulation.preparation import ReplayPart, net_under, scene_of
    from scaler.simulation.simulated_cluster import SimulatedCluster

    end = min(series.end for series in history)
    start = end - history.step - DAY
    services = {}
    for watched, settings in demo_services:
        item = watched.policy.item_id
        part = ReplayPart(start + history.step, skip_gaps=True)
        scene = scene_of(history[item], watched.policy, settings, None, part).scene
        assert watched.policy.capacity_qps is not None
        net = net_under(watched.hpa, watched.policy.capacity_qps)
        services[item] = history[item], scene, net
    return start.timestamp(), SimulatedCluster(services)
