"""Waiting for another thread; the time that it takes does not decide a test."""

from __future__ import annotations

import time


def eventually(holds, within_s: float = 20.0) -> None:
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
