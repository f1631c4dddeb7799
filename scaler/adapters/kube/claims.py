"""Which policy owns the floor of an autoscaler that several of them name; pure.

Rules of this file:

* Only a policy in mode Enforce that is not being deleted asks for a floor.
* Of several the oldest owns it: by the time of its creation, then by its UID.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from scaler.control.cluster_port import PolicyObject
from scaler.hpa.floor_ownership import Target
from scaler.policy.policy import Mode, Policy


def target_of(policy: Policy) -> Target:
    """Return the HPA whose floor a policy moves."""
    return Target(policy.item_id.partition("/")[0], policy.target)


def floor_owners(
    policies: Iterable[Policy], stored: Mapping[str, PolicyObject]
) -> dict[Target, str]:
    """Return the item_id of the policy that owns the floor of each autoscaler that one asks for.

    Args:
        policies: that are acted on; one that is wrong now is acted on as it was.
        stored: the objects in the cluster; a policy from a file has none, and counts as old.
    """
    owners: dict[Target, tuple[float, str, str]] = {}
    for policy in policies:
        kept = stored.get(policy.item_id)
        if policy.mode is not Mode.ENFORCE or (kept is not None and kept.deleting):
            continue
        age = (kept.created, kept.uid) if kept is not None else (0.0, "")
        claim = (*age, policy.item_id)
        target = target_of(policy)
        owners[target] = min(owners.get(target, claim), claim)
    return {target: item_id for target, (_, _, item_id) in owners.items()}


def unclaimed(
    raised: Iterable[Target], policies: Iterable[Policy], stored: Mapping[str, PolicyObject]
) -> list[Target]:
    """Return the targets whose floor no policy claims, after a change of target or a crash.

    Which floor a guarded policy owns that cannot be read is not known, so none of its namespace is
    taken for unclaimed.
    """
    kept = [one.policy for one in stored.values() if one.policy is not None]
    claimed = {target_of(policy) for policy in [*policies, *kept]}
    known = {policy.item_id for policy in policies}
    unread = {
        item_id.partition("/")[0]
        for item_id, one in stored.items()
        if one.policy is None and one.guarded and not one.deleting and item_id not in known
    }
    return [target for target in raised if target not in claimed and target.namespace not in unread]


def taken_message(target: Target, owner: str) -> str:
    """Return what is said of a policy whose autoscaler another one owns."""
    return (
        f"the floor of HorizontalPodAutoscaler {target} is owned by the DemandPolicy {owner}, "
        "which is older; delete one of the two, set its mode to Recommend, or name another in "
        "spec.targetRef.name"
    )
