"""The ASGI middleware, in front of an application that asks the origin; under uvicorn."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.conformance.gateways import Capability
from tests.conformance.setup import Running, Setup, ended, free_port, listening
from tests.paths import ROOT

UNSUPPORTED: dict[Capability, str] = {}


def start(setup: Setup) -> AbstractContextManager[Running]:
    return _start(setup, "create")


def start_bare(setup: Setup) -> AbstractContextManager[Running]:
    return _start(setup, "create_bare")


@contextmanager
def _start(setup: Setup, factory: str) -> Iterator[Running]:
    port, log = free_port(), setup.folder / "uvicorn.log"
    workers = int(str(setup.options.get("workers", 1)))
    token = setup.folder / "token"
    if setup.token is not None:
        token.write_text(f"{setup.token}\n")
    environment = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "ENDPOINT_URL": setup.endpoint_url,
        "ORIGIN_URL": setup.origin_url,
        "SERVICE": setup.service,
        "INSTANCE": setup.instance,
        **({"TOKEN_FILE": str(token)} if setup.token is not None else {}),
        **({"DRY_RUN": "1"} if setup.options.get("dry_run") else {}),
    }
    command = [
        sys.executable, "-m", "uvicorn", "--factory", f"tests.conformance.asgi_app:{factory}",
        "--host", "127.0.0.1", "--port", f"{port}", "--workers", f"{workers}", "--no-access-log",
    ]  # fmt: skip
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=setup.folder, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        listening(port, process, log)
        yield Running(f"http://127.0.0.1:{port}", workers, (process,), log, instances=workers)
    finally:
        ended(process)
