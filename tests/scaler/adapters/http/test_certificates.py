"""The endpoint's certificate is renewed without a restart, over real TLS on loopback."""

from __future__ import annotations

import contextlib
import http.client
import os
import socket
import ssl
import subprocess
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scaler.adapters.http.certificates import RenewedCertificate, Tls, certificates_in, expiry
from scaler.adapters.http.server import Address
from scaler.adapters.http.settings import ApiSettings
from scaler.commands.endpoint import served as served_command
from tests.scaler.adapters.http.conftest import CA, LEAF, issue, served
from tests.scaler.adapters.http.snapshots import snapshot
from tests.waiting import PATIENCE_S

LIMIT = "/v1/limits/prod/shop?instance=gw-1"


@pytest.fixture
def folder(tmp_path) -> Path:
    """Two pairs, ``old`` and ``new``, each of a CA of its own, and the files that are served."""
    for name in ("old", "new"):
        issue(tmp_path, f"{name}-ca", CA)
        issue(tmp_path, name, LEAF, f"{name}-ca")
    put(tmp_path, "old")
    return tmp_path


def put(folder: Path, name: str, *ends: str) -> None:
    """Copy a pair, or part of it, to where it is served from."""
    for end in ends or ("pem", "key"):
        (folder / f"tls.{end}").write_bytes((folder / f"{name}.{end}").read_bytes())


def tls_of(folder: Path, client_ca: Path | None = None) -> Tls:
    return Tls(folder / "tls.pem", folder / "tls.key", client_ca)


def der(folder: Path, name: str) -> bytes:
    return certificates_in((folder / f"{name}.pem").read_bytes())[0]


