"""Only a signal that asks for it ends a scaler, and then it does end: whatever pauses it, or hangs.

Each process is one of its own, which is paused and signalled as a kernel, a kubelet or a debugger
does.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.paths import ROOT
from tests.waiting import PATIENCE_S, eventually

# What `scaler run` does with signals, and nothing else.
WAITS = """
import logging, sys, threading
logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout)
from scaler.commands import signals
{before}
stop = threading.Event()
with signals.stopped_by_signals(stop):
    print("begun", flush=True)
    stop.wait()
    {at_stop}
print("ended", flush=True)
{after}
"""
BEGUN = "begun\n"
# Seconds that it is paused: more than any wait between two looks at what is pending.
PAUSE_S = 1.0
HASTY = "signals.LONGEST_STOP_S, signals.KILLED_AFTER_S = {}, {}"
# A call that does not let any other thread go on.
HOLDS_THE_INTERPRETER = "import ctypes; ctypes.PyDLL(None).sleep(600)"


@contextmanager
def process(before: str = "", at_stop: str = "pass", after: str = "") -> Iterator[subprocess.Popen]:
    code = WAITS.format(before=before, at_stop=at_stop, after=after)
    running = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    try:
        assert running.stdout.readline() == BEGUN
        yield running
    finally:
        running.kill()
        running.wait()
        running.stdout.close()


def paused(running: subprocess.Popen) -> None:
    running.send_signal(signal.SIGSTOP)
    eventually(lambda: state(running.pid) == "T")
    time.sleep(PAUSE_S)
    running.send_signal(signal.SIGCONT)


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        pytest.param(paused, [], id="a pause"),
        pytest.param(
            lambda running: [paused(running) for _ in range(3)], [], id="a pause, and again"
        ),
        pytest.param(
            lambda running: running.send_signal(signal.SIGHUP),
            ["SIGHUP is ignored: files are read again when they have changed"],
            id="a hang-up",
        ),
        pytest.param(
            lambda running: running.send_signal(signal.SIGWINCH), [], id="a window that changes"
        ),
    ],
)
@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGINT])
def test_nothing_ends_a_scaler_but_a_signal_that_asks_for_it(happens, told, ends):
    with process() as running:
        happens(running)
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(PAUSE_S)
        running.send_signal(ends)
        said, _ = running.communicate(timeout=PATIENCE_S)
        assert said.splitlines() == [*told, f"{ends.name}: stopping", "ended"]
        assert running.returncode == 0


def test_a_stop_that_was_asked_for_during_a_pause_is_not_forgotten():
    with process() as running:
        running.send_signal(signal.SIGSTOP)
        eventually(lambda: state(running.pid) == "T")
        running.send_signal(signal.SIGTERM)
        running.send_signal(signal.SIGCONT)
        assert running.wait(PATIENCE_S) == 0


@pytest.mark.parametrize(
    ("hangs", "limits", "code"),
    [
        pytest.param(
            {"at_stop": "threading.Event().wait()"}, (0.1, 600), 1, id="what is to be closed"
        ),
        pytest.param(
            {"at_stop": HOLDS_THE_INTERPRETER}, (0.1, 0.5), -signal.SIGALRM, id="the interpreter"
        ),
        pytest.param(
            {"after": "threading.Thread(target=threading.Event().wait).start()"},
            (0.1, 0.5),
            -signal.SIGALRM,
            id="a thread that does not end",
        ),
        pytest.param(
            {"after": "import atexit; atexit.register(threading.Event().wait)"},
            (0.1, 0.5),
            -signal.SIGALRM,
            id="the shutdown of the interpreter",
        ),
    ],
)
def test_a_stop_comes_to_its_end_whatever_hangs(hangs, limits, code):
    with process(before=HASTY.format(*limits), **hangs) as running:
        running.send_signal(signal.SIGTERM)
        assert running.wait(PATIENCE_S) == code


def test_a_stop_takes_no_longer_than_is_promised():
    from scaler.commands import signals  # noqa: PLC0415

    assert signals.LOOK_S + signals.LONGEST_STOP_S < 10.0
    assert signals.LOOK_S + signals.KILLED_AFTER_S < 10.0
