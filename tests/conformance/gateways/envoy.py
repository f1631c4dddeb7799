"""Envoy, which asks `scaler rls` beside it about each request; from deploy/gateways/envoy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.conformance.gateways import Capability
from tests.conformance.setup import Running, Setup, ended, free_port, listening
from tests.peers import envoy

UNSUPPORTED: dict[Capability, str] = {}
ROOT = Path(__file__).resolve().parents[3]


@contextmanager
def start(setup: Setup) -> Iterator[Running]:
    envoy.binary()
    with _decider(setup) as (decider, port, log):
        workers = int(str(setup.options.get("workers", 2)))
        with envoy.running(
            "envoy.yaml",
            setup.folder,
            origin=urlsplit(setup.origin_url).port or 0,
            tidegate=port,
            workers=workers,
            changed=_without_second_limit,
        ) as running:
            # One process decides for all workers, so there is one instance.
            yield Running(running.url, workers, (decider, running.process), log)


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


def _without_second_limit(config: envoy.Json) -> None:
    """Take out what limits while nothing is decided: the suite asks what a lease alone does."""
    chain = config["static_resources"]["listeners"][0]["filter_chains"][0]
    filters = chain["filters"][0]["typed_config"]["http_filters"]
    filters[:] = [one for one in filters if not one["name"].endswith("local_ratelimit")]
