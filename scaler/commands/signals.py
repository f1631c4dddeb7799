"""A stop by SIGTERM or SIGINT, which takes no longer than a few seconds; nothing else is a stop.

A thread of its own waits for the signals. A handler would run in the middle of whatever the main
thread does: if that is about to wait for the event that the handler sets, it blocks for ever.

The thread looks at which signals are pending and takes only those. `sigtimedwait` with a time-out
would not do: a process that was paused past the deadline (SIGSTOP, a frozen container, a debugger)
gets an answer from it that names no signal.
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
# Files are read again when they have changed, so there is nothing to do on a hang-up.
IGNORED_SIGNALS = (signal.SIGHUP,)
WATCHED_SIGNALS = (*STOP_SIGNALS, *IGNORED_SIGNALS)
LOOK_S = 0.25
# A stop takes less, unless a server delays each step of it; then the process ends without it.
LONGEST_STOP_S = 9.0
# The kernel ends a process that does not get to end itself, because it gets no processor time or
# its interpreter takes long to shut down.
KILLED_AFTER_S = 9.5


@contextmanager
def stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Set ``stop`` on SIGTERM or SIGINT; the process must then end within `LONGEST_STOP_S`.

    Enter it before any thread is started, because threads inherit the mask of blocked signals.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED_SIGNALS)
    ended = threading.Event()
    watching = threading.Thread(target=_watch, args=(stop, ended), name="signals", daemon=True)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()
        if not stop.is_set():
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _watch(stop: threading.Event, ended: threading.Event) -> None:
    while not ended.wait(LOOK_S):
        pending = signal.sigpending().intersection(WATCHED_SIGNALS)
        if not pending:
            continue
        number = signal.Signals(signal.sigwait(pending))
        if number in STOP_SIGNALS:
            _stop(number, stop, ended)
            return
        LOGGER.info("%s is ignored: files are read again when they have changed", number.name)


def _stop(number: signal.Signals, stop: threading.Event, ended: threading.Event) -> None:
    # Its default action ends the process, whatever the interpreter does then.
    signal.setitimer(signal.ITIMER_REAL, KILLED_AFTER_S)
    LOGGER.info("%s: stopping", number.name)
    stop.set()
    if not ended.wait(LONGEST_STOP_S):
        LOGGER.error("the stop took more than %g s; ending without it", LONGEST_STOP_S)
        # Not sys.exit, which would wait for the threads that do not end.
        os._exit(1)


def pause(stop: threading.Event, seconds: float) -> None:
    """Wait before a call to the API server is retried; raise as soon as the scaler is stopped."""
    if stop.wait(seconds):
        raise ClusterUnreachableError("not retried, because the scaler is being stopped")
