"""Mode Auto of all services: what is acted by now, and the evidence that it rests on.

Rules of this file:

* At the top of a tick a policy of mode Auto becomes one of mode Recommend or Enforce; everything
  after that knows these two alone.
* A replica that does not lead takes over the evidence that the leader keeps, at each tick.
* FloorEvidence is kept to the last bit: in the checkpoint for the next leader, in the memory for a
  journal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from scaler.control.checkpoint import evidence_from_plain
from scaler.control.conditions import floor_earned
from scaler.control.figures import Shown
from scaler.control.ports import WatchedPolicy
from scaler.control.snapshot import ServiceView
from scaler.control.trial import Trial, TrialMemory, TrialTick
from scaler.control.unfailing_log import UnfailingLogger
from scaler.decision.earned_trust import AutoRules, FloorEvidence
from scaler.policy.policy import Mode, Policy

LOGGER = UnfailingLogger(__name__)


@dataclass(slots=True)
class _Auto:
    """One service.

    Attributes:
        trial: of its floor.
        given: the policy; acted: as it was acted by last.
        turned: it is acted by in another mode, which is not told yet.
    """

    trial: Trial
    given: Policy | None = None
    acted: Policy | None = None
    turned: bool = False

    def resolved(self, given: Policy) -> Policy:
        """Return the policy that is acted by; the same object while nothing changes."""
        mode = Mode.ENFORCE if self.trial.evidence.is_earned else Mode.RECOMMEND
        before = self.acted
        if before is not None and before.mode is mode and given is self.given:
            return before
        self.turned |= before is not None and before.mode is not mode
        self.given, self.acted = given, replace(given, mode=mode)
        return self.acted


class AutoMode:
    """The policies of mode Auto. Confined to the loop's thread.

    Args:
        leads: whether this replica acts.
    """

    def __init__(self, leads: Callable[[], bool]) -> None:
        self._leads = leads
        self._services: dict[str, _Auto] = {}

    def memory(self) -> dict[str, TrialMemory]:
        return {item: one.trial.memory() for item, one in self._services.items()}

    def recall(self, memory: Mapping[str, TrialMemory]) -> None:
        self._services = {item: _Auto(Trial.recalled(one)) for item, one in memory.items()}

    def rebase(self, set_by_s: float) -> None:
        """Go on under a wall clock that has been set by so much."""
        for one in self._services.values():
            one.trial.rebase(set_by_s)

    def resolved(self, watched: Sequence[WatchedPolicy]) -> Sequence[WatchedPolicy]:
        """Return the policies that are acted by; forget services of other modes."""
        autos = {one.policy.item_id: one for one in watched if one.policy.mode is Mode.AUTO}
        self._services = {item: one for item, one in self._services.items() if item in autos}
        if not autos:
            return watched
        leads = self._leads()
        for item, one in autos.items():
            if item not in self._services:
                self._services[item] = _Auto(Trial(_kept(one) or FloorEvidence()))
            elif not leads and (kept := _kept(one)) is not None:
                self._services[item].trial.evidence = kept
        return [
            replace(one, policy=self._services[item].resolved(one.policy))
            if (item := one.policy.item_id) in autos
            else one
            for one in watched
        ]

    def judged(self, view: ServiceView, shown: Shown) -> ServiceView:
        """Return the view of a decision with what is known of its floor; alike in other modes."""
        one = self._services.get(view.item_id)
        if one is None:
            return view
        assert view.decision is not None, "there is nothing to judge"
        assert view.lead_time is not None
        assert view.checkpoint is not None
        with LOGGER.going_on(f"{view.item_id}: what its floor is worth was not counted"):
            one.trial.tick(
                TrialTick(
                    view.at,
                    AutoRules(shown.hpa.max_replicas, 1 - view.policy.slo.objective),
                    shown.hpa,
                    shown.observed,
                    view.decision.capacity.qps,
                    shown.workload,
                    view.decision.plan.replicas,
                    view.lead_time.seconds,
                )
            )
        evidence, turned = one.trial.evidence, one.turned
        one.turned = False
        return replace(
            view,
            evidence=evidence,
            turned=turned,
            conditions=(*view.conditions, floor_earned(evidence)),
            checkpoint=replace(view.checkpoint, evidence=evidence),
        )


def _kept(one: WatchedPolicy) -> FloorEvidence | None:
    try:
        return evidence_from_plain(one.checkpoint)
    except ValueError as error:
        LOGGER.warning("%s: %s; its trial starts afresh", one.policy.item_id, error)
        return None
