"""More connections than files, more viewers than fit: whoever is served already stays so."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from scaler.adapters.http import connections
from scaler.adapters.http.events import EventStream
from scaler.adapters.http.grants import EVERYTHING, AccessGrant
from scaler.adapters.http.server import Address, Tls
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from tests.paths import ROOT
from tests.scaler.adapters.http.conftest import served
from tests.scaler.adapters.http.snapshots import snapshot, view
from tests.waiting import PATIENCE_S, eventually

FILES = 256
LIMIT = "/v1/limits/prod/shop?instance=gw-1"
# An endpoint in a process of its own, with few files and the log of a command. A line on its
# standard input is a number of files that it opens itself.
ENDPOINT = f"""
import contextlib, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, ({FILES}, {FILES}))
from forecaster.commands.log_lines import log_to_stderr
from scaler.adapters.http.server import Address
from scaler.adapters.http.settings import ApiSettings
from scaler.commands.endpoint import served
from tests.scaler.adapters.http.snapshots import snapshot
log_to_stderr("INFO")
opened = []
with contextlib.ExitStack() as stack:
    settings = ApiSettings(learns_shares=False, stale_after_s=3600.0)
    served(settings, Address(port=0), stack)(snapshot())
    for line in sys.stdin:
        with contextlib.suppress(OSError):
            while len(opened) < int(line):
                opened.append(open("/dev/null"))
        for one in opened[int(line):]:
            one.close()
        del opened[int(line):]
        print("opened", len(opened), flush=True)
"""


@dataclass
class Small:
    """An endpoint that may have few files open."""

    process: subprocess.Popen[str]
    port: int
    log_file: Path

    def opens(self, files: int) -> int:
        """Have it open so many files itself; return how many it could."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{files}\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline().split()[1])

    def log(self) -> list[str]:
        return self.log_file.read_text().splitlines()


@pytest.fixture
def small(tmp_path) -> Iterator[Small]:
    log = tmp_path / "log"
    with log.open("w") as said:
        process = subprocess.Popen(
            [sys.executable, "-c", ENDPOINT], cwd=ROOT, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said,
        )  # fmt: skip
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        url = process.stdout.readline().split()[-1]
        made = Small(process, int(url.rpartition(":")[2]), log)
        made.opens(0)  # it has ticked
        yield made
        process.stdin.close()
        process.wait(PATIENCE_S)


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)


def polled(gateway: http.client.HTTPConnection) -> int:
    gateway.request("GET", LIMIT)
    answer = gateway.getresponse()
    answer.read()
    return answer.status


def said(connection: socket.socket, request: bytes = b"") -> bytes:
    """Return the beginning of what comes back; nothing if the other side has just hung up."""
    try:
        connection.sendall(request)
        return connection.recv(300)
    except ConnectionError:
        return b""


def serves(small: Small) -> bool:
    """Return whether a new connection is answered."""
    with connected(small.port) as fresh:
        request = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
        return said(fresh, request).startswith(b"HTTP/1.1 200")


def metric(gateway: http.client.HTTPConnection, name: str) -> float:
    gateway.request("GET", "/metrics")
    text = gateway.getresponse().read().decode()
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found, name
    return float(found[1])


def test_connections_beyond_the_files_are_refused_and_those_that_are_kept_are_served(small):
    gateway = http.client.HTTPConnection("127.0.0.1", small.port, timeout=PATIENCE_S)
    assert polled(gateway) == 200
    with contextlib.ExitStack() as flood:
        for number in range(2 * FILES):
            flood.enter_context(connected(small.port))
            if number % 16 == 0:
                assert polled(gateway) == 200
        # Who says nothing makes room for who comes and asks.
        fresh = [flood.enter_context(connected(small.port)) for _ in range(8)]
        ask = f"GET {LIMIT} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        assert [said(one, ask)[:12] for one in fresh] == [b"HTTP/1.1 200"] * 8
        assert small.opens(16) == 16  # files are left for what it does itself
        assert small.opens(0) == 0
    assert polled(gateway) == 200

    eventually(lambda: serves(small))
    gateway.close()


