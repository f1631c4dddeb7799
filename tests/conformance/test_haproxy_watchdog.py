"""No task of HAProxy's Lua falls asleep, though HAProxy ends tasks that fail without a word."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conformance.gateways import haproxy
from tests.conformance.leases import SHOP
from tests.conformance.load import offer, underway
from tests.conformance.site import Site, site
from tests.conformance.test_haproxy import metric
from tests.waiting import eventually

# While there is a file of this name, every task that would sleep ends instead.
BREAKS = """
local sleep = core.msleep
core.msleep = function(ms)
  local file = io.open("broken")
  if file then
    file:close()
    error("as the test will have it")
  end
  sleep(ms)
end
"""
FAULT = f'tidegate_fault{{service="{SHOP}"}}'


@pytest.fixture
def here(tmp_path, monkeypatch) -> Iterator[Site]:
    monkeypatch.chdir(tmp_path)  # where HAProxy looks for the file
    with site(haproxy, tmp_path / "one", options={"lua": BREAKS}) as one:
        yield one


def test_tasks_that_ended_begin_anew(here, tmp_path):
    here.hand_out(50.0, valid_for_s=2.0)  # no poll waits for longer
    (tmp_path / "broken").touch()
    eventually(lambda: "as the test will have it" in here.log)
    # Nothing ticks and nothing polls; a scrape is a request, too.
    eventually(lambda: metric(here.running, FAULT) == 1)
    (tmp_path / "broken").unlink()
    with underway(here.url, 20) as load:
        here.hand_out(7.0)
        eventually(lambda: metric(here.running, FAULT) == 0)
        eventually(lambda: len(load.answers) >= 20)

    assert {one.status for one in load.answers} <= {200, 429}
    assert metric(here.running, f'tidegate_limit_rps{{service="{SHOP}"}}') == 7
    assert "ticks stand still" in here.log


def test_where_only_the_poll_ended_a_tick_begins_it_anew(tmp_path):
    only_poll = BREAKS.replace("if file then", "if file and ms ~= 100 then")
    options = {"lua": only_poll.replace('"broken"', f'"{tmp_path}/broken"')}
    with site(haproxy, tmp_path / "poll", options=options) as here:
        here.hand_out(50.0, valid_for_s=2.0)  # no poll waits for longer
        (tmp_path / "broken").touch()
        eventually(lambda: "poll stands still" in here.log)
        eventually(lambda: metric(here.running, FAULT) == 1)
        # Who holds a lease waits for its change, but now: the end is known as soon as it answers.
        eventually(lambda: any(one.etag and one.wait_s == 0 for one in here.endpoint.asked))
        (tmp_path / "broken").unlink()
        here.hand_out(7.0)
        eventually(lambda: metric(here.running, FAULT) == 0)

        assert offer(here.url, 20, 0.5).count(0) == 0
