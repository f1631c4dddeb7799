"""`scaler replay --journal`: what a recorded run decided, and why, worked out again."""

from __future__ import annotations

import argparse
import contextlib
import logging
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.commands.documents import TABLE, print_document
from scaler.errors import ReplayError

if TYPE_CHECKING:
    from scaler.adapters.journal.reading import JournalFile
    from scaler.simulation.journal_answer import JournalAnswer
    from scaler.simulation.journal_replay import JournalFindings

TIME_OF_DAY = re.compile(r"([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?")
# What a replay of a history is told by, and one of a journal is not.
NOT_OF_A_JOURNAL = {
    "history": "--history",
    "policy": "--policy",
    "model": "--model",
    "begin": "--from",
    "end": "--to",
    "capacity": "--capacity",
    "report": "--report",
    "json": "--json",
}


def run_journal(args: argparse.Namespace) -> int:
    """Replay a journal; return 0 where everything came out as it was, else 1."""
    from scaler.commands.journal_output import print_service, print_summary, print_tick
    from scaler.commands.journal_record import journal_record

    wrong = [option for name, option in NOT_OF_A_JOURNAL.items() if getattr(args, name) is not None]
    if wrong:
        raise ReplayError(f"--journal and {', '.join(wrong)} exclude each other")
    findings, answer = answered(args.journal, args.service, args.at)
    if args.output != TABLE:
        print_document(journal_record(findings, answer), args.output)
    elif args.at is None and args.service is None:
        print_summary(findings)
    elif args.at is None:
        print_service(findings, answer)
    else:
        print_tick(findings, answer)
    return 1 if findings.differences else 0


def answered(
    folder: Path, service: str | None, at: str | None
) -> tuple[JournalFindings, JournalAnswer]:
    """Replay a journal; return what was found, and what it tells.

    Args:
        folder: of the journal.
        service: that is told of; None: all.
        at: the moment that is told of, see `moment_of`; None: all.

    Raises:
        JournalError: it cannot be read.
        ReplayError: it does not hold that moment, or that service.
    """
    from scaler.adapters.journal.reading import read_journal
    from scaler.simulation.journal_answer import JournalAnswer
    from scaler.simulation.journal_replay import replayed

    if at is not None:
        moment_after(at, datetime.now(UTC))  # noqa: TID251 - only its form is checked, before all is read
    files = read_journal(folder)
    answer = JournalAnswer(service, None)
    if at is not None:
        moment = moment_of(at, files)
        files, answer = up_to(files, moment), JournalAnswer(service, moment)
    with _quiet():
        findings = replayed(files, answer.tick, answer.call)
    _check(folder, service, findings)
    return findings, answer


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Leave out of the log what the run has logged already."""
    logger = logging.getLogger("scaler.control")
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _check(folder: Path, service: str | None, findings: JournalFindings) -> None:
    if not findings.ticks:
        raise ReplayError(f"{folder} holds no whole tick")
    if service is not None and service not in findings.services:
        near = ", ".join(sorted(findings.services)[:8])
        raise ReplayError(f"no service {service!r} was watched then; there was {near}")


def moment_of(text: str, files: list[JournalFile]) -> float:
    """Return the moment, in seconds since the epoch, that ``--at`` says.

    Args:
        text: a time of day (UTC; the last one that the journal holds), or what `moment` reads.
        files: of the journal.
    """
    from scaler.simulation.journal_replay import last_tick

    return moment_after(text, datetime.fromtimestamp(last_tick(files), UTC))


def moment_after(text: str, last: datetime) -> float:
    """Return the moment that ``--at`` says, in a journal that ends with a tick at ``last``."""
    from forecaster.commands.spans import moment

    found = TIME_OF_DAY.fullmatch(text.strip())
    if found is None:
        return moment(text, "--at", now=last, step=timedelta(seconds=1)).timestamp()
    hour, minute, second = (int(one or 0) for one in found.groups())
    at = last.replace(hour=hour, minute=minute, second=second, microsecond=0)
    return (at if at <= last else at - timedelta(days=1)).timestamp()


def up_to(files: list[JournalFile], at: float) -> list[JournalFile]:
    """Return the file that holds a moment, and the one after it: it may hold the leases of then.

    Raises:
        ReplayError: the journal begins later.
    """
    before = [place for place, file in enumerate(files) if file.head.at <= at]
    if not before:
        begins = datetime.fromtimestamp(files[0].head.at, UTC).isoformat(timespec="seconds")
        raise ReplayError(f"--at lies before {begins}, where the journal begins")
    return files[before[-1] : before[-1] + 2]
