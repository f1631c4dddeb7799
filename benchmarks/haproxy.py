"""HAProxy at its own limit: what a decision costs it, beside no check and beside a stick table.

The origin is a HAProxy too, and answers from memory: no real service is as fast, so the check
weighs as much as it ever can. Rounds take turns, so that what else the machine does falls on all
alike.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.tables import markdown
from tests.conformance.gateways.haproxy import SHIPPED, installed
from tests.conformance.leases import SHOP, lease
from tests.conformance.scripted import ScriptedEndpoint
from tests.conformance.setup import free_port
from tests.peers.haproxy import HAProxy
from tests.peers.install import unpacked

ROUNDS, ROUND_S, CONNECTIONS = 9, 1, 8
SHIPPED_RULES = [
    line.replace("${TIDEGATE_BOOKS}", "books.map")
    for line in (SHIPPED / "haproxy.cfg").read_text().splitlines(keepends=True)
    if "txn.tidegate" in line
]
TELLS = [line for line in SHIPPED_RULES if "http-response" in line]
DECIDES = [line for line in SHIPPED_RULES if line not in TELLS]
NAMES_NOBODY = [line for line in DECIDES if "set-var(txn.tidegate_client)" not in line]
STICK = """\
    http-request track-sc0 int(1) table counts
    http-request set-var(txn.limit) str(default),map_str_int(limit.map,10)
    http-request deny deny_status 429 if { sc_gpc0_rate(0),sub(txn.limit) ge 0 }
    http-request sc-inc-gpc0(0)
"""
FRONTS = {
    "no check": "",
    "the check with passes": "".join(NAMES_NOBODY),
    "also with clients: each request is decided in Lua": "".join(DECIDES),
    "the same, with RateLimit on admitted responses": "".join(SHIPPED_RULES),
    "a stick table and a map instead": STICK,
}
DEFAULTS = "defaults\n mode http\n timeout connect 2s\n timeout client 9s\n timeout server 9s\n"


def haproxy() -> None:
    """Print requests per second, latency and processor time, each with and without the check."""
    columns = (
        "configuration",
        "requests/s",
        "relative to no check",
        "p50, µs",
        "p99, µs",
        "CPU, µs a request",
    )
    print(f"\n## HAProxy at its limit: {CONNECTIONS} connections, 2 threads\n")
    print(markdown(columns, _rows()))


def _rows() -> list[tuple[object, ...]]:
    found: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in FRONTS}
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        endpoint = stack.enter_context(ScriptedEndpoint())
        # So high that all pass: a refusal is cheaper than a request that is passed on.
        endpoint.set(lease(1, 1e6, burst=100_000, refresh_s=2.0, valid_for_s=30.0))
        pid, ports = stack.enter_context(_running(Path(name), endpoint.url))
        endpoint.held()
        for _ in range(ROUNDS):
            for front, port in zip(FRONTS, ports, strict=True):
                found[front].append(_round(pid, port))
    bare = [one[0] for one in found["no check"]]
    return [_row(front, rounds, bare) for front, rounds in found.items()]


def _row(
    name: str, rounds: list[tuple[float, float, float, float]], bare: list[float]
) -> tuple[object, ...]:
    part = statistics.median(one[0] / rate for one, rate in zip(rounds, bare, strict=True))
    rate, p50, p99, cpu = (statistics.median(column) for column in zip(*rounds, strict=True))
    return name, f"{rate:.0f}", f"{part:.0%}", f"{p50:.0f}", f"{p99:.0f}", f"{cpu:.1f}"


@contextmanager
def _running(folder: Path, endpoint_url: str) -> Iterator[tuple[int, list[int]]]:
    """Start origin and gateway; yield the gateway's process and a port of each front."""
    real, origin, ports = HAProxy(), free_port(), [free_port() for _ in FRONTS]
    (folder / "books.map").touch()
    (folder / "limit.map").write_text("default 1000000\n")
    (folder / "origin.cfg").write_text(
        f"global\n nbthread 1\n{DEFAULTS}frontend origin\n bind 127.0.0.1:{origin}\n"
        ' http-request return status 200 content-type text/plain string "ok"\n'
    )
    fronts = "".join(
        f"frontend f{port}\n bind 127.0.0.1:{port}\n{rules} default_backend origin\n"
        for port, rules in zip(ports, FRONTS.values(), strict=True)
    )
    (folder / "gateway.cfg").write_text(
        f"global\n nbthread 2\n setenv TIDEGATE_ENDPOINT {endpoint_url}\n"
        f" setenv TIDEGATE_SERVICES {SHOP}\n setenv TIDEGATE_BOOKS books.map\n"
        f" lua-load {installed(folder)}\n{DEFAULTS}"
        f"{fronts}backend counts\n stick-table type integer size 10 store gpc0,gpc0_rate(1s)\n"
        "backend tidegate_books\n stick-table type string len 24 size 10k expire 10s store gpc0\n"
        f"backend origin\n server origin 127.0.0.1:{origin}\n"
    )
    with ExitStack() as stack:
        processes = []
        for name in ("origin.cfg", "gateway.cfg"):
            process = subprocess.Popen(  # noqa: S603 - of our own choice
                [real.program, "-db", "-f", name], cwd=folder, env=real.environment({}),
                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            stack.callback(process.wait)
            stack.callback(process.terminate)
            processes.append(process)
        yield processes[-1].pid, ports


def _round(pid: int, port: int) -> tuple[float, float, float, float]:
    """Return requests per second, p50 and p99 in µs, and µs of processor time a request."""
    home = unpacked("wrk", ("wrk", "libluajit-5.1-2"))
    libraries = ":".join(map(str, (home / "usr" / "lib").glob("*-linux-gnu")))
    before = _busy_s(pid)
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{ROUND_S}", "--latency"]
    told = subprocess.run(  # noqa: S603 - of our own choice
        [home / "usr" / "bin" / "wrk", *options, f"http://127.0.0.1:{port}/"],
        env={"LD_LIBRARY_PATH": libraries}, check=True, capture_output=True, text=True, timeout=60,
    ).stdout  # fmt: skip
    spent = _busy_s(pid) - before
    number = re.search(r"(\d+) requests in", told)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", told)
    assert number
    assert rate
    return float(rate[1]), _micros(told, "50%"), _micros(told, "99%"), spent / int(number[1]) * 1e6


def _micros(told: str, quantile: str) -> float:
    found = re.search(rf"{quantile}\s+([\d.]+)(us|ms|s)\b", told)
    assert found, told
    return float(found[1]) * {"us": 1.0, "ms": 1e3, "s": 1e6}[found[2]]


def _busy_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
