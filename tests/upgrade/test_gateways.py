"""Files that users have copied into nginx and HAProxy go on working with today's endpoint."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import httpx
import pytest

from scaler.adapters.http.app import create_app
from scaler.adapters.http.server import Address, ApiServer
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from tests.conformance import gateways
from tests.conformance.leases import SHOP
from tests.conformance.origin import Origin
from tests.conformance.scripted import ScriptedEndpoint
from tests.conformance.setup import CLASS_HEADER, CLIENT_HEADER, Setup
from tests.conformance.site import started
from tests.scaler.adapters.http.snapshots import SHORT, snapshot, view
from tests.upgrade.v0_1_0 import read, unpacked
from tests.waiting import eventually

# One replica that serves so little is out of room for ten seconds, however slow this machine is.
SCARCE, PLENTY = 0.1, 10_000.0
HEADERS = {CLASS_HEADER: "pay", CLIENT_HEADER: "client-1"}


class Watched:
    """The endpoint, and how many of which requests it answered with which status."""

    def __init__(self, app) -> None:
        self._app = app
        self.answered: Counter[tuple[str, int]] = Counter()

    def __getattr__(self, name: str):
        return getattr(self._app, name)

    async def __call__(self, scope, receive, send) -> None:
        async def seen(message):
            if message["type"] == "http.response.start":
                self.answered[scope["method"], message["status"]] += 1
            await send(message)

        await self._app(scope, receive, seen if scope["type"] == "http" else send)


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_the_files_of_before_keep_today_s_limit_and_report_to_it(name, tmp_path):
    shipped = unpacked("gateways", tmp_path / "old") / "gateways" / name
    holder, gateway = SnapshotHolder(), gateways.known()[name]
    holder.publish(snapshot(limited(SCARCE)))
    app = Watched(create_app(holder, ApiSettings(learns_shares=False), epoch="c0ff"))
    (tmp_path / "new").mkdir()
    with ApiServer(app, Address(port=0)) as server, Origin() as origin:
        options = {"shipped": shipped}
        setup = Setup(server.url, origin.url, SHOP, f"gw-{name}", tmp_path / "new", options=options)
        with started(gateway, setup) as running:
            eventually(lambda: asked(running.url).status_code == 429)
            refused = asked(running.url)
            assert refused.status_code == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.headers["ratelimit-policy"].startswith('"default";q=')
            eventually(lambda: app.answered["POST", 200] > 0)
            holder.publish(snapshot(limited(PLENTY), tick=2))
            eventually(lambda: [asked(running.url).status_code for _ in range(5)] == [200] * 5)
            said = running.log.read_text(errors="replace")
    assert {status for _, status in app.answered} <= {
        200,
        304,
        499,
    }  # who is stopped while it waits hears nothing
    assert "lease refused" not in said


@pytest.mark.parametrize("name", ["nginx", "haproxy", "asgi"])
@pytest.mark.parametrize("said", ["lease", "reported", "plain"])
def test_today_s_gateways_take_what_an_endpoint_of_before_hands_out(name, said, tmp_path):
    """Gateways may be upgraded first: each takes the lease, and asks again by its ETag."""
    body = {**read(f"http/{said}.json")["body"], "service": SHOP}
    with ScriptedEndpoint() as endpoint, Origin() as origin:
        endpoint.set({**body, "refresh_s": 0.4})
        setup = Setup(endpoint.url, origin.url, SHOP, f"gw-{name}", tmp_path)
        with started(gateways.known()[name], setup) as running:
            eventually(lambda: asked(running.url).status_code in (200, 429))
            eventually(lambda: held(endpoint, body))
            said_so = running.log.read_text(errors="replace")
    assert "lease refused" not in said_so


def held(endpoint: ScriptedEndpoint, body: dict) -> bool:
    """Return whether a gateway has reported what it was admitted under that lease."""
    return any(
        (one["epoch"], one["version"]) == (body["epoch"], body["version"])
        for one in endpoint.reports
    )


def limited(qps: float):
    """Return prod/shop with so much for all."""
    shop = view(ready=1, each_qps=qps, lease=SHORT)
    limit = replace(shop.published_limit.limit, burst=1 if qps == SCARCE else 1000)
    return replace(shop, published_limit=replace(shop.published_limit, limit=limit))


def asked(url: str) -> httpx.Response:
    return httpx.get(url, headers=HEADERS, trust_env=False)
