"""What a soak runs among: an API server with policies, demand to scrape, and the scaler itself."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from scaler.adapters.kube.client import Request
from tests.kube.conftest import Playground, connect, install_crd
from tests.kube.objects import deployment, hpa, pod
from tests.kube.server import ApiServer
from tests.peers.prometheus import Samples

MODELS = Path(__file__).parent.parent / "models"
SERIES = 200  # of different demand; more services than that share them
PODS = 3  # of each service
MARGIN = 15  # services that have just come, or are about to go, are not asked about
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
    endpoint learns what gateways hold. With ``churn``, once a second a policy is edited, one is
    added and one removed.
    """

    services: int = 200
    minutes: float = 30.0
    tick_s: float = 1.0
    gateways: int = 5
    days: int = 8  # of history
    warm_up_s: float = 20.0
    churn: bool = False


def forget(server: ApiServer) -> None:
    """Keep the API server's own memory, and the time to look through it, bounded."""
    with server.store.locked():
        del server.store.history[:-2000]
        if server.store.history:
            server.store.compacted = server.store.history[0].version - 1
        for key in [one for one in server.store.objects if one[1] == "events"][:-1000]:
            del server.store.objects[key]
    del server.requests[:]


@contextmanager
def running_scaler(
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


def name_of(number: int) -> str:
    return f"svc-{number:03d}"


def demand_qps(number: int, at: float) -> float:
    """Return a service's demand: a wave with a phase and a size of its own, and some noise."""
    wave = 1.2 + math.sin(2 * math.pi * (at / PERIOD_S + number / 17))
    noise = 1 + 0.05 * math.sin(at * 12.9898 + number * 78.233)
    return 100.0 * (1 + number % 5) * wave * noise


def past_of(plan: Soak) -> list[Samples]:
    end = int(time.time()) // 60 * 60  # noqa: TID251 - a real Prometheus scrapes now
    stamps = range(end - plan.days * 86_400, end, 60)
    return [
        Samples(
            "demand_qps",
            {"service": name_of(i)},
            tuple((at, round(demand_qps(i, at), 2)) for at in stamps),
        )
        for i in range(min(plan.services, SERIES))
    ]


@contextmanager
def demand_served(plan: Soak) -> Iterator[int]:
    """Serve each service's demand of now, for Prometheus to scrape; yield the port."""

    class Exposed(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            now = time.time()  # noqa: TID251
            lines = ["# TYPE demand_qps gauge"]
            lines += [
                f'demand_qps{{service="{name_of(i)}"}} {demand_qps(i, now):.2f}'
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


class Population:
    """The services: half of them stay; of the others the oldest goes when another one comes.

    Args:
        server: that they are put on, with the scaler's own pod.
        plan: how many.
        folder: for the kubeconfig files.
    """

    def __init__(self, server: ApiServer, plan: Soak, folder: Path) -> None:
        admin = connect(server, folder, "admin")
        (folder / "scaler.kubeconfig").write_text(server.kubeconfig("tidegate"))
        install_crd(admin)
        self._ground = Playground(admin, admin, "prod", server)
        self._ground.put("/api/v1/namespaces/tidegate/pods", pod("soak", "tidegate"))
        self._stay = plan.services // 2
        self._oldest, self._next, self._turns = self._stay, plan.services, 0
        for number in range(plan.services):
            self._add(number)
        forget(server)

    def asked(self, turn: int) -> str:
        """Return a service that is there before and after a gateway's question, each in turn."""
        there = self._next - self._oldest - 2 * MARGIN
        number = turn % (self._stay + max(there, 0))
        return name_of(
            number if number < self._stay else self._oldest + MARGIN + number - self._stay
        )

    def turn(self) -> None:
        """Edit a policy, add one with all that it scales, take one away with all of that."""
        self._turns += 1
        change = {"spec": {"replicas": {"max": 40 + self._turns % 20}}}
        self._ground.edit(f"{self._listings()[0]}/{name_of(self._turns % self._stay)}", change)
        self._add(self._next)
        self._next += 1
        policies, autoscalers, deployments, pods = self._listings()
        name = name_of(self._oldest)
        self._oldest += 1
        paths = [f"{policies}/{name}", f"{autoscalers}/{name}", f"{deployments}/{name}"]
        for path in (*paths, *(f"{pods}/{name}-{replica}" for replica in range(PODS))):
            self._ground.admin.call(Request("DELETE", path))

    def _listings(self) -> tuple[str, str, str, str]:
        listing = self._ground.listing
        return (
            listing("demandpolicies", "/apis/tidegate.dev/v1alpha1"),
            listing("horizontalpodautoscalers"),
            listing("deployments", "/apis/apps/v1"),
            listing("pods", "/api/v1"),
        )

    def _add(self, number: int) -> None:
        """Add a service; every other one is enforced."""
        name, put = name_of(number), self._ground.put
        policies, autoscalers, deployments, pods = self._listings()
        put(autoscalers, hpa(name, most=60))
        put(deployments, deployment(name))
        for replica in range(PODS):
            put(pods, pod(f"{name}-{replica}", app=name))
        spec = {
            "mode": "Enforce" if number % 2 else "Recommend",
            "targetRef": {"name": name},
            "demand": {
                "query": f'sum(demand_qps{{service="{name_of(number % SERIES)}"}})',
                "model": "pretrained",
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
        put(policies, policy)
