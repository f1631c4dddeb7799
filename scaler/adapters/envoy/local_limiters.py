"""The limiters of this process: a gateway that gets its leases from the lease service beside it.

Rules of this file:

* It takes a share of a service's limit on the first decision about that service, and gives it up
  when there was none for a while. So all shares together stay within the limit.
* It stays within its share, with the same limiter as every other gateway. If ticks stop, its lease
  ages as everywhere: first the schedule, then the safe limit, then open or closed.
* Only who hands out limits decides; another replica replies 503.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.problems import RETRY_AFTER_S, RequestProblem
from scaler.adapters.http.schemas import ReportBody
from scaler.gateway.lease_document import LeaseRefusedError
from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings

LOG = logging.getLogger(__name__)
# A changed limit is acted on after this time at the latest.
RENEW_EVERY_S = 0.5
# Demand is reported this often, and when it has moved; a shorter interval would measure chance.
REPORT_EVERY_S = 2.0
IDLE_S = 60.0


@dataclass(slots=True)
class _HeldShare:
    """This gateway's share of one service's limit.

    Attributes:
        limiter: admits requests within the share.
        used_at: when the last decision was asked for.
        reported_at: when the last report was made.
        etag: of the lease.
    """

    limiter: LeaseLimiter
    used_at: float
    reported_at: float
    etag: str = ""


class LocalLimiters:
    """A gateway on the lease service's event loop; an async context that renews its leases.

    Args:
        lease_service: issues the leases.
        instance: name of this gateway.
        clock: the clock of ``lease_service``.
    """

    def __init__(
        self, lease_service: LeaseService, instance: str, clock: Callable[[], float]
    ) -> None:
        self._lease_service, self._instance, self._clock = lease_service, instance, clock
        self._shares: dict[str, _HeldShare] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> LocalLimiters:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._task is not None:
            self._task.cancel()

    def limiter(self, service: str) -> LeaseLimiter | None:
        """Return the limiter of a service; None if there is no such service.

        Raises:
            RequestProblem: 503 if another replica hands out limits, or there is no snapshot yet.
        """
        if not self._lease_service.latest().tenure.hands_out:
            self._shares.clear()
            detail = "another replica hands out limits; ask that one"
            raise RequestProblem(503, detail, RETRY_AFTER_S)
        now = self._clock()
        share = self._shares.get(service)
        if share is None:
            settings = LimiterSettings(service, self._instance)
            share = _HeldShare(LeaseLimiter(settings), now, now)
            share.limiter.begin(now)
            if not self._renew(service, share, now):
                return None
            self._shares[service] = share
        share.used_at = now
        return share.limiter

    def renew_all(self) -> None:
        """Renew all leases, report demand, and give up the shares that are not used."""
        now = self._clock()
        for service, share in list(self._shares.items()):
            try:
                keep = now - share.used_at < IDLE_S and self._renew(service, share, now)
            except Exception:
                # The others must be renewed: without it none of their leases would ever be again.
                LOG.exception("the lease could not be renewed service=%s", service)
                continue
            if not keep:
                self._shares.pop(service, None)

    def _renew(self, service: str, share: _HeldShare, now: float) -> bool:
        """Ask for the lease, with a report if one is due; return whether the service exists."""
        report = None
        if now - share.reported_at >= REPORT_EVERY_S or share.limiter.demand_moved(now):
            share.reported_at = now
            report = ReportBody.model_validate(share.limiter.report(now)).to_report()
        try:
            reply = self._lease_service.reply(
                service, LeaseRequest(self._instance, share.etag, report), now
            )
        except RequestProblem as problem:
            # Every other problem may be temporary; the lease that is held ages meanwhile.
            return problem.status != 404
        if reply.changed:
            try:
                if share.limiter.receive(reply.lease.json_body, now):
                    share.etag = reply.lease.etag
            except LeaseRefusedError as error:
                LOG.warning("lease refused service=%s: %s", service, error)
        else:
            share.limiter.renew(now)
        return True

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(RENEW_EVERY_S)
            self.renew_all()
