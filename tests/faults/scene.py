"""A cluster, a Prometheus and a registry on loopback, and scalers run as operators start them."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

from scaler.hpa.floor_ownership import FINALIZER, ORIGINAL
from tests.forecaster.adapters.prometheus.server import FakeSeries, PrometheusServer, Reply, matrix
from tests.forecaster.adapters.prometheus.server import serving as prometheus_serving
from tests.kube.conftest import Playground, connect, install_crd
from tests.kube.grants import shipped_grants
from tests.kube.objects import deployment, hpa, pod
from tests.kube.server import serving as kube_serving
from tests.paths import ROOT
from tests.waiting import PATIENCE_S

# The model that 0.1.0 shipped: a newer one would move the floors that are asserted.
PRETRAINED = ROOT / "tests/faults/models"
OWN_FLOOR = 3  # what each user has set before us
PODS = 3


class Prometheus(PrometheusServer):
    """Serves the demand of each service; ``mood`` says what is wrong with it.

    Attributes:
        demand: QPS at a stamp by service, None where there is no sample.
        mood: the answer instead of the truth, or None for the truth.
        partial: what stands beside an answer that lacks half of the truth; {}: it is whole.
    """

    def __init__(self) -> None:
        super().__init__()
        self.demand: dict[str, Callable[[int], float | None]] = {}
        self.mood: Callable[[str], Reply | None] = lambda _: None
        self.partial: Callable[[str], dict[str, object]] = lambda _: {}

    def _answer(self, asked):
        start, end, step = (int(asked.params[name]) for name in ("start", "end", "step"))
        series, remarks = [], {}
        for one, labels in asked_for(asked.params["query"]):
            reply = self.mood(one)
            if reply is not None:
                return reply
            beside = self.partial(one)
            remarks |= beside
            series.append(FakeSeries(labels, self._text(one, 2 if beside else 1)))
        return matrix(series, range(start, end + 1, step), **remarks)

    def _text(self, asked: str, less: int) -> Callable[[int], str | None]:
        demand = self.demand[asked]

        def text(stamp: int) -> str | None:
            value = demand(stamp)
            return None if value is None else str(value / less)

        return text


def asked_for(found: str) -> list[tuple[str, dict[str, str]]]:
    """Return the queries of services that one query stands for, each with the labels of its series.

    Of one that is asked by its label: `sum by (service) (demand_qps{service=~"shop|cart"})`.
    """
    together = re.fullmatch(r'sum by \(service\) \(demand_qps\{service=~"(.+)"\}\)', found)
    if together is None:
        return [(found, {})]
    names = [name.replace("\\", "") for name in together[1].split("|")]
    return [(query(name), {"service": name}) for name in names]


class Scene:
    """What there is, and what users and gateways do with it."""

    def __init__(self, server, prometheus: Prometheus, folder: Path) -> None:
        self.server, self.prometheus, self.folder = server, prometheus, folder
        admin = connect(server, folder, "admin")
        install_crd(admin)
        self.ground = Playground(admin, admin, "prod", server)
        self.ground.put("/api/v1/namespaces/tidegate/pods", pod("one", "tidegate"))
        self.ground.put("/api/v1/namespaces/tidegate/pods", pod("two", "tidegate"))
        self.kubeconfig = folder / "tidegate.kubeconfig"
        self.kubeconfig.write_text(server.kubeconfig("tidegate"))
        self.models = folder / "models"
        shutil.copytree(PRETRAINED, self.models)

    def add(self, name: str, demand: Callable[[int], float | None], **meta) -> None:
        """Add a service with a floor of its user's own, and three ready pods."""
        self.prometheus.demand[query(name)] = demand
        self.ground.put(
            self.ground.listing("horizontalpodautoscalers"),
            hpa(name, least=OWN_FLOOR, most=60, **meta),
        )
        self.ground.put(self.ground.listing("deployments", "/apis/apps/v1"), deployment(name))
        for number in range(PODS):
            self.ground.put(
                self.ground.listing("pods", "/api/v1"), pod(f"{name}-{number}", app=name)
            )

    def ask_for(self, name: str, mode: str = "Enforce", **spec) -> None:
        """Add the policy of a service: 50 requests per second and replica, filled to 80 %."""
        policy = {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "DemandPolicy",
            "metadata": {"name": name, "namespace": "prod"},
            "spec": {
                "mode": mode,
                "targetRef": {"name": name},
                "demand": {"query": query(name), "model": "pretrained"},
                "capacity": {"requestsPerReplica": 50},
                "replicas": {"min": 2, "max": 60, "leadTime": "5m"},
                **spec,
            },
        }
        self.ground.put(POLICIES, policy)

    def edit(self, name: str, **spec) -> None:
        self.ground.edit(f"{POLICIES}/{name}", {"spec": spec})

    def delete(self, name: str) -> None:
        from scaler.adapters.kube.client import Request  # noqa: PLC0415

        self.ground.admin.call(Request("DELETE", f"{POLICIES}/{name}"))

    def floor(self, name: str) -> tuple[int, str | None]:
        """Return the floor that stands, and the user's own as it is kept beside it."""
        with self.server.store.locked():  # also while nobody reaches the server
            found = self.server.store.objects[
                "autoscaling", "horizontalpodautoscalers", "prod", name
            ]
        return (
            found["spec"]["minReplicas"],
            found["metadata"].get("annotations", {}).get(ORIGINAL),
        )

    def floors_written(self, name: str) -> list[int]:
        """Return every floor that has stood, in order."""
        with self.server.store.locked():
            changes = [
                one.found["spec"]["minReplicas"]
                for one in self.server.store.history
                if one.kind.plural == "horizontalpodautoscalers"
                and one.found["metadata"]["name"] == name
            ]
        return [one for i, one in enumerate(changes) if i == 0 or one != changes[i - 1]]

    def owners(self, name: str) -> set[str]:
        """Return who owns fields of an autoscaler by server-side apply."""
        entries = self.ground.hpa(name)["metadata"]["managedFields"]
        return {one["manager"] for one in entries if one["operation"] == "Apply"}

    def policy(self, name: str) -> dict:
        return self.ground.policy(name)

    def guarded(self, name: str) -> bool:
        return FINALIZER in (self.policy(name)["metadata"].get("finalizers") or ())

    def conditions(self, name: str) -> dict[str, tuple[str, str]]:
        """Return status and reason of each condition."""
        told = self.policy(name).get("status", {}).get("conditions") or ()
        return {one["type"]: (one["status"], one["reason"]) for one in told}

    def events(self, name: str) -> list[tuple[str, str]]:
        """Return reason and note of each Event about a policy."""
        found = self.ground.admin.get("/apis/events.k8s.io/v1/namespaces/prod/events")["items"]
        return [(e["reason"], e["note"]) for e in found if e["regarding"]["name"] == name]

    def holder(self) -> str:
        path = "/apis/coordination.k8s.io/v1/namespaces/tidegate/leases/tidegate"
        return self.ground.admin.get(path)["spec"]["holderIdentity"]

    @contextmanager
    def scaler(
        self, identity: str = "one", *options: str, file_bytes: int = 0
    ) -> Iterator[Running]:
        """Run `scaler run` as a process that may write files of this length: none by default."""
        command = [
            *(sys.executable, "-c", WITH_SHORT_FILES.format(file_bytes), "run"),
            *("--prometheus", self.prometheus.url, "--models", str(self.models)),
            *("--kubeconfig", str(self.kubeconfig), "--leader-elect", "--identity", identity),
            *("--listen", "127.0.0.1:0", "--tick", "1s", "--log-format", "json", *options),
        ]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        running = Running(process)
        try:
            yield running
        finally:
            process.kill()
            process.wait()
            running.close()


