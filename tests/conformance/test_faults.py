"""Whatever becomes of the endpoint, no request fails because of a gateway, and none falls asleep.

An endpoint that is away, and leases that are none, are in test_outage.py.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.conformance import gateways
from tests.conformance.dns import NAME, NameServer
from tests.conformance.leases import SHOP, lease
from tests.conformance.load import Underway, underway
from tests.conformance.moving import MovingAddress
from tests.conformance.origin import Origin
from tests.conformance.scripted import ScriptedEndpoint
from tests.conformance.setup import Setup
from tests.conformance.site import Site, started
from tests.waiting import eventually

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
# What an endpoint may answer, and what it then goes on to send for ever.
GARBAGE = {
    "no HTTP": (b"\x16\x03\x01\x02\x00 this is another protocol\r\n\r\n", b""),
    "a byte now and then": (HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "a chunk without a size": (CHUNKED + b"zz\r\n", b""),
    "a line without an end": (b"HTTP/1.1 200 OK\r\nX: ", b"x" * 1000),
    "headers without an end": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "chunks without an end": (CHUNKED, b"400\r\n" + b" " * 0x400 + b"\r\n"),
    "a body that is cut off": (HEAD + b"Content-Length: 1000\r\n\r\n{}", b""),
    "only interim answers": (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "what is not compressed": (
        HEAD + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n{}{}", b"",
    ),
}  # fmt: skip
BY_DAY = ("no HTTP", "a byte now and then", "a chunk without a size")
RPS = 40


@contextmanager
def loaded(here: Site) -> Iterator[Underway]:
    """Offer a load far below the limit, under a lease that outlives the faults."""
    here.hand_out(400.0, burst=200, refresh_s=0.3, valid_for_s=300.0)
    with underway(here.url, RPS) as load:
        yield load


def some_garbage(here: Site) -> Counter[int]:
    return _garbled(here, BY_DAY)


def all_garbage(here: Site) -> Counter[int]:
    return _garbled(here, tuple(GARBAGE))


def _garbled(here: Site, names: Sequence[str]) -> Counter[int]:
    with loaded(here) as load:
        for name in names:
            _garble(here, name)
            # A newer lease is heard of, though what was sent before still goes on.
            here.hand_out(400.0, burst=200, refresh_s=0.3, valid_for_s=300.0)
    return Counter(one.status for one in load.answers)


def _garble(here: Site, name: str) -> None:
    before = here.endpoint.garbled
    here.endpoint.wire(*GARBAGE[name])
    eventually(lambda: here.endpoint.garbled >= before + 2 * here.running.instances)


@pytest.mark.parametrize(
    "which",
    [
        pytest.param("some", marks=pytest.mark.measures(by=some_garbage)),
        pytest.param("all", marks=[pytest.mark.measures(by=all_garbage), pytest.mark.nightly]),
    ],
)
def test_garbage_on_the_wire_fails_no_request_and_ends_no_poll(measured, which):
    assert set(measured) == {200}
    assert measured.total() >= RPS


def two_epochs_in_turns(here: Site) -> Counter[int]:
    """Two servers that both believe to be the one: each question is answered by another."""
    with loaded(here) as load:
        for turn in range(10):
            version = turn // 2 + 1
            terms = {"burst": 200, "refresh_s": 0.3, "valid_for_s": 300.0}
            epoch = ("c0de", "beef")[turn % 2]
            here.endpoint.set(lease(version, 400.0 + turn, epoch=epoch, **terms))
            here.endpoint.held(here.running.instances)
    here.version += 1
    here.hand_out(400.0)
    return Counter(one.status for one in load.answers)


@pytest.mark.measures(by=two_epochs_in_turns)
def test_two_epochs_in_turns_fail_no_request_and_each_is_held_in_its_turn(measured):
    assert set(measured) == {200}


def an_address_that_moves(here: Site) -> Counter[int]:
    """The old endpoint still answers over connections that are kept, as one that leads no more."""
    terms = {"burst": 200, "refresh_s": 0.3, "valid_for_s": 300.0}
    folder = here.folder / "moved"
    folder.mkdir()
    with ScriptedEndpoint() as old, ScriptedEndpoint() as new, Origin() as origin:
        old.set(lease(1, 400.0, **terms))
        with MovingAddress(old.port) as address:
            setup = Setup(address.url, origin.url, SHOP, "gw-moved", folder)
            with started(here.gateway, setup) as running:
                old.held(running.instances)
                with underway(running.url, RPS) as load:
                    new.set(lease(2, 500.0, **terms))
                    address.leads_to = new.port
                    old.failing(503)
                    new.held(running.instances)
    return Counter(one.status for one in load.answers)


@pytest.mark.measures(by=an_address_that_moves)
def test_an_address_that_moves_is_followed_though_the_old_one_still_answers(measured):
    assert set(measured) == {200}


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_a_name_that_moves_is_followed(name, tmp_path):
    """Only these two resolve by a server of their own; others ask their system."""
    terms = {"burst": 200, "refresh_s": 0.3, "valid_for_s": 300.0}
    with (
        ScriptedEndpoint() as old,
        ScriptedEndpoint(host="127.0.0.2", port=old.port) as new,
        Origin() as origin,
        NameServer("127.0.0.1") as names,
    ):
        old.set(lease(1, 400.0, **terms))
        new.set(lease(2, 500.0, **terms))
        url, options = f"http://{NAME}:{old.port}", {"resolver": names.port}
        setup = Setup(url, origin.url, SHOP, "gw-named", tmp_path, options=options)
        with started(gateways.known()[name], setup) as running:
            old.held(running.instances)
            with underway(running.url, RPS) as load:
                names.address = "127.0.0.2"
                old.failing(503)
                new.held(running.instances)

    assert {one.status for one in load.answers} == {200}