def test_connections_of_those_who_are_known_are_kept_and_others_refused(small):
    with contextlib.ExitStack() as open_ones:
        gateways = [
            http.client.HTTPConnection("127.0.0.1", small.port, timeout=PATIENCE_S)
            for _ in range(FILES)
        ]
        answered = []
        for gateway in gateways:
            open_ones.callback(gateway.close)
            try:
                answered.append(polled(gateway) == 200)
            except OSError:
                answered.append(False)
        first = gateways[: answered.index(False)]
        assert FILES / 2 < len(first) <= 192
        assert not any(answered[len(first) :])
        assert {polled(gateway) for gateway in first} == {200}
        refused = len(gateways) - len(first)
        assert metric(first[0], "tidegate_refused_connections_total") == refused
    told = [line for line in small.log() if "connection refused" in line]
    assert len(told) == 1
    assert "raise the limit of open files" in told[0]


def test_without_any_file_left_the_log_says_so_once_and_service_comes_back(small):
    gateway = http.client.HTTPConnection("127.0.0.1", small.port, timeout=PATIENCE_S)
    assert polled(gateway) == 200
    taken = small.opens(FILES)
    with contextlib.ExitStack() as flood:
        for _ in range(100):
            flood.enter_context(connected(small.port))
        eventually(lambda: any("out of system resource" in line for line in small.log()))
        for _ in range(20):
            assert polled(gateway) == 200
        assert small.opens(0) == 0 < taken
        for _ in range(100):
            flood.enter_context(connected(small.port))

        eventually(lambda: serves(small))
    gateway.close()
    records = [line for line in small.log() if not line.startswith("  | ")]
    assert [line for line in records if not re.match(r"\S+ \S+ (INFO|WARNING|ERROR) ", line)] == []
    assert len([line for line in records if " INFO " not in line]) <= 4


def test_pages_beyond_those_that_fit_are_refused_and_gateways_are_served(small):
    ask = b"GET /v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with contextlib.ExitStack() as viewers:
        answers = [said(viewers.enter_context(connected(small.port)), ask) for _ in range(60)]
        assert sum(answer.startswith(b"HTTP/1.1 200") for answer in answers) == 48  # of 192
        assert sum(answer.startswith(b"HTTP/1.1 503") for answer in answers) == 12
        gateway = http.client.HTTPConnection("127.0.0.1", small.port, timeout=PATIENCE_S)
        assert polled(gateway) == 200
        gateway.close()

    def fits_again() -> bool:
        with connected(small.port) as viewer:
            return said(viewer, ask).startswith(b"HTTP/1.1 200")

    eventually(fits_again)


@pytest.mark.parametrize("service", [None, "prod/shop"], ids=["the board", "a service"])
@pytest.mark.parametrize(
    "grant",
    [
        pytest.param(EVERYTHING, id="everything"),
        pytest.param(AccessGrant(namespaces=frozenset({"prod"})), id="one namespace"),
    ],
)
def test_a_tick_is_rendered_once_for_all_who_see_the_same(service, grant):
    holder = SnapshotHolder()
    holder.publish(snapshot(view("prod/shop"), view("pay/api")))
    stream = EventStream(holder)

    async def seen(grant: AccessGrant) -> list[bytes]:
        events = stream.events(service, grant)
        found = [await anext(events) for _ in range(2 if service is None else 3)]
        await events.aclose()
        return found

    async def both() -> tuple[list[bytes], list[bytes], list[bytes]]:
        other = AccessGrant(namespaces=frozenset({"pay"}))
        return await seen(grant), await seen(grant), await seen(grant if service else other)

    first, second, third = asyncio.run(both())
    assert [a is b for a, b in zip(first[1:], second[1:], strict=True)] == [True] * len(first[1:])
    assert b"prod/shop" in first[1]
    assert (b"prod/shop" in third[1]) == (service is not None)
    holder.publish(snapshot(view("prod/shop"), tick=2))
    assert asyncio.run(seen(grant))[1] is not first[1]


def test_a_tls_handshake_that_never_ends_is_given_up(monkeypatch, certificates):
    monkeypatch.setattr(connections, "TLS_HANDSHAKE_S", 0.2)
    tls = Tls(certificates / "server.pem", certificates / "server.key")
    with served(address=Address(port=0, tls=tls), verify=False) as endpoint:
        with connected(endpoint.port) as slow:
            slow.sendall(b"\x16\x03\x01")  # the beginning of a handshake
            with contextlib.suppress(ConnectionResetError):
                assert slow.recv(100) == b""  # disconnected: a time-out would be another error
        assert endpoint.client.get("/healthz").status_code == 200
