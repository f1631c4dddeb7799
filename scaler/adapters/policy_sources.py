"""Where policies come from: files, or the DemandPolicies of a cluster."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from scaler.control.cluster_port import Cluster
from scaler.control.ports import WatchedPolicy
from scaler.errors import PolicyError
from scaler.policy.files import examine_policies
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import plain_hpa

LOGGER = logging.getLogger(__name__)


class FilePolicies:
    """Policies of files and directories, read again when one of them changes.

    A change that is wrong is logged, and what was good before holds on.

    Raises:
        PolicyError: at the start, if anything is wrong.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._stamp = self._stamps()
        self._watched = self._read()

    def current(self) -> tuple[WatchedPolicy, ...]:
        stamp = self._stamps()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._watched = self._read()
                LOGGER.info("policies: %d are watched", len(self._watched))
            except PolicyError as error:
                LOGGER.warning("policies stay as they were: %s", error)
        return self._watched

    def _stamps(self) -> tuple[tuple[str, int], ...]:
        files = [
            f for path in self._paths for f in (path.glob("*.y*ml") if path.is_dir() else [path])
        ]
        return tuple(sorted((str(f), f.stat().st_mtime_ns) for f in files if f.exists()))

    def _read(self) -> tuple[WatchedPolicy, ...]:
        good, wrong = examine_policies(self._paths)
        if wrong:
            raise PolicyError("\n".join(wrong))
        for document in good:
            if document.policy.demand_query is None:
                raise PolicyError(
                    f"{document.where}: spec.demand.query is missing: what to ask Prometheus for"
                )
        return tuple(
            WatchedPolicy(document.policy, document.replay.hpa or plain_hpa(document.policy))
            for document in good
        )


class ClusterPolicies:
    """The DemandPolicies of a cluster, but those that are going.

    One that is edited to something wrong holds on as it was before: its floor must not fall for a
    slip. One that has never been right is left out.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._good: dict[str, tuple[str, Policy]] = {}  # of each item, with the object's uid

    def current(self) -> tuple[WatchedPolicy, ...]:
        found: list[WatchedPolicy] = []
        good: dict[str, tuple[str, Policy]] = {}
        for item, kept in self._cluster.policies().items():
            uid, policy = self._good.get(item, ("", None))
            if kept.policy is not None:
                policy = kept.policy
            elif uid != kept.uid:  # of an object that was deleted meanwhile
                policy = None
            if kept.deleting or policy is None:
                continue
            good[item] = kept.uid, policy
            if policy.demand_query is not None:
                found.append(WatchedPolicy(policy, plain_hpa(policy), kept.published))
        self._good = good
        return tuple(found)
