"""One service as the loop keeps it: what decides, and what is only shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scaler.control.checkpoint import EMPTY_CHECKPOINT, ServiceCheckpoint, from_plain
from scaler.control.figures import Figures, Shown
from scaler.control.observations import ServiceMetrics
from scaler.control.service_state import ServiceState
from scaler.control.snapshot import Condition, ServiceView
from scaler.control.unfailing_log import UnfailingLogger

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
    """

    state: ServiceState
    make: Callable[[], Figures] = Figures
    _figures: Figures | None = None

    def shown(self, view: ServiceView, shown: Shown) -> ServiceView:
        """Return a view with its figures; one without a decision has none."""
        if view.decision is None:
            return view
        self._figures = self._figures or self.make()
        return self._figures.tick(view, shown)

    def rebase(self, set_by_s: float, now: float) -> None:
        """Go on under a wall clock that has been set, by so much, to ``now``."""
        self.state.rebase(set_by_s, now)
        with LOGGER.going_on(f"{self.state.policy.item_id}: its figures were not kept"):
            if self._figures is not None:
                self._figures.rebase(set_by_s)
