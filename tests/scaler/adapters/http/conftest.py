"""An endpoint on loopback, and clients of it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from scaler.adapters.envoy.decider import RateLimitDecider
from scaler.adapters.envoy.local_limiters import LocalLimiters
from scaler.adapters.http.app import create_app
from scaler.adapters.http.ratelimit_json import add_rate_limit
from scaler.adapters.http.server import Address, ApiServer
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.reign import Reign
from scaler.limits.lease import LeaseTerms
from tests.missing import missing
from tests.scaler.adapters.http.snapshots import snapshot, view
from tests.waiting import PATIENCE_S

CA = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
LEAF = ("basicConstraints=critical,CA:FALSE", "subjectAltName=IP:127.0.0.1")


@dataclass
class Endpoint:
    holder: SnapshotHolder
    server: ApiServer
    client: httpx.Client

    @property
    def port(self) -> int:
        return self.server.port


@contextmanager
def served(
    settings: ApiSettings | None = None,
    address: Address | None = None,
    *,
    ticked: bool = True,
    lease: LeaseTerms = LeaseTerms(),  # noqa: B008 - it is frozen
    reign: Callable[[], Reign | None] = lambda: None,
    **client: object,
) -> Iterator[Endpoint]:
    """Serve prod/shop; ``client`` holds options of the HTTP client."""
    holder = SnapshotHolder(reign=reign)
    if ticked:
        holder.publish(snapshot(view(lease=lease)))
    address = address or Address(port=0)
    trusted = address.tls is not None and address.tls.client_ca is not None
    app = create_app(
        holder, settings or ApiSettings(learns_shares=False), epoch="c0ff", trusted_peers=trusted
    )
    limiters = LocalLimiters(app.state.lease_service, "rls-here", holder.clock)
    add_rate_limit(app, RateLimitDecider(limiters, holder.clock).decide)
    with ApiServer(app, address, [limiters]) as server:
        options = {"timeout": PATIENCE_S, "trust_env": False, **client}
        with httpx.Client(base_url=server.url, **options) as asking:
            yield Endpoint(holder, server, asking)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with served() as running:
        yield running


@pytest.fixture(scope="module")
def standing() -> Iterator[Endpoint]:
    """An endpoint for many tests that leave no state in it."""
    with served() as running:
        yield running


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA, a server and a client certificate of it, and one of another CA."""
    folder = tmp_path_factory.mktemp("certificates")
    issue(folder, "ca", CA)
    issue(folder, "server", LEAF, "ca")
    issue(folder, "client", LEAF, "ca")
    issue(folder, "stranger", LEAF)
    return folder


def issue(
    folder: Path, name: str, extensions: tuple[str, str] = LEAF, signer: str = "", days: int = 2
) -> None:
    """Write ``name.pem`` and ``name.key``; without a signer it signs itself."""
    if shutil.which("openssl") is None:
        missing("no openssl here to make certificates with")
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", str(days), "-subj", f"/CN={name}", "-keyout", f"{name}.key"),
        *("-out", f"{name}.pem", "-addext", extensions[0], "-addext", extensions[1]),
        *(("-CA", f"{signer}.pem", "-CAkey", f"{signer}.key") if signer else ()),
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
