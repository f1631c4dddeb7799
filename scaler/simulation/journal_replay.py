"""Drives the production loop and lease service by a journal, and tells what they come to.

Rules of this file:

* The classes are those that ran: whatever they are handed comes from the journal.
* A file that goes on where the one before ended is replayed without a break, and what is
  remembered between the two must be what was recorded. Any other begins with what was recorded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from scaler.adapters.http.exchange import LeaseReply
from scaler.adapters.journal.events import (
    Dropped,
    JournalHead,
    LeasesCalled,
    LeasesRemember,
    LoopRemembers,
    TickBegan,
    TickEnded,
)
from scaler.adapters.journal.facts import differing
from scaler.adapters.journal.plain_values import to_plain_value
from scaler.adapters.journal.reading import JournalFile
from scaler.control.loop import ControlLoop
from scaler.control.memory import LoopMemory
from scaler.control.ports import World
from scaler.control.snapshot import Snapshot
from scaler.simulation.journal_leases import LeasesReplay
from scaler.simulation.journal_ports import Difference, JournalPorts

# Ticks whose snapshots are kept: gateways are answered by the latest, or the one before.
KEPT = 8


@dataclass(frozen=True, eq=False, slots=True)
class ReplayedTick:
    """One tick, as recorded and as it came out again.

    Attributes:
        began: when, and under which policies; answers: of the ports, in order.
        snapshot: that was published now.
    """

    began: TickBegan
    answers: tuple[Any, ...]
    snapshot: Snapshot


@dataclass(frozen=True, slots=True)
class ReplayedCall:
    """A call of gateways, and what each is answered; ``at`` is seconds since the epoch."""

    at: float
    call: LeasesCalled
    answers: tuple[LeaseReply | None, ...]


@dataclass(slots=True)
class JournalFindings:
    """What a replay has counted.

    Attributes:
        ticks: that were replayed, ``decisions`` in them; ``cut``: ticks that have no end.
        leases: answers to gateways; ``skipped``: those that rest on what was not recorded.
        dropped: events that could not be kept; ``runs``: processes.
    """

    ticks: int = 0
    decisions: int = 0
    leases: int = 0
    skipped: int = 0
    cut: int = 0
    dropped: int = 0
    first: float | None = None
    last: float | None = None
    runs: set[str] = field(default_factory=set)
    services: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)

    def count(self, tick: ReplayedTick) -> None:
        self.ticks += 1
        self.decisions += len(tick.snapshot.services)
        self.services.update(list(tick.snapshot.services))
        self.first = tick.began.now if self.first is None else self.first
        self.last = tick.began.now


class _Session:
    """One process's loop and lease service, from the beginning of a file on."""

    def __init__(self, head: JournalHead, memory: LoopMemory, findings: JournalFindings) -> None:
        self.head, self._findings = head, findings
        self._ports, self._leader = JournalPorts(), True
        self._loop = ControlLoop(
            World(self._ports, self._ports, self._ports, self._ports, self._ports.seasonal_lows),
            timedelta(seconds=head.step_s),
            lambda _: None,
            lambda: self._leader,
            head.tick_s,
        )
        self._loop.recall(memory)
        self._snapshots: dict[int, Snapshot] = {}
        self._leases: LeasesReplay | None = None
        self.ticks = memory.ticks
        self._began: TickBegan | None = None  # the last tick, for its clocks

    def goes_on(self, head: JournalHead) -> bool:
        return head.run == self.head.run and head.first_tick == self.ticks + 1

    def check(self, memory: LoopMemory) -> bool:
        """Return whether the loop remembers what it did then."""
        return self._same_memory("the loop", memory, self._loop.memory())

    def tick(self, began: TickBegan, answers: Sequence[Any], ended: TickEnded) -> ReplayedTick:
        self._began, self._leader = began, ended.leader
        self._ports.begin(ended.tick, answers)
        snapshot = self._loop.tick(tuple(began.items.values()), began.now, began.set_by_s)
        self._ports.end()
        self.ticks = snapshot.tick
        self._snapshots[snapshot.tick] = snapshot
        self._snapshots.pop(snapshot.tick - KEPT, None)
        self._findings.differences += self._ports.differences
        self._ports.differences.clear()
        return ReplayedTick(began, tuple(answers), snapshot)

    def remember(self, event: LeasesRemember) -> None:
        """Begin to answer gateways; or check that the same is remembered."""
        if self._leases is not None and self._same_memory(
            "the lease service", event.memory, self._leases.memory()
        ):
            return
        self._leases = LeasesReplay(self.head, self._snapshots, event.memory)

    def call(self, event: LeasesCalled) -> ReplayedCall | None:
        """Return what gateways are told now; None: that rests on what was not recorded."""
        answers = None if self._leases is None else self._leases.call(event)
        if answers is None or self._leases is None:
            self._leases = None  # what it remembers is told again at the next file
            return None
        self._findings.differences += self._leases.differences
        self._leases.differences.clear()
        began = self._began
        at = event.at if began is None else began.now + event.at - began.mono
        return ReplayedCall(at, event, tuple(answers))

    def _same_memory(self, whom: str, recorded: object, replayed: object) -> bool:
        before, after = to_plain_value(recorded), to_plain_value(replayed)
        found = [
            Difference(self.ticks, whom, f"memory of {name}", before.get(name), after.get(name))
            for name in differing(before, after)
        ]
        self._findings.differences += found
        return not found


