"""The journal of `scaler run`: started before all else, closed after it."""

from __future__ import annotations

import argparse
import contextlib
import re
import secrets
from collections.abc import Sequence
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from scaler.clocks.steady import steady_seconds
from scaler.errors import PolicyError

if TYPE_CHECKING:
    from scaler.adapters.http.lease_service import LeaseService
    from scaler.adapters.http.settings import ApiSettings
    from scaler.adapters.http.snapshot_holder import SnapshotHolder
    from scaler.adapters.journal.journal import Journal
    from scaler.adapters.journal.recording import LoopRecorder
    from scaler.control.loop import ControlLoop
    from scaler.control.ports import WatchedPolicy, World
    from scaler.control.snapshot import Snapshot
    from scaler.control.timekeeper import TickTime

SIZE = re.compile(r"(\d+)\s*([KMG]B)", re.IGNORECASE)
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9}


def add_journal_arguments(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--journal", metavar="DIR", type=Path,
        help="record every input and decision there, for 'scaler replay --journal DIR'; each "
        "replica needs a directory of its own",
    )  # fmt: skip
    group.add_argument(
        "--journal-size", metavar="SIZE", default="256MB",
        help="of all its files together; the oldest is dropped (%(default)s)",
    )  # fmt: skip


class RunJournal:
    """Records a run; without a journal everything is handed on as it is."""

    def __init__(self, journal: Journal | None = None, loop: LoopRecorder | None = None) -> None:
        self._journal, self._loop = journal, loop

    def world(self, world: World) -> World:
        return world if self._loop is None else self._loop.world(world)

    def tick(self, loop: ControlLoop, watched: Sequence[WatchedPolicy], when: TickTime) -> Snapshot:
        if self._loop is None:
            return loop.tick(watched, when.now, when.set_by_s)
        return self._loop.tick(loop, watched, when)

    def publish(self, snapshot: Snapshot) -> None:
        if self._loop is not None:
            self._loop.publish(snapshot)

    def health(self) -> tuple[bool, int] | None:
        """Return whether it is written, and how many events it lacks; None: none is kept."""
        return None if self._journal is None else self._journal.health()

    def leases(self, holder: SnapshotHolder, settings: ApiSettings) -> LeaseService:
        """Return the lease service of the run."""
        from scaler.adapters.http.app import new_epoch
        from scaler.adapters.http.lease_service import LeaseService
        from scaler.adapters.journal.recorded_leases import RecordedLeases

        if self._journal is None:
            return LeaseService(holder, settings, new_epoch())
        return RecordedLeases(holder, settings, new_epoch(), self._journal)


def started_journal(
    args: argparse.Namespace,
    settings: ApiSettings,
    beat: tuple[timedelta, float],
    stack: contextlib.ExitStack,
) -> RunJournal:
    """Return the journal that the options ask for, if they do; the stack closes it.

    Args:
        args: of `scaler run`.
        settings: of the endpoint.
        beat: the step of the forecast's grid, and the seconds between two ticks.
        stack: that closes it.

    Raises:
        PolicyError: its size is no size.
        JournalError: it cannot be kept there.
    """
    if args.journal is None:
        return RunJournal()
    from scaler.adapters.journal.files import JournalFiles
    from scaler.adapters.journal.journal import Journal
    from scaler.adapters.journal.recording import LoopRecorder, RecordedRun

    journal = Journal(JournalFiles(args.journal, size_of(args.journal_size, "--journal-size")))
    stack.callback(journal.close)
    run = RecordedRun(
        version=version("tidegate"),
        name=secrets.token_hex(4),
        step_s=beat[0].total_seconds(),
        tick_s=beat[1],
        settings=settings,
    )
    return RunJournal(journal, LoopRecorder(journal, run, steady_seconds))


def size_of(text: str, option: str) -> int:
    """Return the bytes that a text such as 256MB says.

    >>> size_of("256MB", "--journal-size")
    256000000
    """
    found = SIZE.fullmatch(text.strip())
    if found is None:
        raise PolicyError(f"{option} is {text!r}, but must be a size such as 64MB or 1GB")
    return int(found[1]) * UNITS[found[2].upper()]
