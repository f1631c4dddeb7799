"""What events have brought, and what the next is planned for: values, and words for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from scaler.control.snapshot import ServiceView
from scaler.decision.event_levels import learned_multiplier


def event_levels(view: ServiceView) -> Iterator[dict[str, Any]]:
    """Yield JSON values of each event of the policy that is a multiple of demand, once one is over.

    They are what the policy states, the median of the next one and its interval at the policy's
    risk, what was measured, and whether it is planned for.
    """
    ratios = view.checkpoint.event_ratios if view.checkpoint else {}
    for event in view.policy.events_after(view.at):
        if event.multiplier is None or not ratios.get(event.name):
            continue
        of_it = ratios[event.name]
        found = learned_multiplier(of_it, event.multiplier, view.policy.trust.risk)
        yield {
            "name": event.name,
            "stated": event.multiplier,
            "median": round(found.median, 3),
            "low": round(found.low, 3),
            "high": round(found.high, 3),
            "occurrences": found.occurrences,
            "last": round(of_it[-1], 3),
            "learns": event.learns,
        }


def event_sentence(level: Mapping[str, Any]) -> str:
    """Return in words what one of `event_levels` says.

    >>> event_sentence({"name": "sale", "stated": 3.0, "median": 2.1, "low": 1.4, "high": 3.2,
    ...                 "occurrences": 2, "last": 1.8, "learns": False})
    'Event sale brought 1.8 times the demand before it when it was last on, and 3 is stated; \
what 2 occurrences have brought is not learned from: spec.demand.events[].learn is not set.'
    """
    name, stated, last = level["name"], level["stated"], level["last"]
    text = f"Event {name} brought {last:.3g} times the demand before it when it was last on"
    count = level["occurrences"]
    if not level["learns"]:
        return (
            f"{text}, and {stated:.3g} is stated; what {count} occurrences have brought is not "
            "learned from: spec.demand.events[].learn is not set."
        )
    return (
        f"{text}; after {count} occurrences the next is expected to bring {level['median']:.3g} "
        f"({level['low']:.3g} to {level['high']:.3g}), and {level['high']:.3g} is planned for."
    )
