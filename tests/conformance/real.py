"""tidegate's own endpoint, with a board that says one limit, and gateways that ask it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from scaler.adapters.http.app import create_app
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.server import Address, ApiServer
from scaler.adapters.http.settings import ApiSettings, LeaseTerms
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.snapshot import ServiceView
from tests.conformance.gateways import Gateway
from tests.conformance.leases import SHOP
from tests.conformance.origin import Origin
from tests.conformance.setup import Running, Setup
from tests.conformance.site import started
from tests.scaler.adapters.http.snapshots import snapshot, view

# So short that a test sees a gateway's share expire.
TERMS = LeaseTerms(valid_for_s=2.0, refresh_s=0.4, transit_s=0.5)


def limited_to(qps: float) -> ServiceView:
    """Return prod/shop with a limit of so much, half a second's burst, and no classes."""
    shop = view(ready=1, each_qps=qps)
    assert shop.offer is not None
    limit = replace(shop.offer.limit, burst=round(qps / 2))
    offer = replace(shop.offer, classes=(), limit=limit)
    return replace(shop, policy=replace(shop.policy, classes=()), offer=offer)


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
    """Serve a limit of about so much: what it is to the letter, the site says."""
    shop, holder = limited_to(qps), SnapshotHolder()
    holder.publish(snapshot(shop))
    settings = ApiSettings(terms=TERMS, learning_s=0.0)
    assert shop.offer is not None
    with ExitStack() as stack:
        app = create_app(holder, settings, lease_service=LeaseService(holder, settings, "c0ff"))
        server = stack.enter_context(ApiServer(app, Address(port=0)))
        origin = stack.enter_context(Origin())
        yield RealSite(server.url, origin, shop.offer.limit.qps)
