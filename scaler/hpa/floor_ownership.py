"""The autoscaler whose floor is raised: what stands in it, whose it is, and what may be written.

Rules of this file:

* The user's own floor is never undercut and never forgotten: it is kept in an annotation, in the
  same write that raises the floor.
* Who has written the floor after us has the last word until the caller reclaims it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MANAGER = "tidegate"
ORIGINAL = "tidegate.dev/original-min-replicas"
FINALIZER = "tidegate.dev/restore-floor"
# After a revert the floor is left alone for so long: twice as long each time, half a day at most.
_REVERT_BACKOFF_S, _MAX_REVERT_BACKOFF_S = 300.0, 43_200.0


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A HorizontalPodAutoscaler.

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
    """What stands in a HorizontalPodAutoscaler.

    Attributes:
        original: the user's floor as our annotation keeps it; None: there is none.
        managers: who own ``minReplicas``; nobody where it was defaulted.
        written_at: when the latest of them wrote it.
        scaled_object: the KEDA ScaledObject that owns the autoscaler.
        replicas: that its status tells; wants: that it asks for.
        version: of the object that this was read from; opaque.
    """

    target: Target
    min_replicas: int
    max_replicas: int
    original: int | None = None
    managers: tuple[str, ...] = ()
    written_at: float | None = None
    scaled_object: str | None = None
    replicas: int = 0
    wants: int = 0
    version: str = ""

    @property
    def ours(self) -> bool:
        """Whether what stands there is what we wrote."""
        return MANAGER in self.managers

    @property
    def touched(self) -> bool:
        """Whether anything of ours is in it."""
        return self.ours or self.original is not None

    @property
    def own_floor(self) -> int | None:
        """Return the user's own floor; None where we raised it and the annotation is lost."""
        return self.original if self.ours else self.min_replicas

    def reverted_by(self, *, held: bool) -> str | None:
        """Return who wrote the floor over ours, None if nobody did.

        Args:
            held: whether we know to have raised it, even if our annotation is gone.
        """
        if self.ours or not (held or self.original is not None):
            return None
        return ", ".join(self.managers) or "somebody"


class Refusal(StrEnum):
    """Why a floor was not moved: the reason of a condition."""

    MISSING = "AutoscalerMissing"
    KEDA = "OwnedByKEDA"
    CONTESTED = "FloorContested"
    INVALID = "AutoscalerInvalid"


@dataclass(frozen=True, slots=True)
class FloorWish:
    """A floor that is to stand.

    Attributes:
        policy_min: the least that the policy allows; the user's floor where none is kept any more.
        reclaim: write over whoever has reverted it; what they wrote becomes the user's own floor.
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
    """What is to be applied in one write: the floor, and the user's own beside it.

    Attributes:
        force: take the field from its owner, for it is the first time or it is reclaimed.
    """

    min_replicas: int
    original: int
    force: bool


def write_for(wish: FloorWish, seen: Autoscaler) -> FloorWrite:
    """Return what to apply: never below the user's own floor, never above the ceiling.

    >>> seen = Autoscaler(target=Target("a", "b"), min_replicas=3, max_replicas=10)
    >>> write_for(FloorWish(seen.target, 12), seen)
    FloorWrite(min_replicas=10, original=3, force=True)
    """
    own = seen.own_floor
    if own is None:  # the raised floor must not pass for the user's own
        own = min(wish.policy_min, seen.min_replicas)
    floor = min(max(wish.replicas, own, 1), max(seen.max_replicas, 1))
    # Whoever shares the user's own floor with us has not contested a raised one.
    return FloorWrite(floor, own, force=not seen.ours or seen.min_replicas == seen.original)


def stands(write: FloorWrite, seen: Autoscaler) -> bool:
    """Return whether there is nothing left to write; what need not be touched is not."""
    if not seen.touched:
        return seen.min_replicas == write.min_replicas
    return seen.ours and (seen.min_replicas, seen.original) == (write.min_replicas, write.original)


def restored_floor(seen: Autoscaler, policy_min: int | None) -> int:
    """Return the floor that is to stand without us: the user's, or what they have written since."""
    own = seen.own_floor
    if own is None:
        own = seen.min_replicas if policy_min is None else policy_min
    return min(max(own, 1), max(seen.max_replicas, 1))


def revert_backoff_s(reverts: int) -> float:
    """Return how long to leave a floor alone that was reverted so many times in a row.

    >>> [revert_backoff_s(reverts) for reverts in (1, 2, 3, 100)]
    [300.0, 600.0, 1200.0, 43200.0]
    """
    if reverts < 1:
        raise ValueError(f"reverts are {reverts}, but must be at least 1")
    return min(_REVERT_BACKOFF_S * 2.0 ** min(reverts - 1, 16), _MAX_REVERT_BACKOFF_S)


def keda_remedy(seen: Autoscaler) -> str:
    """Return what to do about an autoscaler that KEDA sets back within a tenth of a second."""
    return (
        f"HorizontalPodAutoscaler {seen.target} belongs to KEDA's ScaledObject "
        f"{seen.scaled_object}, which sets a changed floor back at once; instead, add to it a "
        f"trigger of type external with scalerAddress pointing at tidegate, or use a plain "
        f"HorizontalPodAutoscaler"
    )


def contested_remedy(target: Target, manager: str) -> str:
    """Return what to do about somebody who writes over the floor, with the snippet for Argo CD."""
    return (
        f"{manager} writes over the floor of HorizontalPodAutoscaler {target}; let it leave "
        f"minReplicas out, or set the policy's mode to Recommend. For Argo CD, add to the "
        f"Application:\n{argo_snippet(target)}"
    )


def argo_snippet(target: Target) -> str:
    """Return what makes Argo CD leave the floor alone; it goes into the Application.

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
