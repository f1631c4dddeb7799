"""nginx asks over TLS."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from scaler.adapters.http.server import Address, Tls
from scaler.adapters.http.settings import ApiSettings
from tests.conformance.gateways import nginx
from tests.conformance.leases import SHOP
from tests.conformance.setup import Setup
from tests.gateways.nginx_site import status
from tests.missing import missing
from tests.scaler.adapters.http.conftest import served
from tests.waiting import PATIENCE_S, eventually


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate that vouches for itself; return it and its key."""
    if shutil.which("openssl") is None:
        missing("no openssl here to make certificates with")
    made = folder / f"{name}.pem", folder / f"{name}.key"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
        *("-out", str(made[0]), "-keyout", str(made[1])),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    return made


@pytest.mark.parametrize(("name", "is_believed"), [("tidegate.test", True), ("other.test", False)])
def test_over_tls_it_believes_only_who_bears_the_name(nginx_parts, tmp_path, name, is_believed):
    tls = Tls(*certificate(tmp_path, name))
    settings = ApiSettings(learns_shares=False, allow_anonymous=True)
    (tmp_path / "gw").mkdir()
    with served(settings, Address(port=0, tls=tls), verify=False) as endpoint:
        options = {"ca": tls.certificate, "tls_server_name": "tidegate.test"}
        setup = Setup(
            endpoint.server.url, "http://127.0.0.1:9", SHOP, "gw", tmp_path / "gw", options=options
        )
        with nginx.start(setup) as running:
            told = "version c0ff/" if is_believed else "TLS handshake failed"
            eventually(lambda: told in running.log.read_text())
            assert ("version" in status(running.url)) is is_believed
