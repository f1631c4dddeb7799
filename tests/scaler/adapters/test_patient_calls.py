"""Calls that hang, fail or are slow leave the others as they would be without them.

The clock is scripted: a call of the fast lane that hangs lets it go on by what one thread of many
would wait. In the slow lane it hangs indeed, until the test is over.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

from forecaster.errors import PrometheusAwayError, PrometheusError
from scaler.adapters.fair_turns import Call
from scaler.adapters.patient_calls import LONGEST_PAUSE, CallTimes, PatientCalls
from tests.waiting import PATIENCE_S

WORKERS = 16
TIMES = CallTimes(budget_s=10.0, longest_s=5.0, grace_s=0.02)


class Server:
    """Answers a call with its number; some of them hang, fail, or are refused.

    Attributes:
        takes_s: of each answer, by the scripted clock.
    """

    def __init__(self) -> None:
        self.hangs, self.fails, self.refuses = set(), set(), set()
        self.takes_s = 0.0
        self.now = 0.0
        self.over = threading.Event()
        self.asked = []
        self._lock = threading.Lock()

    def clock(self) -> float:
        with self._lock:
            return self.now

    def ask(self, number: int, within_s: float) -> int:
        with self._lock:
            self.asked.append(number)
            if number in self.hangs or self.takes_s > within_s:
                if within_s < TIMES.longest_s:
                    self.now += within_s / WORKERS
                    raise PrometheusAwayError("no answer")
            else:
                self.now += self.takes_s / WORKERS
        if number in self.hangs:
            self.over.wait()
            raise PrometheusAwayError("no answer")
        if number in self.fails:
            raise PrometheusAwayError("503")
        if number in self.refuses:
            raise PrometheusError("422")
        return number


@contextmanager
def made(server):
    calls = PatientCalls(WORKERS, TIMES, threading.Event(), server.clock)
    try:
        yield calls
    finally:
        server.over.set()
        calls.close()


def calls_of(server, count, namespaces=1):
    return [
        Call(n, f"ns-{n % namespaces}", lambda within_s, n=n: server.ask(n, within_s))
        for n in range(count)
    ]


@pytest.mark.parametrize("kind", ["hangs", "fails", "refuses"])
@pytest.mark.parametrize("namespaces", [1, 7])
@pytest.mark.parametrize("odd", [1, 16, 40, 500])
@pytest.mark.parametrize("order", ["first", "last"])
def test_the_others_are_answered_in_every_tick(kind, namespaces, odd, order):
    server = Server()
    numbers = range(1000)
    setattr(server, kind, set(numbers[:odd] if order == "first" else numbers[-odd:]))
    with made(server) as calls:
        for tick in range(6):
            began = server.clock()
            answers = calls.make(calls_of(server, 1000, namespaces))
            well = [n for n in numbers if n not in getattr(server, kind)]
            assert [answers[n] for n in well] == well
            assert all(isinstance(answers[n], Exception) for n in getattr(server, kind))
            assert server.clock() - began <= (TIMES.budget_s if tick == 0 else 0.0)


def test_what_hung_is_answered_again_in_the_tick_after_it_answers():
    server = Server()
    server.fails = {3}
    with made(server) as calls:
        for _ in range(8):
            assert isinstance(calls.make(calls_of(server, 40))[3], PrometheusAwayError)
        server.fails = set()
        ticks = next(n for n in range(1, 99) if calls.make(calls_of(server, 40))[3] == 3)
    assert ticks <= LONGEST_PAUSE + 1  # one more where the machine is late for the grace


def test_a_call_that_fails_is_made_ever_more_rarely():
    server = Server()
    server.fails = {3}
    with made(server) as calls:
        for _ in range(20):
            calls.make(calls_of(server, 40))
    assert server.asked.count(3) <= 1 + 1 + 1 + 20 // LONGEST_PAUSE
    assert server.asked.count(4) == 20


def test_a_call_that_nobody_asks_for_any_more_is_forgotten():
    server = Server()
    server.fails = {0, 1}
    with made(server) as calls:
        calls.make(calls_of(server, 40))
        server.fails = {1}
        for _ in range(TIMES.ticks + 1):
            calls.make(calls_of(server, 40)[1:])
        assert calls.make(calls_of(server, 40))[0] == 0  # at once, for it is nobody known
        assert server.asked.count(0) == 2


def test_where_nothing_is_answered_the_tick_ends_soon_and_no_call_is_blamed():
    server = Server()
    server.fails = set(range(1000))
    with made(server) as calls:
        answers = calls.make(calls_of(server, 1000))
        assert len(server.asked) <= 3 * WORKERS
        assert sum("not asked, for the first" in str(one) for one in answers) > 900
        server.fails = set()
        assert calls.make(calls_of(server, 1000)) == list(range(1000))


def test_a_server_that_is_slow_for_all_is_waited_for_longer():
    server = Server()
    server.takes_s = 0.6  # more than a call has that has a thousand beside it
    with made(server) as calls:
        counts = [
            sum(isinstance(one, int) for one in calls.make(calls_of(server, 1000)))
            for _ in range(6)
        ]
    assert counts[0] == 0
    assert max(counts) >= 10.0 / 0.6 * WORKERS * 0.9


def test_a_stop_ends_the_calls():
    server, stopping = Server(), threading.Event()
    calls = PatientCalls(WORKERS, TIMES, stopping, server.clock)
    stopping.set()
    assert {str(one) for one in calls.make(calls_of(server, 40))} == {
        "not asked, for the scaler is being stopped"
    }
    calls.close()
    assert server.asked == []


def test_what_hangs_in_one_namespace_leaves_room_in_the_slow_lane_for_another():
    server = Server()
    server.hangs, server.fails = set(range(0, 40, 2)), {1}
    with made(server) as calls:
        calls.make(calls_of(server, 40, namespaces=2))
        server.fails = set()
        done = threading.Event()
        for _ in range(50):
            if calls.make(calls_of(server, 40, namespaces=2))[1] == 1:
                done.set()
                break
        assert done.wait(PATIENCE_S)
