"""The calls of each tick to one server: those that hang, fail or are slow leave the others alone.

Rules of this file:

* In the fast lane stand the calls that were answered when they were last made. Each may take an
  equal share of what is left of the tick's time, so all are made within it, however many hang.
* A call that had no answer in that time goes to the slow lane: few threads make it beside the
  ticks, and it may take as long as any may. A tick waits shortly for those that it began; what is
  answered later is returned by the next tick. Without an answer a call pauses for up to
  `LONGEST_PAUSE` ticks; answered fast enough it goes back to the fast lane.
* Where nothing at all is answered, the server is away: the tick ends soon, and no call is blamed.
* The order is another in each tick, so that what hangs does not always stand before the others.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeVar

from forecaster.errors import ForecasterError, PrometheusAwayError
from scaler.adapters.fair_turns import Call, FairTurns
from scaler.clocks.steady import steady_seconds
from scaler.control.unfailing_log import UnfailingLogger
from scaler.errors import ScalerError

LOGGER = UnfailingLogger(__name__)
Answer = TypeVar("Answer")

LONGEST_PAUSE = 4  # a minute
FAST_SHARE = 0.8  # of the time of the fast lane; slower calls would soon be late there again


@dataclass(frozen=True, slots=True)
class CallTimes:
    """How long calls may take, in seconds.

    Attributes:
        budget_s: all calls of the fast lane in one tick.
        longest_s: one call.
        soon_s: one call of the fast lane; least_s: one that has many beside it.
        grace_s: that a tick waits for the slow lane.
        ticks: for which a call that had no answer is remembered though nobody asks for it.
    """

    budget_s: float
    longest_s: float
    soon_s: float = 2.0
    least_s: float = 0.25
    grace_s: float = 0.5
    ticks: int = 10


@dataclass(slots=True)
class _Suspect(Generic[Answer]):
    """A call that had no answer.

    Attributes:
        error: the last one in words, for it holds on to all that it came through; failures: in a
            row.
        due: in which tick it is made again; seen: in which it was asked for last.
        answer: not returned yet; fast: whether it came as fast as the fast lane demands.
    """

    error: str
    due: int
    seen: int
    failures: int = 1
    running: bool = False
    answer: Answer | Exception | None = None
    fast: bool = False

    def told(self) -> PrometheusAwayError:
        """Return what is said while there is no answer."""
        why = f"it had no answer {self.failures} times in a row" if self.failures else "it is slow"
        return PrometheusAwayError(f"asked beside the others, for {why}: {self.error}")


class _Tick(Generic[Answer]):
    """The fast lane of one tick."""

    def __init__(self, turns: FairTurns[Answer], began: float) -> None:
        self.turns, self.began = turns, began
        self.answers: dict[Hashable, Answer | Exception] = {}
        self.late: dict[Hashable, Answer | Exception] = {}  # of the slow lane
        self.unanswered: dict[Hashable, Exception] = {}
        self.slowest_s = 0.0


class PatientCalls(Generic[Answer]):
    """Makes the calls of one tick after the other. `make` is called from one thread.

    Args:
        workers: threads of the fast lane; the slow lane has a quarter as many beside it.
        times: that calls may take.
        stopping: set when the process is to end; no call is made after that.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        workers: int,
        times: CallTimes,
        stopping: threading.Event,
        clock: Callable[[], float] = steady_seconds,
    ) -> None:
        self._workers, self._slow_workers = workers, max(workers // 4, 1)
        self._times, self._stopping, self._clock = times, stopping, clock
        self._least_s = self._fast_s = min(times.least_s, times.longest_s)
        self._fast = ThreadPoolExecutor(workers, thread_name_prefix="calls")
        self._slow = ThreadPoolExecutor(self._slow_workers, thread_name_prefix="slow-calls")
        self._changed = threading.Condition()
        # What follows is guarded by it.
        self._suspects: dict[Hashable, _Suspect[Answer]] = {}
        self._slow_turns: FairTurns[Answer] = FairTurns(max(self._slow_workers // 2, 1))
        self._slow_threads = self._tick = self._replies = 0

    def close(self) -> None:
        self._fast.shutdown(cancel_futures=True)
        self._slow.shutdown(cancel_futures=True)

    def make(self, calls: Sequence[Call[Answer]]) -> list[Answer | Exception]:
        """Return what each call was answered, or why it was not, in order; keys are unique."""
        with self._changed:
            self._tick += 1
            replies = self._replies
            tick = _Tick[Answer](FairTurns(self._workers), self._clock())
            probes = self._sort(calls, tick)
            self._fast_s = self._patience_s(tick)
            self._start_probes()
        count = min(self._workers, tick.turns.waiting)
        for one in [self._fast.submit(self._work, tick) for _ in range(count)]:
            one.result()
        with self._changed:
            if probes and not self._stopping.is_set():
                done = partial(self._are_answered, probes)
                self._changed.wait_for(done, timeout=self._times.grace_s)
            self._judge(tick, replies)
            return [self._outcome(call, tick) for call in calls]

    def _sort(self, calls: Sequence[Call[Answer]], tick: _Tick[Answer]) -> list[Hashable]:
        """Put each call into its lane; return the keys of those that the slow lane begins with."""
        probes, fast = [], []
        for call in calls:
            suspect = self._suspects.get(call.key)
            if suspect is None:
                fast.append(call)
                continue
            suspect.seen = self._tick
            if suspect.answer is not None:
                tick.late[call.key], suspect.answer = suspect.answer, None
                if suspect.fast:
                    del self._suspects[call.key]
                    fast.append(call)
                    continue
            if not suspect.running and suspect.due <= self._tick:
                suspect.running = True
                self._slow_turns.add([call])
                probes.append(call.key)
        tick.turns.add(sorted(fast, key=self._place))
        oldest = self._tick - self._times.ticks
        for key in [k for k, one in self._suspects.items() if one.seen < oldest]:
            del self._suspects[key]
        return probes

    def _place(self, call: Call[Answer]) -> int:
        return zlib.crc32(f"{self._tick} {call.key}".encode())

    def _work(self, tick: _Tick[Answer]) -> None:
        """Make calls of the fast lane until there is none left, or no time."""
        while True:
            with self._changed:
                within_s = self._patience_s(tick)
                call = None if self._ends(tick) else tick.turns.take(within_s)
            if call is None:
                return
            answer, replied, took_s = self._timed(call, within_s)
            with self._changed:
                tick.turns.ended(call, within_s, took_s)
                tick.answers[call.key] = answer
                if replied:
                    self._replies += 1
                    tick.slowest_s = max(tick.slowest_s, took_s)
                elif isinstance(answer, Exception):
                    tick.unanswered[call.key] = answer

    def _timed(self, call: Call[Answer], within_s: float) -> tuple[Answer | Exception, bool, float]:
        """Make a call; return its answer, whether that was a reply, and the seconds it took."""
        began = self._clock()
        asked = _asked(call, within_s)
        return *asked, self._clock() - began

    def _patience_s(self, tick: _Tick[Answer]) -> float:
        left_s = tick.began + self._times.budget_s - self._clock()
        share_s = left_s * self._workers / max(tick.turns.waiting, 1)
        return min(max(min(share_s, self._times.soon_s), self._least_s), self._times.longest_s)

    def _ends(self, tick: _Tick[Answer]) -> str | None:
        """Return why no more calls of the fast lane are to be made; None while they may be."""
        if self._stopping.is_set():
            return "not asked, for the scaler is being stopped"
        failures = len(tick.unanswered)
        if failures == len(tick.answers) >= 2 * self._workers:
            last = next(reversed(tick.unanswered.values()))
            return f"not asked, for the first {failures} had no answer: {last}"
        if self._clock() - tick.began > self._times.budget_s:
            return f"not asked, for the others took {self._times.budget_s:g} s"
        return None

    def _judge(self, tick: _Tick[Answer], replies: int) -> None:
        """Blame calls that had no answer where others had one."""
        if self._replies > replies:
            for key, error in tick.unanswered.items():
                self._suspects[key] = _Suspect(str(error), self._tick + 1, self._tick)
            if tick.slowest_s < self._least_s / 4:
                self._least_s = max(self._least_s / 2, min(self._times.least_s, self._least_s))
        elif tick.unanswered:  # it may be slow, not away
            self._least_s = min(self._least_s * 2, self._times.longest_s)

    def _outcome(self, call: Call[Answer], tick: _Tick[Answer]) -> Answer | Exception:
        if call.key in tick.answers:
            return tick.answers[call.key]
        suspect = self._suspects.get(call.key)
        if suspect is not None and suspect.answer is not None:  # within the grace
            answer, suspect.answer = suspect.answer, None
            if suspect.fast:
                del self._suspects[call.key]
            return answer
        if call.key in tick.late:
            return tick.late[call.key]
        return suspect.told() if suspect else PrometheusAwayError(self._ends(tick) or "not asked")

    def _start_probes(self) -> None:
        while self._slow_threads < min(self._slow_workers, self._slow_turns.waiting):
            self._slow_threads += 1
            self._slow.submit(self._probe)

    def _probe(self) -> None:
        """Make calls of the slow lane until there is none left."""
        within_s = self._times.longest_s
        while True:
            with self._changed:
                call = None if self._stopping.is_set() else self._slow_turns.take(within_s)
                if call is None:
                    self._slow_threads -= 1
                    return
            answer, replied, took_s = self._timed(call, within_s)
            with self._changed:
                self._slow_turns.ended(call, within_s, took_s)
                self._probed(self._suspects.get(call.key), answer, took_s, replied=replied)
                self._changed.notify_all()

    def _probed(
        self,
        suspect: _Suspect[Answer] | None,
        answer: Answer | Exception,
        took_s: float,
        *,
        replied: bool,
    ) -> None:
        if suspect is None:  # it was forgotten meanwhile
            return
        suspect.running = False
        if replied:
            self._replies += 1
            suspect.answer, suspect.fast = answer, took_s <= FAST_SHARE * self._fast_s
            suspect.failures, suspect.due = 0, self._tick + 1
        elif isinstance(answer, Exception):
            pause = min(2**suspect.failures, LONGEST_PAUSE)
            suspect.error, suspect.failures = str(answer), suspect.failures + 1
            suspect.due = self._tick + pause

    def _are_answered(self, keys: Sequence[Hashable]) -> bool:
        return not any(self._suspects[key].running for key in keys if key in self._suspects)


def _asked(call: Call[Answer], within_s: float) -> tuple[Answer | Exception, bool]:
    """Return what a call was answered or has failed with, and whether that was a reply."""
    try:
        return call.ask(within_s), True
    except PrometheusAwayError as error:
        return error, False
    except (ForecasterError, ScalerError, ValueError) as error:
        return error, True
    except Exception as error:  # one call's fault leaves the others made
        LOGGER.exception("%s could not be asked", call.key)
        return error, True
