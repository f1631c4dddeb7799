"""What the plain autoscaler would have had and cost: shown beside our own, never decided on."""

from __future__ import annotations

from scaler.control.observations import Workload
from scaler.control.simulated_hpa import SimulatedHPA
from scaler.control.snapshot import CostLedger
from scaler.hpa.controller import HPASpec


class Counterfactual:
    """The user's autoscaler without us, and the ledger of both. Confined to the loop's thread."""

    def __init__(self, spec: HPASpec) -> None:
        self._hpa = SimulatedHPA(spec)
        self._ledger = CostLedger()
        self._ticked_at: float | None = None

    def follow_spec(self, spec: HPASpec) -> None:
        """Go on with a spec that may have changed."""
        self._hpa.follow_spec(spec)

    def tick(
        self, now: float, observed: float, capacity_qps: float, workload: Workload
    ) -> tuple[int, CostLedger]:
        """Return the replicas that the autoscaler alone would have, and the ledger up to now."""
        hpa = self._hpa.sync(now, observed, capacity_qps)
        if self._ticked_at is not None:
            need = observed / capacity_qps
            ready = sum(pod.ready_at is not None for pod in workload.pods)
            seconds = max(now - self._ticked_at, 0.0)
            hours, ledger = seconds / 3600, self._ledger
            self._ledger = CostLedger(
                ledger.seconds + seconds,
                ledger.replica_hours + workload.replicas * hours,
                ledger.hpa_replica_hours + hpa * hours,
                ledger.short_s + seconds * (need > ready),
                ledger.hpa_short_s + seconds * (need > hpa),
            )
        self._ticked_at = now
        return hpa, self._ledger
