"""The endpoint under attack, with 256 files: what gateways see of it, what it logs, what it holds.

The endpoint runs in a process of its own, as `scaler run` serves it, with a token file and a tick a
second. One gateway keeps its connection, the other makes a new one for each poll. Attackers have no
token, but for those who follow the page: their token is for that.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from benchmarks.endpoint import _memory, _server
from benchmarks.tables import markdown

FILES = 256
SERVICES = 100
ATTACK_S = 20.0
POLL_S = 0.1
POLL_TIMEOUT_S = 5.0
TOKENS = "gateway-token role=gateway\npage-token role=read\n"
POLL = "/v1/limits/prod/shop-0?instance="
HOST = b"Host: tidegate\r\n"
COLUMNS = (
    "attack", "connections tried", "kept connection: answered", "new connection: answered",
    "log lines a minute", "of tracebacks", "memory before, at most, after, MB",
)  # fmt: skip

Attacker = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class AttackScene:
    """So many attackers at once, each of whom begins anew as soon as it is disconnected."""

    name: str
    attackers: int
    attacks: Attacker


@dataclass(slots=True)
class Polls:
    """What gateways saw: how many polls were answered, of how many."""

    kept: list[bool] = field(default_factory=list)
    fresh: list[bool] = field(default_factory=list)


def attack() -> None:
    """Print a row per attack."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(f"\n## The endpoint under attack, {FILES} files, {ATTACK_S:g} s each\n")
    print(markdown(COLUMNS, map(_row, SCENES)))


def _row(scene: AttackScene) -> tuple[object, ...]:
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "log"
        (Path(name) / "tokens").write_text(TOKENS)
        (Path(name) / "tokens").chmod(0o600)
        with _server(_attacked, name) as (commands, port):
            with _polling(port):  # what is loaded for the first request is no growth
                time.sleep(3.0)
            begun = len(log.read_text().splitlines())
            before = highest = _memory(commands)
            with _polling(port) as polls, _attacking(scene, port) as tried:
                until = time.monotonic() + ATTACK_S
                while time.monotonic() < until:
                    time.sleep(0.5)
                    highest = max(highest, _memory(commands))
            time.sleep(3.0)
            after = _memory(commands)
            lines = log.read_text().splitlines()[begun:]
    minutes = ATTACK_S / 60
    barred = sum(line.startswith(("  ", "Traceback")) for line in lines)
    return (
        scene.name, tried[0], _share(polls.kept), _share(polls.fresh),
        f"{len(lines) / minutes:.0f}", f"{barred / minutes:.0f}",
        f"{before:.0f}, {highest:.0f}, {after:.0f}",
    )  # fmt: skip


def _share(polls: list[bool]) -> str:
    return f"{sum(polls)} of {len(polls)}"


@contextlib.contextmanager
def _polling(port: int) -> Iterator[Polls]:
    """Poll as two gateways do, each in a thread."""
    polls, stop, connected = Polls(), threading.Event(), threading.Barrier(3)

    def poll(answered: list[bool], *, keeps: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=POLL_TIMEOUT_S)
        headers = {"Authorization": "Bearer gateway-token"}
        connection.connect()
        connected.wait()
        while not stop.wait(POLL_S):
            try:
                connection.request("GET", f"{POLL}{keeps}", headers=headers)
                answer = connection.getresponse()
                answer.read()
                answered.append(answer.status == 200)
            except (OSError, http.client.HTTPException):
                answered.append(False)
                connection.close()
            if not keeps:
                connection.close()
        connection.close()

    threads = [
        threading.Thread(target=poll, args=(polls.kept,), kwargs={"keeps": True}),
        threading.Thread(target=poll, args=(polls.fresh,), kwargs={"keeps": False}),
    ]
    for thread in threads:
        thread.start()
    connected.wait()
    time.sleep(3 * POLL_S)
    try:
        yield polls
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@contextlib.contextmanager
def _attacking(scene: AttackScene, port: int) -> Iterator[list[int]]:
    """Attack meanwhile, in a thread; yield how many connections were tried."""
    tried, stop = [0], threading.Event()

    async def attacker() -> None:
        while True:
            tried[0] += 1
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                try:
                    await scene.attacks(reader, writer)
                finally:
                    writer.close()
            await asyncio.sleep(0.05)

    async def all_of_them() -> None:
        tasks = [asyncio.create_task(attacker()) for _ in range(scene.attackers)]
        while not stop.is_set():
            await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    thread = threading.Thread(target=lambda: asyncio.run(all_of_them()))
    thread.start()
    try:
        yield tried
    finally:
        stop.set()
        thread.join()


