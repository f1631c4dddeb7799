"""nginx asks over TLS."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pytest

from scaler.adapters.http.server import Address, Tls
from scaler.adapters.http.settings import ApiSettings
from tests.conformance.gateways import nginx
from tests.conformance.leases import SHOP
from tests.conformance.load import underway
from tests.conformance.origin import Origin
from tests.conformance.setup import Setup, free_port
from tests.gateways.nginx_site import samples, status
from tests.missing import missing
from tests.scaler.adapters.http.conftest import served
from tests.waiting import PATIENCE_S, eventually

# Of an authority that has issued nothing yet; `openssl req` makes no certificate of the past.
AUTHORITY = """
[ca]
default_ca = own
[own]
database = {folder}/issued
serial = {folder}/serial
new_certs_dir = {folder}
default_md = sha256
policy = any
[any]
commonName = supplied
[names]
subjectAltName = DNS:{name}
"""


def openssl(*command: str) -> None:
    subprocess.run(["openssl", *command], check=True, capture_output=True, timeout=PATIENCE_S)


def expired(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate that vouched for itself, for a day in 2020; return it and its key."""
    request, made = folder / "old.csr", (folder / "old.pem", folder / "old.key")
    (folder / "issued").touch()
    (folder / "serial").write_text("01\n")
    (folder / "own.cnf").write_text(AUTHORITY.format(folder=folder, name=name))
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj")
    openssl("req", "-new", *curve, f"/CN={name}", "-out", str(request), "-keyout", str(made[1]))
    openssl(
        *("ca", "-batch", "-selfsign", "-config", str(folder / "own.cnf"), "-extensions", "names"),
        *("-startdate", "20200101000000Z", "-enddate", "20200102000000Z"),
        *("-in", str(request), "-keyfile", str(made[1]), "-out", str(made[0]), "-notext"),
    )
    return made


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate that vouches for itself; return it and its key."""
    if shutil.which("openssl") is None:
        missing("no openssl here to make certificates with")
    made = folder / f"{name}.pem", folder / f"{name}.key"
    openssl(
        *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
        *("-out", str(made[0]), "-keyout", str(made[1])),
    )
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


def test_a_certificate_that_expires_fails_no_request_and_a_new_one_is_believed(
    nginx_parts, tmp_path
):
    name, port = "tidegate.test", free_port()
    good, old = Tls(*certificate(tmp_path, name)), Tls(*expired(tmp_path, name))
    trusted = tmp_path / "trusted.pem"
    trusted.write_text(good.certificate.read_text() + old.certificate.read_text())
    settings = ApiSettings(learns_shares=False, allow_anonymous=True)
    (tmp_path / "gw").mkdir()
    options = {"ca": trusted, "tls_server_name": name}

    def serving(tls: Tls) -> AbstractContextManager[object]:
        return served(settings, Address(port=port, tls=tls), verify=False)

    with Origin() as origin, ExitStack() as stack:
        first = stack.enter_context(ExitStack())
        first.enter_context(serving(good))
        setup = Setup(
            f"https://127.0.0.1:{port}", origin.url, SHOP, "gw", tmp_path / "gw", options=options
        )
        running = stack.enter_context(nginx.start(setup))
        eventually(lambda: "version" in status(running.url))
        with underway(running.url, 20) as load:
            first.close()
            with serving(old):
                eventually(lambda: "expired" in running.log.read_text())
                assert samples(running.url)['tidegate_fault{service="prod/shop"}'] == 1
                eventually(lambda: len(load.answers) >= 20)
            with serving(good):
                eventually(lambda: "fault" not in status(running.url))

    assert {one.status for one in load.answers} == {200}
