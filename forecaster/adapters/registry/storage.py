"""Storage of the registry's files: a local directory, or an object store of fsspec. Home of fsspec.

Both keep two promises:

1. A version appears whole or not at all, and no two savers get the same one. Locally the files are
   written and synced in a draft directory, which is then renamed: renaming onto a directory that
   holds files fails, so the first saver wins. An object store cannot rename: the saver claims a
   version by creating an object exclusively, then puts the files; the version exists from when
   ``checksums.json`` is there, which is put last.
2. A pointer is replaced in one atomic step: a rename, or one put.

A saver that is killed leaves a draft or a claim, marked with the time when it started. Later saves
remove it once it is old.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import itertools
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import fsspec
from fsspec.implementations.local import LocalFileSystem

from forecaster.adapters.atomic_write import sync_folder, write_atomically, write_synced
from forecaster.data.series import utc
from forecaster.errors import RegistryError

_DRAFT = ".draft-"
_CLAIMS = ".claims"


def version_name(number: int) -> str:
    """Return the name of the ``number``-th version; names sort in the order of saving.

    >>> version_name(3), version_name(12345)
    ('v0003', 'v12345')
    """
    return f"v{number:04d}"


def version_number(name: str) -> int | None:
    """Return the number in a version's name, or None where it is no such name.

    >>> version_number("v0012"), version_number("../v0012"), version_number("v12")
    (12, None, None)
    """
    found = re.fullmatch(r"v([0-9]{4}|[1-9][0-9]{4,})", name)
    return int(found[1]) if found else None


class Storage(Protocol):
    """A tree ``<name>/<version>/<file>`` with a few files directly under ``<name>/``."""

    errors: tuple[type[Exception], ...]
    """What the methods may raise when the disk or the network fails."""

    def files(self, name: str | None = None) -> dict[str, int]:
        """Return path and size of every file ``<name>/<version>/<file>``; of all names if None."""

    def read(self, path: str) -> bytes:
        """Return a file's bytes; FileNotFoundError where there is none."""

    def commit(self, name: str, files: Mapping[str, bytes], first: int, now: datetime) -> str:
        """Store ``files`` as the first free version from number ``first`` on; return its name."""

    def replace(self, path: str, data: bytes) -> None:
        """Put ``data`` in the place of a file in one atomic step."""

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Keep others from changing the pointer of ``name``, where the storage can."""

    def sweep(self, name: str, before: datetime) -> None:
        """Remove the unfinished versions of savers that started before that moment."""


def open_storage(root: str) -> Storage:
    """Return the storage at a local path or an fsspec URL (``memory://models``, ``s3://...``)."""
    if not root:
        raise RegistryError("the registry's path is empty; name a directory, e.g. models/")
    try:
        filesystem, path = fsspec.core.url_to_fs(root)
    except (ImportError, ValueError) as error:
        s3 = isinstance(error, ImportError) and root.startswith("s3")
        remedy = "; install it: pip install 'tidegate[s3]'" if s3 else ""
        raise RegistryError(f"cannot open {root}: {error}{remedy}") from error
    if isinstance(filesystem, LocalFileSystem):
        if Path(path).is_file():
            raise RegistryError(f"{root} is a file, but a registry is a directory, e.g. models/")
        return LocalStorage(Path(path))
    return ObjectStorage(filesystem, path)


class LocalStorage:
    """A directory on a POSIX file system."""

    errors: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, root: Path) -> None:
        self._root = root

    def files(self, name: str | None = None) -> dict[str, int]:
        return {
            file.relative_to(self._root).as_posix(): file.stat().st_size
            for file in self._root.glob(f"{name or '*'}/v*/*")
            if version_number(file.parent.name) is not None and file.is_file()
        }

    def read(self, path: str) -> bytes:
        return (self._root / path).read_bytes()

    def commit(self, name: str, files: Mapping[str, bytes], first: int, now: datetime) -> str:
        home = self._root / name
        home.mkdir(parents=True, exist_ok=True)
        sync_folder(self._root)
        draft = home / f"{_DRAFT}{int(now.timestamp())}-{secrets.token_hex(8)}"
        try:
            draft.mkdir()
            for file, data in files.items():
                write_synced(draft / file, data)
            sync_folder(draft)
            version = _rename_to_free_version(draft, first)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
        sync_folder(home)
        return version

    def replace(self, path: str, data: bytes) -> None:
        write_atomically(self._root / path, data)

    @contextlib.contextmanager
    def lock(self, name: str) -> Iterator[None]:
        # The directory itself is locked: no lock file stays, and a kill unlocks it.
        handle = os.open(self._root / name, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def sweep(self, name: str, before: datetime) -> None:
        for draft in (self._root / name).glob(f"{_DRAFT}*"):
            started = re.match(r"\d+", draft.name.removeprefix(_DRAFT))
            if started and int(started[0]) < before.timestamp():
                shutil.rmtree(draft, ignore_errors=True)


class ObjectStorage:
    """A store of whole objects without rename, such as S3.

    Where a back end has no conditional put (fsspec's ``mode="create"``), two savers may claim the
    same version within a few milliseconds.
    """

    # Every back end has its own: botocore, aiohttp, OSError ...
    errors: tuple[type[Exception], ...] = (Exception,)

    def __init__(self, filesystem: Any, root: str) -> None:  # noqa: ANN401 fsspec has no types
        self._fs = filesystem
        self._root = root.rstrip("/")

    def files(self, name: str | None = None) -> dict[str, int]:
        found = self._find(name or "")
        parts = {path: path.split("/") for path in found}
        return {
            path: found[path]
            for path, part in parts.items()
            if len(part) == 3 and version_number(part[1]) is not None
        }

    def read(self, path: str) -> bytes:
        return bytes(self._fs.cat_file(self._full(path)))

    def commit(self, name: str, files: Mapping[str, bytes], first: int, now: datetime) -> str:
        version = self._claim(name, first, now)
        try:
            for file, data in files.items():
                self._fs.pipe_file(self._full(f"{name}/{version}/{file}"), data)
        except BaseException:
            with contextlib.suppress(Exception):
                self._abandon(name, version)
            raise
        self._fs.rm_file(self._claim_path(name, version))
        return version

    def replace(self, path: str, data: bytes) -> None:
        self._fs.pipe_file(self._full(path), data)

    def lock(self, name: str) -> AbstractContextManager[None]:  # noqa: ARG002 - object stores have no locks
        return contextlib.nullcontext()

    def sweep(self, name: str, before: datetime) -> None:
        for path in self._find(f"{name}/{_CLAIMS}"):
            version = path.rsplit("/", 1)[1]
            started = _stamp(self.read(path))
            if version_number(version) is not None and started and started < before:
                self._abandon(name, version)

    def _claim(self, name: str, first: int, now: datetime) -> str:
        for version in map(version_name, itertools.count(first)):
            try:
                stamp = now.isoformat().encode()
                self._fs.pipe_file(self._claim_path(name, version), stamp, mode="create")
            except FileExistsError:
                continue
            # Another saver may have finished this version since the caller listed the versions.
            if not self._find(f"{name}/{version}"):
                return version
            self._fs.rm_file(self._claim_path(name, version))
        raise AssertionError("unreachable: itertools.count has no end")

    def _abandon(self, name: str, version: str) -> None:
        """Release a claim, and remove the files under it unless the version is whole."""
        left = self._find(f"{name}/{version}")
        if f"{name}/{version}/checksums.json" not in left:
            for path in left:
                self._fs.rm_file(self._full(path))
        self._fs.rm_file(self._claim_path(name, version))

    def _find(self, path: str) -> dict[str, int]:
        full = self._full(path)
        self._fs.invalidate_cache(full)
        found = self._fs.find(full, detail=True)
        return {file[len(self._root) :].lstrip("/"): int(i["size"]) for file, i in found.items()}

    def _full(self, path: str) -> str:
        return f"{self._root}/{path}".rstrip("/")

    def _claim_path(self, name: str, version: str) -> str:
        return self._full(f"{name}/{_CLAIMS}/{version}")


def _stamp(data: bytes) -> datetime | None:
    try:
        return utc(data.decode())
    except ValueError:
        return None


def _rename_to_free_version(draft: Path, first: int) -> str:
    for version in map(version_name, itertools.count(first)):
        try:
            draft.rename(draft.with_name(version))
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise
        else:
            return version
    raise AssertionError("unreachable: itertools.count has no end")
