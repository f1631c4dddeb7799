"""What a journal takes: bytes of each service and tick, and the time and work beside the loop.

    python -m benchmarks journal

Two loops live the same hour of simulated services, one of them recorded; which comes first changes
from tick to tick, so that they share whatever else the machine does. Gateways ask as often as they
are told to.
"""

from __future__ import annotations

import gzip
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.tables import markdown
from forecaster.data.series import History
from forecaster.data.synthetic import generate_history
from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.report import GatewayReport
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.journal.files import JournalFiles
from scaler.adapters.journal.journal import Journal
from scaler.adapters.journal.reading import read_journal
from scaler.adapters.journal.recorded_leases import RecordedLeases
from scaler.adapters.journal.recording import LoopRecorder, RecordedRun
from scaler.adapters.registry_models import RegistryModels
from scaler.control.loop import ControlLoop
from scaler.control.ports import WatchedPolicy, World
from scaler.control.snapshot import Snapshot
from scaler.control.timekeeper import TickTime
from scaler.decision.replicas import ScalePolicy
from scaler.hpa.net import net_under
from scaler.policy.policy import Mode, Policy
from scaler.policy.replay_settings import ReplaySettings, plain_hpa
from scaler.simulation.journal_replay import replayed
from scaler.simulation.preparation import ReplayPart, scene_of
from scaler.simulation.simulated_cluster import SimulatedCluster

MODELS = Path(__file__).parent.parent / "models"
SERVICES, TICKS, TICK_S = 20, 240, 15.0
GATEWAYS, ASKS, CLIENTS = 3, 7, 200  # of each service; how often within a tick


@dataclass
class Loop:
    """One of the two loops, and what its ticks took."""

    tick: Callable[[float], Snapshot]
    leases: LeaseService
    journal: Journal | None = None
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)
    etags: dict[tuple[str, str], str] = field(default_factory=dict)

    def timed(self, now: float, ask: Callable[[Loop], object]) -> None:
        """Tick, and have gateways ask until the next one."""
        began, worked = time.perf_counter(), time.process_time()
        self.tick(now)
        self.wall_s.append(time.perf_counter() - began)
        ask(self)
        while self.journal is not None and self.journal.waiting:
            time.sleep(0.001)
        self.cpu_s.append(time.process_time() - worked)


class Clock:
    """Monotonic seconds that are moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def journal() -> None:
    """Print what an hour's journal takes, without gateways and with them."""
    print(f"\n## Journal: {SERVICES} services, an hour, a tick each {TICK_S:g} s\n")
    rows = []
    for what, gateways, clients in (
        ("no gateway", 0, 0),
        (f"{GATEWAYS} gateways a service that report", GATEWAYS, 0),
        (f"the same, with the rates of {CLIENTS} clients", GATEWAYS, CLIENTS),
    ):
        with tempfile.TemporaryDirectory() as folder:
            rows.append((what, *measured(Path(folder), gateways, clients)))
    heads = ("", "B a service-tick", "MB a service-day", "B an answer", "a tick, ms")
    ratios = ("tick's time, ratio", "CPU, ratio")
    print(markdown((*heads, *ratios, "differences"), rows))


def measured(folder: Path, gateways: int, clients: int) -> tuple[object, ...]:
    """Return bytes and ratios of one hour."""
    history = generate_history(SERVICES, 9, seed=3).history
    clock = Clock()
    plain, recorded = looped(history, clock, None), looped(history, clock, folder)
    start = beginning(history)

    def crowd(tick: int) -> Callable[[Loop], object]:
        rng = np.random.default_rng(tick)
        return lambda loop: asked(loop, history.item_ids, (gateways, clients), clock, rng)

    for tick in range(TICKS):
        at = clock.now
        for loop in (plain, recorded) if tick % 2 else (recorded, plain):
            clock.now = at
            loop.timed(start + tick * TICK_S, crowd(tick))
        clock.now = at + TICK_S
    assert recorded.journal is not None
    recorded.journal.close()
    size = sum(path.stat().st_size for path in folder.iterdir())
    steady = size - of_kind(folder, b'{"k":"histories"')
    found = replayed(read_journal(folder))
    calls = gateways * SERVICES * TICKS * ASKS
    return (
        "" if calls else steady / (SERVICES * TICKS),
        steady / SERVICES * 24 / 1e6,
        steady / calls if calls else "",
        statistics.median(plain.wall_s[1:]) * 1e3,
        ratio(recorded.wall_s, plain.wall_s),
        ratio(recorded.cpu_s, plain.cpu_s),
        len(found.differences),
    )


