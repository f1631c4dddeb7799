"""The cluster that 0.1.0 left, in the API server of the tests: its objects under its own CRD."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from tests.faults.scene import Prometheus, Scene
from tests.forecaster.adapters.prometheus.server import serving as prometheus_serving
from tests.kube.grants import shipped_grants
from tests.kube.rules import defined
from tests.kube.server import ApiServer
from tests.kube.server import serving as kube_serving
from tests.upgrade.v0_1_0 import FIXTURES, read

RUSH = 1400.0  # requests per second of every service: more than before


def old_crd() -> dict:
    return yaml.safe_load((FIXTURES / "deploy" / "crd.yaml").read_text())


def objects(kind: str) -> list[dict]:
    return [one for one in read("cluster.json") if one["kind"] == kind]


def under_old_crd(server: ApiServer) -> None:
    """Have the server know DemandPolicies as 0.1.0 defined them."""
    kind = defined(old_crd())
    with server.store.locked():
        server.store.kinds[kind.group, kind.version, kind.plural] = kind


def load(server: ApiServer, found: list[dict]) -> None:
    """Put objects into the store as they are, versions and owners included."""
    with server.store.locked():
        plurals = {kind.kind: kind for kind in server.store.kinds.values()}
        for one in copy.deepcopy(found):
            kind, meta = plurals[one["kind"]], one["metadata"]
            key = (kind.group, kind.plural, meta["namespace"], meta["name"])
            server.store.objects[key] = one
            server.store.version = max(server.store.version, int(meta["resourceVersion"]))


def held_now(found: dict) -> dict:
    """Return an object whose announced events, if it has any, run now: the old ones are over."""
    now = datetime.now(UTC)  # noqa: TID251 - the scaler that is started has the same clock
    found = copy.deepcopy(found)
    for event in found.get("spec", {}).get("demand", {}).get("events", ()):
        event["starts"] = (now - timedelta(minutes=30)).isoformat(timespec="seconds")
        event["ends"] = (now + timedelta(minutes=30)).isoformat(timespec="seconds")
    return found


@contextmanager
def standing(folder: Path, *, handed_over: bool) -> Iterator[Scene]:
    """Serve that cluster, and a Prometheus that knows the demand but nothing else of the past.

    Args:
        folder: of the files that a scaler needs.
        handed_over: whether the leader has ended in peace; else it holds the Lease.
    """
    with kube_serving(shipped_grants()) as server, prometheus_serving(Prometheus()) as prometheus:
        scene = Scene(server, prometheus, folder)
        under_old_crd(server)
        load(server, [held_now(one) for one in read("cluster.json")])
        if handed_over:
            load(server, read("lease-handed-over.json"))
        for policy in objects("DemandPolicy"):
            prometheus.demand[policy["spec"]["demand"]["query"]] = lambda _: RUSH
        for query in ("latency", "replicas"):
            prometheus.demand[query] = lambda _: None
        yield scene
