"""What nginx promises beyond the contract that every gateway is held to."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conformance.bucket_law import Bucket, excess
from tests.conformance.gateways import nginx
from tests.conformance.leases import class_part
from tests.conformance.load import offer, underway
from tests.conformance.setup import free_port
from tests.conformance.site import Site, site
from tests.gateways.nginx_site import samples, status, workers_of
from tests.waiting import PATIENCE_S, eventually

WORKERS = 4
# By so many requests it may be off: a worker may fall asleep with a bucket's lock in its hand.
NEARLY = 2.0
LOCATIONS = """
location /rewritten { rewrite ^ /elsewhere break; proxy_pass http://origin;
                      access_by_lua_block { require("tidegate").check() } }
location /sent-on { try_files /nothing /sent-to;
                    access_by_lua_block { require("tidegate").check() } }
location /sent-to { access_by_lua_block { require("tidegate").check() }
                    content_by_lua_block { ngx.say("here") } }
location /crowd {
    content_by_lua_block {
        -- As many clients as have no room in the dicts, each with a request to this limiter.
        local limiter = require("tidegate.core.limiter").new {
            service = "prod/shop", clock = require "tidegate.clock", store = ngx.shared.tidegate,
            clients = ngx.shared.tidegate_clients, newcomers = ngx.shared.tidegate_newcomers,
            curves = ngx.shared.tidegate_clients,
        }
        local passed = 0
        for number = 1, 100000 do
            if limiter:decide(nil, "client-" .. number) == 0 then
                passed = passed + 1
            end
        end
        ngx.say(passed)
    }
}
location /paying { set $tidegate_class pay; proxy_pass http://origin;
                   access_by_lua_block { require("tidegate").check() } }
