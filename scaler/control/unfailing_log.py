"""A log that never fails whoever writes to it: what is only said must not decide anything."""

from __future__ import annotations

import logging
from contextlib import suppress


class UnfailingLogger:
    """As a `logging.Logger`, but an exception of a handler goes no further.

    Args:
        name: of the logger.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def log(self, level: int, message: str, *args: object) -> None:
        with suppress(Exception):
            self._logger.log(level, message, *args, stacklevel=2)

    def info(self, message: str, *args: object) -> None:
        with suppress(Exception):
            self._logger.info(message, *args, stacklevel=2)

    def warning(self, message: str, *args: object) -> None:
        with suppress(Exception):
            self._logger.warning(message, *args, stacklevel=2)

    def exception(self, message: str, *args: object) -> None:
        """Log with the exception that is being handled."""
        with suppress(Exception):
            self._logger.exception(message, *args, stacklevel=2)  # noqa: LOG004 - it is called in one
