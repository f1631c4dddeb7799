"""The whole `scaler run` for half an hour at high speed: is memory flat, is every tick on time?

The scaler runs in a process of its own, as an operator starts it: `DemandPolicy` objects of an API
server, half of them enforced; a real Prometheus that scrapes demand made here; the limits endpoint
with gateways that poll. What is measured is read from the process and from its metrics, once a
second. A tick of a second is fifteen times the default's speed.
"""

from __future__ import annotations

import itertools
import math
import os
import re
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.soak_scene import (
    SCRAPE,
    Population,
    Soak,
    demand_served,
    forget,
    past_of,
    running_scaler,
)
from benchmarks.tables import markdown
from tests.kube.grants import shipped_grants
from tests.kube.server import ApiServer, serving
from tests.peers.prometheus import backfill, running


@dataclass
class Seen:
    """What was measured: once a second, and at each tick."""

    at_s: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    threads: list[int] = field(default_factory=list)
    tick_s: list[float] = field(default_factory=list)
    began: list[float] = field(default_factory=list)
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    errors: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)  # of gateways: neither 200 nor 304

    def late(self, tick_s: float) -> int:
        """Return how many ticks began later than half a beat after the one before was due."""
        return int((np.diff(self.began) > 1.5 * tick_s).sum())

    def slope_mb_per_h(self, since: float) -> float:
        """Return how fast memory grows, by least squares over what came after ``since``."""
        at, rss = np.array(self.at_s), np.array(self.rss_mb)
        late = at >= since
        return float(np.polyfit(at[late] / 3600, rss[late], 1)[0]) if late.sum() > 2 else math.nan

    def least_mb(self, first: float, last: float) -> float:
        """Return the least memory between two moments: what stays, without what comes and goes."""
        return min(
            rss for at, rss in zip(self.at_s, self.rss_mb, strict=True) if first <= at < last
        )


def soak(minutes: float = 30.0) -> None:
    """Print what half an hour came to."""
    plan = Soak(minutes=minutes)
    seen = soaked(plan, lambda text: print(text, file=sys.stderr, flush=True))
    print(f"\n## Soak: {plan.services} services, {minutes:g} min, a tick each {plan.tick_s:g} s\n")
    print(markdown(("what", "measured"), figures(seen, plan)))


def churn(minutes: float = 30.0) -> None:
    """Print what services that come and go leave behind."""
    plan = Soak(services=300, minutes=minutes, churn=True)
    seen = soaked(plan, lambda text: print(text, file=sys.stderr, flush=True))
    print(
        f"\n## Churn: {plan.services} services, {minutes:g} min, each second one more, one less\n"
    )
    print(markdown(("what", "measured"), figures(seen, plan)))


def thousand() -> None:
    """Print what a thousand policies take at the default's beat."""
    plan = Soak(
        services=1000, minutes=2.0, tick_s=15.0, warm_up_s=90.0
    )  # five ticks read the pasts
    seen = soaked(plan, lambda text: print(text, file=sys.stderr, flush=True))
    print("\n## A thousand policies, a tick each 15 s, half of them enforced\n")
    print(markdown(("what", "measured"), figures(seen, plan)))


