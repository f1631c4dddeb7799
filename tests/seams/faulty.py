"""What the tests of isolation share: two services, and faults that nothing of ours raises."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from scaler.control.figures import Figures
from scaler.control.loop import ControlLoop
from scaler.control.ports import World
from scaler.control.publication import in_turn
from scaler.control.snapshot import Snapshot
from tests.scaler.control.test_loop import START, STEP, Demand, Flat, Replicas, watched

WEB, API = "shop/web", "shop/api"
TICKS = 30  # seven and a half minutes: several forecasts


class OddError(Exception):
    """One that nothing of ours raises."""


def failing(*args, **kwargs):
    raise OddError("odd")


class Site:
    """Two services; a test breaks something of the second one, or beside both."""

    def __init__(self) -> None:
        self.traffic, self.models, self.workloads = (
            Demand(shop_web=200.0, shop_api=400.0), Flat(), Replicas(),
        )  # fmt: skip
        self.web, self.api = watched(WEB), watched(API)
        self.figures = Figures
        self.snapshots: list[Snapshot] = []
        self.subscribers = [self.snapshots.append]

    def run(self) -> list[Snapshot]:
        world = World(self.traffic, self.models, self.workloads)
        loop = ControlLoop(world, STEP, in_turn(self.subscribers), figures=self.figures)
        for now in START + 15.0 * np.arange(TICKS):
            loop.tick([self.web, self.api], float(now))
        return self.snapshots


def decisions(snapshots: list[Snapshot], *items: str):
    """Return floor, limit and reasons of these services, tick by tick."""
    return [
        [
            (view.decision.why(), view.published_limit)
            for view in (one.services[i] for i in items)
        ]
        for one in snapshots
    ]  # fmt: skip


class BrokenHandler(logging.Handler):
    emit = failing


@contextmanager
def broken_log() -> Iterator[None]:
    """Have every logger fail whoever writes to it."""
    handler, root = BrokenHandler(logging.DEBUG), logging.getLogger("scaler")
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
