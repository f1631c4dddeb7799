"""A gateway between a scripted endpoint and an origin."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.gateways import Gateway
from tests.conformance.leases import SHOP, Json, lease
from tests.conformance.origin import Origin
from tests.conformance.scripted import ScriptedEndpoint
from tests.conformance.setup import Running, Setup

# From the moment when an answer is sent until every worker acts on it, with slack for a busy core.
TAKEN_IN_S = 0.25


@dataclass
class Site:
    """What one gateway stands between.

    Attributes:
        version: of the lease that was set last.
    """

    endpoint: ScriptedEndpoint
    origin: Origin
    running: Running
    version: int = field(default=1)

    @property
    def url(self) -> str:
        return self.running.url

    @property
    def log(self) -> str:
        return self.running.log.read_text(errors="replace")

    def hand_out(self, rps: float, **changes: object) -> Json:
        """Hand out a newer lease of ``rps`` in all, and wait until it has arrived everywhere."""
        self.version += 1
        body = lease(self.version, rps / self.running.instances, **changes)
        self.endpoint.set(body)
        self.endpoint.told(self.version, self.running.instances)
        time.sleep(TAKEN_IN_S)
        return body


@contextmanager
def site(
    gateway: Gateway,
    folder: Path,
    *,
    token: str | None = None,
    options: Mapping[str, object] | None = None,
    rps: float = 100.0,
) -> Iterator[Site]:
    """Start a gateway with a lease on ``rps``; it holds it already."""
    folder.mkdir(parents=True, exist_ok=True)
    with ScriptedEndpoint(token) as endpoint, Origin() as origin:
        endpoint.set(lease(1, rps))
        setup = Setup(
            endpoint.url, origin.url, SHOP, f"gw-{folder.name}", folder, token, options or {}
        )
        with gateway.start(setup) as running:
            here = Site(endpoint, origin, running)
            endpoint.told(1, running.instances)
            time.sleep(TAKEN_IN_S)
            yield here
