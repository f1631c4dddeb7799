"""The body of an answer, read up to a bound of bytes and of time.

An answer may hold far more series than were meant, may be packed a thousandfold, or may come one
byte at a time. What is over a bound is left unread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

PIECE = 1 << 16  # bytes that are unpacked at once


@dataclass(frozen=True)
class AnswerBounds:
    """What one answer may take.

    Attributes:
        max_bytes: of its body, unpacked. Read as JSON it takes some eight times as much memory.
        within_s: from the question to the last byte, all attempts together; None: for as long as
            bytes arrive.
    """

    max_bytes: int = 256 << 20
    within_s: float | None = None


class RawBody(Protocol):
    """A body that is being received, e.g. `urllib3.HTTPResponse`."""

    def read1(self, amt: int, decode_content: bool) -> bytes: ...


class LongBodyError(Exception):
    """A body is longer than it may be."""


class LateBodyError(Exception):
    """A body did not end in time."""


def read_body(
    raw: RawBody,
    max_bytes: int,
    until: float = float("inf"),
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """Return the whole body, unpacked.

    Raises:
        LongBodyError: it has more than ``max_bytes``.
        LateBodyError: it did not end before ``until``.
    """
    pieces, count = [], 0
    while piece := raw.read1(PIECE, True):
        pieces.append(piece)
        count += len(piece)
        if count > max_bytes:
            raise LongBodyError(f"is longer than {max_bytes} bytes")
        if clock() > until:
            raise LateBodyError(f"was not complete after {count} bytes")
    return b"".join(pieces)
