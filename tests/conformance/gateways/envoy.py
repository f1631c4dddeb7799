"""Envoy, which asks `scaler rls` beside it about each request; from deploy/gateways/envoy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.conformance.gateways import Capability
from tests.conformance.setup import Running, Setup, ended, free_port, listening
from tests.paths import ROOT
from tests.peers import envoy

UNSUPPORTED: dict[Capability, str] = {}


@contextmanager
def start(setup: Setup) -> Iterator[Running]:
    envoy.binary()
    # The suite asks what a lease alone does, so there is no second limit for when it says nothing.
    with (
        _decider(setup) as (decider, port, log),
        _envoy(setup, port, ("local_ratelimit",)) as (running, workers),
    ):
        envoy.asks_tidegate(running)
        # One process decides for all workers, so there is one instance.
        yield Running(running.url, workers, (decider, running.process), log)


@contextmanager
def start_bare(setup: Setup) -> Iterator[Running]:
    envoy.binary()
    without = ("header_mutation", "ratelimit", "local_ratelimit")
    with _envoy(setup, free_port(), without) as (running, workers):
        yield Running(running.url, workers, (running.process,), running.log)


@contextmanager
def _envoy(setup: Setup, port: int, without: Sequence[str]) -> Iterator[tuple[envoy.Envoy, int]]:
    """Start Envoy without these of its filters; yield how many workers it has, too."""
    workers = int(str(setup.options.get("workers", 2)))

    def changed(config: envoy.Json) -> None:
        names = {f"envoy.filters.http.{one}" for one in without}
        filters = envoy.filters(config)
        filters[:] = [one for one in filters if one["name"] not in names]
        envoy.be_patient(config)

    with envoy.running(
        "envoy.yaml", setup.folder, origin=urlsplit(setup.origin_url).port or 0, tidegate=port,
        workers=workers, changed=changed,
    ) as running:  # fmt: skip
        yield running, workers


@contextmanager
def _decider(setup: Setup) -> Iterator[tuple[subprocess.Popen[bytes], int, Path]]:
    port, log = free_port(), setup.folder / "rls.log"
    token = setup.folder / "token"
    if setup.token is not None:
        token.write_text(f"{setup.token}\n")
    command = [
        *(sys.executable, "-m", "scaler.cli", "rls", "--endpoint", setup.endpoint_url),
        *("--service", setup.service, "--instance", setup.instance),
        *("--listen", f"127.0.0.1:{port}"),
        *(["--token-file", str(token)] if setup.token is not None else []),
        *(["--dry-run"] if setup.options.get("dry_run") else []),
    ]
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=setup.folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        listening(port, process, log)
        yield process, port, log
    finally:
        ended(process)
