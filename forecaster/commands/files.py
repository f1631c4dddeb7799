"""Writing what a command was asked to write: whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from forecaster.errors import ConfigError


def write_file(path: Path, option: str, content: str | bytes) -> None:
    """Replace ``path`` by ``content``; a kill or a full disk leaves what was there.

    Raises:
        ConfigError: the file cannot be written.
    """
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise ConfigError(f"{option}: {path} cannot be written: {error.strerror}") from error
