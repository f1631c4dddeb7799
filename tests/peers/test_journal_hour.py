"""An hour at fast ticks, recorded and replayed: a real Prometheus, gateways, faults, new leaders.

Proof that one path decides: 0 differences in floors, limits, leases and reasons.
"""

from __future__ import annotations

import faulthandler
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from benchmarks.soak_scene import forget
from scaler.adapters.journal.reading import read_journal
from scaler.adapters.kube.client import Request
from scaler.errors import ClusterError
from scaler.simulation.journal_replay import JournalFindings, replayed
from tests.faults.journal_gateways import gateways
from tests.faults.scene import PODS, Running, Scene
from tests.kube.faults import Fault, Harm
from tests.kube.grants import shipped_grants
from tests.kube.objects import pod
from tests.kube.server import serving
from tests.peers.relay import relay, relayed
from tests.waiting import eventually

pytestmark = [pytest.mark.prometheus, pytest.mark.nightly]

MINUTES = 60.0
ROOM = 1 << 30
PERIOD_S = 600.0  # a "day" of the demand, so that floors move while we look
NAMES = tuple(f"svc-{i}" for i in range(6))


def demand_of(i: int) -> Callable[[int], float]:
    def demand(stamp: int) -> float:
        wave = 1.2 + math.sin(2 * math.pi * (stamp / PERIOD_S + i / 7))
        return 150.0 * (1 + i % 3) * wave * (1 + 0.1 * math.sin(stamp * 12.9898 + i))

    return demand


SERVICES = {name: demand_of(i) for i, name in enumerate(NAMES)}


@pytest.mark.usefixtures("prometheus_installed")
def test_an_hour_of_everything_replays_without_a_difference(tmp_path: Path) -> None:
    faulthandler.cancel_dump_traceback_later()  # it is meant to take longer than any other
    folders = {name: tmp_path / f"journal-{name}" for name in ("one", "two")}
    with ExitStack() as stack:
        server = stack.enter_context(serving(shipped_grants()))
        prometheus = stack.enter_context(relay())
        scene = Scene(server, prometheus, tmp_path)
        stack.enter_context(relayed(prometheus, SERVICES, tmp_path))
        for i, name in enumerate(NAMES):
            scene.add(name, SERVICES[name])
            mode = "Enforce" if i % 3 else "Recommend"
            scene.ask_for(name, mode=mode, replicas={"min": 2, "max": 60})
        stack.enter_context(pods_that_follow(scene, NAMES[1:3]))
        lived = _Hour(scene, folders, time.monotonic() + MINUTES * 60)
        lived.live()
    found = [replayed(read_journal(folder)) for folder in folders.values()]
    for one in found:
        assert [str(difference) for difference in one.differences[:20]] == []
        assert (one.skipped, one.dropped) == (0, 0)
    assert max(len(one.runs) for one in found) == 2  # one came back after it was killed
    assert sum(one.ticks for one in found) > MINUTES * 60  # two scalers, a tick each second
    assert all(one.leases > 100 for one in found)
    _tell(found, folders)


