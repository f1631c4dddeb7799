"""Leases to script an endpoint with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

SHOP = "prod/shop"
Json = dict[str, object]


def lease(version: int, rps: float, **changes: object) -> Json:
    """Return a lease on ``rps`` that is valid for long enough to run a measurement under it.

    Args:
        version: of it.
        rps: the gateway's share.
        changes: whole top-level fields, and those of ``share`` and ``on_expiry`` by their own name
            (``burst``, ``safe_rps``, ``max_stale_s``, ``then``).
    """
    classes = changes.get("classes", [])
    assert isinstance(classes, Sequence)
    spare = rps - sum(one["rps"] for one in classes)
    body: Json = {
        "schema": 1,
        "service": SHOP,
        "epoch": "c0ff",
        "version": version,
        "mode": "enforce",
        "valid_for_s": 30.0,
        "refresh_s": 0.4,
        "on_expiry": {"action": "safe", "safe_rps": rps, "max_stale_s": 60.0, "then": "open"},
        "global": {"rps": rps, "burst": max(1, math.ceil(rps / 10))},
        "share": {
            "policy": "fair_demand", "rps": rps, "burst": max(1, math.ceil(rps / 10)),
            "instances": 1, "reason": "fair",
        },
        "client_window_s": None,
        "per_client": None,
        "spare_rps": max(spare, 0.0),
        "classes": [],
        "schedule": [],
        "why": {
            "binding": "capacity", "ready_replicas": 1, "rps_per_replica": rps,
            "forecast_p50": None, "forecast_p90": None, "trusted": False,
        },
    }  # fmt: skip
    for name, value in changes.items():
        for part in (body, body["share"], body["on_expiry"]):
            assert isinstance(part, dict)
            if name in part:
                part[name] = value
                break
        else:
            raise ValueError(f"a lease has no {name!r}")
    return body


def class_part(
    name: str, rps: float, ceiling_rps: float, **changes: object
) -> Mapping[str, object]:
    """Return one of a lease's classes; ``match={"header": ...}`` is a change."""
    part: Json = {
        "name": name, "priority": 0, "guaranteed_rps": rps, "rps": rps,
        "ceiling_rps": ceiling_rps, "reason": "demand", "then": "open",
    }  # fmt: skip
    return {**part, **changes}
