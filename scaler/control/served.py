"""One service as the loop keeps it: what decides, and what is only shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from scaler.control.checkpoint import (
    EMPTY_CHECKPOINT,
    ServiceCheckpoint,
    from_plain,
    savings_from_plain,
)
from scaler.control.demand_history import DemandHistory
from scaler.control.figures import Figures, Shown
from scaler.control.observations import ServiceMetrics
from scaler.control.past_events import past_ratios
from scaler.control.ports import WatchedPolicy
from scaler.control.service_state import ServiceState
from scaler.control.snapshot import Condition, ServiceView
from scaler.control.unfailing_log import UnfailingLogger
from scaler.decision.capacity import Capacity
from scaler.decision.review import Review
from scaler.decision.savings import NOTHING_SAVED, Savings
from scaler.decision.wariness import KeptReports
from scaler.policy.policy import Mode

LOGGER = UnfailingLogger(__name__)


def restored(state: ServiceState, kept: Mapping[str, Any] | None) -> ServiceCheckpoint:
    """Have a service go on where the last process has stopped; return what that has kept."""
    try:
        checkpoint = from_plain(kept)
    except ValueError as error:
        LOGGER.warning("%s: %s; it starts afresh", state.policy.item_id, error)
        return EMPTY_CHECKPOINT
    state.restore(checkpoint)
    return checkpoint


@dataclass(frozen=True, slots=True)
class Seen:
    """What the metrics say of one service at a tick; ``fresh`` whether that is its demand now."""

    fresh: Condition
    metrics: ServiceMetrics
    observed: float


@dataclass(slots=True)
class ServedService:
    """What is remembered of one service.

    Attributes:
        state: what decides.
        make: makes what its figures are worked out by, when they are first needed.
        savings: of its floor, which are only shown.
    """

    state: ServiceState
    make: Callable[[], Figures] = Figures
    savings: Savings = NOTHING_SAVED
    _figures: Figures | None = None
    _looked_back: bool = False

    def follow(self, one: WatchedPolicy, *, leads: bool) -> None:
        """Go on under a policy that may have changed; who does not lead takes over what is kept."""
        self.state.follow_policy(one.policy)
        if not leads:
            self.savings = savings_from_plain(one.checkpoint) or self.savings

    def looked_back(self, histories: DemandHistory) -> ServiceState:
        """Return the state, which has learned once from the past, as soon as that is read."""
        policy = self.state.policy
        if not self._looked_back and policy.item_id in histories:
            self._looked_back = True
            if any(one.learns for one in policy.all_events):
                self.state.look_back(past_ratios(policy, histories.series(policy)))
        return self.state

    def checkpoint(
        self, learned: Capacity | None, reports: KeptReports | None, review: Review | None
    ) -> ServiceCheckpoint:
        """Return what is to outlive this process; ``learned`` is the capacity, if it is that."""
        kept = self.state.checkpoint(learned, reports)
        return replace(kept, savings=self.savings, review=review)

    def shown(self, view: ServiceView, shown: Shown) -> ServiceView:
        """Return a view with its figures; one without a decision has none."""
        if view.decision is None:
            return view
        self._figures = self._figures or self.make()
        now = self._figures.tick(view, shown)
        if now.policy.mode is Mode.ENFORCE:  # else no floor of ours stands, and none saves
            more = self._figures.added
            saved = more.hpa_replica_hours - more.replica_hours
            self.savings = self.savings.after(now.at, more.seconds, saved)
        return now

    def rebase(self, set_by_s: float, now: float) -> None:
        """Go on under a wall clock that has been set, by so much, to ``now``."""
        self.state.rebase(set_by_s, now)
        with LOGGER.going_on(f"{self.state.policy.item_id}: its figures were not kept"):
            if self._figures is not None:
                self._figures.rebase(set_by_s)
