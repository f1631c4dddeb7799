"""The clients of a gateway: those that it has known for a while, and newcomers.

Names cost an attacker nothing, so a client that has just appeared is a newcomer. It becomes known
when it still sends requests `KNOWN_AFTER_S` later, or up to twice that: who came at once becomes
known little by little. Of each kind a bounded number is remembered; the
one seen longest ago is forgotten first. Newcomers, however many, never displace known clients.
"""

from __future__ import annotations

from dataclasses import dataclass

KNOWN_AFTER_S = 30.0


@dataclass(slots=True)
class Client:
    """The requests of one client in one class.

    Attributes:
        first_at: when it was first seen, monotonic seconds.
        known: whether it is a newcomer no more.
        window: number of the window in which it was last seen.
        count: its requests in that window.
        tag: how far its fair part is used up; see `client_fairness`.
    """

    first_at: float
    known: bool = False
    window: int = -1
    count: int = 0
    tag: float = 0.0


class KnownClients:
    """All clients that are remembered.

    Args:
        max_clients: known ones; and as many newcomers.
    """

    def __init__(self, max_clients: int) -> None:
        self._max_clients = max_clients
        # Names may be long, so clients are known by their hash. On a collision two are one.
        self._known: dict[int, Client] = {}
        self._newcomers: dict[int, Client] = {}

    def __len__(self) -> int:
        return len(self._known) + len(self._newcomers)

    def seen(self, name: object, now: float) -> tuple[Client, bool]:
        """Return the client of a request, and whether it has become known by it."""
        key = hash(name)
        client = self._known.pop(key, None)
        if client is not None:
            self._known[key] = client  # the last entry is the one seen last
            return client, False
        client = self._newcomers.pop(key, None) or Client(now)
        if now - client.first_at >= KNOWN_AFTER_S * (1 + client.first_at % 1):
            client.known = True
            self._remember(self._known, key, client)
            return client, True
        self._remember(self._newcomers, key, client)
        return client, False

    def _remember(self, where: dict[int, Client], key: int, client: Client) -> None:
        where[key] = client
        if len(where) > self._max_clients:
            del where[next(iter(where))]
