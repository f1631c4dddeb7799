"""What is HAProxy's own: its configuration, a reload, its metrics, and many of it on one limit."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from scaler.adapters.api.settings import ApiSettings, LeaseTerms
from tests.conformance.gateways import haproxy
from tests.conformance.leases import SHOP, class_part
from tests.conformance.load import Offered, offer, offering
from tests.conformance.origin import Origin
from tests.conformance.setup import Running, Setup
from tests.conformance.site import Site, site
from tests.peers.haproxy import HAProxy
from tests.scaler.adapters.api.boards import board, view
from tests.scaler.adapters.api.conftest import Endpoint, served


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Iterator[Site]:
    with site(haproxy, tmp_path_factory.mktemp("haproxy") / "one") as one:
        yield one


def metric(running: Running, line: str) -> float:
    """Return a series, named as the exposition names it."""
    socket_ = str(running.log.parent / "metrics.sock")
    with httpx.Client(transport=httpx.HTTPTransport(uds=socket_)) as client:
        text = client.get("http://haproxy/tidegate/metrics").text
    found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
    assert found, f"no {line} in\n{text}"
    return float(found[1])


def test_a_lease_grows_old_although_the_poll_hangs(here):
    here.hand_out(50.0, burst=2, valid_for_s=1.2, refresh_s=0.4, safe_rps=10.0)
    here.endpoint.hang()
    time.sleep(2.0)  # longer than it is valid, shorter than the poll's time-out
    held = metric(here.running, f'tidegate_lease_stage{{service="{SHOP}",stage="safe"}}')
    offered = offer(here.url, 60, 2)
    here.endpoint.hang(hanging=False)

    assert held == 1
    assert offered.count(200) == pytest.approx(20, abs=3)
    assert here.log.count("stage safe") == 1


def test_a_request_without_any_header_is_limited_too(here):
    here.hand_out(1.0, burst=1)
    port = int(here.url.rpartition(":")[2])
    statuses = []
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port), 5) as raw:
            raw.sendall(b"GET / HTTP/1.0\r\n\r\n")
            statuses.append(raw.recv(4096).split(b" ", 2)[1])

    assert statuses.count(b"429") >= 3


def test_a_header_that_only_contains_the_name_is_another(here):
    stress = class_part("stress", 1, 1, priority=9, match={"header": "x-stress-test"})
    here.hand_out(200.0, burst=50, classes=[stress])
    near = offer(here.url, 50, 1, headers={"x-stress-tested": "1", "my-x-stress-test": "1"})
    meant = offer(here.url, 50, 1, headers={"x-stress-tested": "1", "X-Stress-Test": "1"})

    assert near.statuses() == {200: 50}
    name = f'tidegate_requests_total{{service="{SHOP}",class="stress",verdict="%s"}}'
    assert metric(here.running, name % "admitted") == meant.count(200)
    assert metric(here.running, name % "denied") == meant.count(429)


def test_a_few_abusive_clients_are_refused_and_normal_ones_are_not(here):
    level = {
        "rps": None, "burst": 0, "abusive_above_rps": 0.5, "abusive_rps": 0.1, "reason": "abuse",
    }  # fmt: skip
    here.hand_out(1000.0, burst=200, per_client=level)
    abusers = [f"abuser-{i}" for i in range(20)]
    loads = [
        offering(here.url, 100, 7, clients=2000),
        offering(here.url, 120, 7, clients=abusers),
    ]
    normal, abusive = [load.result(40) for load in loads]

    assert normal.count(429) <= 0.01 * len(normal.answers)
    # Each has put in more than 10 s at 0.5 rps allow when it has sent six requests: one second.
    assert abusive.count(429, 2) >= 0.95 * len(abusive.between(2))


def test_a_reload_keeps_the_limit_and_ends_the_old_worker(tmp_path):
    options = {"without_lease": "20"}
    with site(haproxy, tmp_path / "reloaded", options=options) as one:
        one.hand_out(20.0, burst=2)
        first = _workers(one.running)
        load = offering(one.url, 60, 5)
        time.sleep(1.5)
        haproxy.reload(one.running)
        offered = load.result(30)
        last = _workers(one.running)

        assert offered.count(0) == 0
        assert len(last) == 1
        assert last != first
        # A new worker begins with an empty bucket: one burst more. Both count while both serve.
        assert offered.count(200) <= 20 * 5 + 2 + 2 + 20
        assert offered.count(200, 3) == pytest.approx(40, abs=4)


def _workers(running: Running) -> set[str]:
    pid = running.processes[0].pid
    return set(Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        pytest.param("TIDEGATE_ENDPOINT", "tidegate:8080", "must be http://", id="no scheme"),
        pytest.param("TIDEGATE_SERVICES", "shop", "namespace/name", id="no namespace"),
        pytest.param("TIDEGATE_TOKEN_FILE", "/nowhere", "No such file", id="no token file"),
        pytest.param("TIDEGATE_DRY_RUN", "yes", "must be 0 or 1", id="no switch"),
        pytest.param("TIDEGATE_WITHOUT_LEASE", "-1", "requests per second", id="negative"),
        pytest.param("TIDEGATE_INSTANCE", "gw 1", "letters, digits", id="a space in a name"),
    ],
)
def test_a_wrong_option_is_named_before_it_starts(here, tmp_path, name, value, why):
    real = HAProxy()
    setup = Setup("http://127.0.0.1:9", "http://127.0.0.1:9", SHOP, "gw", tmp_path)
    options = {
        **haproxy.told(setup),
        "TIDEGATE_LUA": str(haproxy.SHIPPED / "tidegate.lua"),
        name: value,
    }
    checked = subprocess.run(
        [real.program, "-c", "-f", haproxy.SHIPPED / "haproxy.cfg"],
        env=real.environment(options), check=False, capture_output=True, text=True, timeout=20,
    )  # fmt: skip

    assert checked.returncode != 0
    assert name in checked.stderr
    assert why in checked.stderr


@dataclass
class Pair:
    endpoint: Endpoint
    gateways: list[Running]


@contextmanager
def two_on_one_limit(folder: Path, terms: LeaseTerms) -> Iterator[Pair]:
    """Start two that share 100 rps of the real endpoint; both hold a lease."""
    told = view(ready=4, each_qps=25.0)
    assert told.offer is not None
    plain = replace(
        told, policy=replace(told.policy, classes=()), offer=replace(told.offer, classes=())
    )
    settings = ApiSettings(terms=terms, learning_s=0.0)
    with ExitStack() as stack:
        endpoint = stack.enter_context(served(settings, ticked=False))
        endpoint.holder.publish(board(plain))
        origin = stack.enter_context(Origin())
        gateways = []
        for name in ("one", "two"):
            (folder / name).mkdir()
            url = f"http://127.0.0.1:{endpoint.port}"
            setup = Setup(url, origin.url, SHOP, name, folder / name)
            gateways.append(stack.enter_context(haproxy.start(setup)))
        until = time.monotonic() + 10
        fresh = f'tidegate_lease_stage{{service="{SHOP}",stage="fresh"}}'
        while time.monotonic() < until and not all(metric(one, fresh) for one in gateways):
            time.sleep(0.1)
        yield Pair(endpoint, gateways)


def test_two_share_a_limit_by_demand_and_never_exceed_it_also_while_one_dies(tmp_path):
    terms = LeaseTerms(valid_for_s=3.0, refresh_s=0.5, transit_s=1.0)
    with two_on_one_limit(tmp_path, terms) as pair:
        limit = pair.endpoint.client.get("/v1/plans/prod/shop").json()["limit"]["qps"]
        loads = [offering(pair.gateways[0].url, 105, 14), offering(pair.gateways[1].url, 35, 14)]
        time.sleep(6)
        pair.gateways[1].processes[0].kill()
        more, less = [load.result(40) for load in loads]

    both = [a + b for a, b in zip(more.per_second(200), less.per_second(200), strict=True)]
    # Both buckets are full once, after that it is the limit; the load's own clock moves a request.
    assert max(both[2:]) <= limit * 1.03 + 2
    assert sum(both[:6]) <= limit * 6 + limit / 10 + 2
    # All that the one wants, but for the tenth by which a report must differ to be news; the other
    # has the rest.
    assert _rate(less, 3, 5.5) == pytest.approx(35, rel=0.2)
    assert _rate(more, 3, 5.5) == pytest.approx(limit * 0.98 - 35, rel=0.15)
    assert less.count(200, 7) == 0
    # Its share is free once its lease, and the time of an answer, are over.
    assert _rate(more, 12, 14) >= 0.95 * 0.98 * limit


def _rate(load: Offered, since: float, until: float) -> float:
    return load.rate(200, since, until)


def test_clients_that_it_reports_as_abusive_are_named_and_refused(tmp_path):
    with two_on_one_limit(tmp_path, LeaseTerms(valid_for_s=5.0, refresh_s=0.5)) as pair:
        url = pair.gateways[0].url
        normal_load = offering(url, 30, 9, clients=60)
        abusive = offer(url, 50, 9, clients=["eve", "mallory"])
        normal = normal_load.result(30)

    # Until its share has grown to what is offered, all are refused alike.
    assert normal.count(429, 4) == 0
    assert abusive.count(429, 5) >= 0.9 * len(abusive.between(5))
