"""What a gateway is started with, and what is running then."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.waiting import PATIENCE_S

CLASS_HEADER = "x-tidegate-class"
CLIENT_HEADER = "x-client"


class PartMissingError(Exception):
    """A real part (a binary, a module) is not on this machine; the message says which.

    A gateway's `start` raises it; see tests/missing.py for what comes of it.
    """


@dataclass(frozen=True)
class Setup:
    """What a gateway is told.

    Attributes:
        endpoint_url: of tidegate, without a path; origin_url: where admitted requests go.
        service: whose limit it asks for, ``namespace/name``.
        instance: its name. One that asks once per worker appends ``-0``, ``-1``, ...
        folder: empty, its own, for configuration, sockets and logs.
        token: bearer token for the endpoint; None: it is asked without one.
        options: ``workers`` (int; how many, where it can), ``dry_run`` (bool).

    A request's class is in the header `CLASS_HEADER`, or known by the lease's ``match.header``;
    its client is in the header `CLIENT_HEADER`.
    """

    endpoint_url: str
    origin_url: str
    service: str
    instance: str
    folder: Path
    token: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """A gateway that listens.

    Attributes:
        url: of its front, without a path.
        workers: that serve requests.
        processes: that the one who started it ends.
        log: what it wrote: what was refused is looked for there.
        instances: that ask for leases, each with a share of its own: workers of one instance share
            its limit.
    """

    url: str
    workers: int
    processes: tuple[subprocess.Popen[bytes], ...]
    log: Path
    instances: int = 1


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until somebody accepts connections there.

    Raises:
        RuntimeError: the process has ended, or nobody listens in time; with the end of its log.
    """
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until and process.poll() is None:
        with socket.socket() as probe:
            probe.settimeout(PATIENCE_S)
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    said = log.read_text(errors="replace")[-2000:] if log.exists() else "(no log)"
    raise RuntimeError(f"nobody listens on port {port} (exit {process.poll()}):\n{said}")


def ended(process: subprocess.Popen, within_s: float = 30) -> int:
    """End a process by its own id, and return its exit code once it is gone."""
    process.terminate()
    try:
        return process.wait(within_s)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
