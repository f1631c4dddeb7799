"""No poller of nginx falls asleep, though others have used up timers or connections."""

from __future__ import annotations

import socket
from contextlib import ExitStack, suppress

import pytest

from tests.conformance.gateways import nginx
from tests.conformance.site import Site, site
from tests.gateways.nginx_site import samples, status, text_of
from tests.waiting import eventually

FAULT = 'tidegate_fault{service="prod/shop"}'
STILL = "polling stands still"
# Other Lua of the same nginx, say, a log shipper: it has so many timers wait, or work, that there
# is no room for one more.
WAIT = "for _ = 1, 2000 do ngx.timer.at(1, function() end) end"
LOCATIONS = f"""
location = /wait {{ content_by_lua_block {{ {WAIT} ngx.say("ok") }} }}
location = /work {{
    content_by_lua_block {{
        local dict = ngx.shared.tidegate
        dict:set("others work", true)
        local function work()
            while dict:get("others work") do ngx.sleep(0.1) end
        end
        for _ = 1, 300 do ngx.timer.at(0, work) end
        ngx.say("ok")
    }}
}}
location = /rest {{
    content_by_lua_block {{ ngx.shared.tidegate:delete("others work") ngx.say("ok") }}
}}
"""


@pytest.fixture
def here(nginx_parts, tmp_path):
    options = {"workers": 1, "locations": LOCATIONS}
    with site(nginx, tmp_path / "one", options=options) as one:
        # A poll waits for less than this lease lasts: so there is often a next one, which may fail.
        one.hand_out(100.0, valid_for_s=2.0)
        yield one


def ask(here: Site, path: str) -> None:
    assert text_of(f"{here.url}{path}") == "ok\n"


def is_faulty(here: Site) -> bool:
    return samples(here.url)[FAULT] == 1 and STILL in status(here.url)["fault"]


def goes_on(here: Site, rps: float) -> None:
    """Wait until a new limit is known, and no fault is left."""
    here.hand_out(rps)
    assert status(here.url)["limit_rps"] == rps
    eventually(lambda: samples(here.url)[FAULT] == 0)


def becomes_faulty(here: Site, path: str) -> None:
    """Wait until there is a fault, while others take whatever becomes free."""

    def is_faulty_without_any() -> bool:
        ask(here, path)
        return is_faulty(here)

    eventually(is_faulty_without_any)


def test_where_no_timer_is_left_it_says_so_and_goes_on_when_there_is(here):
    becomes_faulty(here, "/wait")
    goes_on(here, 7.0)
    assert here.log.count(f"prod/shop: {STILL}") >= 1


def test_where_no_timer_may_run_it_says_so_and_goes_on_when_one_may(here):
    becomes_faulty(here, "/work")
    ask(here, "/rest")
    goes_on(here, 7.0)


def test_where_clients_have_used_up_all_connections_it_goes_on_when_they_leave(here):
    port = int(here.url.rpartition(":")[2])
    here.endpoint.down()  # so that now and then it has none itself
    with ExitStack() as clients:

        def timers_fail() -> bool:
            client = clients.enter_context(socket.create_connection(("127.0.0.1", port)))
            with suppress(OSError):  # for this one there is no connection
                client.sendall(b"GET / HTTP/1.1\r\n")
            return here.log.count("failed to run timer") >= 8

        eventually(timers_fail)
    here.endpoint.up()
    goes_on(here, 7.0)


def test_where_no_timer_is_left_at_the_start_requests_start_it(nginx_parts, tmp_path):
    options = {"workers": 1, "init_worker": WAIT}
    with site(nginx, tmp_path / "late", options=options, is_up=False) as late:
        assert is_faulty(late)
        late.endpoint.up()
        eventually(lambda: "version" in status(late.url))
        goes_on(late, 7.0)