_Told = tuple[Callable[[ReplayedTick], object], Callable[[ReplayedCall], object]]


def replayed(
    files: Sequence[JournalFile],
    on_tick: Callable[[ReplayedTick], object] = lambda _: None,
    on_call: Callable[[ReplayedCall], object] = lambda _: None,
) -> JournalFindings:
    """Replay the files of a journal in order; return what was found.

    Args:
        files: of one folder.
        on_tick: is told of each tick; on_call: of each call of gateways.
    """
    findings = JournalFindings()
    session: _Session | None = None
    for file in files:
        replay = _FileReplay(file, session, findings, (on_tick, on_call))
        replay.run()
        session = replay.session
    return findings


class _FileReplay:
    """Replays one file."""

    def __init__(
        self, file: JournalFile, session: _Session | None, findings: JournalFindings, told: _Told
    ) -> None:
        self._file, self.session, self._findings = file, session, findings
        self._on_tick, self._on_call = told
        self._began: TickBegan | None = None
        self._answers: list[Any] = []

    def run(self) -> None:
        self._findings.runs.add(self._file.head.run)
        for event in self._file.events():
            if isinstance(event, LoopRemembers):
                self._begin(event.memory)
            elif self.session is not None:
                self._take(event, self.session)
        self._findings.cut += self._began is not None

    def _begin(self, memory: LoopMemory) -> None:
        goes_on = self.session is not None and self.session.goes_on(self._file.head)
        if self.session is None or not goes_on or not self.session.check(memory):
            self.session = _Session(self._file.head, memory, self._findings)

    def _take(self, event: Any, session: _Session) -> None:  # noqa: ANN401 - of any kind
        if isinstance(event, TickBegan):
            self._began, self._answers = event, []
        elif isinstance(event, TickEnded) and self._began is not None:
            tick = session.tick(self._began, self._answers, event)
            self._findings.count(tick)
            self._on_tick(tick)
            self._began = None
        elif isinstance(event, LeasesRemember):
            session.remember(event)
        elif isinstance(event, LeasesCalled):
            self._call(event, session)
        elif isinstance(event, Dropped):
            self._findings.dropped += event.events
        else:
            self._answers.append(event)

    def _call(self, event: LeasesCalled, session: _Session) -> None:
        call = session.call(event)
        if call is None:
            self._findings.skipped += event.seen is not None  # before the first tick it is refused
            return
        self._findings.leases += sum(one is not None for one in call.answers)
        self._on_call(call)


def last_tick(files: Sequence[JournalFile]) -> float:
    """Return when the last tick of a journal began, in seconds since the epoch."""
    last = files[-1].head.at
    for event in files[-1].events():
        if isinstance(event, TickBegan):
            last = event.now
    return last
