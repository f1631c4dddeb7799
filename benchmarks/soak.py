"""The whole `scaler run` for half an hour at high speed: is memory flat, is every tick on time?

The scaler runs in a process of its own, as an operator starts it: `DemandPolicy` objects of an API
server, half of them enforced; a real Prometheus that scrapes demand made here; the limits endpoint
with gateways that poll. What is measured is read from the process and from its metrics, once a
second. A tick of a second is fifteen times the default's speed.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np

from benchmarks.tables import markdown
from tests.kube.conftest import Playground, connect, install_crd
from tests.kube.grants import shipped_grants
from tests.kube.objects import deployment, hpa, pod
from tests.kube.server import ApiServer, serving
from tests.peers.prometheus import Samples, backfill, running

MODELS = Path(__file__).parent.parent / "models"
SERIES = 200  # of different demand; more services than that share them
PERIOD_S = 600.0  # a "day" of the demand that is made, so that floors move while we look
SCRAPE = """
global: {{scrape_interval: 1s}}
scrape_configs:
  - job_name: services
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


@dataclass(frozen=True, slots=True)
class Soak:
    """How much, how fast and for how long.

    ``warm_up_s`` follows the first tick, which reads histories and loads the model: meanwhile the
    endpoint learns what gateways hold.
    """

    services: int = 200
    minutes: float = 30.0
    tick_s: float = 1.0
    gateways: int = 5
    days: int = 8  # of history
    warm_up_s: float = 20.0


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


