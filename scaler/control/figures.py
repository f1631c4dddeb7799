"""What is shown of a service beside its decision, and never decided on.

It is worked out once plans are carried out. Whatever fails here costs the page its figures, and no
service its floor or its limit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from scaler.control.counterfactual import Counterfactual
from scaler.control.observations import Workload
from scaler.control.snapshot import CostLedger, ServiceView
from scaler.control.tick_history import TickHistory
from scaler.hpa.controller import HPASpec


@dataclass(frozen=True, slots=True)
class Shown:
    """What a tick's figures rest on: the autoscaler, demand observed, and the pods."""

    hpa: HPASpec
    observed: float
    workload: Workload


class Figures:
    """Of one service. Confined to the loop's thread.

    Args:
        counterfactual: makes the autoscaler beside us.
        history: of its ticks.
    """

    def __init__(
        self,
        counterfactual: Callable[[HPASpec], Counterfactual] = Counterfactual,
        history: TickHistory | None = None,
    ) -> None:
        self._counterfactual: Counterfactual | None = None
        self._made, self._history = counterfactual, history or TickHistory()
        self._set_by_s = 0.0  # since the first tick

    @property
    def added(self) -> CostLedger:
        """What the last tick has added to the ledger."""
        return self._counterfactual.added if self._counterfactual else CostLedger()

    def rebase(self, set_by_s: float) -> None:
        """Go on under a wall clock that has been set by so much."""
        self._set_by_s += set_by_s
        self._history.rebase(set_by_s)

    def tick(self, view: ServiceView, shown: Shown) -> ServiceView:
        """Return the view of a decision with what is shown beside it, and remember it."""
        assert view.decision is not None, "there is nothing to show beside"
        if self._counterfactual is None:
            self._counterfactual = self._made(shown.hpa)
        self._counterfactual.follow_spec(shown.hpa)
        plan, published = view.decision.plan, view.published_limit
        # It has a clock of its own, which is never set.
        hpa, ledger = self._counterfactual.tick(
            view.at - self._set_by_s, shown.observed, view.decision.capacity.qps, shown.workload
        )
        floor = math.nan if view.floor is None else view.floor
        limit_qps = math.nan if published is None else published.limit.qps
        row = (shown.observed, shown.workload.replicas, floor, plan.replicas, hpa, limit_qps)
        self._history.append(view.at, row)
        return replace(view, hpa_replicas=hpa, ledger=ledger, recent=self._history.shown())
