"""Writing the file that an option of a command names."""

from __future__ import annotations

from pathlib import Path

from forecaster.adapters.atomic_write import write_atomically
from forecaster.errors import ConfigError


def write_file(path: Path, option: str, content: str | bytes) -> None:
    """Replace ``path`` by ``content`` atomically.

    Raises:
        ConfigError: the file cannot be written.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        write_atomically(path, data)
    except OSError as error:
        raise ConfigError(f"{option}: {path} cannot be written: {error.strerror}") from error
