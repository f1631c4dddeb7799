"""A gateway's lease as it goes over the wire: JSON, or lines for a HAProxy map.

The part that a gateway acts on is rendered apart from the rest: two leases are the same if that
part is the same to the byte. ``why`` explains; it is as of the moment when the lease changed last.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass

import numpy as np

from scaler.adapters.http.lease_aging import AgedLimit
from scaler.adapters.http.report import GatewayReport
from scaler.adapters.http.settings import LeaseTerms
from scaler.control.snapshot import ServiceView
from scaler.decision.quantiles import quantile_at
from scaler.decision.trust import Standing
from scaler.limits.client_limits import ClientLevel, ClientPolicy, client_level
from scaler.limits.lease import MAX_QPS, Lease, lease_for_share
from scaler.limits.priority_classes import ClassSplit, PriorityClass, split
from scaler.limits.shares import Share

SCHEMA = 1
Json = dict[str, object]


@dataclass(frozen=True, eq=False, slots=True)
class LeaseContent:
    """All that one gateway's lease is made of.

    Attributes:
        share: of this gateway; instances: that hold one.
        said: what it reported.
    """

    view: ServiceView
    now: AgedLimit
    share: Share
    instances: int
    said: GatewayReport
    settings: LeaseTerms


def acting_part(terms: LeaseContent) -> Json:
    """Return what a gateway acts on."""
    published, policy = terms.view.published_limit, terms.view.policy
    assert published is not None  # without one there is nothing to hand out
    safe_qps = min(published.safe.qps if policy.safe_qps is None else policy.safe_qps, MAX_QPS)
    whole = Lease(
        0, terms.now.qps, terms.settings.valid_for_s, terms.now.steps, safe_qps,
        terms.settings.max_stale_s, terms.settings.then,
    )  # fmt: skip
    own = lease_for_share(whole, terms.share.qps, terms.instances)
    part = own.qps / whole.qps if whole.qps else 0.0
    limit = published.limit
    cut = whole.qps / limit.qps if limit.qps else 1.0
    inflight = None if limit.max_inflight is None else math.ceil(limit.max_inflight * cut)
    return {
        "mode": policy.mode.value.lower(),
        "valid_for_s": whole.valid_for_s,
        "refresh_s": terms.settings.refresh_of(terms.share.instance),
        "on_expiry": {
            "action": "safe",
            "safe_rps": _down(own.safe_qps),
            "max_stale_s": whole.max_stale_s,
            "then": whole.then.value,
        },
        "global": {
            "rps": _down(whole.qps),
            "burst": math.ceil(limit.burst * cut),
            "max_inflight": inflight,
        },
        "share": {
            "policy": "fair_demand",
            "rps": _down(own.qps),
            "burst": max(1, math.ceil(limit.burst * cut * part)) if own.qps else 0,
            "instances": terms.instances,
            "reason": terms.share.reason.value,
        },
        "per_client": _per_client(own.qps, terms.said, policy.clients),
        **_classes(own.qps, part, terms),
        "schedule": [{"in_s": step.in_s, "rps": _down(step.qps)} for step in own.schedule],
    }


def why_part(view: ServiceView, now: AgedLimit) -> Json:
    """Return what bound the limit, for a person."""
    p50, p90 = _ahead(view)
    published = view.published_limit
    return {
        "binding": now.reason.value,
        "ready_replicas": published.ready_replicas if published else view.ready,
        "rps_per_replica": _number(published.replica_qps) if published else None,
        "forecast_p50": p50,
        "forecast_p90": p90,
        "trusted": is_trusted(view),
    }


def is_trusted(view: ServiceView) -> bool:
    """Whether there is a forecast that is acted on."""
    benched = view.trust is None or view.trust.standing is Standing.BENCHED
    return view.forecast is not None and not benched


def rendered(service: str, epoch: str, version: int, acting: str, why: str) -> bytes:
    """Return the body around its parts, which are JSON objects already."""
    head = json.dumps({"schema": SCHEMA, "service": service, "epoch": epoch, "version": version})
    return f'{head[:-1]}, {acting[1:-1]}, "why": {why}}}'.encode()


def haproxy_map(version: int, acting: Json) -> bytes:
    """Return the lease as a HAProxy map: a key and a whole number a line, rates rounded down.

    A rate that is not limited has no line: let ``map_str_int`` have a default.
    """
    share, safe = acting["share"], acting["on_expiry"]
    assert isinstance(share, dict)
    assert isinstance(safe, dict)
    pairs: list[tuple[str, object]] = [
        ("version", version),
        ("enforce", acting["mode"] == "enforce"),
        ("share", share["rps"]),
        ("burst", share["burst"]),
        ("safe", safe["safe_rps"]),
        ("valid_for", acting["valid_for_s"]),
        ("max_stale", safe["max_stale_s"]),
    ]
    per_client = acting["per_client"]
    if isinstance(per_client, dict):
        pairs += [(f"per_client.{key}", per_client[key]) for key in ("rps", "burst")]
        pairs += [
            (f"per_client.{key}", per_client[key]) for key in ("abusive_above_rps", "abusive_rps")
        ]
    classes = acting["classes"]
    assert isinstance(classes, list)
    for one in classes:
        keys = ("guaranteed_rps", "rps", "ceiling_rps")
        pairs += [(f"class.{one['name']}.{key}", one[key]) for key in keys]
    lines = [f"{key} {math.floor(value)}" for key, value in pairs if isinstance(value, int | float)]
    return ("\n".join(lines) + "\n").encode()


def _classes(share_qps: float, part: float, terms: LeaseContent) -> Json:
    """Return the classes within this gateway's share.

    Guarantees and ceilings are divided as the limit is, so over all gateways they never sum up to
    more than the policy's.
    """
    assert terms.view.published_limit is not None
    told = terms.view.published_limit.classes
    own = [
        PriorityClass(
            c.name, c.priority, c.guaranteed_qps * part,
            None if c.ceiling_qps is None else c.ceiling_qps * part, c.then,
        )
        for c in told
    ]  # fmt: skip
    demands = [terms.said.classes.get(c.name, math.nan) for c in own]
    divided = split(share_qps, own, demands) if own else ClassSplit((), share_qps)
    entries = []
    for c, given in zip(own, divided.classes, strict=True):
        entry: Json = {"name": c.name}
        header = terms.settings.headers.get(c.name)
        if header:
            entry["match"] = {"header": header}
        entries.append(
            {
                **entry,
                "priority": c.priority,
                "guaranteed_rps": _down(given.guaranteed_qps),
                "rps": _down(given.qps),
                "ceiling_rps": _down(given.ceiling_qps),
                "reason": given.reason.value,
                "then": c.then.value,
            }
        )
    return {"spare_rps": _down(divided.spare_qps), "classes": entries}


def _per_client(share_qps: float, said: GatewayReport, policy: ClientPolicy) -> Json | None:
    """Return the level of this gateway's clients within its share; None: there is none.

    It is rounded to two digits: a level that moves by less is the same level.
    """
    rates = said.client_rates
    if rates is None or not len(rates):
        return None
    # Where a few stand for many, the limit is as much smaller.
    limit = share_qps * len(rates) / max(said.clients, len(rates))
    level: ClientLevel = client_level(limit, rates, policy)
    if math.isinf(level.single_qps):
        return None
    # Where only abuse is cut there is no level for the others: a bucket at the edge of what is
    # normal over a minute would refuse two requests of a calm client that happen to come together.
    rps = _two_digits(level.qps)
    return {
        "rps": rps,
        "burst": max(1, math.ceil(2 * rps)) if rps is not None else 0,
        "abusive_above_rps": _two_digits(level.abusive_above_qps),
        "abusive_rps": _two_digits(level.abusive_qps),
        "reason": level.reason.value,
    }


def _ahead(view: ServiceView) -> tuple[float | None, float | None]:
    """Return median and 0.9 quantile of the forecast's highest step within the lead time."""
    forecast = view.forecast
    if forecast is None or not len(forecast.values) or len(forecast.levels) < 2:
        return None, None
    lead = 120.0 if view.policy.lead_s is None else view.policy.lead_s
    first = min(
        max(math.floor((view.at - forecast.origin) / forecast.step_s), 0),
        len(forecast.values) - 1,
    )
    last = math.floor((view.at + lead - forecast.origin) / forecast.step_s)
    steps = forecast.values[first : max(last, first) + 1]
    if not np.isfinite(steps).all():
        return None, None
    p50, p90 = (float(quantile_at(steps, forecast.levels, level).max()) for level in (0.5, 0.9))
    return _number(p50), _number(p90)


def _down(qps: float) -> float:
    """Return a rate to a thousandth, never more than it is."""
    return math.floor(qps * 1000) / 1000


def _number(qps: float) -> float | None:
    return round(qps, 3) if math.isfinite(qps) else None


def _two_digits(qps: float) -> float | None:
    return float(f"{qps:.2g}") if math.isfinite(qps) else None