"""


@pytest.fixture(scope="module")
def crew(nginx_parts, tmp_path_factory) -> Iterator[Site]:
    """An nginx of four workers."""
    options = {"workers": WORKERS, "locations": LOCATIONS}
    with site(nginx, tmp_path_factory.mktemp("nginx") / "crew", options=options) as here:
        yield here


def test_one_worker_asks_for_all(crew):
    crew.hand_out(100.0)
    began, before = time.monotonic(), len(crew.endpoint.reports)
    eventually(lambda: len(crew.endpoint.reports) >= before + 4)
    took = time.monotonic() - began

    # Each 0.4 s; were there four, they would come four times as fast.
    assert took >= 3 * 0.4 / 2


def test_when_the_poller_dies_another_worker_goes_on(crew):
    crew.hand_out(100.0)
    died = status(crew.url)["poller_pid"]
    os.kill(died, signal.SIGKILL)
    eventually(lambda: status(crew.url).get("poller_pid", died) != died)
    crew.hand_out(50.0)

    assert status(crew.url)["limit_rps"] == 50


def test_every_worker_names_the_new_limit(crew):
    crew.hand_out(1000.0, burst=500)
    with underway(crew.url, 100, fresh=True) as load:
        eventually(lambda: len(load.answers) >= 50)
        crew.hand_out(700.0, burst=500)
        held = time.monotonic()
        eventually(lambda: len({one.headers["x-worker"] for one in load.since(held)}) == WORKERS)

    assert {one.policy_rps for one in load.since(held)} == {700}


def test_a_reload_keeps_lease_buckets_and_counters_though_the_endpoint_is_gone(crew):
    crew.hand_out(5.0, burst=30)
    first = offer(crew.url, 60, 1)
    counted = samples(crew.url)[
        'tidegate_requests_total{service="prod/shop",class="",verdict="denied"}'
    ]
    crew.endpoint.down()
    before = workers_of(crew.log)
    nginx.reload(crew.running)
    eventually(lambda: workers_of(crew.log) >= before + WORKERS)
    again = offer(crew.url, 60, 1, fresh=True)
    crew.endpoint.up()

    # 30 more would be a new bucket.
    assert excess([*first.answers, *again.answers], Bucket(5.0, 30)) <= NEARLY
    assert samples(crew.url)[
        'tidegate_requests_total{service="prod/shop",class="",verdict="denied"}'
    ] >= counted + again.count(429)
    crew.hand_out(100.0)
    assert status(crew.url)["stage"] == "fresh"


def test_a_reload_fails_no_request_and_a_killed_worker_none_but_those_in_its_hands(crew):
    crew.hand_out(1000.0, burst=500)
    with underway(crew.url, 100, fresh=True) as load:
        before = workers_of(crew.log)
        nginx.reload(crew.running)
        eventually(lambda: workers_of(crew.log) >= before + WORKERS)
        eventually(lambda: len(load.answers) >= 100)
        reloaded, so_far = {one.status for one in load.answers}, len(load.answers)
        os.kill(status(crew.url)["poller_pid"], signal.SIGKILL)
        eventually(lambda: workers_of(crew.log) >= before + WORKERS + 1)
        crew.hand_out(900.0, burst=500)
        eventually(lambda: len(load.answers) >= so_far + 100)

    assert reloaded == {200}
    statuses = Counter(one.status for one in load.answers)
    assert set(statuses) <= {200, 0}
    assert statuses[0] <= 2


def test_a_request_that_is_sent_on_counts_once_and_a_rewritten_one_counts(crew):
    crew.hand_out(1000.0)
    time.sleep(0.2)  # whatever was in the bucket has drained
    crew.hand_out(1.0, burst=10)
    sent_on = offer(f"{crew.url}/sent-on", 50, 0.4)
    crew.hand_out(2.0, burst=1)
    rewritten = offer(f"{crew.url}/rewritten", 50, 0.4)

    assert sent_on.count(200) >= 8  # were each counted twice it were 5
    assert excess(sent_on.answers, Bucket(1.0, 10)) <= NEARLY
    assert excess(rewritten.answers, Bucket(2.0, 1)) <= NEARLY


def test_a_hundred_thousand_clients_fail_no_request_and_leave_the_lease_where_it_is(crew):
    crew.hand_out(1_000_000.0, burst=1_000_000)
    with underway(crew.url, 40, fresh=True, clients=20) as load:
        eventually(lambda: len(load.answers) >= 20)
        passed = httpx.get(f"{crew.url}/crowd", trust_env=False, timeout=PATIENCE_S).text
        came = time.monotonic()
        eventually(lambda: len(load.since(came)) >= 40)

    assert int(passed) == 100_000
    assert {one.status for one in load.answers} == {200}
    assert status(crew.url)["limit_rps"] == 1_000_000
    name = 'tidegate_requests_total{service="prod/shop",class="",verdict="admitted"}'
    assert samples(crew.url)[name] >= 100_000
    assert "no memory" not in crew.log


def test_a_class_may_be_set_by_the_gateways_own_configuration(crew):
    crew.hand_out(100.0, burst=50, classes=[class_part("pay", 99, 100)])
    paying = offer(f"{crew.url}/paying", 40, 1)
    counted = 'tidegate_requests_total{service="prod/shop",class="%s",verdict="admitted"}'

    assert paying.statuses() == {200: 40}
    assert samples(crew.url)[counted % "pay"] == 40


def test_metrics_tell_what_was_decided_and_by_which_limit(crew):
    crew.hand_out(20.0)
    before = samples(crew.url)
    offered = offer(crew.url, 60, 1)
    after = samples(crew.url)
    for verdict, code in (("admitted", 200), ("denied", 429)):
        name = f'tidegate_requests_total{{service="prod/shop",class="",verdict="{verdict}"}}'
        assert after[name] - before[name] == offered.count(code)

    shop = '{service="prod/shop"'
    assert after[f"tidegate_limit_rps{shop}}}"] == 20
    assert after[f"tidegate_enforcing{shop}}}"] == 1
    assert after[f'tidegate_lease_stage{shop},stage="fresh"}}'] == 1
    assert 0 <= after[f"tidegate_lease_age_seconds{shop}}}"] < 5


def test_each_fault_is_logged_once(crew):
    crew.hand_out(100.0)
    fault = "prod/shop: the endpoint does not answer"
    before = crew.log.count(fault)
    crew.endpoint.down()
    eventually(lambda: samples(crew.url)['tidegate_fault{service="prod/shop"}'] == 1)
    time.sleep(1.5)  # time to fail again, and say nothing
    asked = len(crew.endpoint.asked)
    crew.endpoint.up()
    crew.hand_out(100.0)
    eventually(lambda: "fault" not in status(crew.url))

    assert crew.endpoint.asked[asked].wait_s == 0  # the end is known as soon as it answers
    assert crew.log.count(fault) - before == 1
    assert "recovered from" in crew.log


def test_all_workers_hold_a_heavy_client_back_for_the_others(crew):
    """Their fair parts are found from what all of them have counted."""
    crew.hand_out(60.0, burst=30, client_window_s=2.0)
    with (
        underway(crew.url, 150, clients=["heavy"]) as heavy,
        underway(crew.url, 20, clients=10) as light,  # 2 rps each
    ):
        # Two windows, after which the levels are those of this load.
        eventually(lambda: len(light.answers) >= 80)
        known = time.monotonic()
        eventually(lambda: len(light.since(known)) >= 80)

    assert sum(one.status == 200 for one in light.since(known)) >= 0.9 * len(light.since(known))
    assert excess([*heavy.since(known), *light.since(known)], Bucket(60.0, 30)) <= NEARLY
    beyond = 'tidegate_requests_beyond_total{service="prod/shop",class="",verdict="denied"}'
    assert samples(crew.url)[beyond] > 50


def test_workers_that_draw_from_one_bucket_overlook_no_request(nginx_parts, tmp_path):
    """See nginx_hammer.lua: some 100,000 takes a second, by four workers at once."""
    done, passed, offered, refused = _hammered(nginx_parts, tmp_path)

    assert done == WORKERS
    limit = 4000 + 1000 + 500  # a second of each rate, and the burst
    assert 0.5 * limit <= passed <= 1.03 * limit  # fewer where all were asleep at once
    assert offered > 100
    assert refused <= 0.1 * offered  # a worker may fall asleep with the lock in its hand


def _hammered(parts, folder) -> list[int]:
    port = free_port()
    (folder / "nginx.conf").write_text(f"""{nginx.preamble(parts, folder, WORKERS)}
