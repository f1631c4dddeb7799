"""The text log: one record is one line, whatever the texts in it hold, and floods are counted.

Names, headers, queries and other servers' messages come from elsewhere. What does not print in them
is escaped, so that nobody can write a record of their own, or speak to the terminal. Continuation
lines, of tracebacks alone, begin with a bar.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
# What these log, somebody unknown can cause as often as they like: by what they send, or open.
LIBRARIES = ("asyncio", "grpc", "uvicorn")
PERIOD_S = 60.0
_BAR = "  | "

_Kind = tuple[str, int, int, str]


def printable(text: str) -> str:
    r"""Return a text with what does not print in it escaped, line breaks among it.

    >>> print(printable("shop\nERROR all is lost \x1b[2J\u202e"))
    shop\nERROR all is lost \x1b[2J\u202e
    """
    if text.isprintable():
        return text
    # A codec would be read from a file when it is first used, and there may be none left to open.
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def printable_lines(text: str) -> str:
    """Return a text of several lines with what does not print in each escaped."""
    return "\n".join(map(printable, text.split("\n")))


class LineFormatter(logging.Formatter):
    """Formats a record as a line, and its traceback as lines that begin with a bar."""

    def __init__(self) -> None:
        super().__init__(FORMAT)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's own
        return printable(super().formatMessage(record))

    def formatException(self, ei: object) -> str:  # noqa: N802 - as above
        return _barred(super().formatException(ei))  # type: ignore[arg-type]  # as it is given

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - as above
        return _barred(super().formatStack(stack_info))


def _barred(text: str) -> str:
    return "\n".join(_BAR + printable(line) for line in text.split("\n"))


@dataclass(slots=True)
class _Repeated:
    """A kind of record, when it was logged, and how many have been left out since."""

    record: logging.LogRecord
    at: float
    left_out: int = 0


class RepeatFilter(logging.Filter):
    """Lets one record of a kind pass in `PERIOD_S`, and tells how many more came.

    These are those of `LIBRARIES`, and others that are logged with ``extra={"repeats": True}``.
    They are of one kind if they begin alike and come from the same line of code. How many were left
    out is told with the next record of any kind.

    Args:
        handler: that it filters for.
        clock: monotonic seconds.
    """

    def __init__(self, handler: logging.Handler, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._handler, self._clock = handler, clock
        self._lock = threading.Lock()
        self._repeated: dict[_Kind, _Repeated] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now = self._clock()
        for one in self._over(now):
            if one.left_out:
                self._handler.handle(_summary(one, now))
        if not _repeats(record):
            return True
        beginning = str(record.msg).strip().partition("\n")[0]
        kind = (record.name, record.levelno, record.lineno, beginning)
        with self._lock:
            known = self._repeated.setdefault(kind, _Repeated(record, now))
            if known.record is record:
                return True
            known.left_out += 1
            return False

    def _over(self, now: float) -> list[_Repeated]:
        """Forget the kinds whose period is over, and return them."""
        with self._lock:
            over = {kind: one for kind, one in self._repeated.items() if now - one.at >= PERIOD_S}
            for kind in over:
                del self._repeated[kind]
        return list(over.values())


def _repeats(record: logging.LogRecord) -> bool:
    """Whether somebody unknown may have it logged as often as they like."""
    return record.name.partition(".")[0] in LIBRARIES or getattr(record, "repeats", False)


def log_to_stderr(level: int | str) -> None:
    """Log records from this level on to stderr, as lines of text."""
    handler = logging.StreamHandler()
    handler.setFormatter(LineFormatter())
    handler.addFilter(RepeatFilter(handler))
    logging.basicConfig(level=level, handlers=[handler])


def _summary(one: _Repeated, now: float) -> logging.LogRecord:
    first = one.record
    beginning = first.getMessage().strip().partition("\n")[0]
    words = "%d more in %.0f s: %s"
    given = (one.left_out, now - one.at, beginning)
    return logging.LogRecord(__name__, first.levelno, __file__, 0, words, given, None)