def shown(port: int) -> bytes:
    """Return the certificate that a new connection is shown."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as raw,
        context.wrap_socket(raw) as encrypted,
    ):
        return encrypted.getpeercert(binary_form=True) or b""


def test_a_new_pair_is_shown_at_once_and_connections_that_are_kept_live_on(folder, caplog):
    caplog.set_level("INFO")
    with served(address=Address(port=0, tls=tls_of(folder)), verify=False) as endpoint:
        trusting = ssl.create_default_context(cafile=folder / "old-ca.pem")
        kept = http.client.HTTPSConnection("127.0.0.1", endpoint.port, context=trusting)
        with contextlib.closing(kept):
            kept.request("GET", LIMIT)
            kept.getresponse().read()
            before = kept.sock
            assert shown(endpoint.port) == der(folder, "old")
            put(folder, "new")
            assert shown(endpoint.port) == der(folder, "new")
            kept.request("GET", LIMIT)
            answer = kept.getresponse()
            assert answer.status == 200
            assert answer.read()
            assert kept.sock is before
    assert caplog.text.count("certificate read again") == 1


def test_a_secret_of_kubernetes_is_followed_which_swaps_a_link_to_the_folder(folder):
    for name in ("old", "new"):
        (folder / f"..{name}").mkdir()
        for end in ("pem", "key"):
            (folder / f"{name}.{end}").rename(folder / f"..{name}" / f"tls.{end}")
    mounted = folder / "..data"
    mounted.symlink_to("..old")
    for end in ("pem", "key"):
        (folder / f"tls.{end}").unlink()
        (folder / f"tls.{end}").symlink_to(f"..data/tls.{end}")
    with served(address=Address(port=0, tls=tls_of(folder)), verify=False) as endpoint:
        assert shown(endpoint.port) == der(folder / "..old", "tls")
        (folder / "..next").symlink_to("..new")
        os.replace(folder / "..next", mounted)  # noqa: PTH105 - as the kubelet does
        assert shown(endpoint.port) == der(folder / "..new", "tls")


@pytest.mark.parametrize(
    ("ends", "cut", "words"),
    [
        pytest.param(("pem",), None, "mismatch", id="the certificate comes before its key"),
        pytest.param(("key",), None, "mismatch", id="the key comes before its certificate"),
        pytest.param(("pem", "key"), 200, "TLS cannot be set up", id="half written"),
        pytest.param(("pem", "key"), 0, "TLS cannot be set up", id="emptied"),
    ],
)
def test_what_is_no_pair_leaves_the_old_one_and_is_told_once(folder, caplog, ends, cut, words):
    with served(address=Address(port=0, tls=tls_of(folder)), verify=False) as endpoint:
        put(folder, "new", *ends)
        if cut is not None:
            os.truncate(folder / "tls.pem", cut)
        for _ in range(3):
            assert shown(endpoint.port) == der(folder, "old")
        assert caplog.text.count("certificate kept as it was") == 1
        assert words in caplog.text.lower() or words in caplog.text
        put(folder, "new")
        assert shown(endpoint.port) == der(folder, "new")


def test_files_that_are_gone_leave_the_old_pair(folder, caplog):
    with served(address=Address(port=0, tls=tls_of(folder)), verify=False) as endpoint:
        (folder / "tls.key").unlink()
        assert shown(endpoint.port) == der(folder, "old")
    assert "certificate kept as it was" in caplog.text


def test_an_encrypted_key_is_refused_and_no_password_is_asked_for(folder, caplog):
    renewed = RenewedCertificate(tls_of(folder))
    subprocess.run(
        ["openssl", "ec", "-in", "new.key", "-aes256", "-passout", "pass:x", "-out", "tls.key"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    put(folder, "new", "pem")
    assert renewed.latest().certificate == (folder / "old.pem").read_bytes()
    assert "certificate kept as it was" in caplog.text


def test_the_ca_of_clients_is_read_again_too(folder):
    client_ca = folder / "clients.pem"
    client_ca.write_bytes((folder / "old-ca.pem").read_bytes())

    def status(port: int, name: str) -> int:
        context = ssl.create_default_context(cafile=folder / "old-ca.pem")
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        with httpx.Client(verify=context, trust_env=False, timeout=PATIENCE_S) as client:
            try:
                return client.get(f"https://127.0.0.1:{port}/v1/services").status_code
            except httpx.TransportError:
                return 0

    address = Address(port=0, tls=tls_of(folder, client_ca))
    with served(address=address, verify=False) as endpoint:
        assert [status(endpoint.port, name) for name in ("old", "new")] == [200, 0]
        client_ca.write_bytes((folder / "new-ca.pem").read_bytes())
        assert [status(endpoint.port, name) for name in ("old", "new")] == [0, 200]


@pytest.mark.parametrize("days", [2, 400, 20_000], ids=["2 days", "a year", "beyond 2050"])
def test_the_expiry_is_what_openssl_reads(tmp_path, days):
    issue(tmp_path, "any", days=days)
    command = ["openssl", "x509", "-in", "any.pem", "-noout", "-enddate", "-dateopt", "iso_8601"]
    told = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    asked = datetime.fromisoformat(told.removeprefix("notAfter=").strip())
    assert expiry(der(tmp_path, "any")) == asked.timestamp()


def test_a_chain_ends_with_its_first_certificate_and_a_bundle_with_its_last(folder):
    issue(folder, "long", CA, days=30)
    both = (folder / "old.pem").read_bytes() + (folder / "long.pem").read_bytes()
    (folder / "tls.pem").write_bytes(both)
    (folder / "bundle.pem").write_bytes(both)
    found = RenewedCertificate(tls_of(folder, folder / "bundle.pem")).expiries()
    short, long = (expiry(der(folder, name)) for name in ("old", "long"))
    assert found == {"server": short, "client_ca": long}


def test_the_expiry_is_a_metric_and_follows_the_files(folder, capsys):
    issue(folder, "new", LEAF, "new-ca", days=9)
    with contextlib.ExitStack() as stack:
        address = Address(port=0, tls=tls_of(folder))
        served_command(ApiSettings(), address, stack)(snapshot())
        url = capsys.readouterr().out.split()[-1]
        for name in ("old", "new"):
            put(folder, name)
            text = httpx.get(f"{url}/metrics", verify=False, trust_env=False).text
            (sample,) = [
                sample
                for family in text_string_to_metric_families(text)
                for sample in family.samples
                if sample.name == "tidegate_certificate_expiry_timestamp_seconds"
            ]
            assert (sample.labels, sample.value) == (
                {"use": "server"}, expiry(der(folder, name)),
            )  # fmt: skip
