"""The model registry: numbered versions of each model, and a pointer to the one that serves.

    <root>/<name>/<version>/{weights.safetensors, config.json, report.json, checksums.json}
    <root>/<name>/champion.json       the champion, and those before it, for rollback

Rules of this file: a stored version never changes; only ``promote`` and ``rollback`` move the
pointer; a version that fails a check is refused with its name, and the champion before it serves.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from forecaster.adapters.registry.champion import Pointer, decode_pointer
from forecaster.adapters.registry.files import (
    CHECKSUMS,
    Artifact,
    StoredArtifact,
    decode,
    encode,
    refuse_pickles,
)
from forecaster.adapters.registry.storage import Storage, open_storage, version_number
from forecaster.errors import RegistryError

__all__ = ["Artifact", "Registry", "ServedArtifact", "StoredArtifact", "check_name", "promotion"]

logger = logging.getLogger(__name__)

POINTER = "champion.json"
_REPEAT = "free disk space or correct the access rights, and repeat"
STALE = timedelta(hours=1)  # a save takes seconds: an older draft was left by a killed process


class ServedArtifact(NamedTuple):
    """The version that serves, and a warning if it is not the champion."""

    version: str
    artifact: Artifact
    warning: str | None


class Registry:
    """The models under a local directory or an fsspec URL.

    Args:
        root: the directory or URL; also what messages call the registry.
        storage: where the files lie, if not at ``root``.
    """

    def __init__(self, root: str | os.PathLike[str], storage: Storage | None = None) -> None:
        self.root = os.fspath(root)
        self._storage = storage or open_storage(self.root)

    def names(self) -> tuple[str, ...]:
        """Return the models that hold at least one version; none where the root does not exist."""
        with self._guard("read", self.root):
            paths = self._storage.files()
        return tuple(sorted({name for name, version, file in _split(paths) if file == CHECKSUMS}))

    def versions(self, name: str) -> tuple[str, ...]:
        """Return the versions of a model, oldest first."""
        found = self._versions(name)
        if not found:
            raise RegistryError(
                f"no model {name!r} in {self.root}; there are: {_listed(self.names())}; "
                f"train one with 'forecaster train --out {self.root} --name {name}'"
            )
        return found

    def save(self, name: str, artifact: Artifact, *, now: datetime) -> str:
        """Store a new version and return its name; the champion does not change.

        Args:
            name: letters, digits, ``.``, ``_`` and ``-``.
            artifact: refused where a tensor is not finite, or the config is no exact JSON.
            now: aware UTC; stored as ``created``.
        """
        check_name(name)
        files = encode(artifact, now)
        with self._guard("save", self._path(name), fix=f"nothing stored has changed; {_REPEAT}"):
            self._storage.sweep(name, now - STALE)
            return self._storage.commit(name, files, self._first_free(name), now)

    def load(self, name: str, version: str | None = None) -> Artifact:
        """Return a version, or the champion, after checking every byte of it."""
        return self.stored(name, version).artifact

    def stored(self, name: str, version: str | None = None) -> StoredArtifact:
        """Like ``load``, with the stamp, sizes and checksums of the files."""
        if version is None:
            version = self.champion(name)
        check_name(name)
        where = self._path(name, version)
        paths = self._paths(name, version)
        if not paths:
            raise RegistryError(
                f"no version {version!r} of model {name!r} in {self.root}; "
                f"there are: {_listed(self.versions(name))}"
            )
        refuse_pickles(paths, where)
        with self._guard("read", where):
            files = {file: self._storage.read(path) for file, path in paths.items()}
        return decode(files, where)

    def champion(self, name: str) -> str:
        """Return the version that serves."""
        self.versions(name)
        return self._champions(name).champion

    def has_champion(self, name: str) -> bool:
        """Return whether a version was ever promoted."""
        self.versions(name)
        return self._pointer(name) is not None

    def promote(self, name: str, version: str) -> None:
        """Make a version the champion, if it can be loaded."""
        self.stored(name, version)
        with self._moving(name):
            pointer = self._pointer(name)
            self._write(name, pointer.moved_to(version) if pointer else Pointer(version))

    def rollback(self, name: str) -> str:
        """Make the champion before the present one champion again; return it.

        A former champion that can no longer be loaded is skipped, with a logged warning.
        """
        self.versions(name)
        with self._moving(name):
            for earlier in self._champions(name).rollbacks():
                try:
                    self.stored(name, earlier.champion)
                except RegistryError as error:
                    logger.warning("model %s: a former champion is skipped: %s", name, error)
                    continue
                self._write(name, earlier)
                return earlier.champion
        raise RegistryError(
            f"model {name!r} in {self.root} has no earlier champion that can be loaded; "
            f"versions are: {_listed(self.versions(name))}; promote one of them"
        )

    def load_champion_or_previous(
        self, name: str, check: Callable[[Artifact], object] = lambda _: None
    ) -> ServedArtifact:
        """Return the champion, or the newest former one that passes every check, with a warning.

        Args:
            name: of the model.
            check: raises RegistryError if the caller cannot use the artifact.

        Raises:
            RegistryError: no champion can be loaded; the message says why, for each.
        """
        self.versions(name)
        pointer = self._champions(name)
        refused: dict[str, str] = {}
        for version in dict.fromkeys((pointer.champion, *reversed(pointer.history))):
            try:
                artifact = self.load(name, version)
                check(artifact)
            except RegistryError as error:
                refused[version] = str(error)
                continue
            if not refused:
                return ServedArtifact(version, artifact, None)
            warning = f"model {name!r}: {_reasons(refused)}; the champion before, {version}, serves"
            return ServedArtifact(version, artifact, warning)
        raise RegistryError(
            f"model {name!r} has no champion that can be loaded: {_reasons(refused)}"
        )

    def _path(self, *parts: str) -> str:
        return "/".join((self.root.rstrip("/"), *parts))

    def _paths(self, name: str, version: str) -> dict[str, str]:
        """Return file name -> path of a version; hidden files, such as NFS's, do not count."""
        with self._guard("read", self._path(name)):
            paths = self._storage.files(name)
        found = {
            p: parts for p, parts in zip(paths, _split(paths), strict=True) if parts[1] == version
        }
        return {file: path for path, (_, _, file) in found.items() if not file.startswith(".")}

    def _versions(self, name: str) -> tuple[str, ...]:
        check_name(name)
        with self._guard("read", self._path(name)):
            paths = self._storage.files(name)
        found = {v: version_number(v) for _, v, file in _split(paths) if file == CHECKSUMS}
        numbers = {version: number for version, number in found.items() if number is not None}
        return tuple(sorted(numbers, key=numbers.__getitem__))

    def _first_free(self, name: str) -> int:
        """Return a number above all that were ever in use, so that no version is used twice."""
        used = {version for _, version, _ in _split(self._storage.files(name))}
        with contextlib.suppress(RegistryError):
            pointer = self._pointer(name)
            used |= {pointer.champion, *pointer.history} if pointer else set()
        return 1 + max((version_number(version) or 0 for version in used), default=0)

    def _champions(self, name: str) -> Pointer:
        pointer = self._pointer(name)
        if pointer is None:
            raise RegistryError(
                f"model {name!r} in {self.root} has no champion; its versions are: "
                f"{_listed(self.versions(name))}; promote one, such as the newest: "
                f"{promotion(self.root, name, self.versions(name)[-1])}"
            )
        return pointer

    def _pointer(self, name: str) -> Pointer | None:
        path = self._path(name, POINTER)
        try:
            with self._guard("read", path, passing=FileNotFoundError):
                return decode_pointer(self._storage.read(f"{name}/{POINTER}"), path)
        except FileNotFoundError:
            return None

    def _write(self, name: str, pointer: Pointer) -> None:
        self._storage.replace(f"{name}/{POINTER}", pointer.encode())

    @contextlib.contextmanager
    def _moving(self, name: str) -> Iterator[None]:
        fix = f"the champion is unchanged; {_REPEAT}"
        with self._guard("write", self._path(name, POINTER), fix=fix), self._storage.lock(name):
            yield

    @contextlib.contextmanager
    def _guard(
        self, verb: str, path: str, *, fix: str = "", passing: type[Exception] | None = None
    ) -> Iterator[None]:
        """Translate the storage's errors to RegistryError, except those of the type ``passing``."""
        try:
            yield
        except RegistryError:
            raise
        except self._storage.errors as error:
            if passing and isinstance(error, passing):
                raise
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise RegistryError(
                f"cannot {verb} {path}: {reason}" + (f"; {fix}" if fix else "")
            ) from error


def check_name(name: str) -> None:
    """Raise RegistryError where no model can be stored under ``name``."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise RegistryError(
            f"{name!r} is no model name: it must start with a letter or digit and hold at most 100 "
            "letters, digits, '.', '_' and '-'"
        )


def promotion(root: str, name: str, version: str) -> str:
    """Return the command that makes a version champion.

    >>> promotion("models/", "web", "v0001")
    'forecaster models promote web v0001 --models models/'
    """
    return shlex.join(["forecaster", "models", "promote", name, version, "--models", root])


def _split(paths: dict[str, int]) -> list[tuple[str, str, str]]:
    parts = [path.split("/") for path in paths]
    return [(name, version, file) for name, version, file in parts]


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names) or "none"


def _reasons(refused: dict[str, str]) -> str:
    return "; ".join(f"{version} is refused: {reason}" for version, reason in refused.items())
