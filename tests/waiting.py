"""Waiting for another thread or process; the time that it takes does not decide a test."""

from __future__ import annotations

import time
from collections.abc import Callable

# Far above what anything here needs, on a machine that does a lot else.
PATIENCE_S = 120.0


def eventually(holds: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Wait until a condition holds; one that raises counts as not holding."""
    until = time.monotonic() + within_s
    while True:
        try:
            if holds():
                return
            failure: Exception = AssertionError("it never came to hold")
        except Exception as error:  # noqa: BLE001 - whatever it is, it may pass
            failure = error
        if time.monotonic() > until:
            raise failure
        time.sleep(0.01)
