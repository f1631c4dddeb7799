"""The lease document: a gateway's lease as it goes over the wire, as JSON or as a HAProxy map.

The terms, which the gateway acts on, are rendered apart from the rest: two leases are the same if
their terms are the same to the byte. ``why`` explains the terms; it is as old as they are.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scaler.adapters.http.lease_aging import AgedLimit
from scaler.control.snapshot import ServiceView
from scaler.decision.lead_time import lead_time
from scaler.decision.quantiles import quantile_at
from scaler.decision.trust import Standing
from scaler.limits.header_match import HeaderMatch
from scaler.limits.lease import MAX_QPS, Lease, lease_for_share
from scaler.limits.priority_classes import ClassSplit, PriorityClass
from scaler.limits.shares import Share

SCHEMA = 1
Json = dict[str, object]


@dataclass(frozen=True, eq=False, slots=True)
class LeaseContent:
    """The values that one gateway's lease is made of.

    Attributes:
        view: the service as of the latest tick.
        limit: the limit of all gateways together, now.
        share: this gateway's share of it.
        instances: number of gateways that hold a share.
        report: what this gateway has reported of its clients.
    """

    view: ServiceView
    limit: AgedLimit
    share: Share
    instances: int


def terms_part(content: LeaseContent) -> Json:
    """Return the part of the lease that the gateway acts on."""
    published, policy = content.view.published_limit, content.view.policy
    assert published is not None  # the lease service has seen to that
    safe_qps = min(published.safe.qps if policy.safe_qps is None else policy.safe_qps, MAX_QPS)
    lease = policy.lease
    whole = Lease(
        0, content.limit.qps, lease.valid_for_s, content.limit.steps, safe_qps,
        lease.max_stale_s, lease.then,
    )  # fmt: skip
    own = lease_for_share(whole, content.share.qps, content.instances)
    part = own.qps / whole.qps if whole.qps else 0.0
    limit = published.limit
    cut = whole.qps / limit.qps if limit.qps else 1.0
    return {
        "mode": content.view.lease_mode.value.lower(),
        "valid_for_s": whole.valid_for_s,
        "refresh_s": lease.refresh_of(content.share.instance),
        "on_expiry": {
            "action": "safe",
            "safe_rps": _rounded_down(own.safe_qps),
            "max_stale_s": whole.max_stale_s,
            "then": whole.then.value,
        },
        "global": {
            "rps": _rounded_down(whole.qps),
            "burst": math.ceil(limit.burst * cut),
        },
        "share": {
            "policy": "fair_demand",
            "rps": _rounded_down(own.qps),
            "burst": max(1, math.ceil(limit.burst * cut * part)) if own.qps else 0,
            "instances": content.instances,
            "reason": content.share.reason.value,
        },
        "client_window_s": policy.client_window_s,
        "per_client": None,  # gateways of before 0.2 look for it
        **_classes(content.share, published.classes),
        "schedule": [{"in_s": step.in_s, "rps": _rounded_down(step.qps)} for step in own.schedule],
    }


def why_part(view: ServiceView, now: AgedLimit) -> Json:
    """Return what bound the limit, for people."""
    p50, p90 = _forecast_peak(view)
    published = view.published_limit
    return {
        "binding": now.reason.value,
        "ready_replicas": published.ready_replicas if published else view.ready,
        "rps_per_replica": _rounded(published.replica_qps) if published else None,
        "forecast_p50": p50,
        "forecast_p90": p90,
        "trusted": is_trusted(view),
    }


def is_trusted(view: ServiceView) -> bool:
    """Whether there is a forecast, and it is trusted enough to be acted on."""
    benched = view.trust is None or view.trust.standing is Standing.BENCHED
    return view.forecast is not None and not benched


def lease_body(service: str, epoch: str, version: int, terms_json: str, why: str) -> bytes:
    """Return the response body; ``terms_json`` and ``why`` are JSON objects already."""
    head = json.dumps({"schema": SCHEMA, "service": service, "epoch": epoch, "version": version})
    return f'{head[:-1]}, {terms_json[1:-1]}, "why": {why}}}'.encode()


def haproxy_map(version: int, terms: Json) -> bytes:
    """Return the lease as a HAProxy map: one key and one whole number per line, rates rounded down.

    A rate without a limit has no line: give ``map_str_int`` a default.
    """
    share, safe = terms["share"], terms["on_expiry"]
    assert isinstance(share, dict)
    assert isinstance(safe, dict)
    pairs: list[tuple[str, object]] = [
        ("version", version),
        ("enforce", terms["mode"] == "enforce"),
        ("share", share["rps"]),
        ("burst", share["burst"]),
        ("safe", safe["safe_rps"]),
        ("valid_for", terms["valid_for_s"]),
        ("max_stale", safe["max_stale_s"]),
    ]
    classes = terms["classes"]
    assert isinstance(classes, list)
    for one in classes:
        keys = ("guaranteed_rps", "rps", "ceiling_rps")
        pairs += [(f"class.{one['name']}.{key}", one[key]) for key in keys]
    lines = [f"{key} {math.floor(value)}" for key, value in pairs if isinstance(value, int | float)]
    return ("\n".join(lines) + "\n").encode()


def _classes(share: Share, classes: Sequence[PriorityClass]) -> Json:
    """Return the classes within this gateway's share."""
    parts = share.parts or ClassSplit((), share.qps)
    entries = [
        {
            "name": c.name,
            **_match(c.match),
            "priority": c.priority,
            "guaranteed_rps": _rounded_down(given.guaranteed_qps),
            "rps": _rounded_down(given.qps),
            "ceiling_rps": _rounded_down(given.ceiling_qps),
            "reason": given.reason.value,
            "then": c.then.value,
        }
        for c, given in zip(classes, parts.classes, strict=True)
    ]
    return {"spare_rps": _rounded_down(parts.spare_qps), "classes": entries}


def _match(match: HeaderMatch | None) -> Json:
    if match is None:
        return {}
    value: Json = {} if match.value is None else {"value": match.value}
    return {"match": {"header": match.header, **value}}


def _forecast_peak(view: ServiceView) -> tuple[float | None, float | None]:
    """Return the 0.5 and the 0.9 quantile of the forecast's highest step within the lead time."""
    forecast = view.forecast
    if forecast is None or not len(forecast.values) or len(forecast.levels) < 2:
        return None, None
    lead_s = (view.lead_time or lead_time(())).seconds
    first = min(
        max(math.floor((view.at - forecast.origin) / forecast.step_s), 0),
        len(forecast.values) - 1,
    )
    last = math.floor((view.at + lead_s - forecast.origin) / forecast.step_s)
    steps = forecast.values[first : max(last, first) + 1]
    if not np.isfinite(steps).all():
        return None, None
    p50, p90 = (float(quantile_at(steps, forecast.levels, level).max()) for level in (0.5, 0.9))
    return _rounded(p50), _rounded(p90)


def _rounded_down(qps: float) -> float:
    """Return a rate, rounded down to a thousandth."""
    return math.floor(qps * 1000) / 1000


def _rounded(qps: float) -> float | None:
    return round(qps, 3) if math.isfinite(qps) else None