def figures(seen: Seen, plan: Soak) -> list[tuple[str, object]]:
    """Return the rows of the table."""
    rss, ticks = seen.rss_mb, np.array(seen.tick_s)
    quarters = [rss[min(len(rss) * i // 4, len(rss) - 1)] for i in range(5)]
    bounds = np.linspace(0.0, seen.at_s[-1], 5)
    least = [seen.least_mb(*span) for span in itertools.pairwise(bounds)]
    p50, p99 = np.quantile(ticks, (0.5, 0.99))
    expected = seen.at_s[-1] / plan.tick_s
    return [
        (
            "memory after each quarter, from the start; highest ever, MB",
            f"{_row(*quarters)}; {seen.peak_mb:.0f}",
        ),
        ("least memory in each quarter, MB", _row(*least)),
        ("growth over the last third, MB/h", f"{seen.slope_mb_per_h(seen.at_s[-1] * 2 / 3):.1f}"),
        ("open files, first to last", f"{seen.files[0]} to {seen.files[-1]}"),
        ("threads, first to last", f"{seen.threads[0]} to {seen.threads[-1]}"),
        ("ticks (that the time has room for)", f"{len(ticks)} ({expected:.0f})"),
        ("a tick: p50, p99, max, s", f"{p50:.2f}, {p99:.2f}, {ticks.max():.2f}"),
        ("ticks that began more than half a beat late", seen.late(plan.tick_s)),
        ("cores that the scaler took", f"{seen.cpu_s / seen.at_s[-1]:.2f}"),
        ("lines of the log above INFO", len(seen.errors)),
        ("answers to gateways neither 200 nor 304", len(seen.refused)),
    ]


def _row(*numbers: float) -> str:
    return ", ".join(f"{number:.0f}" for number in numbers)


def soaked(plan: Soak, say: Callable[[str], None] = lambda _: None) -> Seen:
    """Run all of it; return what was seen."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(serving(shipped_grants()))
        population = Population(server, plan, folder)
        port = stack.enter_context(demand_served(plan))
        backfill(past_of(plan), folder / "tsdb")
        url = stack.enter_context(running(folder / "tsdb", SCRAPE.format(port=port)))
        say(f"Prometheus has its past: {url}")
        process, endpoint = stack.enter_context(running_scaler(plan, folder, url))
        say(f"the scaler runs: process {process.pid}, {endpoint}")
        return _watched(_Run(plan, process.pid, endpoint, folder / "log", population), server, say)


@dataclass(frozen=True)
class _Run:
    """A scaler that runs: where it is asked, what it logs, and what it scales."""

    plan: Soak
    pid: int
    endpoint: str
    log: Path
    population: Population


def _watched(run: _Run, server: ApiServer, say: Callable[[str], None]) -> Seen:
    plan, pid = run.plan, run.pid
    seen, stop = Seen(), threading.Event()
    gateways = [
        threading.Thread(target=_gateway, args=(run, number, seen, stop), daemon=True)
        for number in range(plan.gateways)
    ]
    following = threading.Thread(
        target=_follow, args=(run.endpoint, plan.tick_s, seen, stop), daemon=True
    )
    for thread in (*gateways, following):
        thread.start()
    _wait_for(lambda: seen.began)
    time.sleep(plan.warm_up_s)
    for counted in (seen.tick_s, seen.began):
        del counted[:-1]
    seen.refused.clear()
    began, cpu = time.monotonic(), _cpu_s(pid)
    while (at := time.monotonic() - began) < plan.minutes * 60:
        _sample(seen, pid, at)
        if int(at) % 60 == 0:
            say(f"{at / 60:.0f} min: {seen.rss_mb[-1]:.0f} MB, {len(seen.tick_s)} ticks")
            forget(server)
        if plan.churn:
            run.population.turn()
        time.sleep(max(1.0 - (time.monotonic() - began - at), 0.0))
    seen.cpu_s = _cpu_s(pid) - cpu
    stop.set()
    seen.errors = [
        line for line in run.log.read_text().splitlines() if '"level": "INFO"' not in line
    ]
    for line in (*seen.errors[:20], *seen.refused[:20]):
        say(line)
    return seen


def _sample(seen: Seen, pid: int, at: float) -> None:
    status = Path(f"/proc/{pid}/status").read_text()
    found = dict(re.findall(r"^(VmRSS|VmHWM|Threads):\s+(\d+)", status, re.MULTILINE))
    seen.at_s.append(at)
    seen.rss_mb.append(int(found["VmRSS"]) / 1024)
    seen.peak_mb = int(found["VmHWM"]) / 1024
    seen.threads.append(int(found["Threads"]))
    seen.files.append(len(list(Path(f"/proc/{pid}/fd").iterdir())))


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _follow(endpoint: str, tick_s: float, seen: Seen, stop: threading.Event) -> None:
    """Note when each tick was, and how long it took, by what the endpoint says of it."""
    sums: tuple[float, float] | None = None
    while not stop.wait(0.4 * tick_s):  # its own cost is to be small
        text = _asked(f"{endpoint}/metrics")[1]
        found = dict(
            re.findall(
                r"^(tidegate_tick_(?:timestamp|duration)_seconds\w*) (\S+)$", text, re.MULTILINE
            )
        )
        if "tidegate_tick_timestamp_seconds" not in found:
            continue
        at = float(found["tidegate_tick_timestamp_seconds"])
        if seen.began and at == seen.began[-1]:
            continue
        count = float(found["tidegate_tick_duration_seconds_count"])
        total = float(found["tidegate_tick_duration_seconds_sum"])
        if sums is not None and count > sums[0]:
            seen.tick_s.append((total - sums[1]) / (count - sums[0]))
        seen.began.append(at)
        sums = count, total


def _gateway(run: _Run, number: int, seen: Seen, stop: threading.Event) -> None:
    """Poll as a gateway does, of one service after the other."""
    etags: dict[str, str] = {}
    turn = number
    while not stop.wait(0.2):
        service = f"prod/{run.population.asked(turn)}"
        turn += run.plan.gateways
        url = f"{run.endpoint}/v1/limits/{service}?instance=gw-{number}"
        status, body, etag = _asked(url, etags.get(service, ""))
        if status == 200 and etag:
            etags[service] = etag
        if status not in (200, 304):
            seen.refused.append(f"{service}: {status} {body[:200]}")


def _asked(url: str, etag: str = "") -> tuple[int, str, str]:
    request = urllib.request.Request(  # noqa: S310 - of ours, on loopback
        url, headers={"If-None-Match": etag} if etag else {}
    )
    try:
        with _OPENER.open(request, timeout=20) as answer:
            return answer.status, answer.read().decode(), answer.headers.get("ETag", "")
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode(), ""
    except OSError as error:
        return 0, str(error), ""


_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _wait_for(holds: Callable[[], object], within_s: float = 300.0) -> None:
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            raise RuntimeError("the scaler did not tick within five minutes")
        time.sleep(0.1)
