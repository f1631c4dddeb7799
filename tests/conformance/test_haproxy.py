"""What is HAProxy's own: its configuration, a reload, its metrics, and many of it on one limit."""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conformance.bucket_law import Bucket, excess, room
from tests.conformance.gateways import haproxy
from tests.conformance.leases import SHOP, class_part
from tests.conformance.load import offer, offering, underway
from tests.conformance.ratelimit_fields import LIMIT, read
from tests.conformance.setup import CLASS_HEADER, Running, Setup
from tests.conformance.site import Site, site
from tests.peers.haproxy import HAProxy
from tests.waiting import PATIENCE_S, eventually

# By so many requests it may be off: its threads read their clocks at different moments.
NEARLY = 2.0


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Iterator[Site]:
    with site(haproxy, tmp_path_factory.mktemp("haproxy") / "one") as one:
        yield one


def metric(running: Running, line: str) -> float:
    """Return a series, named as the exposition names it."""
    socket_ = str(running.log.parent / "metrics.sock")
    with httpx.Client(transport=httpx.HTTPTransport(verify=False, uds=socket_)) as client:
        text = client.get("http://haproxy/tidegate/metrics").text
    found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
    assert found, f"no {line} in\n{text}"
    return float(found[1])


def test_a_lease_grows_old_although_the_poll_hangs(here):
    here.hand_out(50.0, burst=8, valid_for_s=1.2, refresh_s=0.4, safe_rps=10.0)
    before = here.log.count("stage safe")
    here.endpoint.hang()
    safe = f'tidegate_lease_stage{{service="{SHOP}",stage="safe"}}'
    eventually(lambda: metric(here.running, safe) == 1)
    offered = offer(here.url, 60, 2)
    here.endpoint.hang(hanging=False)

    assert excess(offered.answers, Bucket(10, 8)) <= NEARLY
    assert room(offered.answers, Bucket(10, 8)) <= NEARLY
    assert here.log.count("stage safe") == before + 1


def test_a_request_without_any_header_is_limited_too(here):
    here.hand_out(1.0, burst=1)
    port = int(here.url.rpartition(":")[2])
    statuses = []
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as raw:
            raw.sendall(b"GET / HTTP/1.0\r\n\r\n")
            statuses.append(raw.recv(4096).split(b" ", 2)[1])

    assert statuses.count(b"429") >= 3


def test_an_admitted_request_is_told_nothing_where_one_more_takes_longer_than_a_second(here):
    here.hand_out(0.5, burst=3)
    slow = offer(here.url, 50, 0.2)
    here.hand_out(50.0, burst=20)
    fast = offer(here.url, 50, 0.2)

    assert "ratelimit" not in slow.first(200).headers
    assert slow.first(429).headers["ratelimit"] == '"default";r=0;t=2'
    assert read(LIMIT, fast.first(200).headers[LIMIT])["default"]["t"] == 1


def test_a_header_that_only_contains_the_name_is_another(here):
    stress = class_part("stress", 1, 1, priority=9, match={"header": "x-stress-test"})
    here.hand_out(200.0, burst=50, classes=[stress])
    near = offer(here.url, 50, 0.6, headers={"x-stress-tested": "1", "my-x-stress-test": "1"})
    meant = offer(here.url, 50, 0.6, headers={"x-stress-tested": "1", "X-Stress-Test": "1"})

    assert near.statuses() == {200: 30}
    name = f'tidegate_requests_total{{service="{SHOP}",class="stress",verdict="%s"}}'
    assert metric(here.running, name % "admitted") == meant.count(200)
    assert metric(here.running, name % "denied") == meant.count(429)


