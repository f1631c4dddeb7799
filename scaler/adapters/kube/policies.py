"""DemandPolicies of a cluster: read by the rules of policy files, guarded by a finalizer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scaler.adapters.kube.caches import key_of
from scaler.adapters.kube.client import KubernetesApi, Object
from scaler.adapters.kube.paths import policy_path
from scaler.adapters.kube.pruned_keys import LAST_APPLIED, pruned_keys
from scaler.control.cluster_port import PolicyObject
from scaler.errors import ClusterAbsentError, ClusterConflictError
from scaler.hpa.floor_ownership import FINALIZER
from scaler.policy.faults import examined, without_unknown_keys
from scaler.policy.policy import Policy
from scaler.policy.schema import API_VERSION, KIND, DemandPolicy
from scaler.policy.yaml_documents import Document, Loc

LOGGER = logging.getLogger(__name__)
_MEETINGS = 5  # of two writers, before it is an error


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """A policy, and its status as it stands."""

    kept: PolicyObject
    status: Mapping[str, Any]


class PolicyReader:
    """Reads objects as policies; one that is wrong has its faults instead, and never raises.

    A spec is read once for each generation: most of what changes is the status that we write. A key
    that is not known is no fault, as in a file: the CRD knows it, so it is of a newer version.
    """

    def __init__(self) -> None:
        self._read: dict[str, tuple[object, Policy | None, tuple[str, ...], tuple[str, ...]]] = {}

    def __call__(self, found: Mapping[str, Any]) -> PolicyEntry:
        meta, item_id = found["metadata"], key_of(found)
        applied = (meta.get("annotations") or {}).get(LAST_APPLIED)
        edition = (meta.get("uid"), meta.get("generation"), meta.get("labels"), applied)
        known = self._read.get(item_id)
        if known is None or known[0] != edition:
            known = (edition, *_read(found))
            self._read[item_id] = known
            for warning in known[3]:
                LOGGER.warning("%s: %s", item_id, warning)
        status = found.get("status") or {}
        kept = PolicyObject(
            item_id=item_id,
            uid=meta.get("uid", ""),
            generation=meta.get("generation", 0),
            policy=known[1],
            faults=known[2],
            warnings=known[3],
            deleting="deletionTimestamp" in meta,
            guarded=FINALIZER in (meta.get("finalizers") or ()),
            published=status.get("published"),
        )
        return PolicyEntry(kept, status)


def _read(found: Mapping[str, Any]) -> tuple[Policy | None, tuple[str, ...], tuple[str, ...]]:
    """Return the policy, None where it is wrong; what is wrong with it; and the warnings."""
    # In a list the API server leaves out what is the same of all items.
    whole = {"apiVersion": API_VERSION, "kind": KIND, **found}
    policy, faults = _examined(whole)
    unknown: tuple[str, ...] = ()
    if policy is None:
        known, unknown = without_unknown_keys(whole)
        policy, faults = _examined(known)
    warnings = _warnings(pruned_keys(found), [key for key in unknown if key.startswith("spec.")])
    if policy is None:
        return None, tuple(_without_line(fault) for fault in faults), warnings
    try:
        return policy.to_policy(), (), warnings
    except ValueError as error:
        return None, (str(error),), warnings


def _examined(data: Mapping[str, Any]) -> tuple[DemandPolicy | None, list[str]]:
    return examined(Document(data, dict.fromkeys(_places(data, ()), 0)))


def _warnings(pruned: Sequence[str], unknown: Sequence[str]) -> tuple[str, ...]:
    """Return what is to be said where the CRD in the cluster is of another version than we are.

    >>> _warnings(["spec.limit.jitter"], [])[0].partition(";")[0]
    'spec.limit.jitter was applied, but the CRD in the cluster does not know it'
    """
    said = []
    if pruned:
        said.append(
            f"{', '.join(pruned)} was applied, but the CRD in the cluster does not know it; bring "
            "the CRD up to date by 'scaler crd | kubectl apply --server-side -f -', then apply "
            "the policy again"
        )
    if unknown:
        said.append(
            f"{', '.join(unknown)} is ignored, for this version of tidegate does not know it; "
            "upgrade the scaler, or remove the key"
        )
    return tuple(said)


def _places(data: object, loc: Loc) -> Iterator[Loc]:
    yield loc
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield from _places(value, (*loc, key))
    elif isinstance(data, list):
        for place, value in enumerate(data):
            yield from _places(value, (*loc, place))


def _without_line(fault: str) -> str:
    """Return a fault without the line, for an object has none.

    >>> _without_line("spec.mode: must be Enforce (got 2, line 0); or not")
    'spec.mode: must be Enforce (got 2); or not'
    >>> _without_line("spec.replicas: is missing (line 0); add it")
    'spec.replicas: is missing; add it'
    """
    return fault.replace(", line 0)", ")").replace(" (line 0)", "")


class Finalizers:
    """Adds and removes our finalizer; ``keep`` is given each object that was written."""

    def __init__(self, api: KubernetesApi, keep: Callable[[Object], None]) -> None:
        self._api, self._keep = api, keep

    def guard(self, item_id: str) -> bool:
        return self._met(item_id, lambda names: [*names, FINALIZER])

    def release(self, item_id: str) -> bool:
        return self._met(item_id, lambda names: names)

    def _met(self, item_id: str, change: Callable[[list[str]], list[str]]) -> bool:
        """Change the finalizers, given those of others; False if the policy is gone."""
        for attempt in range(1, _MEETINGS + 1):
            try:
                return self._change(item_id, change)
            except ClusterAbsentError:
                return False
            except ClusterConflictError:
                if attempt == _MEETINGS:
                    raise
        raise AssertionError("the last attempt returned or raised")

    def _change(self, item_id: str, change: Callable[[list[str]], list[str]]) -> bool:
        path = policy_path(item_id)
        meta = self._api.get(path)["metadata"]
        before = meta.get("finalizers") or []
        after = change([name for name in before if name != FINALIZER])
        if "deletionTimestamp" in meta and FINALIZER in after:
            return FINALIZER in before  # nothing may be added to what is being deleted
        if sorted(after) != sorted(before):
            version = meta["resourceVersion"]
            body = {"metadata": {"resourceVersion": version, "finalizers": after}}
            written = self._api.patch(path, body)
            if after or "deletionTimestamp" not in meta:
                self._keep(written)
        return True
