"""tidegate's own endpoint, with a board that says one limit, and gateways that ask it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from scaler.adapters.http.app import create_app
from scaler.adapters.http.server import Address, ApiServer
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from tests.conformance.gateways import Gateway
from tests.conformance.leases import SHOP
from tests.conformance.origin import Origin
from tests.conformance.setup import Running, Setup
from tests.conformance.site import started
from tests.scaler.adapters.envoy.lease_services import limited
from tests.scaler.adapters.http.snapshots import SHORT


@dataclass(frozen=True)
class RealSite:
    """An endpoint, an origin, and whatever gateways are started between them."""

    endpoint_url: str
    origin: Origin
    limit_qps: float

    @contextmanager
    def start(self, gateway: Gateway, folder: Path) -> Iterator[Running]:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"gw-{folder.name}"
        setup = Setup(self.endpoint_url, self.origin.url, SHOP, name, folder)
        with started(gateway, setup) as running:
            yield running


@contextmanager
def real_site(qps: float) -> Iterator[RealSite]:
    """Serve a limit of about so much, and half a second's burst; the site says what it is."""
    published, holder = limited(qps, burst=round(qps / 2), lease=SHORT), SnapshotHolder()
    holder.publish(published)
    settings = ApiSettings(learns_shares=False, stale_after_s=3600.0)
    told = published.services[SHOP].published_limit
    assert told is not None
    with ExitStack() as stack:
        app = create_app(holder, settings, epoch="c0ff")
        server = stack.enter_context(ApiServer(app, Address(port=0)))
        origin = stack.enter_context(Origin())
        yield RealSite(server.url, origin, told.limit.qps)
