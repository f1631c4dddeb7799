"""The gateways that the suite knows: each module here is one, found by its name.

A module has

    def start(setup: Setup) -> AbstractContextManager[Running]
    UNSUPPORTED: dict[Capability, str]    # what it cannot do, and why; nothing is left out silently
    def start_bare(setup: Setup) -> ...   # perhaps: the same without the check, for `benchmarks`

`start` yields once the gateway listens and ends its processes by their own ids. It raises
`PartMissingError` where a real part is not on this machine.
"""

from __future__ import annotations

import importlib
import pkgutil
from contextlib import AbstractContextManager
from enum import StrEnum
from typing import Protocol, cast

from tests.conformance.setup import Running, Setup


class Capability(StrEnum):
    """What a gateway may be unable to do; the rest of the contract is for all."""

    CLASSES = "classes"  # own parts and ceilings of classes, by the class header
    STRESS = "stress"  # a class known by the lease's match.header
    MATCH_VALUE = "match-value"  # and by its match.value
    PER_CLIENT = "per-client"  # fair parts of clients, by the client header
    REPORTS = "reports"  # counts of admitted and denied, per class
    SCHEDULE = "schedule"  # is followed while the endpoint is gone
    RATELIMIT_WHEN_ADMITTED = "ratelimit-when-admitted"  # the fields on admitted requests too
    RETRY_AFTER = "retry-after"  # and RateLimit fields on refused ones
    REFUSAL_LOG = "refusal-log"  # "lease refused" in its log, once, with the reason
    BURST_KEPT = "burst-kept"  # news of a limit does not refill the bucket
    DRY_RUN = "dry-run"  # a switch of its own
    TOKEN = "token"  # a bearer token for the endpoint


class Gateway(Protocol):
    UNSUPPORTED: dict[Capability, str]

    def start(self, setup: Setup) -> AbstractContextManager[Running]: ...


def known() -> dict[str, Gateway]:
    """Return the gateways by name."""
    names = sorted(one.name for one in pkgutil.iter_modules(__path__) if one.name != "command")
    return {name: cast(Gateway, importlib.import_module(f"{__name__}.{name}")) for name in names}
