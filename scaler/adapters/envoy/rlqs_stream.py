"""The RLQS stream of one Envoy: its buckets, their usage, and the quotas assigned to them.

Confined to the event loop of the lease service; time is monotonic seconds, passed in.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from scaler.adapters.envoy.quotas import Quota, QuotaPart, quota, rates
from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.grants import EVERYTHING, AccessGrant
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.report import NO_REPORT, GatewayReport
from scaler.limits.descriptors import CLASS, SERVICE

LOG = logging.getLogger(__name__)
BucketId = tuple[tuple[str, str], ...]
MAX_BUCKETS = 256
# Weight of the newest measurement in the smoothed rate; reports come every second or two.
NEWEST_WEIGHT = 0.5
# An assignment is repeated after this part of its lifetime, so that it does not expire.
RENEW_AFTER = 0.3


@dataclass(frozen=True, slots=True)
class Assignment:
    """The quota of a bucket for ``ttl_s`` seconds; None admits everything."""

    quota: Quota | None
    ttl_s: int


# Envoy is to forget the bucket: there is no limit for it.
ABANDON = None
Action = tuple[BucketId, Assignment | None]


@dataclass(slots=True)
class _Bucket:
    """``reported_at``: time of the last report; ``qps``: demand, None before the second report."""

    reported_at: float
    qps: float | None = None


@dataclass(slots=True)
class _ServiceBuckets:
    """One service's buckets on this stream, and its current lease.

    Attributes:
        report: the demand that was last reported to the lease service.
        etag: of the current lease.
        acknowledged: ETag of the lease that was assigned before Envoy's last report, so that Envoy
            acts on it.
        lease: the current lease, parsed from JSON.
        assigned: what was assigned last to each bucket.
        assigned_at: when.
        incomplete: whether a bucket has no assignment yet.
    """

    buckets: dict[BucketId, _Bucket] = field(default_factory=dict)
    report: GatewayReport = NO_REPORT
    etag: str = ""
    acknowledged: str = ""
    lease: Mapping[str, object] | None = None
    assigned: dict[BucketId, Assignment] = field(default_factory=dict)
    assigned_at: float = 0.0
    incomplete: bool = True


class QuotaStream:
    """The stream of one Envoy, which is one gateway to the lease service.

    Args:
        lease_service: issues the leases.
        instance: name of the gateway.
        grant: what it may do; of other services it is assigned nothing.
    """

    def __init__(
        self, lease_service: LeaseService, instance: str, grant: AccessGrant = EVERYTHING
    ) -> None:
        self._lease_service, self._instance, self._grant = lease_service, instance, grant
        self._services: dict[str, _ServiceBuckets] = {}
        self._abandoned: list[BucketId] = []
        self._warned = False

    def record_usage(self, bucket: BucketId, requests: int, now: float) -> None:
        """Record the requests of a bucket since its last report, admitted or not.

        Envoy truncates the elapsed time in its report to whole seconds, so ``now`` is used.
        """
        name = dict(bucket).get(SERVICE, "")
        if not self._grant.reaches(name):
            self._warn(name)
            self._abandoned.append(bucket)
            return
        service = self._services.get(name) or _ServiceBuckets()
        known = service.buckets.get(bucket)
        if known is None:
            if sum(len(one.buckets) for one in self._services.values()) >= MAX_BUCKETS:
                self._abandoned.append(bucket)
                return
            self._services[name] = service
            service.buckets[bucket] = _Bucket(now)
            service.incomplete = True
        elif now > known.reported_at:
            qps = requests / (now - known.reported_at)
            if known.qps is not None:
                qps = NEWEST_WEIGHT * qps + (1 - NEWEST_WEIGHT) * known.qps
            known.qps = qps
            known.reported_at = now
        if service.assigned:
            service.acknowledged = service.etag

    def actions(self, now: float) -> list[Action]:
        """Return the actions to send to Envoy now."""
        actions: list[Action] = [(bucket, ABANDON) for bucket in self._abandoned]
        self._abandoned.clear()
        for name, service in list(self._services.items()):
            try:
                changed = self._update_lease(name, service, now)
            except RequestProblem as problem:
                if problem.status == 404:
                    actions += [(bucket, ABANDON) for bucket in service.buckets]
                    del self._services[name]
                continue  # the assignments expire, and then Envoy acts as configured for that case
            actions += _assignments(service, now, changed=changed)
        return actions

    def _update_lease(self, name: str, service: _ServiceBuckets, now: float) -> bool:
        """Report the demand and renew the lease; return whether the quotas must change."""
        report = service.report.updated_by(_report(service))
        changed, service.report = report is not service.report, report
        # The older lease stays booked until Envoy has shown that it acts on a newer one.
        request = LeaseRequest(
            self._instance,
            service.acknowledged,
            report,
            owner=self._grant.owner,
            owner_instances=self._grant.instances,
        )
        lease = self._lease_service.reply(name, request, now).lease
        if lease.etag != service.etag:
            service.etag, service.lease = lease.etag, json.loads(lease.json_body)
            return True
        return changed or service.incomplete

    def _warn(self, service: str) -> None:
        if not self._warned:
            self._warned = True
            LOG.warning(
                "not its service gateway=%s service=%s", self._instance, ascii(service[:200])
            )


def class_of(bucket: BucketId) -> str:
    return dict(bucket).get(CLASS, "")


def _report(service: _ServiceBuckets) -> GatewayReport:
    """Return the demand of each class ("" is no class); `NO_REPORT` before it is measured."""
    classes: dict[str, float] = {}
    for bucket, usage in service.buckets.items():
        if usage.qps is not None:
            name = class_of(bucket)
            classes[name] = classes.get(name, 0.0) + usage.qps
    return GatewayReport(sum(classes.values()), classes) if classes else NO_REPORT


def _assignments(service: _ServiceBuckets, now: float, *, changed: bool) -> list[Action]:
    lease = service.lease
    assert lease is not None
    ttl_s = max(1, int(float(str(lease["valid_for_s"]))))
    due = now - service.assigned_at >= RENEW_AFTER * ttl_s
    if changed:
        service.assigned = dict(zip(service.buckets, _quotas(service, ttl_s), strict=True))
    if not (changed or due):
        return []
    service.assigned_at, service.incomplete = now, False
    return list(service.assigned.items())


def _quotas(service: _ServiceBuckets, ttl_s: int) -> list[Assignment]:
    lease = service.lease
    assert lease is not None
    if lease["mode"] == "recommend":
        return [Assignment(None, ttl_s)] * len(service.buckets)
    share, classes = lease["share"], lease["classes"]
    assert isinstance(share, dict)
    assert isinstance(classes, list)
    parts = {one["name"]: QuotaPart(one["rps"], one["ceiling_rps"]) for one in classes}
    spare = float(str(lease["spare_rps"]))
    buckets = [class_of(bucket) for bucket in service.buckets]
    bucket_rates = rates(share["rps"], spare, parts, buckets, service.report.classes)
    return [Assignment(quota(qps, share["rps"], share["burst"]), ttl_s) for qps in bucket_rates]