def ratio(one: list[float], other: list[float]) -> float:
    """Return by how much one takes longer, without the first tick, which reads histories."""
    return statistics.median(one[1:]) / statistics.median(other[1:])


def of_kind(folder: Path, head: bytes) -> int:
    """Return the bytes that lines of a kind take once they are compressed by themselves."""

    lines = b"".join(
        line
        for path in folder.glob("*.gz")
        for line in gzip.decompress(path.read_bytes()).splitlines(keepends=True)
        if line.startswith(head)
    )
    return len(gzip.compress(lines))


def beginning(history: History) -> float:
    return (history.series[0].end.timestamp() - 86_400) // 60 * 60


def looped(history: History, clock: Clock, folder: Path | None) -> Loop:
    """Return a loop over simulated services; one with a folder is recorded."""
    services, watched = {}, []
    for series in history.series:
        capacity = float(np.nanmax(series.values)) / 40
        policy = Policy(
            item_id=series.item_id, target="web", scale=ScalePolicy(2, 100), mode=Mode.ENFORCE,
            capacity_qps=capacity, demand_query="recorded", model="pretrained",
        )  # fmt: skip
        hpa = plain_hpa(policy)
        start = series.end - (series.end - series.start) // 9
        part = ReplayPart(start + series.step, skip_gaps=True)
        scene = scene_of(series, policy, ReplaySettings(), None, part).scene
        services[series.item_id] = series, scene, net_under(hpa, capacity)
        watched.append(WatchedPolicy(policy, hpa))
    cluster, holder, settings = SimulatedCluster(services), SnapshotHolder(clock), ApiSettings()
    world = World(cluster, RegistryModels(MODELS), cluster)
    if folder is None:
        loop = ControlLoop(world, history.step, holder.publish)
        return Loop(lambda now: loop.tick(watched, now), LeaseService(holder, settings, "c0ff"))
    kept = Journal(JournalFiles(folder, 10**9, 10**7))
    run = RecordedRun(version="-", name="run", step_s=60.0, tick_s=TICK_S, settings=settings)
    recorder = LoopRecorder(kept, run, clock)

    def publish(snapshot: Snapshot) -> None:
        recorder.publish(snapshot)
        holder.publish(snapshot)

    loop = ControlLoop(recorder.world(world), history.step, publish)
    leases = RecordedLeases(holder, settings, "c0ff", kept)
    return Loop(lambda now: recorder.tick(loop, watched, TickTime(now)), leases, kept)


def asked(
    loop: Loop,
    items: tuple[str, ...],
    crowd: tuple[int, int],
    clock: Clock,
    rng: np.random.Generator,
) -> None:
    """Have gateways report, as often as they do within a tick."""
    gateways, clients = crowd
    for _ in range(ASKS if gateways else 0):
        clock.now += TICK_S / (ASKS + 1)
        loop.leases.drop_empty(clock.now)
        for item in items:
            for name in (f"gw-{i}" for i in range(gateways)):
                rates = rng.gamma(2.0, 1.0, clients) if clients else None
                said = GatewayReport(float(rng.gamma(30.0, 3.0)), {}, rates, clients)
                request = LeaseRequest(name, loop.etags.get((item, name), ""), said)
                with suppress(RequestProblem):
                    answer = loop.leases.reply(item, request, clock.now)
                    loop.etags[item, name] = answer.lease.etag
