"""The one way in which a local file is written: whole or not at all.

A file is written under a temporary name beside its place, synced, renamed, and then the folder is
synced. After a crash at any of these steps the place holds the old content or the new one.
"""

from __future__ import annotations

import errno
import glob
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

Content = bytes | Callable[[IO[bytes]], object]

# No write takes as long: an older temporary file was left by a process that was killed.
ABANDONED_AFTER_S = 24 * 3600.0


def write_atomically(target: Path, content: Content) -> None:
    """Replace ``target``, and create its folder where there is none.

    Only a kill leaves a temporary file, ``.NAME.*.tmp``; a later write of the same file removes it.

    Args:
        target: a local file.
        content: its bytes, or a function that writes them to the open file.

    Raises:
        OSError: the target is unchanged, unless it was the last step, syncing the folder.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        write_synced(temporary, content)
        _remove_abandoned(target, temporary.stat().st_mtime)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(target.parent)


def write_synced(path: Path, content: Content) -> None:
    """Create a file and wait until its content is on disk; its name is not, see `sync_folder`."""
    with path.open("xb") as file:
        if isinstance(content, bytes):
            file.write(content)
        else:
            content(file)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network file systems cannot sync a folder; their rename is all there is to have.
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
            raise
    finally:
        os.close(handle)


def _remove_abandoned(target: Path, now: float) -> None:
    for left in target.parent.glob(f".{glob.escape(target.name)}.*.tmp"):
        with suppress(OSError):  # another process may have removed it
            if now - left.stat().st_mtime > ABANDONED_AFTER_S:
                left.unlink()
