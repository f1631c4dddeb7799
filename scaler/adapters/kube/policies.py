"""DemandPolicies of a cluster: parsed by the rules of policy files, and their finalizer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scaler.adapters.kube.caches import key_of
from scaler.adapters.kube.client import KubernetesApi, Object
from scaler.adapters.kube.objects import parse_time, time_text
from scaler.adapters.kube.paths import policy_path
from scaler.adapters.kube.pruned_keys import LAST_APPLIED, pruned_keys
from scaler.control.cluster_port import PolicyObject
from scaler.errors import ClusterAbsentError, ClusterConflictError
from scaler.hpa.floor_ownership import FINALIZER, LEFT_UNTIL
from scaler.hpa.rules import HPASpec
from scaler.policy.faults import validated, without_effect, without_unknown_keys
from scaler.policy.policy import Policy
from scaler.policy.schema import API_VERSION, KIND, DemandPolicy
from scaler.policy.yaml_documents import Document, Loc

LOGGER = logging.getLogger(__name__)
_CONFLICT_TRIES = 5  # after this many conflicts in a row it is an error


@dataclass(frozen=True, slots=True)
class _Parsed:
    """What a spec says: a policy and the autoscaler it names, or faults; see `PolicyObject`.

    ``without_effect`` tells of keys that nothing obeys any more.
    """

    policy: Policy | None = None
    hpa: HPASpec | None = None
    faults: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    without_effect: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """A DemandPolicy, its current status, and what its spec says, which is of one revision."""

    policy_object: PolicyObject
    status: Mapping[str, Any]
    revision: object
    parsed: _Parsed


def read_policy(found: Mapping[str, Any], before: PolicyEntry | None = None) -> PolicyEntry:
    """Return an object as a policy; an invalid one gets its faults, and raises nothing.

    A spec is parsed once per generation, for most changes are those of the status. An unknown key
    is a warning, and no fault as in a file: the CRD knows it, so it is of a newer version.

    Args:
        found: the object.
        before: what was read of it last.
    """
    meta, item_id = found["metadata"], key_of(found)
    applied = (meta.get("annotations") or {}).get(LAST_APPLIED)
    revision = (meta.get("uid"), meta.get("generation"), meta.get("labels"), applied)
    if before is not None and before.revision == revision:
        parsed = before.parsed
    else:
        parsed = _parse(found)
        for warning in (*parsed.warnings, *parsed.without_effect):
            LOGGER.warning("%s: %s", item_id, warning)
    status = found.get("status") or {}
    policy_object = PolicyObject(
        item_id=item_id,
        uid=meta.get("uid", ""),
        created=parse_time(meta.get("creationTimestamp")) or 0.0,
        generation=meta.get("generation", 0),
        policy=parsed.policy,
        faults=parsed.faults,
        warnings=parsed.warnings,
        deleting="deletionTimestamp" in meta,
        guarded=FINALIZER in (meta.get("finalizers") or ()),
        left_until=parse_time((meta.get("annotations") or {}).get(LEFT_UNTIL)) or 0.0,
        published=status.get("published"),
        hpa=parsed.hpa,
    )
    return PolicyEntry(policy_object, status, revision, parsed)


def _parse(found: Mapping[str, Any]) -> _Parsed:
    # In a list the API server omits apiVersion and kind of the items.
    whole = {"apiVersion": API_VERSION, "kind": KIND, **found}
    policy, faults = _validate(whole)
    unknown: tuple[str, ...] = ()
    if policy is None:
        known, unknown = without_unknown_keys(whole)
        policy, faults = _validate(known)
    warnings = _warnings(pruned_keys(found), [key for key in unknown if key.startswith("spec.")])
    if policy is None:
        without_lines = tuple(_without_line(fault) for fault in faults)
        return _Parsed(faults=without_lines, warnings=warnings)
    try:
        return _Parsed(
            policy.to_policy(), policy.to_hpa(), warnings=warnings,
            without_effect=without_effect(policy),
        )  # fmt: skip
    except ValueError as error:
        return _Parsed(faults=(str(error),), warnings=warnings)


def _validate(data: Mapping[str, Any]) -> tuple[DemandPolicy | None, list[str]]:
    return validated(Document(data, dict.fromkeys(_locations(data, ()), 0)))


def _warnings(pruned: Sequence[str], unknown: Sequence[str]) -> tuple[str, ...]:
    """Return warnings about keys that the CRD in the cluster or this version does not know.

    >>> _warnings(["spec.limit.jitter"], [])[0].partition(";")[0]
    'spec.limit.jitter was applied, but the CRD in the cluster does not know it'
    """
    warnings = []
    if pruned:
        warnings.append(
            f"{', '.join(pruned)} was applied, but the CRD in the cluster does not know it; bring "
            "the CRD up to date by 'scaler crd | kubectl apply --server-side -f -', then apply "
            "the policy again"
        )
    if unknown:
        warnings.append(
            f"{', '.join(unknown)} is ignored, for this version of tidegate does not know it; "
            "upgrade the scaler, or remove the key"
        )
    return tuple(warnings)


def _locations(data: object, loc: Loc) -> Iterator[Loc]:
    yield loc
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _locations(value, (*loc, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from _locations(value, (*loc, index))


def _without_line(fault: str) -> str:
    """Return a fault without its line number, for an object has no lines.

    >>> _without_line("spec.mode: must be Enforce (got 2, line 0); or not")
    'spec.mode: must be Enforce (got 2); or not'
    >>> _without_line("spec.replicas: is missing (line 0); add it")
    'spec.replicas: is missing; add it'
    """
    return fault.replace(", line 0)", ")").replace(" (line 0)", "")


class Finalizers:
    """Adds and removes our finalizer; calls ``update_cache`` with each object that was written."""

    def __init__(self, api: KubernetesApi, update_cache: Callable[[Object], None]) -> None:
        self._api, self._update_cache = api, update_cache

    def guard(self, item_id: str) -> bool:
        return self._retry_conflicts(item_id, lambda names: [*names, FINALIZER])

    def release(self, item_id: str) -> bool:
        return self._retry_conflicts(item_id, lambda names: names)

    def leave(self, item_id: str, until: float) -> None:
        """Have whoever leads restore the floor of a policy, and leave it alone until then."""
        body = {"metadata": {"annotations": {LEFT_UNTIL: time_text(until)}}}
        self._api.patch(policy_path(item_id), body)

    def _retry_conflicts(self, item_id: str, change: Callable[[list[str]], list[str]]) -> bool:
        """Set the finalizers to ``change(those of others)``; return False if the policy is deleted.

        It tries again if the policy has changed between the read and the write.
        """
        for attempt in range(1, _CONFLICT_TRIES + 1):
            try:
                return self._change(item_id, change)
            except ClusterAbsentError:
                return False
            except ClusterConflictError:
                if attempt == _CONFLICT_TRIES:
                    raise
        raise AssertionError("the last attempt returned or raised")

    def _change(self, item_id: str, change: Callable[[list[str]], list[str]]) -> bool:
        path = policy_path(item_id)
        meta = self._api.get(path)["metadata"]
        before = meta.get("finalizers") or []
        after = change([name for name in before if name != FINALIZER])
        if "deletionTimestamp" in meta and FINALIZER in after:
            return FINALIZER in before  # no finalizer may be added during deletion
        if sorted(after) != sorted(before):
            version = meta["resourceVersion"]
            body = {"metadata": {"resourceVersion": version, "finalizers": after}}
            written = self._api.patch(path, body)
            if after or "deletionTimestamp" not in meta:
                self._update_cache(written)
        return True
