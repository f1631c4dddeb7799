"""The files of a journal: numbered, compressed once they are whole, the oldest dropped first.

    journal-00000007.jsonl.gz
    journal-00000008.jsonl      is being written

A process that is killed leaves its last file as it is; its last line may be torn.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import os
import re
import shutil
from contextlib import suppress
from pathlib import Path

from scaler.errors import JournalError

NAME = re.compile(r"journal-(\d{8})\.jsonl(\.gz)?")
# A file is as long as this part of all of them together may be.
PARTS = 16
LEAST_BYTES = 1 << 20
FULL_DISK = (errno.ENOSPC, errno.EDQUOT)


class JournalFiles:
    """Writes the files of one folder. Confined to one thread, but for `full`.

    Args:
        folder: made if it is not there; nobody else may write there.
        most_bytes: of all files together.
        file_bytes: after which the next one begins; None: a part of that.

    Raises:
        JournalError: it is no folder that can be written to, or another process writes there.
    """

    def __init__(self, folder: Path, most_bytes: int, file_bytes: int | None = None) -> None:
        if most_bytes < LEAST_BYTES:
            raise JournalError(
                f"the journal may be {most_bytes} bytes long, but it needs at least {LEAST_BYTES}"
            )
        self._folder, self._most_bytes = folder, most_bytes
        self._file_bytes = most_bytes // PARTS if file_bytes is None else file_bytes
        self._file: int | None = None
        self._length, self._state_length = 0, 0  # of the file that is written
        self._lock = _locked(folder)
        self._number = max(map(number_of, journal_files(folder)), default=0)
        self._others = _bytes_in(folder)

    @property
    def full(self) -> bool:
        """Whether the file that is written is long enough; what it began with does not count."""
        return self._length - self._state_length >= self._file_bytes

    def begin(self, last: bytes = b"") -> None:
        """Begin the next file; ``last`` still goes to the one before."""
        self.end(last)
        with suppress(OSError):  # a disk that is full: they stay as they are
            self._compress()
        self._others = _bytes_in(self._folder)
        self._number += 1
        path = self._folder / f"journal-{self._number:08}.jsonl"
        self._length = self._state_length = 0
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)

    def write(self, data: bytes) -> None:
        """Write it all; what is written survives the process."""
        assert self._file is not None, "begin() comes first"
        self._length += len(data)
        self._make_room(self._length)
        while data:
            data = data[os.write(self._file, data) :]

    def begun(self) -> None:
        """Take what is written so far for the beginning of the file."""
        self._state_length = self._length

    def end(self, last: bytes = b"") -> None:
        """End the file that is written, if there is one."""
        if self._file is None:
            return
        with suppress(OSError):  # then it ends without its last line
            self.write(last)
        file, self._file = self._file, None
        os.close(file)

    def give_up(self, error: BaseException) -> None:
        """End the file that could not be written; where the disk is full, make some room."""
        with suppress(OSError):
            self.end()
            if isinstance(error, OSError) and error.errno in FULL_DISK:
                for oldest in journal_files(self._folder)[:1]:
                    oldest.unlink(missing_ok=True)

    def close(self) -> None:
        """Compress what is there, and let others write."""
        with suppress(OSError):
            self.end()
            self._compress()
        self.unlock()

    def unlock(self) -> None:
        """Let others write, and leave the files as they are."""
        os.close(self._lock)

    def _compress(self) -> None:
        """Compress what is whole; for a moment a file is there twice."""
        for left in self._folder.glob("journal-*.part"):
            left.unlink()
        for path in sorted(self._folder.glob("journal-*.jsonl")):
            if path.with_suffix(".jsonl.gz").exists():
                path.unlink()  # a process was killed just before this
                continue
            self._others = _bytes_in(self._folder)
            self._make_room(path.stat().st_size, but=path)
            _compress(path)

    def _make_room(self, length: int, but: Path | None = None) -> None:
        """Drop the oldest files until ``length`` bytes more fit in."""
        while self._others + length > self._most_bytes:
            found = [path for path in journal_files(self._folder) if path != but]
            if not found or number_of(found[0]) == self._number:
                return  # there is only the one that is written
            self._others -= found[0].stat().st_size
            found[0].unlink()


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in journal_files(folder))


def journal_files(folder: Path) -> list[Path]:
    """Return the files of a journal, the oldest first; of one that is there twice the whole one."""
    found: dict[int, Path] = {}
    for path in folder.iterdir():
        if NAME.fullmatch(path.name) and (path.suffix == ".gz" or number_of(path) not in found):
            found[number_of(path)] = path
    return [found[number] for number in sorted(found)]


def number_of(path: Path) -> int:
    match = NAME.fullmatch(path.name)
    assert match is not None, "it is a file of a journal"
    return int(match[1])


def _locked(folder: Path) -> int:
    """Return a lock on a folder that can be written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise JournalError(f"no journal can be kept in {folder}: {error.strerror}") from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        raise JournalError(
            f"{folder} is written to by another process; give each a folder of its own"
        ) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        os.close(lock)
        raise JournalError(f"no journal can be kept in {folder}: it cannot be written to")
    return lock


def _compress(path: Path) -> None:
    part, whole = path.with_suffix(".part"), path.with_suffix(".jsonl.gz")
    try:
        with path.open("rb") as plain, gzip.open(part, "wb", compresslevel=6) as packed:
            shutil.copyfileobj(plain, packed, 1 << 20)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    part.replace(whole)
    path.unlink()
