"""Reads a journal: file by file, event by event."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from scaler.adapters.journal.events import JournalHead
from scaler.adapters.journal.files import journal_files, number_of
from scaler.adapters.journal.lines import FORMAT, LineReader
from scaler.errors import JournalError


@dataclass(frozen=True, slots=True)
class JournalFile:
    """One file, as its head says."""

    path: Path
    head: JournalHead

    @property
    def number(self) -> int:
        return number_of(self.path)

    def events(self) -> Iterator[Any]:
        """Yield what happened after the head; a file that was cut ends where it was cut."""
        reader = LineReader()
        lines = _lines(self.path)
        next(lines)
        for line in lines:
            yield reader.event(line)


def read_journal(folder: Path) -> list[JournalFile]:
    """Return the files of a journal in order; those without a head hold nothing.

    Raises:
        JournalError: there is none, or another version wrote it.
    """
    if not folder.is_dir():
        raise JournalError(f"{folder} is no folder; give the one that --journal was given")
    found = []
    for path in journal_files(folder):
        line = next(_lines(path), None)
        if line is None:
            continue
        head = LineReader().event(line)
        if not isinstance(head, JournalHead):
            raise JournalError(f"{path} does not begin as a journal does")
        if head.format != FORMAT:
            raise JournalError(
                f"{path} was written by tidegate {head.tidegate} in format {head.format}, but this "
                f"one reads format {FORMAT}; replay it with that version"
            )
        found.append(JournalFile(path, head))
    if not found:
        raise JournalError(f"{folder} holds no journal: no file journal-*.jsonl with a head")
    return found


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines that are whole."""
    try:
        with _opened(path) as file:
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile):  # it was cut
        return
    except OSError as error:
        raise JournalError(f"{path} cannot be read: {error.strerror}") from error


def _opened(path: Path) -> gzip.GzipFile | BinaryIO:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")
