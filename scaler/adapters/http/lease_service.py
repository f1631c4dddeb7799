"""All services' counters. Confined to the server's event loop; time is monotonic seconds.

The loop's thread reaches it only through `holder.SnapshotHolder`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Protocol

from scaler.adapters.http.exchange import Exchange, LeaseRequest
from scaler.adapters.http.lease_aging import over_at
from scaler.adapters.http.lease_memory import LeasesMemory
from scaler.adapters.http.problems import RequestProblem, known_service
from scaler.adapters.http.report import held_by
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.share_ledger import ShareLedger
from scaler.adapters.http.snapshot_holder import HeldSnapshot
from scaler.control.snapshot import ServiceView

SOON_S = 2


class LatestSnapshot(Protocol):
    """Where the latest board is found; ``clock`` is monotonic seconds."""

    @property
    def clock(self) -> Callable[[], float]: ...

    def latest(self) -> HeldSnapshot | None: ...


class LeaseService:
    """Answers gateways.

    Args:
        holder: of the boards; its clock is the desk's too.
        settings: how limits are handed out.
        epoch: names this process's series of versions; letters and digits.
    """

    def __init__(self, holder: LatestSnapshot, settings: ApiSettings, epoch: str) -> None:
        self._holder, self._settings, self.epoch = holder, settings, epoch
        self._counters: dict[str, ShareLedger] = {}
        lease_s = settings.terms.shares.lease_s
        self._learning_s = lease_s if settings.learning_s is None else settings.learning_s
        self._learning_until = holder.clock() + self._learning_s

    def memory(self) -> LeasesMemory:
        """Return all that the next answers rest on."""
        ledgers = {service: counter.memory() for service, counter in self._counters.items()}
        return LeasesMemory(self.epoch, self._learning_until, ledgers)

    def recall(self, memory: LeasesMemory) -> None:
        """Go on from there."""
        self.epoch, self._learning_until = memory.epoch, memory.learning_until
        self._counters = {}
        for service, one in memory.ledgers.items():
            ledger = ShareLedger(service, self.epoch, self._settings.terms, -math.inf)
            ledger.recall(one)
            self._counters[service] = ledger

    def posted(self) -> HeldSnapshot:
        """Return the latest board.

        Raises:
            Refused: 503, before the first tick.
        """
        posted = self._holder.latest()
        if posted is None:
            raise RequestProblem(503, "no tick yet; come back soon", SOON_S)
        return posted

    def view(self, service: str) -> ServiceView:
        """Return what the latest tick says of a service.

        Raises:
            Refused: 503 before the first tick, 404 where there is no such service.
        """
        return known_service(self.posted().snapshot, service)

    def ask(self, service: str, asked: LeaseRequest, now: float) -> Exchange:
        """Return what a gateway is told.

        Raises:
            Refused: there is no such service, or nothing is known that could be handed out.
        """
        counter = self._counter(service, now)
        if not counter.knows(asked.instance):
            self._admit(counter, asked, now)
        return counter.ask(asked, now)

    def wait(self, service: str, asked: LeaseRequest, now: float) -> bool:
        """Whether a gateway may wait, for it holds what it was told last.

        Raises:
            Refused: as `ask`.
        """
        return self._counter(service, now).wait(asked, now)

    def renew(self, service: str, asked: LeaseRequest, now: float) -> Exchange:
        """Return the answer to a gateway that has waited in vain.

        Raises:
            Refused: as `ask`.
        """
        return self._counter(service, now).renew(asked, now) or self.ask(service, asked, now)

    def changed(
        self, service: str, asked: Iterable[LeaseRequest], now: float
    ) -> list[Exchange | None]:
        """Return, for gateways that wait, the answer to those whose lease has changed.

        Raises:
            Refused: as `ask`.
        """
        counter = self._counter(service, now)
        waiting = list(asked)
        due = [one for one in waiting if counter.unsettled(one)]
        counter.freed = False
        if not due:
            return [None] * len(waiting)
        answers = dict(zip((one.instance for one in due), counter.ask_all(due, now), strict=True))
        found = (answers.get(one.instance) for one in waiting)
        return [answer if answer is not None and answer.changed else None for answer in found]

    def unsettled(self, service: str, asked: LeaseRequest) -> bool:
        """Whether what this gateway holds may not be the last word."""
        counter = self._counters.get(service)
        return counter is None or counter.unsettled(asked)

    def stirred(self, service: str) -> bool:
        """Whether somebody has given up something that those who wait may have."""
        counter = self._counters.get(service)
        return counter is not None and counter.freed

    def sweep(self, now: float) -> None:
        """Drop the counters that nobody comes to any more."""
        posted = self._holder.latest()
        if posted is not None:
            self._heed(posted, now)
        for service, counter in list(self._counters.items()):
            view = posted.snapshot.services.get(service) if posted else None
            if posted is None or view is None or view.published_limit is None:
                continue
            counter.look(posted, view, now)
            if not counter.instances:
                del self._counters[service]

    def stamp(self, service: str) -> tuple[object, ...]:
        """Return what differs wherever a round of those who wait has moved anything."""
        counter = self._counters.get(service)
        return () if counter is None else (counter, *counter.stamp)

    def gateways(self) -> dict[str, int]:
        """Return how many gateways hold a share, by service."""
        return {service: counter.instances for service, counter in self._counters.items()}

    def _counter(self, service: str, now: float) -> ShareLedger:
        posted = self.posted()
        self._heed(posted, now)
        if not posted.snapshot.leader:
            raise RequestProblem(503, "another replica hands out limits; ask again", SOON_S)
        view = known_service(posted.snapshot, service)
        if view.published_limit is None:
            detail = view.error or "its limit is not known yet"
            raise RequestProblem(503, f"{service}: {detail}", SOON_S)
        age = posted.age_s(now)
        if age >= over_at(view.published_limit, self._settings.stale_after_s):
            raise RequestProblem(503, f"{service}: the last tick was {age:.0f} s ago", SOON_S)
        counter = self._counters.get(service)
        if counter is None:
            counter = ShareLedger(service, self.epoch, self._settings.terms, self._learning_until)
            self._counters[service] = counter
        counter.look(posted, view, now)
        return counter

    def _heed(self, posted: HeldSnapshot, now: float) -> None:
        """While another replica leads, forget shares: two desks would hand out the limit twice.

        Once it is our turn, gateways say first what they still hold of the other's.
        """
        if not posted.snapshot.leader:
            self._counters.clear()
            self._learning_until = now + self._learning_s

    def _admit(self, counter: ShareLedger, asked: LeaseRequest, now: float) -> None:
        """Refuse a gateway that cannot be given a share now."""
        most = self._settings.terms.most_instances
        if counter.instances >= most:
            raise RequestProblem(429, f"{most} gateways hold a share already", SOON_S)
        holds = asked.holds_qps > 0 or held_by(asked.etag) is not None
        if counter.learning(now) and not holds:
            # A share of nothing would stop it; without a lease it goes on as it was configured.
            raise RequestProblem(
                503, "just started, learning what gateways hold; come back soon", SOON_S
            )
