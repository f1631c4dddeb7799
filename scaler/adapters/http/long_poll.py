"""Replies to gateways, which may wait until their lease changes: long polls.

Confined to the server's event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from scaler.adapters.http.exchange import LeaseReply, LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.problems import RequestProblem

LOGGER = logging.getLogger(__name__)

# How often to check whether a scheduled step has come nearer or a lease has expired.
CHECK_S = 1.0
# After a round the event loop is left to others for this many times the duration of the round.
PAUSE_FACTOR = 4.0

_Future = asyncio.Future[LeaseReply | None]
_Waiting = tuple[LeaseRequest, _Future]


class LongPoll:
    """Holds the gateways that wait, and checks all gateways of a service in one round.

    Args:
        lease_service: decides whether a lease has changed.
        clock: the clock of ``lease_service``.
    """

    def __init__(self, lease_service: LeaseService, clock: Callable[[], float]) -> None:
        self._lease_service, self._clock = lease_service, clock
        self._waiting: dict[str, dict[str, _Waiting]] = {}  # by service and instance
        self._rounds: dict[str, asyncio.TimerHandle] = {}
        self._next_round_at = 0.0
        self._closed = False

    async def reply(
        self,
        service: str,
        request: LeaseRequest,
        wait_s: float,
        is_gone: Callable[[], Awaitable[bool]],
    ) -> LeaseReply | None:
        """Return the reply to a gateway, which may wait; None if it has gone meanwhile.

        Args:
            service: whose limit it asks for.
            request: of the gateway.
            wait_s: for how long it waits for a change of its lease at most.
            is_gone: whether it still waits.

        Raises:
            RequestProblem: as `LeaseService.reply` does.
        """
        if wait_s <= 0 or not self._lease_service.may_wait(service, request, self._clock()):
            return self.reply_at_once(service, request)
        longest_wait_s = self._lease_service.view(service).policy.lease.longest_wait_s
        changed = await self.wait(service, request, min(wait_s, longest_wait_s))
        if changed is not None:
            return changed
        if await is_gone():
            return None
        # The gateway is still connected, so its lease is renewed.
        return self._lease_service.renew(service, request, self._clock())

    def reply_at_once(self, service: str, request: LeaseRequest) -> LeaseReply:
        """Return the reply to a gateway, and have others told what changes for them.

        Raises:
            RequestProblem: as `LeaseService.reply` does.
        """
        reply = self._lease_service.reply(service, request, self._clock())
        if request.report is not None or self._lease_service.has_freed(service):
            self.schedule(service)
        return reply

    async def wait(self, service: str, request: LeaseRequest, seconds: float) -> LeaseReply | None:
        """Return the reply as soon as the lease changes; None if it does not change in time."""
        if self._closed:
            return None
        loop = asyncio.get_running_loop()
        future: _Future = loop.create_future()
        waiting = self._waiting.setdefault(service, {})
        older = waiting.get(request.instance)
        if older is not None:
            _resolve(older[1], None)  # the gateway has sent a new request in place of that one
        waiting[request.instance] = (request, future)
        timer = loop.call_later(seconds, _resolve, future, None)
        if self._lease_service.may_change(service, request):
            self.schedule(service)
        try:
            return await future
        finally:
            timer.cancel()
            latest = waiting.get(request.instance)
            if latest is not None and latest[1] is future:
                del waiting[request.instance]
            if not waiting:
                self._waiting.pop(service, None)

    def schedule(self, service: str) -> None:
        """Schedule a round that checks the waiting gateways of a service, unless one is due."""
        if service not in self._waiting or service in self._rounds:
            return
        loop = asyncio.get_running_loop()
        delay = max(0.0, self._next_round_at - loop.time())
        self._rounds[service] = loop.call_later(delay, self._round, service)

    def schedule_all(self) -> None:
        for service in list(self._waiting):
            self.schedule(service)

    async def run(self) -> None:
        """Check all leases every `CHECK_S` seconds until cancelled."""
        while True:
            await asyncio.sleep(CHECK_S)
            try:
                self._lease_service.drop_empty(self._clock())
                self.schedule_all()
            except Exception:  # the next check may succeed; without it no lease would ever expire
                LOGGER.exception("leases could not be checked")

    def close(self) -> None:
        """Reply to every waiting gateway at once; from now on none may wait."""
        self._closed = True
        for service in list(self._waiting):
            self._round(service)
        for waiting in self._waiting.values():
            for _, future in waiting.values():
                _resolve(future, None)

    def _round(self, service: str) -> None:
        self._rounds.pop(service, None)
        by_instance = self._waiting.get(service)
        if not by_instance:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        waiting = list(by_instance.values())
        # A problem is sent to each gateway by `LeaseService.renew`, when its wait is over.
        with contextlib.suppress(RequestProblem):
            replies = self._lease_service.changed(
                service, (request for request, _ in waiting), self._clock()
            )
            for (_, future), reply in zip(waiting, replies, strict=True):
                if reply is not None:
                    _resolve(future, reply)
        ended = loop.time()
        self._next_round_at = ended + PAUSE_FACTOR * (ended - began)
        if self._lease_service.has_freed(service):
            self.schedule(service)


def _resolve(future: _Future, reply: LeaseReply | None) -> None:
    if not future.done():
        future.set_result(reply)
