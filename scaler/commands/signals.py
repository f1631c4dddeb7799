"""A stop that is asked for by a signal: what runs is finished, and nothing is waited for too long.

The signals are taken by a thread that waits for them. A handler would run in the middle of
whatever the main thread does; an event set there, that it is about to wait for, blocks for ever.
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
ASKED = (signal.SIGTERM, signal.SIGINT)
# A stop takes less; where a server holds up each step of it, the process ends all the same.
LONGEST_STOP_S = 9.0


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Set ``stop`` on SIGTERM or SIGINT; the body is to end within `LONGEST_STOP_S` then.

    Enter it before any thread is started, for threads inherit which signals are held back.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ASKED)
    ended = threading.Event()
    waiting = threading.Thread(target=_wait, args=(stop, ended), name="signals", daemon=True)
    waiting.start()
    try:
        yield
    finally:
        ended.set()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _wait(stop: threading.Event, ended: threading.Event) -> None:
    while signal.sigtimedwait(ASKED, 0.5) is None:
        if ended.is_set():
            return
    stop.set()
    if not ended.wait(LONGEST_STOP_S):
        LOGGER.error("the stop took more than %g s: ended all the same", LONGEST_STOP_S)
        # Not sys.exit: that would wait for the threads that hold it up. The Lease runs out.
        os._exit(1)


def pause(stop: threading.Event, seconds: float) -> None:
    """Wait before a call to the API server is tried again; raise once that is to stop."""
    if stop.wait(seconds):
        raise ClusterUnreachableError("not tried again, for the scaler is being stopped")
