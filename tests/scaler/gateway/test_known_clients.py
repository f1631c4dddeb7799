"""Who is a newcomer, and who is remembered."""

from __future__ import annotations

import pytest

from scaler.gateway.known_clients import KNOWN_AFTER_S, KnownClients


def test_who_still_comes_after_a_while_is_known():
    clients = KnownClients(10)
    clients.seen("a", 0.0)

    assert not clients.seen("a", KNOWN_AFTER_S - 1)[0].known
    found, has_become_known = clients.seen("a", KNOWN_AFTER_S)
    assert (found.known, has_become_known) == (True, True)
    assert clients.seen("a", KNOWN_AFTER_S + 1) == (found, False)


def test_those_who_came_at_once_become_known_little_by_little():
    clients = KnownClients(1000)
    for i in range(1000):
        clients.seen(str(i), i / 1000)
    known = {
        at: sum(clients.seen(str(i), at)[0].known for i in range(1000)) for at in (31.0, 46.0, 61.0)
    }

    assert known[31.0] < 60
    assert known[46.0] == pytest.approx(500, abs=60)
    assert known[61.0] == 1000


def test_newcomers_never_displace_known_clients():
    clients = KnownClients(100)
    for at in (0.0, KNOWN_AFTER_S):
        for i in range(100):
            clients.seen(f"regular-{i}", at)
    for i in range(10_000):
        clients.seen(f"fresh-{i}", KNOWN_AFTER_S + i / 500)

    assert len(clients) == 200
    assert all(clients.seen(f"regular-{i}", 60.0)[0].known for i in range(100))


def test_the_one_seen_longest_ago_is_forgotten_first():
    clients = KnownClients(2)
    for name in ("a", "b", "a", "c"):
        clients.seen(name, 0.0)

    first = {name: clients.seen(name, 40.0)[1] for name in ("a", "c", "b")}
    assert first == {"a": True, "c": True, "b": False}
