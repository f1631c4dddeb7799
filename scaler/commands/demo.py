"""`scaler demo`: the control loop in a simulated cluster, faster than real time."""

from __future__ import annotations

import argparse
import contextlib
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from forecaster.commands.documents import TABLE, add_output_argument, print_document
from forecaster.commands.file_hints import add_file_arguments
from forecaster.commands.histories import FILE_HELP, check_file, file_history
from forecaster.commands.stored_models import add_registry_argument
from scaler.clocks.steady import steady_seconds
from scaler.commands.signals import stopped_by_signals
from scaler.errors import ReplayError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from forecaster.data.series import History
    from scaler.control.ports import WatchedPolicy
    from scaler.control.snapshot import Snapshot
    from scaler.policy.policy import Policy
    from scaler.policy.replay_settings import ReplaySettings
    from scaler.simulation.simulated_cluster import SimulatedCluster

TICK_S = 15.0
DAY = timedelta(days=1)
# Lived at full speed before the page opens, so that its longest chart is full.
BEFORE = timedelta(hours=4)
# An announced event begins so long after the page has opened: at 60 times the speed, in 30 s.
AHEAD = timedelta(minutes=30)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--history", metavar="FILE", type=Path, required=True, help=FILE_HELP)
    add_file_arguments(parser)
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
    add_output_argument(parser)


def run(args: argparse.Namespace) -> int:
    from forecaster.commands.progress import working
    from scaler.commands.demo_output import ledger_records, print_ledger
    from scaler.commands.run_options import host_port

    if not args.speed > 0:
        raise ReplayError(f"--speed is {args.speed}, but must be above 0")
    if args.output != TABLE and not args.once:
        raise ReplayError(f"-o {args.output} is of --once: the page serves JSON under /v1/services")
    check_file(args.history)
    host_port(args.listen, "--listen")  # it is served only once there is something to see
    with working("reading the history"):
        history, services = demo_services(args)
    hours = hours_of(history, [one.watched.policy for one in services], all_at_once=args.once)
    stop = threading.Event()
    with contextlib.ExitStack() as stack:
        stack.enter_context(stopped_by_signals(stop))
        simulated = DemoDay(args.models, history, services, hours)
        snapshot = simulated.live_until(hours.opening, stop)
        if snapshot is None:
            return 0
        if args.once and args.output == TABLE:
            print_ledger(snapshot)
        elif args.once:
            print_document(ledger_records(snapshot), args.output)
        else:
            _serve(args, simulated, stack, stop)
    return 0


def _serve(
    args: argparse.Namespace, simulated: DemoDay, stack: contextlib.ExitStack,
    stop: threading.Event,
) -> None:  # fmt: skip
    """Serve the page, and let the rest of the day pass on it."""
    from scaler.commands.endpoint import serve

    publish = serve(args.listen, stack)
    while simulated.now < simulated.end:
        begun = steady_seconds()
        publish(simulated.tick())
        if stop.wait(max(TICK_S / args.speed - (steady_seconds() - begun), 0.0)):
            return
    print("the simulated day is over; the page is served until you stop it", flush=True)
    stop.wait()


class Hours(NamedTuple):
    """When a simulation begins, when its page opens, and when it ends."""

    start: datetime
    opening: datetime
    end: datetime


def hours_of(history: History, policies: Sequence[Policy], *, all_at_once: bool) -> Hours:
    """Return the hours of the last day of a history.

    The page opens shortly before the day's first announced event, or at the day's begin if it has
    none; all at once, it never does.
    """
    end = min(series.end for series in history) - history.step
    begin = end - DAY
    if all_at_once:
        return Hours(begin, end, end)
    events = [datetime.fromtimestamp(one.starts, UTC) for p in policies for one in p.events]
    soonest = min((at for at in events if begin + AHEAD <= at < end), default=begin + AHEAD)
    return Hours(soonest - AHEAD - BEFORE, soonest - AHEAD, end)


class _DemoService(NamedTuple):
    watched: WatchedPolicy
    settings: ReplaySettings


def demo_services(args: argparse.Namespace) -> tuple[History, list[_DemoService]]:
    """Return the history and the policies of its items, which all use one model."""
    from scaler.control.ports import WatchedPolicy
    from scaler.policy.files import read_policies
    from scaler.policy.replay_settings import plain_hpa

    history = file_history(args)
    services = []
    for document in (one for path in args.policies for one in read_policies(path)):
        policy = replace(document.policy, model=args.model, demand_query="recorded")
        policy = replace(policy, mask_query=None)  # of a recording nothing is marked
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


class DemoDay:
    """The control loop over simulated services, from tick to tick."""

    def __init__(
        self, models: str, history: History, services: list[_DemoService], hours: Hours
    ) -> None:
        from scaler.adapters.registry_models import RegistryModels
        from scaler.control.loop import ControlLoop
        from scaler.control.ports import World

        cluster = _simulated_cluster(history, services, hours.start)
        world = World(cluster, RegistryModels(models), cluster)
        self._loop = ControlLoop(world, history.step, lambda _: None)
        self._watched = [one.watched for one in services]
        self.now, self.end = hours.start.timestamp(), hours.end.timestamp()

    def tick(self) -> Snapshot:
        snapshot = self._loop.tick(self._watched, self.now)
        self.now += TICK_S
        return snapshot

    def live_until(self, moment: datetime, stop: threading.Event) -> Snapshot | None:
        """Let time pass at full speed; return the last snapshot, or None if it was stopped."""
        from forecaster.commands.progress import working

        ticks = round((moment.timestamp() - self.now) / TICK_S)
        with working("reading the model") as work:
            for done in range(ticks):
                snapshot = self.tick()
                work.now(f"living until {moment:%Y-%m-%d %H:%M} UTC", done + 1, ticks)
                if stop.is_set():
                    return None
        return snapshot


def _simulated_cluster(
    history: History, services: list[_DemoService], start: datetime
) -> SimulatedCluster:
    """Return a cluster that simulates the history from ``start`` on."""
    from scaler.hpa.net import net_under
    from scaler.simulation.preparation import ReplayPart, scene_of
    from scaler.simulation.simulated_cluster import SimulatedCluster

    simulated = {}
    for watched, settings in services:
        item = watched.policy.item_id
        part = ReplayPart(start + history.step, skip_gaps=True)
        scene = scene_of(history[item], watched.policy, settings, None, part).scene
        assert watched.policy.capacity_qps is not None
        net = net_under(watched.hpa, watched.policy.capacity_qps)
        simulated[item] = history[item], scene, net
    return SimulatedCluster(simulated)