http {{
    {nginx.temporary_paths(folder)}
    access_log off;
    lua_shared_dict tidegate 1m;
    init_worker_by_lua_block {{ require("nginx_hammer").start() }}
    server {{
        listen 127.0.0.1:{port};
        location / {{ content_by_lua_block {{ require("nginx_hammer").result() }} }}
    }}
}}
""")
    result: list[int] = [0]

    def done() -> bool:
        answer = httpx.get(f"http://127.0.0.1:{port}/", timeout=PATIENCE_S, trust_env=False)
        result[:] = map(int, answer.text.split())
        return result[0] == WORKERS

    with nginx.process_of(parts, folder, port, (*nginx.LUA, Path(__file__).parent)):
        eventually(done)
    return result


def test_the_shipped_files_work_as_they_are(nginx_parts, tmp_path):
    front, metrics = free_port(), free_port()
    _write_shipped(nginx_parts, tmp_path, {"8081": str(front), "9145": str(metrics)})
    for source in nginx.LUA:  # into one folder, as its README says
        shutil.copytree(source / "tidegate", tmp_path / "lua" / "tidegate", dirs_exist_ok=True)
    with nginx.process_of(nginx_parts, tmp_path, front, [tmp_path / "lua"]):
        told = status(f"http://127.0.0.1:{metrics}")

    assert told["dry_run"] is True


def test_it_limits_several_services_each_by_its_own_lease(nginx_parts, tmp_path):
    front, metrics = free_port(), free_port()
    cart = """init_by_lua_block {
    require("tidegate").setup { endpoint = "http://127.0.0.1:9", service = "prod/cart",
                                without_lease = "closed" }"""
    check = 'access_by_lua_block { require("tidegate").check(%s) }'
    cart_name = '"prod/cart"'
    location = f"location / {{ {check % cart_name} proxy_pass http://127.0.0.1:9; }}"
    changes = {
        "8081": str(front),
        "9145;": f"{metrics}; {location}",
        "init_by_lua_block {": cart,
        check % "": check % '"prod/shop"',
    }
    _write_shipped(nginx_parts, tmp_path, changes)
    with nginx.process_of(nginx_parts, tmp_path, front):
        statuses = [
            httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).status_code
            for port in (front, metrics)
        ]
        counted = httpx.get(f"http://127.0.0.1:{metrics}/tidegate/metrics", trust_env=False).text

    # The first is admitted without a lease; nobody serves it. The second is closed without one.
    assert statuses == [502, 429]
    assert 'tidegate_requests_total{service="prod/cart",class="",verdict="denied"} 1' in counted


def test_with_a_wrong_setup_it_does_not_start_and_names_all_that_is_wrong(nginx_parts, tmp_path):
    _write_shipped(nginx_parts, tmp_path, {'"prod/shop"': '"shop"', "dry_run": "dryrun"})
    done = subprocess.run(
        nginx.command(nginx_parts, tmp_path), env=nginx_parts.environment(*nginx.LUA),
        check=False, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    said = (tmp_path / "error.log").read_text()

    assert done.returncode == 1
    assert "service is shop, but it must be namespace/name" in said
    assert "dryrun is not an option" in said


def test_a_reload_with_a_wrong_setup_changes_nothing(nginx_parts, tmp_path):
    front, metrics = free_port(), free_port()
    ports = {"8081": str(front), "9145": str(metrics)}
    _write_shipped(nginx_parts, tmp_path, ports)
    with nginx.process_of(nginx_parts, tmp_path, front) as process:
        _write_shipped(nginx_parts, tmp_path, {**ports, "dry_run": "dryrun"})
        process.send_signal(signal.SIGHUP)
        eventually(lambda: "dryrun is not an option" in (tmp_path / "error.log").read_text())

        assert status(f"http://127.0.0.1:{metrics}")["dry_run"] is True
        assert process.poll() is None


def _write_shipped(parts, folder, changes) -> None:
    """Write the shipped files, but for these changes and what runs them from this folder."""
    snippet, text = [(nginx.SHIPPED / one).read_text() for one in ("tidegate.conf", "nginx.conf")]
    text, heads = re.subn(r"^include .*?^events .*?$", "", text, flags=re.DOTALL | re.MULTILINE)
    assert heads == 1, "nginx.conf has another shape than expected here"
    inside = f"http {{\n    access_log off;\n{nginx.temporary_paths(folder)}\n"
    text = nginx.preamble(parts, folder, 2) + text.replace("http {", inside)
    text = text.replace("/etc/nginx/tidegate.conf", f"{folder}/tidegate.conf")
    for before, after in changes.items():
        assert before in snippet + text
        snippet, text = snippet.replace(before, after), text.replace(before, after)
    (folder / "tidegate.conf").write_text(snippet)
    (folder / "nginx.conf").write_text(text)
