"""Gateways on virtual time: the lease service, the long polls, pollers and limiters of production.

Only the network between them is not: what is asked and answered is handed over as values, and
takes as long as it is told to.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

import numpy as np

from scaler.adapters.http.exchange import LeaseReply, LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.long_poll import LongPoll
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.schemas import ReportBody
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.snapshot import Snapshot
from scaler.gateway.lease_limiter import Admission, LeaseLimiter, LimiterSettings
from scaler.gateway.limits_endpoint import NOT_MODIFIED, OK, LimitsAnswer
from scaler.gateway.poller import Poller
from scaler.simulation.virtual_loop import VirtualLoop

EPOCH = "virtual"
# The endpoint has run for long: it need not learn first what gateways hold.
SETTINGS = ApiSettings(learns_shares=False)


@dataclass(frozen=True, slots=True)
class VirtualEndpoint:
    """The endpoint as one gateway reaches it.

    Attributes:
        long_poll: of the endpoint.
        service, instance: what is asked for, and the name of the gateway.
        delay_s: that a message takes, one way.
    """

    long_poll: LongPoll
    service: str
    instance: str
    delay_s: float

    def __str__(self) -> str:
        return f"the endpoint of {self.service}"

    async def __aenter__(self) -> VirtualEndpoint:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    async def ask(self, etag: str, wait_s: float) -> LimitsAnswer:
        await asyncio.sleep(self.delay_s)
        try:
            request = LeaseRequest(self.instance, etag)
            reply = await self.long_poll.reply(self.service, request, wait_s, _never_gone)
        except RequestProblem as problem:
            return await self._refused(problem)
        assert reply is not None  # it has not gone
        return await self._told(reply, changed=reply.changed)

    async def report(self, report: dict[str, object]) -> LimitsAnswer:
        await asyncio.sleep(self.delay_s)
        request = ReportBody.model_validate_json(json.dumps(report)).to_request(EPOCH)
        try:
            reply = self.long_poll.reply_at_once(self.service, request)
        except RequestProblem as problem:
            return await self._refused(problem)
        return await self._told(reply, changed=True)

    async def _told(self, reply: LeaseReply, *, changed: bool) -> LimitsAnswer:
        await asyncio.sleep(self.delay_s)
        etag = reply.lease.etag
        return LimitsAnswer(OK, etag, reply.lease.json_body) if changed else _unchanged(etag)

    async def _refused(self, problem: RequestProblem) -> LimitsAnswer:
        await asyncio.sleep(self.delay_s)
        return LimitsAnswer(problem.status, retry_after_s=float(problem.retry_after_s or 0))


def _unchanged(etag: str) -> LimitsAnswer:
    return LimitsAnswer(NOT_MODIFIED, etag)


async def _never_gone() -> bool:
    return False


class VirtualGateways:
    """The gateways of one service, and the endpoint that they ask; a context, which ends them.

    Time is in seconds and never goes back from one call to the next.

    Args:
        service: ``"namespace/name"``.
        count: of gateways.
        start: when all of them begin to ask.
        rng: jitter of their pollers.
        settings: of the endpoint.
        delay_s: that a message between a gateway and the endpoint takes, one way.
    """

    def __init__(
        self,
        service: str,
        count: int,
        start: float,
        rng: np.random.Generator,
        settings: ApiSettings = SETTINGS,
        delay_s: float = 0.0,
    ) -> None:
        if count < 1:
            raise ValueError(f"{count} gateways, but there must be at least one")
        self._service, self._rng, self._delay_s = service, rng, delay_s
        self._loop = VirtualLoop(start)
        self._holder = SnapshotHolder(self._loop.time)
        self._long_poll = LongPoll(LeaseService(self._holder, settings, EPOCH), self._loop.time)
        self._limiters: list[LeaseLimiter] = []
        self._tasks = [self._loop.create_task(self._serve())]
        for _ in range(count):
            self.add()

    def __enter__(self) -> VirtualGateways:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    @property
    def due(self) -> float:
        """When there is something to `run` again."""
        return self._loop.due

    @property
    def admit(self) -> list[Callable[[str | None, str | None, float], Admission]]:
        """What each gateway decides by: class, client, now. First `run` what is `due`.

        It is the limiter's own method: nothing stands between it and millions of requests.
        """
        return [one.admit for one in self._limiters]

    def limits_qps(self) -> list[float]:
        """Return what each gateway admits now."""
        return [one.snapshot(self._loop.time()).limit_rps for one in self._limiters]

    def add(self) -> None:
        """Start one gateway more, now."""
        instance = f"gw-{len(self._limiters)}"
        limiter = LeaseLimiter(LimiterSettings(self._service, instance))
        endpoint = VirtualEndpoint(self._long_poll, self._service, instance, self._delay_s)
        poller = Poller(limiter, endpoint, clock=self._loop.time, rng=self._rng)
        self._limiters.append(limiter)
        self._tasks.append(self._loop.create_task(poller.run()))
        self._loop.due = self._loop.time()

    def publish(self, snapshot: Snapshot, now: float) -> None:
        """Have the endpoint know a tick before whoever asks now, and tell it those that wait."""
        before = math.nextafter(now, -math.inf)
        if before > self._loop.time():  # else whoever begins now would ask too early
            self.run(before)
        self._holder.publish(snapshot)
        self.run(now)

    def run(self, now: float) -> None:
        """Carry out all that is due up to now; ``due`` then says when there is something again."""
        self._loop.run_up_to(now)
        for task in self._tasks:
            if task.done():  # none ever ends but by a fault
                task.result()

    def end(self) -> None:
        """Stop all gateways."""
        self._loop.end()

    async def _serve(self) -> None:
        """Do as the application does that serves the endpoint."""
        self._holder.subscribe(self._long_poll.schedule_all)
        await self._long_poll.run()
