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

from scaler.adapters.journal.events import (
    Dropped,
    JournalHead,
    LeasesCalled,
    LeasesRemember,
    LeaseTold,
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
    """A call of gateways; ``at`` is seconds since the epoch."""

    at: float
    call: LeasesCalled
    told: tuple[LeaseTold, ...]


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


class _Session:
    """One process's loop and lease service, from the beginning of a file on."""

    def __init__(self, head: JournalHead, memory: LoopMemory, findings: JournalFindings) -> None:
        self.head, self._findings = head, findings
        self._ports, self._leader = JournalPorts(), True
        self._loop = ControlLoop(
            World(self._ports, self._ports, self._ports),
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
        snapshot = self._loop.tick(tuple(began.items.values()), began.now)
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
        told = None if self._leases is None else self._leases.call(event)
        if told is None or self._leases is None:
            self._leases = None  # what it remembers is told again at the next file
            return None
        self._findings.differences += self._leases.differences
        self._leases.differences.clear()
        began = self._began
        at = event.at if began is None else began.now + event.at - began.mono
        return ReplayedCall(at, event, told)

    def _same_memory(self, whom: str, recorded: object, replayed: object) -> bool:
        before, after = to_plain_value(recorded), to_plain_value(replayed)
        found = [
            Difference(self.ticks, whom, f"memory of {name}", before.get(name), after.get(name))
            for name in differing(before, after)
        ]
        self._findings.differences += found
        return not found


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
        session = _replayed_file(file, session, findings, (on_tick, on_call))
    return findings


_Told = tuple[Callable[[ReplayedTick], object], Callable[[ReplayedCall], object]]


def _replayed_file(
    file: JournalFile, session: _Session | None, findings: JournalFindings, told: _Told
) -> _Session | None:
    """Replay one file; return what the next one may go on with."""
    on_tick, on_call = told
    findings.runs.add(file.head.run)
    began: TickBegan | None = None
    answers: list[Any] = []
    for event in file.events():
        if isinstance(event, LoopRemembers):
            goes_on = session is not None and session.goes_on(file.head)
            if session is None or not goes_on or not session.check(event.memory):
                session = _Session(file.head, event.memory, findings)
        elif session is None:
            continue  # its first line was cut
        elif isinstance(event, TickBegan):
            began, answers = event, []
        elif isinstance(event, TickEnded) and began is not None:
            tick = session.tick(began, answers, event)
            _count(findings, tick)
            on_tick(tick)
            began = None
        elif isinstance(event, LeasesRemember):
            session.remember(event)
        elif isinstance(event, LeasesCalled):
            call = session.call(event)
            if call is None:
                findings.skipped += 1
            else:
                findings.leases += len(call.told)
                on_call(call)
        elif isinstance(event, Dropped):
            findings.dropped += event.events
        else:
            answers.append(event)
    findings.cut += began is not None
    return session


def _count(findings: JournalFindings, tick: ReplayedTick) -> None:
    findings.ticks += 1
    findings.decisions += len(tick.snapshot.services)
    findings.services.update(list(tick.snapshot.services))
    findings.first = tick.began.now if findings.first is None else findings.first
    findings.last = tick.began.now
