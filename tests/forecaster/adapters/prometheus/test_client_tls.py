"""Mutual TLS with certificates made on the spot."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from forecaster.adapters.prometheus.answers import PrometheusAnswer, QueryGrid
from forecaster.adapters.prometheus.client import PrometheusSource
from forecaster.adapters.prometheus.settings import PrometheusSettings
from forecaster.errors import PrometheusError
from tests.forecaster.adapters.prometheus.server import FakeSeries, PrometheusServer, serving
from tests.missing import missing

CA = ("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign")
LEAF = ("basicConstraints=critical,CA:FALSE", "subjectAltName=IP:127.0.0.1")


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with a CA, a server's and a client's certificate, and a CA nobody trusts."""
    if shutil.which("openssl") is None:
        missing("no openssl here to make certificates with")
    folder = tmp_path_factory.mktemp("papers")
    _certify(folder, "ca", CA)
    _certify(folder, "stranger", CA)
    _certify(folder, "server", LEAF, signer="ca")
    _certify(folder, "client", LEAF, signer="ca")
    return folder


def _certify(
    folder: Path, name: str, extensions: tuple[str, ...], signer: str | None = None
) -> None:
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", f"{name}.key"),
        *("-out", f"{name}.pem", "-addext", extensions[0], "-addext", extensions[1]),
        *(("-CA", f"{signer}.pem", "-CAkey", f"{signer}.key") if signer else ()),
    ]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


@pytest.fixture
def server(papers: Path) -> Iterator[PrometheusServer]:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(papers / "server.pem", papers / "server.key")
    tls.load_verify_locations(papers / "ca.pem")
    tls.verify_mode = ssl.CERT_REQUIRED
    served = PrometheusServer({"up": [FakeSeries({}, lambda stamp: "1")]})
    with serving(served, tls) as running:
        yield running


def ask(settings: PrometheusSettings) -> PrometheusAnswer:
    with PrometheusSource(settings) as source:
        return source.query_range("up", QueryGrid(0, 60, 3))


def test_with_the_right_certificates_both_sides_trust_each_other(
    server: PrometheusServer, papers: Path
) -> None:
    settings = PrometheusSettings(
        server.url,
        client_cert=papers / "client.pem",
        client_key=papers / "client.key",
        ca_file=papers / "ca.pem",
        retries=0,
    )
    assert ask(settings).series[0].values.tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    "ca",
    [
        pytest.param("stranger.pem", id="signed by a stranger"),
        pytest.param("client.key", id="a CA file that holds no certificate"),
    ],
)
def test_an_untrusted_server_is_not_asked_again(
    ca: str, server: PrometheusServer, papers: Path
) -> None:
    with pytest.raises(PrometheusError, match=r"no trusted TLS connection.*--ca-file"):
        ask(PrometheusSettings(server.url, ca_file=papers / ca))
    assert server.asked == []


def test_without_a_client_certificate_the_request_is_refused(
    server: PrometheusServer, papers: Path
) -> None:
    with pytest.raises(PrometheusError, match="--client-cert"):
        ask(PrometheusSettings(server.url, ca_file=papers / "ca.pem", retries=0))
    assert server.asked == []
