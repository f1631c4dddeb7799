"""`scaler run`: watch policies, decide every tick, act, and serve what follows."""

from __future__ import annotations

import argparse
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.errors import PolicyError

if TYPE_CHECKING:
    from scaler.loop import Watched
    from scaler.published import Board

STEP = timedelta(minutes=1)
DEFAULT_HPA_TARGET = 0.6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    from forecaster.commands.sources import add_access_arguments

    parser.add_argument(
        "--policies", metavar="PATH", type=Path, action="append", required=True,
        help="a policy file, or a directory of them; repeatable",
    )  # fmt: skip
    parser.add_argument("--prometheus", metavar="URL", required=True, help="base URL")
    parser.add_argument(
        "--models", metavar="PATH", default="models/", help="registry (%(default)s)"
    )
    parser.add_argument("--tick", metavar="SPAN", default="15s", help="default %(default)s")
    parser.add_argument(
        "--once", action="store_true", help="decide once, print what would be done, and exit"
    )
    access = parser.add_argument_group("access to Prometheus")
    add_access_arguments(access)
    access.add_argument("--timeout", metavar="SPAN", default="5s", help="default %(default)s")
    access.add_argument("--retries", metavar="N", type=int, default=1, help="default %(default)s")


def run(args: argparse.Namespace) -> int:
    from forecaster.commands.sources import settings_from
    from forecaster.commands.spans import span
    from scaler.adapters.models import Models
    from scaler.adapters.standalone import Standalone
    from scaler.adapters.traffic import PrometheusTraffic
    from scaler.commands.run_output import print_board
    from scaler.loop import Loop

    tick = span(args.tick, "--tick")
    watched = _watched(args.policies)
    traffic = PrometheusTraffic(settings_from(args), STEP)
    boards: list[Board] = []
    loop = Loop(traffic, Models(args.models), Standalone(), STEP, boards.append)
    try:
        while True:
            now = time.time()  # noqa: TID251 - a command reads the clock
            board = loop.tick(watched, now)
            boards.clear()
            if args.once:
                print_board(board)
                return 0
            time.sleep(max(tick.total_seconds() - board.seconds, 0.0))
    finally:
        traffic.close()


def _watched(paths: list[Path]) -> list[Watched]:
    from scaler.config import examine_policies
    from scaler.loop import Watched
    from scaler.simulation.hpa import HPASpec, MetricKind

    good, wrong = examine_policies(paths)
    if wrong:
        raise PolicyError("\n".join(wrong))
    found = []
    for document in good:
        policy = document.policy
        if policy.demand_query is None:
            raise PolicyError(
                f"{document.where}: spec.demand.query is missing: what to ask Prometheus for"
            )
        target = DEFAULT_HPA_TARGET * (policy.capacity_qps or 1.0)
        scale = policy.scale
        default = HPASpec(scale.min_replicas, scale.max_replicas, MetricKind.PODS, target)
        found.append(Watched(policy, document.replay.hpa or default))
    return found
