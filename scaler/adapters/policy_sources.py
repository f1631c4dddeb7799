"""Sources of policies: files, or the DemandPolicies of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scaler.control.cluster_port import Cluster
from scaler.control.ports import WatchedPolicy
from scaler.control.unfailing_log import UnfailingLogger
from scaler.errors import PolicyError
from scaler.policy.files import examine_policies
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import plain_hpa

LOGGER = UnfailingLogger(__name__)


class FilePolicies:
    """Policies from files and directories, which are read again when one of them changes.

    An invalid change is logged, and the policies stay as they were.

    Raises:
        PolicyError: a policy is invalid at the start.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._modified = self._modification_times()
        self._watched = self._read()

    def current(self) -> tuple[WatchedPolicy, ...]:
        try:
            modified = self._modification_times()
            if modified != self._modified:
                self._modified = modified
                self._watched = self._read()
                LOGGER.info("policies: %d are watched", len(self._watched))
        except (PolicyError, OSError) as error:
            LOGGER.warning("policies stay as they were: %s", error)
        return self._watched

    def _modification_times(self) -> tuple[tuple[str, int], ...]:
        files = [
            f for path in self._paths for f in (path.glob("*.y*ml") if path.is_dir() else [path])
        ]
        return tuple(sorted((str(f), f.stat().st_mtime_ns) for f in files if f.exists()))

    def _read(self) -> tuple[WatchedPolicy, ...]:
        valid, faults = examine_policies(self._paths)
        if faults:
            raise PolicyError("\n".join(faults))
        for document in valid:
            if document.policy.demand_query is None:
                raise PolicyError(
                    f"{document.where}: spec.demand.query is missing: the PromQL of the demand"
                )
        return tuple(
            WatchedPolicy(document.policy, document.replay.hpa or plain_hpa(document.policy))
            for document in valid
        )


class ClusterPolicies:
    """The DemandPolicies of a cluster, without those that are being deleted.

    A policy that is edited to something invalid stays as it was before, so that a typo does not
    lower its floor. One that has never been valid is left out.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._last_valid: dict[str, tuple[str, Policy]] = {}  # by item, with the uid of the object

    def current(self) -> tuple[WatchedPolicy, ...]:
        found: list[WatchedPolicy] = []
        valid: dict[str, tuple[str, Policy]] = {}
        for item, policy_object in self._cluster.policies().items():
            uid, policy = self._last_valid.get(item, ("", None))
            if policy_object.policy is not None:
                policy = policy_object.policy
            elif uid != policy_object.uid:  # the object was deleted and created anew meanwhile
                policy = None
            if policy_object.deleting or policy is None:
                continue
            valid[item] = policy_object.uid, policy
            if policy.demand_query is not None:
                found.append(WatchedPolicy(policy, plain_hpa(policy), policy_object.published))
        self._last_valid = valid
        return tuple(found)