async def _idle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del writer
    await reader.read()


async def _slow_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /v1/limits/prod/shop HTTP/1.1\r\n" + HOST)
    await _drip(b"X-Slow: x\r\n", reader, writer)


async def _slow_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = b"POST /json HTTP/1.1\r\nAuthorization: Bearer gateway-token\r\nContent-Length: 9999\r\n"
    writer.write(head + HOST + b"\r\n")
    await _drip(b"x", reader, writer)


async def _drip(drop: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a little twice a second until the other side ends it."""
    while not reader.at_eof():
        writer.write(drop)
        await writer.drain()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(reader.read(1000), 0.5)


async def _endless_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = b"POST /json HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    writer.write(head + b"Authorization: Bearer gateway-token\r\n" + HOST + b"\r\n")
    while not reader.at_eof():
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0)


async def _no_token(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /v1/services HTTP/1.1\r\nAuthorization: Bearer guess\r\n" + HOST + b"\r\n")
    await reader.readuntil(b"}")


async def _no_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\x01\x02\r\n\r\n")
    await reader.read(1000)


async def _viewer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"GET /v1/stream?service=prod/shop-0 HTTP/1.1\r\n")
    writer.write(b"Authorization: Bearer page-token\r\n" + HOST + b"\r\n")
    while await reader.read(1 << 20):
        pass


async def _nobody(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    del reader, writer


SCENES = (
    AttackScene("none", 0, _nobody),
    AttackScene("1,000 connections that say nothing", 1000, _idle),
    AttackScene("150 connections that say nothing", 150, _idle),
    AttackScene("150 slow heads", 150, _slow_head),
    AttackScene("150 slow bodies, with a token", 150, _slow_body),
    AttackScene("16 endless bodies, with a token", 16, _endless_body),
    AttackScene("100 guess tokens", 100, _no_token),
    AttackScene("100 send no HTTP", 100, _no_http),
    AttackScene("1,000 viewers, with a token", 1000, _viewer),
)


def _attacked(commands: Connection, folder: str) -> None:
    """Serve with few files and a log of its own, and tick each second."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    sys.stderr = (Path(folder) / "log").open("w", buffering=1)
    from forecaster.commands.log_lines import log_to_stderr
    from scaler.adapters.http.app import create_app
    from scaler.adapters.http.server import Address, ApiServer
    from scaler.adapters.http.settings import ApiSettings
    from scaler.adapters.http.snapshot_holder import SnapshotHolder
    from tests.scaler.adapters.http.snapshots import snapshot, view

    log_to_stderr("INFO")
    holder, stop = SnapshotHolder(), threading.Event()
    views = [view(f"prod/shop-{number}", ready=66) for number in range(SERVICES)]

    def tick() -> None:
        number = 0
        while not stop.wait(1.0):
            number += 1
            holder.publish(snapshot(*views, tick=number))

    holder.publish(snapshot(*views))
    settings = ApiSettings(learns_shares=False, tokens=Path(folder) / "tokens")
    with ApiServer(create_app(holder, settings), Address(port=0)) as server:
        threading.Thread(target=tick, daemon=True).start()
        commands.send(server.port)
        with Path("/proc/self/statm").open("rb") as statm:  # no file may be left to open later
            while commands.recv() != "stop":
                statm.seek(0)
                commands.send(int(statm.read().split()[1]) * resource.getpagesize() / 1e6)
        stop.set()


if __name__ == "__main__":
    attack()
