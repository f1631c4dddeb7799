"""What the loop needs of a cluster, as values and as a protocol: it knows no Kubernetes.

Every method may be called from any thread at any time. Moments are seconds since the epoch;
what is not known is None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from scaler.control.observations import Pod
from scaler.control.reign import Reign
from scaler.control.snapshot import Condition
from scaler.hpa.floor_ownership import Autoscaler, DesiredFloor, Refusal, Target
from scaler.hpa.rules import HPASpec
from scaler.policy.policy import Policy


class AtZero(StrEnum):
    """Why a workload is at 0 replicas."""

    ASLEEP = "asleep"  # its autoscaler has put it there, by its own condition ScaledToZero
    STOPPED = "stopped"  # somebody else has


@dataclass(frozen=True, slots=True)
class ScaledWorkload:
    """An autoscaler, and the pods of the workload that it scales.

    Attributes:
        at_zero: why 0 replicas are asked for; None: they are not.
    """

    autoscaler: Autoscaler
    pods: tuple[Pod, ...]
    at_zero: AtZero | None = None


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class PolicyObject:
    """A DemandPolicy as the cluster keeps it.

    Attributes:
        uid: of the object; another one of the same name has another.
        created: when; 0 where that is not known.
        policy: None where the object is wrong; ``faults`` says how.
        warnings: what it was to say, and does not say to us.
        deleting: somebody has deleted it, and it waits until its floor is restored.
        guarded: it cannot go before that.
        left_until: until then its floor is left alone, for somebody has asked for that.
        published: what the leader keeps of it for who comes after it (`PolicyStatus.published`).
        hpa: the autoscaler that it names to compare with; None where it names none.
    """

    item_id: str
    uid: str
    generation: int
    policy: Policy | None
    created: float = 0.0
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    deleting: bool = False
    guarded: bool = False
    left_until: float = 0.0
    published: Mapping[str, Any] | None = None
    hpa: HPASpec | None = None


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class PolicyStatus:
    """What a DemandPolicy's status is to say.

    Attributes:
        generation: of the policy that this was decided on.
        floor: that stands; plan: that is asked for.
        reasons: of the demand, the plan and the limit, by these names, where they are known.
        events: what they have brought, as `event_words.event_levels` says it.
        saved: by the floor, as `saved.Saved` says it in plain values.
        settings: that are chosen, as `review_words.chosen_settings` says it.
        published: what outlives the leader, as plain JSON values; see `checkpoint`.
    """

    generation: int
    floor: int | None = None
    plan: int | None = None
    demand_qps: float | None = None
    limit_qps: float | None = None
    trusted: bool | None = None
    reasons: Mapping[str, str] = field(default_factory=dict)
    conditions: tuple[Condition, ...] = ()
    published: Mapping[str, Any] | None = None
    saved: Mapping[str, object] | None = None
    events: tuple[Mapping[str, object], ...] = ()
    settings: Mapping[str, object] | None = None

    def __post_init__(self) -> None:
        kinds = [one.kind for one in self.conditions]
        if len(set(kinds)) != len(kinds):  # the API server refuses it
            raise ValueError(f"conditions are {kinds}, but each kind has one")


class EventReason(StrEnum):
    """What a Kubernetes Event is about."""

    FLOOR_MOVED = "FloorMoved"
    FLOOR_CONTESTED = "FloorContested"
    AUTOSCALER_MISSING = "AutoscalerMissing"
    AUTOSCALER_INVALID = "AutoscalerInvalid"
    OWNED_BY_KEDA = "OwnedByKEDA"
    TARGET_TAKEN = "TargetTaken"
    SCALED_TO_ZERO_BY_USER = "ScaledToZeroByUser"
    FLOOR_EARNED = "FloorEarned"
    FLOOR_TAKEN_BACK = "FloorTakenBack"


@dataclass(frozen=True, slots=True)
class Notice:
    """A Kubernetes Event: a change of mind, for a person.

    Attributes:
        warning: something is wrong, rather than as it should be.
    """

    reason: EventReason
    message: str
    warning: bool = False


@dataclass(frozen=True, slots=True)
class FloorOutcome:
    """What became of a floor.

    Attributes:
        floor: that stands now; None where that is not known.
        moved: whether something was written.
        refusal: why it is not what was wished for; None: it is, within the bounds.
        manager: who contests it; message: the remedy, for the condition.
    """

    floor: int | None
    moved: bool = False
    refusal: Refusal | None = None
    manager: str | None = None
    message: str = ""


class Cluster(Protocol):
    """Raises `ClusterError` alone; after that nothing is half-written."""

    def policies(self) -> Mapping[str, PolicyObject]:
        """Return the DemandPolicies by item_id, from memory; makes no call."""

    def observe(self, target: Target) -> ScaledWorkload:
        """Return an autoscaler and its pods, from memory where it is fresh.

        Raises:
            ClusterAbsentError: there is no such autoscaler, or nothing that it scales.
            ClusterUnreachableError: what is remembered is too old to act on.
            ClusterError: no pods are found, but the autoscaler counts some.
        """

    def autoscaler(self, target: Target) -> Autoscaler | None:
        """Return an autoscaler from memory, None where none is known; makes no call."""

    def set_floor(
        self, wish: DesiredFloor, guard: Callable[[], bool] = lambda: True
    ) -> FloorOutcome:
        """Let a floor stand, with the user's own kept beside it in the same write.

        Args:
            wish: the floor.
            guard: called just before a write; False: the policy is gone, so nothing is written.
        """

    def restore(self, target: Target, policy_min: int | None = None) -> FloorOutcome:
        """Put the user's own floor back and leave nothing of ours; done twice, it does nothing.

        Args:
            target: that need not exist any more.
            policy_min: what to fall back to where the user's own floor is not known any more.
        """

    def raised(self) -> tuple[Autoscaler, ...]:
        """Return the autoscalers with anything of ours in them, from memory; makes no call.

        What no policy names any more, since its target was changed, is to be restored.
        """

    def wake(self, target: Target, replicas: int) -> bool:
        """Scale a workload at 0 replicas up; return whether it was at 0."""

    def guard(self, item_id: str) -> bool:
        """Keep a policy from going away before its floor is restored; False if it is gone."""

    def release(self, item_id: str) -> bool:
        """Let a policy go; False if it is gone already."""

    def publish(self, item_id: str, status: PolicyStatus, *, now: float) -> bool:
        """Write a policy's status if it says something new; return whether it did."""

    def tell(self, item_id: str, notice: Notice, *, now: float) -> bool:
        """Write an Event about a policy; one that was just told is counted, not repeated.

        Never raises: an Event that is lost does no harm.
        """


class Leadership(Protocol):
    """Who of several replicas acts. Without a cluster, `AlwaysLeading`."""

    def leads(self) -> bool:
        """Return whether we may act at this instant; makes no call."""

    def reign(self) -> Reign | None:
        """Return whether we may hand out limits at this instant; None: whenever we lead."""

    def close(self) -> None:
        """Hand over at once and stop."""


class AlwaysLeading:
    """The leadership of a scaler that runs alone."""

    def leads(self) -> bool:
        return True

    def reign(self) -> Reign | None:
        return None

    def close(self) -> None:
        pass
