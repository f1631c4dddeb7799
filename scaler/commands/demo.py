"""`scaler demo`: the real loop over recorded demand in a simulated cluster, faster than life."""

from __future__ import annotations

import argparse
import contextlib
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

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
    parser.add_argument("--history", metavar="FILE", type=Path, required=True)
    parser.add_argument("--policies", metavar="PATH", type=Path, action="append", required=True)
    parser.add_argument(
        "--models", metavar="PATH", default="models/", help="registry (%(default)s)"
    )
    parser.add_argument("--model", metavar="NAME", required=True, help="of all services")
    parser.add_argument(
        "--speed", metavar="N", type=float, default=60.0,
        help="times as fast as life (default %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--once", action="store_true", help="one day as fast as can be, then a table, and exit"
    )
    parser.add_argument(
        "--listen", metavar="HOST:PORT", default="127.0.0.1:8080", help="default %(default)s"
    )


def run(args: argparse.Namespace) -> int:
    from scaler.adapters.registry_models import RegistryModels
    from scaler.commands.demo_output import print_ledger
    from scaler.commands.endpoint import serve
    from scaler.control.loop import ControlLoop
    from scaler.control.ports import World

    if not args.speed > 0:
        raise ReplayError(f"--speed is {args.speed}, but must be above 0")
    history, watched = _watched(args)
    start, world = _world(history, watched)
    pause_s = 0.0 if args.once else TICK_S / args.speed
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        stack.enter_context(stopped_by_signals(stop))
        snapshots: list[Snapshot] = []
        publish = snapshots.append if args.once else serve(args.listen, stack)
        ports = World(world, RegistryModels(args.models), world)
        loop = ControlLoop(ports, history.step, publish)
        for tick in range(round(DAY.total_seconds() / TICK_S)):
            begun = time.monotonic()
            loop.tick([one.watched for one in watched], start + tick * TICK_S)
            del snapshots[:-1]
            if stop.wait(max(pause_s - (time.monotonic() - begun), 0.0)):
                return 0
        if args.once:
            print_ledger(snapshots[-1])
        else:
            print("the simulated day is over; the page stays until you stop it", flush=True)
            stop.wait()
    return 0


class _Staged(NamedTuple):
    watched: WatchedPolicy
    settings: ReplaySettings


def _watched(args: argparse.Namespace) -> tuple[History, list[_Staged]]:
    """Return the history and the policies of its items, all served by one model."""
    from forecaster.adapters.tables.history_files import read_history
    from scaler.control.ports import WatchedPolicy
    from scaler.policy.files import read_policies
    from scaler.policy.replay_settings import plain_hpa

    history = read_history(args.history).history
    staged = []
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
        staged.append(_Staged(WatchedPolicy(policy, hpa), document.replay))
    if not staged:
        raise ReplayError("no policy is given; name a file or a directory by --policies")
    return history, staged


def _world(history: History, staged: list[_Staged]) -> tuple[float, SimulatedCluster]:
    """Return when the last day of the history starts, and the simulated cluster that lives it."""
    from scaler.simulation.preparation import ReplayPart, net_under, scene_of
    from scaler.simulation.simulated_cluster import SimulatedCluster

    end = min(series.end for series in history)
    start = end - history.step - DAY
    services = {}
    for watched, settings in staged:
        item = watched.policy.item_id
        part = ReplayPart(start + history.step, skip_gaps=True)
        scene = scene_of(history[item], watched.policy, settings, None, part).scene
        assert watched.policy.capacity_qps is not None
        net = net_under(watched.hpa, watched.policy.capacity_qps)
        services[item] = history[item], scene, net
    return start.timestamp(), SimulatedCluster(services)
