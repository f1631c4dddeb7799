"""Whether one JSON value has the form of another: every key of it, with a value of its type."""

from __future__ import annotations

# Keys that have left the contract, with what 0.1.0 has always said there: null, and nobody read it.
WITHDRAWN = ("global.max_inflight", "limit.max_inflight")


def uncovered(expected, found, path: str = "") -> list[str]:
    """Return the places at which ``found`` lacks a key of ``expected``, or has another type.

    Null stands for any type, a list for its first entry; there may be more keys than expected, and
    those that are `WITHDRAWN` may be missing.
    """
    if expected is None or found is None:
        return []
    if isinstance(expected, bool) or isinstance(found, bool):
        return [] if isinstance(expected, bool) and isinstance(found, bool) else [path]
    if isinstance(expected, int | float) and isinstance(found, int | float):
        return []
    if isinstance(expected, dict) and isinstance(found, dict):
        lacking = [f"{path}.{key}" for key in expected if key not in found]
        lacking = [place for place in lacking if not place.endswith(WITHDRAWN)]
        both = [key for key in expected if key in found]
        below = [uncovered(expected[key], found[key], f"{path}.{key}") for key in both]
        return [*lacking, *(place for places in below for place in places)]
    if isinstance(expected, list) and isinstance(found, list):
        return uncovered(expected[0], found[0], f"{path}[0]") if expected and found else []
    return [] if type(expected) is type(found) else [path]
