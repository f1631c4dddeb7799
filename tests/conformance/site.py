"""A gateway between a scripted endpoint and an origin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.conformance.gateways import Gateway
from tests.conformance.leases import SHOP, lease
from tests.conformance.origin import Origin
from tests.conformance.scripted import ScriptedEndpoint
from tests.conformance.setup import PartMissingError, Running, Setup
from tests.missing import missing


@dataclass
class Site:
    """What one gateway stands between.

    Attributes:
        gateway: that is running here; folder: its own.
        version: of the lease that was set last.
    """

    gateway: Gateway
    folder: Path
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

    def hand_out(self, rps: float, **changes: object) -> int:
        """Hand out a newer lease of ``rps`` in all, and wait until every instance holds it.

        Args:
            rps: of all instances together.
            changes: as `lease` has them.

        Returns:
            Its version.
        """
        self.version += 1
        self.endpoint.set(lease(self.version, rps / self.running.instances, **changes))
        self.endpoint.held(self.running.instances)
        return self.version


@contextmanager
def site(
    gateway: Gateway,
    folder: Path,
    *,
    token: str | None = None,
    options: Mapping[str, object] | None = None,
    is_up: bool = True,
) -> Iterator[Site]:
    """Start a gateway that holds a lease on 100 rps already, or finds no endpoint there."""
    folder.mkdir(parents=True, exist_ok=True)
    with ScriptedEndpoint(token) as endpoint, Origin() as origin:
        endpoint.set(lease(1, 100.0))
        if not is_up:
            endpoint.down()
        setup = Setup(
            endpoint.url, origin.url, SHOP, f"gw-{folder.name}", folder, token, options or {}
        )
        with started(gateway, setup) as running:
            here = Site(gateway, folder, endpoint, origin, running)
            if is_up:
                endpoint.held(running.instances)
            yield here


@contextmanager
def started(gateway: Gateway, setup: Setup) -> Iterator[Running]:
    """Start a gateway; one whose parts are not here is skipped by name, but never in CI."""
    try:
        starting = gateway.start(setup)
        running = starting.__enter__()
    except PartMissingError as reason:
        missing(reason)
    try:
        yield running
    finally:
        starting.__exit__(None, None, None)
