"""What the replay of rate limits found, as texts; the command and the page say the same."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from scaler.simulation.findings import share
from scaler.simulation.gateway_outcome import NO_CLASS, ClassOutcome, GatewayOutcome

COLUMNS = ("class", "requests", "admitted", "refused", "false rejects")
GLOSSARY = {
    "Rate limits": "The busiest part of the recorded traffic as single requests, each decided by "
    "the limiter of a gateway on leases from tidegate's endpoint, at the limits that tidegate "
    "published. Nobody is limited by client: the record does not say who sent a request.",
    "False rejects": "Requests refused while the demand was within the limit, as a share of all.",
}


def rows(found: GatewayOutcome) -> list[list[str]]:
    """Return the figures of each class and of all, as texts in the order of `COLUMNS`."""
    classes = [one for one in found.classes if one.name != NO_CLASS]
    return [_row(one) for one in (*classes, found.total)]


def _row(one: ClassOutcome) -> list[str]:
    return [
        one.name,
        f"{one.offered:,}",
        f"{one.admitted:,}",
        f"{one.refused:,}",
        share(one.false_rejects),
    ]


def extent(found: GatewayOutcome) -> str:
    """Return what was replayed, in words."""
    first, last = (
        datetime.fromtimestamp(at, UTC) for at in (found.start, found.start + found.seconds)
    )
    many = "1 gateway" if found.gateways == 1 else f"{found.gateways} gateways"
    classes = [one.name for one in found.classes if one.name != NO_CLASS]
    mixed = f"; as many requests of each class: {', '.join(classes)}" if classes else ""
    return (
        f"{first:%Y-%m-%d %H:%M:%S} to {last:%H:%M:%S} UTC, around the peak, through {many}{mixed}"
    )


def excess(found: GatewayOutcome) -> str:
    """Return how far above the limit a second was, in a sentence."""
    if not found.excess:
        return "In no second was more admitted than the limit."
    return (
        f"In the worst second {found.excess:,.0f} requests more were admitted than the limit of "
        f"{found.excess_limit_qps:,.0f}, bursts included."
    )


def record(found: GatewayOutcome | None) -> dict[str, Any] | None:
    """Return every figure as plain values for JSON; None where limits were not replayed."""
    if found is None:
        return None
    classes = {one.name: _plain(one) for one in found.classes if one.name != NO_CLASS}
    plain = {key: value for key, value in asdict(found).items() if key != "path"}
    return {**plain, "total": _plain(found.total), "classes": classes}


def _plain(one: ClassOutcome) -> dict[str, Any]:
    return {
        "offered": one.offered,
        "admitted": one.admitted,
        "refused": one.refused,
        "false_rejects": one.false_rejects,
    }
