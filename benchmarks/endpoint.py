"""The endpoint: requests per second beside a bare Starlette route, and gateways that wait.

Servers run in processes of their own; this one is the client. A connection asks again as soon as it
has its answer. Rounds take turns, so that what else the machine does falls on all alike.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, cast

from benchmarks.tables import markdown

if TYPE_CHECKING:
    from starlette.applications import Starlette

CONNECTIONS = 16
ROUND_S = 3.0
ROUNDS = 7
GATEWAYS = 2000
SPREADS = (1, 50)  # services that these gateways are of


def endpoint() -> None:
    """Print requests per second and latency, then what waiting gateways cost."""
    print("\n## Endpoint: GET /v1/limits beside a bare Starlette route\n")
    print(markdown(("what", "requests/s", "of bare", "p50, ms", "p99, ms"), _rates()))
    print(f"\n## Endpoint: {GATEWAYS} gateways waiting on one replica\n")
    columns = (
        "services", "memory before, MB", "with all waiting, MB", "CPU while waiting",
        "told of a new limit: p50, s", "p99, s", "last, s", "failed",
    )  # fmt: skip
    print(markdown(columns, [_waiting(services) for services in SPREADS]))


def _rates() -> list[tuple[object, ...]]:
    with _server(_bare) as (_, bare), _server(_limits, 1) as (_, limits):
        path = "/v1/limits/prod/shop-0?instance=gw-"
        told = asyncio.run(_settled(limits, [f"{path}{i}" for i in range(CONNECTIONS + 1)]))
        asks = {
            "bare route, the same bytes": [(bare, _request("/lease"))] * CONNECTIONS,
            "200, the lease whole": [
                (limits, _request(f"{path}{i + 1}")) for i in range(CONNECTIONS)
            ],
            "304, a renewal": [
                (limits, _request(f"{path}{i + 1}", told[i + 1])) for i in range(CONNECTIONS)
            ],
        }
        found: dict[str, list[tuple[float, list[float]]]] = {name: [] for name in asks}
        for _ in range(ROUNDS):
            for name, connections in asks.items():
                found[name].append(asyncio.run(_round(connections)))
    base = [rate for rate, _ in found["bare route, the same bytes"]]
    return [_row(name, rounds, base) for name, rounds in found.items()]


def _row(
    name: str, rounds: list[tuple[float, list[float]]], base: list[float]
) -> tuple[object, ...]:
    rate = statistics.median(rate for rate, _ in rounds)
    part = statistics.median(rate / bare for (rate, _), bare in zip(rounds, base, strict=True))
    latencies = sorted(latency for _, all_of in rounds for latency in all_of)
    p50, p99 = (latencies[int(len(latencies) * q)] * 1e3 for q in (0.5, 0.99))
    return name, f"{rate:.0f}", f"{part:.0%}", f"{p50:.1f}", f"{p99:.1f}"


async def _round(connections: list[tuple[int, bytes]]) -> tuple[float, list[float]]:
    """Return requests per second, and the seconds that each took."""
    latencies: list[float] = []
    until = time.perf_counter() + ROUND_S

    async def ask(port: int, request: bytes) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        while (began := time.perf_counter()) < until:
            writer.write(request)
            await _answer(reader)
            latencies.append(time.perf_counter() - began)
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(ask(port, request) for port, request in connections))
    return len(latencies) / (time.perf_counter() - began), latencies


def _waiting(services: int) -> tuple[object, ...]:
    """Return what it takes to hold all gateways, and how soon they learn of a new limit."""
    with _server(_limits, services) as (commands, port):
        before = _memory(commands)
        figures = asyncio.run(_hold(commands, port, services))
    return services, f"{before:.0f}", *figures


async def _hold(commands: Connection, port: int, services: int) -> tuple[object, ...]:
    heard: dict[int, float] = {}
    failed = 0
    published = float("inf")
    stop = False

    async def gateway(number: int) -> None:
        nonlocal failed
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        path = f"/v1/limits/prod/shop-{number % services}?instance=gw-{number}&wait=25"
        etag = ""
        while not stop:
            writer.write(_request(path, etag))
            status, head, body = await _answer(reader)
            failed += status not in (200, 304)
            if status == 200:
                etag = _header(head, b"etag")
                if b'"global": {"rps": 9900.0' in body:
                    heard.setdefault(number, time.perf_counter() - published)
        writer.close()

    tasks = [asyncio.create_task(gateway(number)) for number in range(GATEWAYS)]
    await asyncio.sleep(40.0)  # shares are settled by then
    share, memory = await _busy(commands), _memory(commands)
    published = time.perf_counter()
    commands.send("lower")
    commands.recv()
    await asyncio.sleep(15.0)
    stop = True
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    took = sorted(heard.values())
    missing = GATEWAYS - len(took)
    p50, p99 = (took[int(len(took) * q)] for q in (0.5, 0.99))
    return (
        f"{memory:.0f}", f"{share:.0%}", f"{p50:.2f}", f"{p99:.2f}", f"{took[-1]:.2f}",
        failed + missing,
    )  # fmt: skip


async def _busy(commands: Connection) -> float:
    cpu, began = _cpu(commands), time.perf_counter()
    await asyncio.sleep(15.0)
    return (_cpu(commands) - cpu) / (time.perf_counter() - began)


def _request(path: str, etag: str = "") -> bytes:
    held = f"If-None-Match: {etag}\r\n" if etag else ""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n{held}\r\n".encode()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length = 0 if status == 304 else int(_header(head, b"content-length"))
    return status, head, await reader.readexactly(length)


def _header(head: bytes, name: bytes) -> str:
    return head.split(b"\r\n" + name + b": ")[1].split(b"\r\n")[0].decode()


async def _settled(port: int, paths: list[str]) -> list[str]:
    """Ask for each lease until all of them stand; return their ETags."""
    etags = [""] * len(paths)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for _ in range(5):
        for i, path in enumerate(paths):
            writer.write(_request(path, etags[i]))
            _, head, _ = await _answer(reader)
            etags[i] = _header(head, b"etag")
    writer.close()
    return etags


def _memory(commands: Connection) -> float:
    commands.send("memory")
    return float(commands.recv())


def _cpu(commands: Connection) -> float:
    commands.send("cpu")
    return float(commands.recv())


@contextmanager
def _server(serve: Callable[..., None], *args: object) -> Iterator[tuple[Connection, int]]:
    """Run a server in a process of its own; give its command line and its port."""
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs, *args))
    process.start()
    try:
        yield ours, int(ours.recv())
    finally:
        ours.send("stop")
        process.join(10)


def _bare(commands: Connection) -> None:
    """Serve one route that answers what a lease is long."""
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from scaler.adapters.http.schemas import LEASE

    body = str(LEASE).encode()

    async def lease(_: Request) -> Response:
        return Response(body, media_type="application/json")

    app = Starlette(routes=[Route("/lease", lease)])
    app.state.close = lambda: None
    _run(app, commands, lambda: None)


def _limits(commands: Connection, services: int) -> None:
    """Serve the limits of so many services."""
    from scaler.adapters.http.app import create_app
    from scaler.adapters.http.settings import ApiSettings
    from scaler.adapters.http.snapshot_holder import SnapshotHolder
    from tests.scaler.adapters.http.snapshots import snapshot, view

    names = [f"prod/shop-{number}" for number in range(services)]
    holder = SnapshotHolder()
    # Without learning: these gateways are all new. A tick each 15 s is not needed for so long.
    settings = ApiSettings(learns_shares=False, stale_after_s=3600.0)

    def publish(each_qps: float) -> None:
        holder.publish(snapshot(*(view(name, ready=66, each_qps=each_qps) for name in names)))

    publish(300.0)
    _run(create_app(holder, settings), commands, lambda: publish(150.0))


def _run(app: Starlette, commands: Connection, lower: Callable[[], None]) -> None:
    from fastapi import FastAPI

    from scaler.adapters.http.server import Address, ApiServer

    with ApiServer(cast(FastAPI, app), Address(port=0)) as server:
        commands.send(server.port)
        while (command := commands.recv()) != "stop":
            if command == "memory":
                pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
                commands.send(pages * 4096 / 1e6)
            elif command == "cpu":
                commands.send(time.process_time())
            elif command == "lower":
                lower()
                commands.send(True)


if __name__ == "__main__":
    endpoint()