def soak(minutes: float = 30.0) -> None:
    """Print what half an hour came to."""
    plan = Soak(minutes=minutes)
    seen = soaked(plan, lambda text: print(text, file=sys.stderr, flush=True))
    print(f"\n## Soak: {plan.services} services, {minutes:g} min, a tick each {plan.tick_s:g} s\n")
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
    thirds = (rss[0], rss[len(rss) // 2], rss[-1])
    p50, p99 = np.quantile(ticks, (0.5, 0.99))
    expected = seen.at_s[-1] / plan.tick_s
    return [
        ("memory at start, middle, end; highest ever, MB", _row(*thirds, seen.peak_mb)),
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
        _populate(server, plan, folder)
        port = stack.enter_context(_demand(plan))
        backfill(_past(plan), folder / "tsdb")
        url = stack.enter_context(running(folder / "tsdb", SCRAPE.format(port=port)))
        say(f"Prometheus has its past: {url}")
        process, endpoint = stack.enter_context(_scaler(plan, folder, url))
        say(f"the scaler runs: process {process.pid}, {endpoint}")
        return _watched(plan, process.pid, endpoint, folder / "log", server, say)


def _watched(
    plan: Soak,
    pid: int,
    endpoint: str,
    log: Path,
    server: ApiServer,
    say: Callable[[str], None],
) -> Seen:
    seen, stop = Seen(), threading.Event()
    gateways = [
        threading.Thread(target=_gateway, args=(endpoint, number, plan, seen, stop), daemon=True)
        for number in range(plan.gateways)
    ]
    following = threading.Thread(
        target=_follow, args=(endpoint, plan.tick_s, seen, stop), daemon=True
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
            _forget(server)
        time.sleep(max(1.0 - (time.monotonic() - began - at), 0.0))
    seen.cpu_s = _cpu_s(pid) - cpu
    stop.set()
    seen.errors = [line for line in log.read_text().splitlines() if '"level": "INFO"' not in line]
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


def _forget(server: ApiServer) -> None:
    """Keep the API server's own memory, and the time to look through it, bounded."""
    with server.store.locked():
        del server.store.history[:-2000]
        if server.store.history:
            server.store.compacted = server.store.history[0].version - 1
    del server.requests[:]


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


def _gateway(endpoint: str, number: int, plan: Soak, seen: Seen, stop: threading.Event) -> None:
    """Poll as a gateway does, of one service after the other."""
    etags: dict[str, str] = {}
    turn = number
    while not stop.wait(0.2):
        service = f"prod/{_name(turn % plan.services)}"
        turn += plan.gateways
        url = f"{endpoint}/v1/limits/{service}?instance=gw-{number}"
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


@contextmanager
def _scaler(
    plan: Soak, folder: Path, prometheus: str
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    kubeconfig = folder / "scaler.kubeconfig"
    command = [
        *(sys.executable, "-m", "scaler.cli", "run", "--prometheus", prometheus),
        *(
            "--models",
            str(MODELS),
            "--kubeconfig",
            str(kubeconfig),
            "--leader-elect",
            "--identity",
            "soak",
        ),
        *("--listen", "127.0.0.1:0", "--tick", f"{plan.tick_s:g}s", "--log-format", "json"),
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)  # noqa: S603
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise RuntimeError((folder / "log").read_text()[-2000:])
        yield process, line.split()[-1]
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _name(number: int) -> str:
    return f"svc-{number:03d}"


def _qps(number: int, at: float) -> float:
    """Return a service's demand: a wave with a phase and a size of its own, and some noise."""
    wave = 1.2 + math.sin(2 * math.pi * (at / PERIOD_S + number / 17))
    noise = 1 + 0.05 * math.sin(at * 12.9898 + number * 78.233)
    return 100.0 * (1 + number % 5) * wave * noise


def _past(plan: Soak) -> list[Samples]:
    end = int(time.time()) // 60 * 60  # noqa: TID251 - a real Prometheus scrapes now
    stamps = range(end - plan.days * 86_400, end, 60)
    return [
        Samples(
            "demand_qps", {"service": _name(i)}, tuple((at, round(_qps(i, at), 2)) for at in stamps)
        )
        for i in range(min(plan.services, SERIES))
    ]


@contextmanager
def _demand(plan: Soak) -> Iterator[int]:
    """Serve each service's demand of now, for Prometheus to scrape; yield the port."""

    class Exposed(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now = time.time()  # noqa: TID251
            lines = ["# TYPE demand_qps gauge"]
            lines += [
                f'demand_qps{{service="{_name(i)}"}} {_qps(i, now):.2f}'
                for i in range(min(plan.services, SERIES))
            ]
            body = ("\n".join(lines) + "\n").encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Exposed)
    http.daemon_threads = True
    threading.Thread(target=http.serve_forever, daemon=True).start()
    try:
        yield http.server_port
    finally:
        http.shutdown()
        http.server_close()


def _populate(server: ApiServer, plan: Soak, folder: Path) -> None:
    """Make the policies, half of them enforced, and what they scale."""
    admin = connect(server, folder, "admin")
    (folder / "scaler.kubeconfig").write_text(server.kubeconfig("tidegate"))
    install_crd(admin)
    ground = Playground(admin, admin, "prod", server)
    ground.put("/api/v1/namespaces/tidegate/pods", pod("soak", "tidegate"))  # the scaler's own
    for number in range(plan.services):
        name = _name(number)
        ground.put(ground.listing("horizontalpodautoscalers"), hpa(name, most=60))
        ground.put(ground.listing("deployments", "/apis/apps/v1"), deployment(name))
        for replica in range(3):
            ground.put(ground.listing("pods", "/api/v1"), pod(f"{name}-{replica}", app=name))
        spec = {
            "mode": "Enforce" if number % 2 else "Recommend",
            "targetRef": {"name": name},
            "demand": {
                "query": f'sum(demand_qps{{service="{_name(number % SERIES)}"}})',
                "model": "tiny",
            },
            "capacity": {"requestsPerReplica": 50},
            "replicas": {"min": 2, "max": 60},
        }
        policy = {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "DemandPolicy",
            "metadata": {"name": name, "namespace": "prod"},
            "spec": spec,
        }
        ground.put(ground.listing("demandpolicies", "/apis/tidegate.dev/v1alpha1"), policy)
    _forget(server)


def _wait_for(holds: Callable[[], object], within_s: float = 300.0) -> None:
    until = time.monotonic() + within_s
    while not holds():
        if time.monotonic() > until:
            raise RuntimeError("the scaler did not tick within five minutes")
        time.sleep(0.1)