def test_many_requests_pass_without_lua_and_the_limit_holds_to_the_letter(tmp_path):
    with site(haproxy, tmp_path / "books", options={"books": True}) as one:
        passes = f'tidegate_passes_total{{service="{SHOP}"}}'
        one.hand_out(1000.0, burst=500)
        roomy = offer(one.url, 100, 1.5)
        taken = metric(one.running, passes)
        with underway(one.url, 100) as falls:
            eventually(lambda: metric(one.running, passes) > max(taken, 75))
            one.hand_out(30.0, burst=10)
            fallen = time.monotonic()
            eventually(lambda: len(falls.since(fallen)) >= 250)
        admitted = f'tidegate_requests_total{{service="{SHOP}",class="",verdict="admitted"}}'
        let_in = sum(one.status == 200 for one in [*roomy.answers, *falls.answers])

        assert roomy.statuses() == {200: 150}
        # Passes that were laid out before the fall are used up, or over within a tick.
        late = falls.since(fallen)[15:]
        assert excess(late, Bucket(30, 10)) <= NEARLY
        assert room(late, Bucket(30, 10)) <= NEARLY
        eventually(lambda: metric(one.running, admitted) == let_in)


def test_no_stress_takes_the_pass_of_another_class(tmp_path):
    stress = class_part("stress", 2, 2, priority=9, match={"header": "x-stress-test"})
    with site(haproxy, tmp_path / "stress", options={"books": True}) as one:
        one.hand_out(200.0, burst=40, classes=[class_part("pay", 100, 200), stress])
        pay = {CLASS_HEADER: "pay"}
        calm = offering(one.url, 60, 2, headers=pay)
        stressed = offer(one.url, 60, 2, headers={**pay, "x-stress-test": "1"})

        # Its burst is as deep as the share's.
        assert room(calm.result(PATIENCE_S).answers, Bucket(100, 40)) <= NEARLY
        assert excess(stressed.answers, Bucket(2, 40)) <= NEARLY
        passes = f'tidegate_passes_total{{service="{SHOP}"}}'
        eventually(lambda: metric(one.running, passes) > 30)


def test_no_pass_is_given_where_a_class_is_known_by_a_header_that_no_rule_looks_for(tmp_path):
    other = class_part("batch", 2, 2, priority=9, match={"header": "x-batch"})
    with site(haproxy, tmp_path / "other", options={"books": True}) as one:
        one.hand_out(200.0, burst=40, classes=[other])
        before = metric(one.running, f'tidegate_passes_total{{service="{SHOP}"}}')
        offer(one.url, 60, 0.5)

        assert metric(one.running, f'tidegate_passes_total{{service="{SHOP}"}}') == before


def test_a_reload_keeps_the_limit_and_ends_the_old_worker(tmp_path):
    options = {"without_lease": "20"}
    with site(haproxy, tmp_path / "reloaded", options=options) as one:
        one.hand_out(20.0, burst=10, valid_for_s=3.0)  # no poll keeps the old worker for longer
        first = _workers(one.running)
        with underway(one.url, 60) as load:
            eventually(lambda: len(load.answers) >= 60)
            asked = len(one.endpoint.asked)
            haproxy.reload(one.running)
            eventually(lambda: len(last := _workers(one.running)) == 1 and last != first)
            # A new worker has no lease to name; the old one held this already.
            eventually(lambda: "" in {it.etag for it in one.endpoint.asked[asked:]})
            one.endpoint.held()
            alone = time.monotonic()
            eventually(lambda: len(load.since(alone)) >= 120)

        assert {one.status for one in load.answers} == {200, 429}
        # A new worker begins with an empty bucket: one burst more. Both count while both serve.
        assert excess(load.answers, Bucket(40, 20)) <= NEARLY
        assert excess(load.since(alone), Bucket(20, 10)) <= NEARLY
        assert room(load.since(alone), Bucket(20, 10)) <= NEARLY


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
        "TIDEGATE_LUA": str(haproxy.installed(tmp_path)),
        name: value,
    }
    checked = subprocess.run(
        [real.program, "-c", "-f", haproxy.SHIPPED / "haproxy.cfg"],
        env=real.environment(options),
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )

    assert checked.returncode != 0
    assert name in checked.stderr
    assert why in checked.stderr
