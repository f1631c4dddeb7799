"""One Envoy that counts by itself (RLQS): its buckets, what they used, what they are assigned.

Confined to the event loop of the desk; time is monotonic seconds, handed in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from scaler.adapters.envoy.quotas import Quota, QuotaPart, quota, rates
from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.report import NO_REPORT, GatewayReport
from scaler.limits.descriptors import CLASS, SERVICE

BucketId = tuple[tuple[str, str], ...]
MOST_BUCKETS = 256
# Of a new measurement in the smoothed rate: reports come each second or two.
NEWEST = 0.5
# After this part of its life an assignment is made again, so that it does not run out.
RENEW = 0.3


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a bucket may do for ``ttl_s``; ``quota`` None: let everything through."""

    quota: Quota | None
    ttl_s: int


# The bucket is to be forgotten: nobody hands out a limit for it.
ABANDON = None
Action = tuple[BucketId, Assignment | None]


@dataclass(slots=True)
class _Bucket:
    """``at``: of the last report; ``qps``: offered, None before the second report."""

    at: float
    qps: float | None = None


@dataclass(slots=True)
class _ServiceBuckets:
    """One service's buckets on this stream, and what its lease said last.

    Attributes:
        said: as last told to the desk; etag and lease: of the answer.
        acked: ETag of the lease that was told before Envoy's last report, so that it acts on it.
        told: what was assigned last; told_at: when.
        stale: a bucket waits for an assignment whatever the lease says.
    """

    buckets: dict[BucketId, _Bucket] = field(default_factory=dict)
    said: GatewayReport = NO_REPORT
    etag: str = ""
    acked: str = ""
    lease: Mapping[str, object] | None = None
    told: dict[BucketId, Assignment] = field(default_factory=dict)
    told_at: float = 0.0
    stale: bool = True


class QuotaStream:
    """A stream of one Envoy; to the desk it is a gateway of its own.

    Args:
        desk: that hands out shares.
        instance: name of the gateway.
    """

    def __init__(self, lease_service: LeaseService, instance: str) -> None:
        self._lease_service, self._instance = lease_service, instance
        self._services: dict[str, _ServiceBuckets] = {}
        self._refused: list[BucketId] = []

    def used(self, bucket: BucketId, requests: int, now: float) -> None:
        """Take in what was offered to a bucket since its report before, admitted or not.

        The time that Envoy says has passed is cut to whole seconds, so the clock here counts.
        """
        name = dict(bucket).get(SERVICE, "")
        service = self._services.get(name) or _ServiceBuckets()
        known = service.buckets.get(bucket)
        if known is None:
            if sum(len(one.buckets) for one in self._services.values()) >= MOST_BUCKETS:
                self._refused.append(bucket)
                return
            self._services[name] = service
            service.buckets[bucket] = _Bucket(now)
            service.stale = True
        elif now > known.at:
            qps = requests / (now - known.at)
            known.qps = qps if known.qps is None else NEWEST * qps + (1 - NEWEST) * known.qps
            known.at = now
        if service.told:
            service.acked = service.etag

    def actions(self, now: float) -> list[Action]:
        """Return what Envoy must be told now."""
        told: list[Action] = [(bucket, ABANDON) for bucket in self._refused]
        self._refused.clear()
        for name, service in list(self._services.items()):
            try:
                changed = self._asked(name, service, now)
            except RequestProblem as refused:
                if refused.status == 404:
                    told += [(bucket, ABANDON) for bucket in service.buckets]
                    del self._services[name]
                continue  # what is assigned runs out, and then Envoy does as it was configured
            told += _assigned(service, now, changed=changed)
        return told

    def _asked(self, name: str, service: _ServiceBuckets, now: float) -> bool:
        """Report to the desk and renew the lease; return whether quotas must be worked out anew."""
        said = service.said.after(_said(service))
        changed, service.said = said is not service.said, said
        # What it was told before stays booked until it has shown that it acts on something newer.
        told = self._lease_service.ask(
            name, LeaseRequest(self._instance, service.acked, said), now
        ).told
        if told.etag != service.etag:
            service.etag, service.lease = told.etag, json.loads(told.body)
            return True
        return changed or service.stale


def class_of(bucket: BucketId) -> str:
    return dict(bucket).get(CLASS, "")


def _said(service: _ServiceBuckets) -> GatewayReport:
    """Return what is offered to each class; "" is none. Nothing before it has been measured."""
    classes: dict[str, float] = {}
    for bucket, used in service.buckets.items():
        if used.qps is not None:
            name = class_of(bucket)
            classes[name] = classes.get(name, 0.0) + used.qps
    return GatewayReport(sum(classes.values()), classes) if classes else NO_REPORT


def _assigned(service: _ServiceBuckets, now: float, *, changed: bool) -> list[Action]:
    lease = service.lease
    assert lease is not None
    ttl_s = max(1, int(float(str(lease["valid_for_s"]))))
    due = now - service.told_at >= RENEW * ttl_s
    if changed:
        service.told = dict(zip(service.buckets, _quotas(service, ttl_s), strict=True))
    if not (changed or due):
        return []
    service.told_at, service.stale = now, False
    return list(service.told.items())


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
    given = rates(share["rps"], spare, parts, buckets, service.said.classes)
    return [Assignment(quota(qps, share["rps"], share["burst"]), ttl_s) for qps in given]
