"""Gateways that wait until what they were told changes. Confined to the server's event loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from scaler.adapters.http.exchange import Exchange, LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.problems import RequestProblem

# How often it is looked whether a schedule has come nearer or a lease has run out.
BEAT_S = 1.0
# After a round the event loop is left alone for so many times what the round took.
REST = 4.0

_Waiting = tuple[LeaseRequest, "asyncio.Future[Exchange | None]"]


class LongPoll:
    """Holds those who wait, and answers all of a service in one round.

    Args:
        desk: that is asked for them.
        clock: the desk's.
    """

    def __init__(self, lease_service: LeaseService, clock: Callable[[], float]) -> None:
        self._lease_service, self._clock = lease_service, clock
        self._rooms: dict[str, dict[str, _Waiting]] = {}
        self._rounds: dict[str, asyncio.TimerHandle] = {}
        self._rested_at = 0.0
        self._closed = False

    async def wait(self, service: str, asked: LeaseRequest, seconds: float) -> Exchange | None:
        """Return the answer as soon as it differs from what is held; None: it did not in time."""
        if self._closed:
            return None
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Exchange | None] = loop.create_future()
        room = self._rooms.setdefault(service, {})
        older = room.get(asked.instance)
        if older is not None:
            _resolve(older[1], None)  # it has come back: nobody waits there any more
        room[asked.instance] = (asked, future)
        timer = loop.call_later(seconds, _resolve, future, None)
        if self._lease_service.unsettled(service, asked):
            self.stir(service)
        try:
            return await future
        finally:
            timer.cancel()
            held = room.get(asked.instance)
            if held is not None and held[1] is future:
                del room[asked.instance]
            if not room:
                self._rooms.pop(service, None)

    def stir(self, service: str) -> None:
        """Have those who wait for this service asked for again, soon."""
        if service not in self._rooms or service in self._rounds:
            return
        loop = asyncio.get_running_loop()
        delay = max(0.0, self._rested_at - loop.time())
        self._rounds[service] = loop.call_later(delay, self._round, service)

    def stir_all(self) -> None:
        for service in list(self._rooms):
            self.stir(service)

    async def beat(self) -> None:
        """Look after the desk until cancelled."""
        while True:
            await asyncio.sleep(BEAT_S)
            self._lease_service.sweep(self._clock())
            self.stir_all()

    def close(self) -> None:
        """Send all who wait home with what they have; nobody waits from now on."""
        self._closed = True
        for service in list(self._rooms):
            self._round(service)
        for room in self._rooms.values():
            for _, future in room.values():
                _resolve(future, None)

    def _round(self, service: str) -> None:
        self._rounds.pop(service, None)
        room = self._rooms.get(service)
        if not room:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiting = list(room.values())
        with contextlib.suppress(
            RequestProblem
        ):  # they are told so when they have waited long enough
            answers = self._lease_service.changed(
                service, (asked for asked, _ in waiting), self._clock()
            )
            for (_, future), answer in zip(waiting, answers, strict=True):
                if answer is not None:
                    _resolve(future, answer)
        ended = loop.time()
        self._rested_at = ended + REST * (ended - began)
        if self._lease_service.stirred(service):
            self.stir(service)


def _resolve(future: asyncio.Future[Exchange | None], answer: Exchange | None) -> None:
    if not future.done():
        future.set_result(answer)
