"""Ownership of an HPA's floor (`minReplicas`): the user's value, tidegate's, and what to write.

Rules of this file:

* The floor is never set below the user's own. The same write that raises the floor stores the
  user's in an annotation, from which it is restored.
* If another field manager writes the floor after us, its value stays until the caller reclaims the
  field.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MANAGER = "tidegate"
ORIGINAL = "tidegate.dev/original-min-replicas"
RAISED = "tidegate.dev/raised-floor"  # UID of the HPA and floor, as `uid/floor`
FINALIZER = "tidegate.dev/restore-floor"
LEFT_UNTIL = "tidegate.dev/left-alone-until"  # of a policy: when its floor may be raised again
# How long a floor is left alone after a revert; it doubles with each revert in a row.
_REVERT_BACKOFF_S, _MAX_REVERT_BACKOFF_S = 300.0, 43_200.0


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """Namespace and name of a HorizontalPodAutoscaler.

    >>> str(Target("shop", "checkout"))
    'shop/checkout'
    """

    namespace: str
    name: str

    def __post_init__(self) -> None:
        if not self.namespace or not self.name or "/" in self.namespace + self.name:
            raise ValueError(
                f"target is {self.namespace!r}, {self.name!r}, but must be a namespace and a name"
            )

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Autoscaler:
    """The state of a HorizontalPodAutoscaler object.

    Attributes:
        target: which object.
        min_replicas, max_replicas: as in its spec.
        original_min_replicas: the user's own floor, from our annotation; None: without one.
        raised_floor: that tidegate raised in the object of which this is a copy, such as a restored
            backup; None: it is no copy.
        managers: the field managers that own ``minReplicas``; empty where it was defaulted.
        scaled_object: name of the KEDA ScaledObject that owns the object; None: none does.
        replicas: ``status.currentReplicas``.
        slept: whether it says that it has scaled its workload to 0 (its condition ScaledToZero).
        uid: of the object; another one of the same name has another.
        version: ``metadata.resourceVersion``, opaque.
    """

    target: Target
    min_replicas: int
    max_replicas: int
    original_min_replicas: int | None = None
    raised_floor: int | None = None
    managers: tuple[str, ...] = ()
    scaled_object: str | None = None
    replicas: int = 0
    slept: bool = False
    uid: str = ""
    version: str = ""

    @property
    def ours(self) -> bool:
        """Whether the floor is owned by tidegate."""
        return MANAGER in self.managers

    @property
    def touched(self) -> bool:
        """Whether tidegate owns the floor or has left its annotation."""
        return self.ours or self.original_min_replicas is not None

    @property
    def own_floor(self) -> int | None:
        """The user's own floor; None where tidegate raised it and the annotation is lost."""
        copied = self.raised_floor is not None and self.raised_floor == self.min_replicas
        return self.original_min_replicas if self.ours or copied else self.min_replicas

    def reverted_by(self, *, held: bool) -> str | None:
        """Return the field managers that wrote over a raised floor; None: none did.

        Args:
            held: whether tidegate is known to have raised the floor, even without an annotation.
        """
        if self.ours or not (held or self.original_min_replicas is not None):
            return None
        if self.raised_floor is not None:  # nobody has reverted a floor of this object
            return None
        return ", ".join(self.managers) or "an unknown manager"


class Refusal(StrEnum):
    """Why a floor was not written: the reason of a status condition."""

    MISSING = "AutoscalerMissing"
    KEDA = "OwnedByKEDA"
    CONTESTED = "FloorContested"
    INVALID = "AutoscalerInvalid"
    GONE = "PolicyGone"


@dataclass(frozen=True, slots=True)
class DesiredFloor:
    """The floor that tidegate wants to set.

    Attributes:
        target: of which HorizontalPodAutoscaler.
        replicas: the floor.
        policy_min: the policy's minimum; it stands in for the user's own floor where that is lost.
        reclaim: whether to write over a manager that reverted the floor; the value that it wrote
            becomes the user's own floor.
    """

    target: Target
    replicas: int
    policy_min: int = 1
    reclaim: bool = False

    def __post_init__(self) -> None:
        if self.replicas < 0 or self.policy_min < 1:
            raise ValueError(
                f"{self.target}: replicas are {self.replicas}, policy_min is {self.policy_min}, "
                "but must be at least 0 and 1"
            )


@dataclass(frozen=True, slots=True)
class FloorWrite:
    """One server-side apply of the floor.

    Attributes:
        min_replicas: the floor.
        original_min_replicas: the user's own floor, for the annotation.
        force: take the field from its owner, as on the first write or when it is reclaimed.
    """

    min_replicas: int
    original_min_replicas: int
    force: bool


