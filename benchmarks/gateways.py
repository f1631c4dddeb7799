"""What the check costs in each gateway: the same one, to the same origin, with it and without.

Both run at the same time and are loaded in turns, so that what else the machine does falls on both.
The lease has classes and a level for clients, and admits everything.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from benchmarks.tables import markdown
from scaler.limits.priority_classes import PriorityClass
from tests.conformance import gateways as every
from tests.conformance.leases import SHOP, class_part, lease
from tests.conformance.load import offer
from tests.conformance.loopback import loopback, read_message
from tests.conformance.origin import Origin
from tests.conformance.scripted import ScriptedEndpoint
from tests.conformance.setup import CLASS_HEADER, CLIENT_HEADER, PartMissingError, Running, Setup
from tests.peers import envoy
from tests.scaler.adapters.envoy.lease_services import limited, serving

CONNECTIONS = 8
ROUNDS = 7
ROUND_S = 1.5
# Where nothing queues, for latencies.
CALM_RPS = 100
CALM_S = 4.0
CLIENTS = 200
ROOMY = 1e6

Start = Callable[[Setup], AbstractContextManager[Running]]


@dataclass
class Side:
    """A gateway with the check, or without.

    Attributes:
        rates: requests per second of each round; cpu_us: of its processes, for each request.
        calm_s: latencies at `CALM_RPS`.
    """

    running: Running
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    calm_s: list[float] = field(default_factory=list)


def gateways() -> None:
    """Print throughput, CPU and latency of every gateway that can be started both ways."""
    print("\n## Gateways: the check beside the same gateway without it\n")
    rows: list[tuple[object, ...]] = []
    starts = {name: gateway.start for name, gateway in every.known().items()}
    bares = {name: getattr(gateway, "start_bare", None) for name, gateway in every.known().items()}
    starts["envoy by quotas"], bares["envoy by quotas"] = _start_by_quotas, bares.get("envoy")
    for name, start in starts.items():
        bare = cast("Start | None", bares[name])
        if bare is None:
            print(f"{name}: has no way to start without the check\n")
            continue
        try:
            rows += _measured(name, start, bare)
        except PartMissingError as missing:
            print(f"{name}: {missing}\n")
    columns = (
        "gateway", "", "requests/s", "of bare", "CPU per request, us",
        f"p50 at {CALM_RPS}/s, ms", "p99, ms",
    )  # fmt: skip
    print(markdown(columns, rows))
    print(f"\n{CONNECTIONS} connections, {ROUNDS} rounds of {ROUND_S} s, {os.cpu_count()} cores.")
    print("Origin and load share one core: where they are the bottleneck, CPU says what it costs.")


def _measured(name: str, start: Start, bare: Start) -> list[tuple[object, ...]]:
    with _both(name, start, bare) as (without, checked):
        for _ in range(ROUNDS):
            for side in (without, checked):
                _round(side)
        for _ in range(2):
            for side in (without, checked):
                offered = offer(side.running.url, CALM_RPS, CALM_S, clients=CLIENTS)
                side.calm_s += [one.latency_s for one in offered.answers]
    return [_row(name, "bare", without, without), _row("", "checked", checked, without)]


@contextmanager
def _both(name: str, start: Start, bare: Start) -> Iterator[tuple[Side, Side]]:
    classes = [
        class_part("pay", ROOMY / 2, ROOMY),
        class_part("stress", 1, 10, priority=9, match={"header": "x-stress-test"}),
    ]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        endpoint, origin = stack.enter_context(ScriptedEndpoint()), stack.enter_context(Origin())
        endpoint.set(lease(1, ROOMY, classes=classes, refresh_s=2.0))
        sides = []
        for kind, starts in (("bare", bare), ("checked", start)):
            (folder / kind).mkdir()
            setup = Setup(endpoint.url, origin.url, SHOP, f"{name}-{kind}", folder / kind)
            sides.append(Side(stack.enter_context(starts(setup))))
        if start is not _start_by_quotas:
            endpoint.held()
        yield sides[0], sides[1]


@contextmanager
def _start_by_quotas(setup: Setup) -> Iterator[Running]:
    """Start an Envoy that counts by itself; its lease service runs in this process."""
    pay = PriorityClass("pay", 0, guaranteed_qps=ROOMY / 2)
    stress = PriorityClass("stress", 9, ceiling_qps=10.0)
    origin = urlsplit(setup.origin_url).port or 0
    with (
        serving(limited(ROOMY, pay, stress)) as here,
        envoy.running(
            "envoy-rlqs.yaml", setup.folder, origin=origin, tidegate=here.rpc.port
        ) as running,
    ):
        yield Running(running.url, 2, (running.process,), running.log)


def _round(side: Side) -> None:
    cpu, began = _cpu_s(side.running), time.perf_counter()
    answered = loopback().run(_asked(side.running.url))
    side.rates.append(answered / (time.perf_counter() - began))
    side.cpu_us.append((_cpu_s(side.running) - cpu) / answered * 1e6)


async def _asked(url: str) -> int:
    """Return how many requests were answered 200; each connection asks on as soon as it is."""
    address, until = urlsplit(url), time.perf_counter() + ROUND_S

    async def ask(number: int) -> int:
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        lines = f"{CLASS_HEADER}: pay\r\n{CLIENT_HEADER}: client-{number}\r\n"
        request = f"GET / HTTP/1.1\r\nHost: {address.netloc}\r\n{lines}\r\n".encode()
        answered = 0
        while time.perf_counter() < until:
            writer.write(request)
            first, _, _ = await read_message(reader)
            if " 200 " not in f"{first} ":
                raise RuntimeError(f"the gateway answers {first!r} under a limit of {ROOMY:g}")
            answered += 1
        writer.close()
        return answered

    return sum(await asyncio.gather(*(ask(number) for number in range(CONNECTIONS))))


def _cpu_s(running: Running) -> float:
    """Return the CPU seconds of a gateway's processes and their children."""
    pids = [process.pid for process in running.processes]
    ticks = 0
    while pids:
        pid = pids.pop()
        try:
            stat = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii").split()
        except FileNotFoundError:
            continue
        ticks += int(stat[11]) + int(stat[12])
        pids += map(int, children)
    return ticks / os.sysconf("SC_CLK_TCK")


def _row(name: str, kind: str, side: Side, bare: Side) -> tuple[object, ...]:
    part = statistics.median(r / b for r, b in zip(side.rates, bare.rates, strict=True))
    calm = sorted(side.calm_s)
    p50, p99 = (f"{calm[int(len(calm) * q)] * 1e3:.2f}" for q in (0.5, 0.99))
    rate, cpu = statistics.median(side.rates), statistics.median(side.cpu_us)
    return name, kind, f"{rate:.0f}", f"{part:.0%}", f"{cpu:.0f}", p50, p99
