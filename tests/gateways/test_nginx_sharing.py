"""nginx and the real endpoint: shares of one limit, clients that abuse it, and TLS."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from scaler.adapters.api.serving import Address, Tls
from scaler.adapters.api.settings import ApiSettings, LeaseTerms
from tests.conformance.gateways import nginx
from tests.conformance.leases import SHOP
from tests.conformance.load import Offered, offering
from tests.conformance.origin import Origin
from tests.conformance.setup import Running, Setup, ended
from tests.gateways.nginx_site import status, until
from tests.scaler.adapters.api.boards import board, view
from tests.scaler.adapters.api.conftest import Endpoint, served

QUICK = ApiSettings(terms=LeaseTerms(valid_for_s=2.5, refresh_s=0.5, transit_s=0.5), learning_s=0.0)
LIMIT = 80.0


@contextmanager
def shop(limit: float, settings: ApiSettings = QUICK, **how) -> Iterator[Endpoint]:
    """Serve a limit of so many rps on prod/shop, all in one class."""
    whole = view(ready=4, each_qps=limit / 4)
    offer = replace(whole.offer, classes=())
    with served(settings, **how) as endpoint:
        endpoint.holder.publish(board(replace(whole, offer=offer)))
        yield endpoint


@contextmanager
def gateways(
    endpoint: Endpoint, folder: Path, names: Sequence[str], **options: object
) -> Iterator[list[Running]]:
    """Run an nginx of each name; they hold a share each."""
    with ExitStack() as stack:
        origin = stack.enter_context(Origin())
        running = []
        for name in names:
            (folder / name).mkdir()
            setup = Setup(
                endpoint.server.url, origin.url, SHOP, name, folder / name, options=options
            )
            running.append(stack.enter_context(nginx.start(setup)))
        for one in running:
            until(lambda one=one: "version" in status(one.url))
        yield running


@pytest.fixture(scope="module")
def shared(nginx_parts, tmp_path_factory) -> list[Offered]:
    """What became of 90 and 30 rps at two gateways; the second one dies after 7 s."""
    with (
        shop(LIMIT) as endpoint,
        gateways(endpoint, tmp_path_factory.mktemp("nginx"), ["large", "small"]) as both,
    ):
        loads = [
            offering(one.url, rps, 13, fresh=True) for one, rps in zip(both, (90, 30), strict=True)
        ]
        time.sleep(7.0)
        ended(both[1].processes[0])
        return [load.result(40) for load in loads]


def test_two_gateways_share_a_limit_by_what_they_need(shared):
    large, small = shared

    assert small.rate(200, 3, 6.5) >= 0.97 * 30  # it wants less than half, and gets it
    assert 80 * 0.98 - 30 - 3 <= large.rate(200, 3, 6.5) <= 80 - 30 + 2  # the rest, but a reserve


def test_two_gateways_never_exceed_the_limit_together_also_while_one_dies(shared):
    by_second = [sum(parts) for parts in zip(*(one.per_second(200) for one in shared), strict=True)]

    assert sum(by_second[1:]) <= LIMIT * 12 * 1.03
    assert max(by_second[1:]) <= LIMIT + 10  # a tenth of a second's burst, and one for each


def test_what_a_dead_gateway_held_goes_to_the_other(shared):
    large, small = shared

    assert small.count(200, 8) == 0
    assert large.rate(200, 11.5) >= LIMIT * 0.9


def test_twenty_abusive_clients_among_two_thousand_are_shed(nginx_parts, tmp_path):
    with (
        shop(2000.0) as endpoint,
        gateways(endpoint, tmp_path, ["gw"], client_window_s=6) as (one,),
    ):
        loads = [
            offering(one.url, 160, 17, clients=[f"abuser-{i}" for i in range(20)]),
            offering(one.url, 40, 17, clients=2000),
        ]
        abusive, normal = [load.result(40) for load in loads]

    # Its window must have passed before anybody can be called abusive.
    assert abusive.rate(429, 10) >= 0.95 * 160
    assert normal.count(429) <= 0.01 * len(normal.answers)


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a certificate that vouches for itself; return it and its key."""
    if shutil.which("openssl") is None:
        if "CI" in os.environ:  # noqa: TID251 - the test set-up decides what CI may skip
            pytest.fail("CI must test TLS: install openssl")
        pytest.skip("no openssl here to make certificates with")
    made = folder / f"{name}.pem", folder / f"{name}.key"
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "2", "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"),
        *("-out", str(made[0]), "-keyout", str(made[1])),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=20)
    return made


@pytest.mark.parametrize(("name", "is_believed"), [("tidegate.test", True), ("other.test", False)])
def test_over_tls_it_believes_only_who_bears_the_name(nginx_parts, tmp_path, name, is_believed):
    tls = Tls(*certificate(tmp_path, name))
    settings = replace(QUICK, allow_anonymous=True)
    (tmp_path / "gw").mkdir()
    with shop(50.0, settings, address=Address(port=0, tls=tls), verify=False) as endpoint:
        options = {"ca": tls.certificate, "server_name": "tidegate.test"}
        setup = Setup(
            endpoint.server.url, "http://127.0.0.1:9", SHOP, "gw", tmp_path / "gw", options=options
        )
        with nginx.start(setup) as running:
            told = "version c0ff/" if is_believed else "TLS handshake failed"
            until(lambda: told in running.log.read_text())
            assert ("version" in status(running.url)) is is_believed