def write_for(desired: DesiredFloor, seen: Autoscaler) -> FloorWrite:
    """Return what to apply: never below the user's own floor, never above ``maxReplicas``.

    >>> seen = Autoscaler(target=Target("a", "b"), min_replicas=3, max_replicas=10)
    >>> write_for(DesiredFloor(seen.target, 12), seen)
    FloorWrite(min_replicas=10, original_min_replicas=3, force=True)
    """
    own = seen.own_floor
    if own is None:  # the raised floor must not be taken for the user's own
        own = min(desired.policy_min, seen.min_replicas)
    floor = min(max(desired.replicas, own), max(seen.max_replicas, 1))
    # A manager that shares the field at the user's own floor does not contest a raised one.
    return FloorWrite(
        floor, own, force=not seen.ours or seen.min_replicas == seen.original_min_replicas
    )


def is_applied(write: FloorWrite, seen: Autoscaler) -> bool:
    """Return whether the object has the floor already, so that nothing needs to be written."""
    if not seen.touched:
        return seen.min_replicas == write.min_replicas
    return seen.ours and (seen.min_replicas, seen.original_min_replicas) == (
        write.min_replicas,
        write.original_min_replicas,
    )


def restored_floor(seen: Autoscaler, policy_min: int | None) -> int:
    """Return the floor to leave behind: the user's own, or what another manager wrote since."""
    own = seen.own_floor
    if own is None:
        own = seen.min_replicas if policy_min is None else policy_min
    return min(own, max(seen.max_replicas, 1))


def revert_backoff_s(reverts: int) -> float:
    """Return how long to leave a floor alone after ``reverts`` reverts in a row.

    >>> [revert_backoff_s(reverts) for reverts in (1, 2, 3, 100)]
    [300.0, 600.0, 1200.0, 43200.0]
    """
    if reverts < 1:
        raise ValueError(f"reverts are {reverts}, but must be at least 1")
    return min(_REVERT_BACKOFF_S * 2.0 ** min(reverts - 1, 16), _MAX_REVERT_BACKOFF_S)


def keda_remedy(seen: Autoscaler) -> str:
    """Return the advice for an autoscaler that KEDA manages, which reverts a floor at once."""
    return (
        f"HorizontalPodAutoscaler {seen.target} belongs to KEDA's ScaledObject "
        f"{seen.scaled_object}, which reverts a changed floor at once; instead, add to it a "
        f"trigger of type external with scalerAddress pointing at tidegate, or use a plain "
        f"HorizontalPodAutoscaler"
    )


def contested_remedy(target: Target, manager: str) -> str:
    """Return the advice for a floor that another manager overwrites, with a snippet for Argo CD."""
    return (
        f"{manager} writes over the floor of HorizontalPodAutoscaler {target}; let it leave "
        f"minReplicas out, or set the policy's mode to Recommend. For Argo CD, add to the "
        f"Application:\n{argo_snippet(target)}"
    )


def standing_message(seen: Autoscaler, item_id: str) -> str:
    """Return what is to be known while a floor of ours stands; empty where none does."""
    if not seen.ours or seen.min_replicas == seen.original_min_replicas:
        return ""
    return (
        f"minReplicas is {seen.min_replicas}, its user's own {seen.original_min_replicas}; the API "
        f"server refuses a maxReplicas below {seen.min_replicas} meanwhile: to lower it, lower "
        f"spec.replicas.max of this policy first, or run 'scaler restore {item_id}'"
    )


def above_max_message(seen: Autoscaler, wanted: int) -> str:
    """Return what is said where more replicas are asked for than an autoscaler allows."""
    return (
        f"{wanted} replicas are asked for, but maxReplicas of HorizontalPodAutoscaler "
        f"{seen.target} is {seen.max_replicas}; raise it, or lower spec.replicas.max"
    )


def argo_snippet(target: Target) -> str:
    """Return the part of an Argo CD Application that makes it ignore the floor.

    Source: argo-cd.readthedocs.io, "Diff Customization"; without RespectIgnoreDifferences a sync
    still writes the field.
    """
    return (
        "spec:\n"
        "  ignoreDifferences:\n"
        "    - group: autoscaling\n"
        "      kind: HorizontalPodAutoscaler\n"
        f"      namespace: {target.namespace}\n"
        f"      name: {target.name}\n"
        "      jsonPointers:\n"
        "        - /spec/minReplicas\n"
        "  syncPolicy:\n"
        "    syncOptions:\n"
        "      - RespectIgnoreDifferences=true\n"
    )
