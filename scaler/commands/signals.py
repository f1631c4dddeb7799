"""A stop by SIGTERM or SIGINT, which takes no longer than a few seconds.

A thread of its own waits for the signals. A handler would run in the middle of whatever the main
thread does: if that is about to wait for the event that the handler sets, it blocks for ever.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from scaler.errors import ClusterUnreachableError

LOGGER = logging.getLogger(__name__)
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# A stop takes less, unless a server delays each step of it; then the process ends without it.
LONGEST_STOP_S = 9.0


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Set ``stop`` on SIGTERM or SIGINT; the body must then end within `LONGEST_STOP_S`.

    Enter it before any thread is started, because threads inherit the mask of blocked signals.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    ended = threading.Event()
    waiting = threading.Thread(target=_wait, args=(stop, ended), name="signals", daemon=True)
    waiting.start()
    try:
        yield
    finally:
        ended.set()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(stop: threading.Event, ended: threading.Event) -> None:
    while signal.sigtimedwait(STOP_SIGNALS, 0.5) is None:
        if ended.is_set():
            return
    stop.set()
    if not ended.wait(LONGEST_STOP_S):
        LOGGER.error("the stop took more than %g s; ending without it", LONGEST_STOP_S)
        # Not sys.exit, which would wait for the threads that do not end. The Lease expires.
        os._exit(1)


def pause(stop: threading.Event, seconds: float) -> None:
    """Wait before a call to the API server is retried; raise as soon as the scaler is stopped."""
    if stop.wait(seconds):
        raise ClusterUnreachableError("not retried, because the scaler is being stopped")