class _Hour:
    """Two scalers with their journals, gateways that follow the leader, and what befalls them."""

    def __init__(self, scene: Scene, folders: dict[str, Path], until: float) -> None:
        self._scene, self._folders, self._until = scene, folders, until
        self._rng = random.Random(7)
        self._url = ""

    def live(self) -> None:
        third = (self._until - time.monotonic()) / 3
        services = tuple(f"prod/{name}" for name in NAMES[:4])
        with ExitStack() as stack:
            one = stack.enter_context(self._scaler("one"))
            self._url = one.url
            eventually(lambda: self._scene.holder() == "one")
            two = stack.enter_context(self._scaler("two"))
            stack.enter_context(gateways(lambda: self._url, services))
            self._suffer(third)
            one.process.kill()  # in the midst of whatever it did
            one.process.wait()
            self._url = two.url
            eventually(lambda: self._scene.holder() == "two")
            again = stack.enter_context(self._scaler("one"))
            self._suffer(third)
            two.stop()
            self._url = again.url
            eventually(lambda: self._scene.holder() == "one")
            self._suffer(self._until - time.monotonic())
            again.stop()

    @contextmanager
    def _scaler(self, name: str) -> Iterator[Running]:
        journal = ("--journal", str(self._folders[name]), "--journal-size", "200MB")
        with self._scene.scaler(name, *journal, file_bytes=ROOM) as running:
            yield running

    def _suffer(self, seconds: float) -> None:
        """Have something fail again and again for some time, and be well at its end."""
        until = time.monotonic() + seconds
        while time.monotonic() < until - 10.0:
            time.sleep(self._rng.uniform(1.0, 4.0))
            self._rng.choice(
                (self._prometheus_fails, self._writes_fail, self._watches_end, self._policy_edited)
            )()
            forget(self._scene.server)
        time.sleep(max(until - time.monotonic(), 0.0))

    def _prometheus_fails(self) -> None:
        how = self._rng.choice(("fails", "hangs_up"))
        setattr(self._scene.prometheus, how, True)
        time.sleep(self._rng.choice((2.0, 5.0, 130.0 if MINUTES > 30 else 5.0)))
        setattr(self._scene.prometheus, how, False)

    def _writes_fail(self) -> None:
        harm = self._rng.choice((Harm.REFUSE, Harm.DROP, Harm.LOSE))
        self._scene.server.faults.add(Fault("(PATCH|PUT) .*", harm, times=self._rng.randint(1, 6)))

    def _watches_end(self) -> None:
        self._scene.server.faults.add(Fault("GET .*watch=", Harm.GONE, times=2))

    def _policy_edited(self) -> None:
        least, lead = self._rng.randint(1, 5), self._rng.choice(("90s", "3m", "5m"))
        name = self._rng.choice(NAMES)
        with suppress(ClusterError):
            self._scene.edit(name, replicas={"min": least, "max": 60, "leadTime": lead})


@contextmanager
def pods_that_follow(scene: Scene, names: tuple[str, ...]) -> Iterator[None]:
    """Have as many pods of these services as their floor says, a while after it does."""
    stop = threading.Event()

    def follow() -> None:
        counts, starting = dict.fromkeys(names, PODS), list[tuple[str, str]]()
        listing = scene.ground.listing("pods", "/api/v1")
        while not stop.wait(7.0):
            for name, which in starting:
                at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                status = pod(which, app=name, ready=at)["status"]
                with suppress(ClusterError):
                    scene.ground.admin.patch(
                        f"{listing}/{which}/status", {"status": status}, fieldManager="kubelet"
                    )
            starting.clear()
            for name in names:
                floor, _ = scene.floor(name)
                while counts[name] > floor:
                    counts[name] -= 1
                    path = f"{listing}/{name}-{counts[name]}"
                    with suppress(ClusterError):
                        scene.ground.admin.call(Request("DELETE", path))
                while counts[name] < floor:
                    which = f"{name}-{counts[name]}"
                    with suppress(ClusterError):
                        scene.ground.put(listing, pod(which, app=name, ready=None))
                    starting.append((name, which))
                    counts[name] += 1

    thread = threading.Thread(target=follow)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _tell(found: list[JournalFindings], folders: dict[str, Path]) -> None:
    """Print the figures; `pytest -s` shows them."""
    for one, folder in zip(found, folders.values(), strict=True):
        size = sum(path.stat().st_size for path in folder.iterdir())
        print(  # noqa: T201 - figures for whoever runs it alone
            f"{folder.name}: {one.ticks:,} ticks, {one.decisions:,} decisions, {one.leases:,} "
            f"leases, {len(one.differences)} differences, {one.cut} cut, {size / 1e6:.1f} MB"
        )
