"""One exchange with a gateway: the request, the lease that was issued last, and the reply."""

from __future__ import annotations

from dataclasses import dataclass

from scaler.adapters.http.report import GatewayReport, LeaseTag, parse_etag


@dataclass(frozen=True, slots=True)
class LeaseRequest:
    """A gateway's request for its lease.

    Attributes:
        instance: name of the gateway.
        etag: ETag of the lease that the gateway holds; empty if it holds none or does not say.
        report: the demand that it reports; None if the request carries no report.
        version: version of the lease that the gateway acts on, where it sends no ETag.
        holds_qps: share of the lease that the gateway acts on, where it sends no ETag.
        owner: who sends it, by the name of a token or certificate; "": nobody in particular.
        owner_instances: gateways of one service that the owner may have; None: as many as any.
    """

    instance: str
    etag: str = ""
    report: GatewayReport | None = None
    version: int | None = None
    holds_qps: float = 0.0
    owner: str = ""
    owner_instances: int | None = None


@dataclass(frozen=True, slots=True)
class IssuedLease:
    """The lease that was issued last to one gateway.

    Attributes:
        tag: epoch, version and share, which the ETag names.
        etag: the ETag.
        terms_json: the part of the lease that the gateway acts on, as JSON.
        json_body: the whole response body as JSON.
        haproxy_body: the same lease as a HAProxy map.
        revision: of the ledger, when the lease was last found to be current.
        lease_s: for how long the share is booked from the moment that the lease is issued or
            renewed.
        fair: whether the share is the fair one, which cannot grow before ``revision`` changes.
        acknowledged: whether the gateway has shown that it acts on this lease, so on no older one.
    """

    tag: LeaseTag
    etag: str
    terms_json: str
    json_body: bytes
    haproxy_body: bytes
    revision: int
    lease_s: float
    fair: bool
    acknowledged: bool = False


@dataclass(frozen=True, slots=True)
class LeaseReply:
    """The reply to a gateway; ``changed`` is False if it holds this very lease already (304)."""

    lease: IssuedLease
    changed: bool


def claim_of(request: LeaseRequest, epoch: str) -> tuple[int | None, float]:
    """Return version and QPS of the lease that a gateway says it acts on.

    The version is None if it says none, or if the lease is of another epoch.
    """
    tag = parse_etag(request.etag)
    if tag is None:
        return request.version, request.holds_qps
    return (tag.version if tag.epoch == epoch else None), tag.qps


def acknowledges(request: LeaseRequest, lease: IssuedLease) -> bool:
    """Whether the request shows that the gateway acts on the lease that was issued last."""
    return request.etag == lease.etag or request.version == lease.tag.version
