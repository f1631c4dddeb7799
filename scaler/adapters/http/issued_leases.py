"""The leases that were issued last to the gateways of one service.

A lease version is issued once. A lease that would say the same as the one that was issued last is
that one: this is what a 304 means. What a lease is made of is compared first, for to render it
takes ten times as long.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from scaler.adapters.http.exchange import IssuedLease, LeaseRequest, acknowledges
from scaler.adapters.http.lease_aging import AgedLimit
from scaler.adapters.http.lease_document import (
    LeaseContent,
    haproxy_map,
    lease_body,
    terms_part,
    why_part,
)
from scaler.adapters.http.lease_memory import LimitKey
from scaler.adapters.http.report import LeaseTag
from scaler.control.snapshot import ServiceView
from scaler.limits.shares import ShareReason


@dataclass(frozen=True, eq=False, slots=True)
class LimitInForce:
    """What the leases of all gateways are made of.

    Attributes:
        view: the service as of the latest tick.
        limit: the limit of all gateways together, now.
        key: what gateways act on of both.
        lease_s: for how long a share is booked.
        revision: of the ledger.
    """

    view: ServiceView
    limit: AgedLimit
    key: LimitKey
    lease_s: float
    revision: int


class IssuedLeases:
    """Issues leases, and knows the last one of each gateway.

    Args:
        service: ``"namespace/name"``.
        epoch: names the version numbers of this process.
    """

    def __init__(self, service: str, epoch: str) -> None:
        self._service, self._epoch = service, epoch
        self._issued: dict[str, IssuedLease] = {}
        self._made_of: dict[str, tuple[object, ...]] = {}

    def __contains__(self, instance: object) -> bool:
        return instance in self._issued

    def __getitem__(self, instance: str) -> IssuedLease:
        return self._issued[instance]

    def get(self, instance: str) -> IssuedLease | None:
        return self._issued.get(instance)

    def names(self) -> set[str]:
        return set(self._issued)

    def forget(self, instance: str) -> None:
        self._issued.pop(instance, None)
        self._made_of.pop(instance, None)

    def memory(self) -> dict[str, IssuedLease]:
        return dict(self._issued)

    def recall(self, issued: Mapping[str, IssuedLease]) -> None:
        self._issued = dict(issued)
        self._made_of.clear()

    def issue(
        self, request: LeaseRequest, content: LeaseContent, in_force: LimitInForce, version: int
    ) -> tuple[IssuedLease, bool]:
        """Return a gateway's lease, and whether it is the one that was issued before."""
        instance, share = request.instance, content.share
        before, made_of = self._issued.get(instance), _made_of(content, in_force)
        fair = share.reason is ShareReason.FAIR
        terms_json = None
        if before is None or self._made_of.get(instance) != made_of:
            terms = terms_part(content)
            terms_json = json.dumps(terms)
        self._made_of[instance] = made_of
        if before is not None and terms_json in (None, before.terms_json):
            acknowledged = before.acknowledged or acknowledges(request, before)
            lease = replace(
                before, revision=in_force.revision, fair=fair, acknowledged=acknowledged
            )
        else:
            assert terms_json is not None  # there was no lease before
            tag = LeaseTag(self._epoch, version, share.qps)
            why = json.dumps(why_part(in_force.view, in_force.limit))
            lease = IssuedLease(
                tag,
                tag.etag,
                terms_json,
                lease_body(self._service, self._epoch, version, terms_json, why),
                haproxy_map(version, terms),
                in_force.revision,
                in_force.lease_s,
                fair,
            )
        self._issued[instance] = lease
        return lease, before is not None and lease.tag is before.tag


def _made_of(content: LeaseContent, in_force: LimitInForce) -> tuple[object, ...]:
    """Return all that the terms of a lease depend on."""
    share = content.share
    return in_force.key, content.instances, share.qps, share.reason, share.parts
