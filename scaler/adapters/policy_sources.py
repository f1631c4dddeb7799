"""Sources of policies: files, or the DemandPolicies of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scaler.control.cluster_port import Cluster, PolicyObject
from scaler.control.ports import WatchedPolicy
from scaler.control.unfailing_log import UnfailingLogger
from scaler.errors import PolicyError
from scaler.policy.files import examine_policies
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
        self._last_valid: dict[str, PolicyObject] = {}  # by item

    def current(self) -> tuple[WatchedPolicy, ...]:
        found: list[WatchedPolicy] = []
        valid: dict[str, PolicyObject] = {}
        for item, now in self._cluster.policies().items():
            before = self._last_valid.get(item)
            said = now
            if now.policy is None and before is not None and before.uid == now.uid:
                said = before  # of another uid it was deleted and created anew meanwhile
            if now.deleting or said.policy is None:
                continue
            valid[item], policy = said, said.policy
            if policy.demand_query is not None:
                hpa = said.hpa or plain_hpa(policy)
                found.append(WatchedPolicy(policy, hpa, now.published))
        self._last_valid = valid
        return tuple(found)
