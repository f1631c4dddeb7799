"""What gateways report that they are offered, added up: a second witness of demand.

Reports come on the server's thread, and the control loop's asks what they add up to.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping

from scaler.adapters.http.exchange import LeaseReply, LeaseRequest
from scaler.clocks.steady import steady_seconds
from scaler.limits.demand_claims import DemandEstimate


class ReportedDemand:
    """A report is fresh while the lease is that answers it. Safe to use from any thread.

    Args:
        clock: monotonic seconds, of the lease service.
    """

    def __init__(self, clock: Callable[[], float] = steady_seconds) -> None:
        self._clock, self._lock = clock, threading.Lock()
        # By service and gateway: the rate, and until when it is fresh.
        self._rates: dict[str, dict[str, tuple[DemandEstimate, float]]] = {}

    def take(self, service: str, request: LeaseRequest, reply: LeaseReply, now: float) -> None:
        """Take in a request that was answered; one that reports no demand leaves all as it is."""
        report = request.report
        if report is None or report.wants_qps is None:
            return
        with self._lock:
            rates = self._rates.setdefault(service, {})
            before = rates.get(request.instance)
            rate = DemandEstimate.first(report.wants_qps, report.interval_s)
            if before is not None and now < before[1]:
                rate = before[0].updated_by(report.wants_qps, report.interval_s)
            rates[request.instance] = rate, now + reply.lease.lease_s

    def reported(self) -> Mapping[str, float]:
        """Return the QPS that fresh reports add up to, by service; forget the others."""
        now = self._clock()
        with self._lock:
            for service, rates in list(self._rates.items()):
                fresh = {name: one for name, one in rates.items() if now < one[1]}
                self._rates[service] = fresh
                if not fresh:
                    del self._rates[service]
            return {
                service: sum(rate.mean_qps for rate, _ in rates.values())
                for service, rates in self._rates.items()
            }
