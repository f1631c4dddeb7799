"""The gateway that lives in this process: it asks the desk beside it for shares, as others do.

Rules of this file:

* It joins the gateways of a service when it is first asked about it, and leaves when it has not
  been asked for a while. So all shares together stay within the limit.
* It holds no more than its share, by the same limiter as any other gateway. Should the loop's ticks
  stop, the lease ages as everywhere: schedule, safe limit, then open or closed.
* Only the leader hands out limits, so only there it decides; elsewhere it says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.lease_service import SOON_S, LeaseService
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.schemas import ReportBody
from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings

LOG = logging.getLogger(__name__)
# How soon a changed limit is acted on; the desk is next door.
BEAT_S = 0.5
# What was offered is told so often; shorter spans say more of chance than of demand.
REPORT_S = 2.0
IDLE_S = 60.0


@dataclass(slots=True)
class _HeldShare:
    """A service that this gateway holds a share of.

    Attributes:
        etag: of the lease; reported_at: when the last report was made.
        used_at: when it was last asked about.
    """

    limiter: LeaseLimiter
    used_at: float
    reported_at: float
    etag: str = ""


class LocalLimiters:
    """A gateway of the desk's, on its event loop; renews its leases while it is a context.

    Args:
        desk: that is asked for shares.
        instance: name of this gateway.
        clock: the desk's.
    """

    def __init__(
        self, lease_service: LeaseService, instance: str, clock: Callable[[], float]
    ) -> None:
        self._lease_service, self._instance, self._clock = lease_service, instance, clock
        self._seats: dict[str, _HeldShare] = {}
        self._beating: asyncio.Task[None] | None = None

    async def __aenter__(self) -> LocalLimiters:
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._beating is not None:
            self._beating.cancel()

    def limiter(self, service: str) -> LeaseLimiter | None:
        """Return what decides on a service; None: there is no such service.

        Raises:
            Refused: 503, another replica hands out limits, or none was worked out yet.
        """
        if not self._lease_service.posted().snapshot.leader:
            self._seats.clear()
            raise RequestProblem(503, "another replica hands out limits; ask that one", SOON_S)
        now = self._clock()
        seat = self._seats.get(service)
        if seat is None:
            settings = LimiterSettings(service, self._instance)
            seat = _HeldShare(LeaseLimiter(settings), now, now)
            if not self._renewed(service, seat, now):
                return None
            self._seats[service] = seat
        seat.used_at = now
        return seat.limiter

    def beat(self) -> None:
        """Renew all leases, report what was counted, and leave what nobody asks about."""
        now = self._clock()
        for service, seat in list(self._seats.items()):
            if now - seat.used_at >= IDLE_S or not self._renewed(service, seat, now):
                self._seats.pop(service, None)

    def _renewed(self, service: str, seat: _HeldShare, now: float) -> bool:
        """Ask the desk for a lease; return whether there is such a service."""
        said = None
        if now - seat.reported_at >= REPORT_S:
            seat.reported_at = now
            said = ReportBody.model_validate(seat.limiter.report(now)).to_said()
        try:
            answer = self._lease_service.ask(
                service, LeaseRequest(self._instance, seat.etag, said), now
            )
        except RequestProblem as refused:
            # Whatever else it is, it passes; the lease that is held ages meanwhile.
            return refused.status != 404
        if answer.changed:
            if seat.limiter.receive(answer.told.body, now):
                seat.etag = answer.told.etag
        else:
            seat.limiter.renew(now)
        return True

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                self.beat()
            except Exception:
                # Leases age meanwhile; without the beat they would never be renewed again.
                LOG.exception("the resident gateway's beat failed")