# The scaler needs no disk: a full one is nothing to it. Pipes are no files.
WITH_SHORT_FILES = (
    "import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0})); "
    "from scaler.cli import main; sys.exit(main())"
)
POLICIES = "/apis/tidegate.dev/v1alpha1/namespaces/prod/demandpolicies"
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def query(name: str) -> str:
    return f'sum(demand_qps{{service="{name}"}})'


@dataclass
class Stopped:
    code: int
    seconds: float


class Running:
    """One scaler that runs; what it says is read all the time, or it would wait for its reader."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []
        self._told: Queue[str] = Queue()
        self._readers = [Thread(target=self._read_log), Thread(target=self._read_told)]
        for reader in self._readers:
            reader.start()
        try:
            self.url = self._told.get(timeout=PATIENCE_S).split()[-1]
        except Empty:
            process.kill()
            raise AssertionError("\n".join(self.lines[-20:])) from None

    def lease(self, name: str) -> dict | None:
        """Return what a gateway is told, None where it is refused."""
        status, body = self.ask(f"/v1/limits/prod/{name}?instance=gw-1")
        return json.loads(body) if status == 200 else None

    def ask(self, path: str) -> tuple[int, str]:
        try:
            with _OPENER.open(self.url + path, timeout=PATIENCE_S) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.read().decode()

    def stop(self) -> Stopped:
        """Ask for a stop, as a kubelet does."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=PATIENCE_S)
        return Stopped(code, time.monotonic() - began)

    def complaints(self) -> list[str]:
        """Return the lines of the log above INFO."""
        return [line for line in self.lines if '"level": "INFO"' not in line]

    def close(self) -> None:
        for reader in self._readers:
            reader.join()

    def _read_log(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            self.lines.extend(lines)

    def _read_told(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._told.put(line)


@contextmanager
def standing(folder: Path) -> Iterator[Scene]:
    """Serve a scene until the block ends."""
    with (
        kube_serving(shipped_grants()) as server,
        prometheus_serving(Prometheus()) as prometheus,
    ):
        yield Scene(server, prometheus, folder)
