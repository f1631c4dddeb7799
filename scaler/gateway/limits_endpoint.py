"""The endpoint as a gateway sees it: what it may ask, and what it is answered."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

OK, NOT_MODIFIED = 200, 304


class NoAnswerError(Exception):
    """The endpoint could not be asked, or did not answer; the message says why."""


@dataclass(frozen=True, slots=True)
class LimitsAnswer:
    """What the endpoint answered.

    Attributes:
        status: of HTTP.
        etag: of the lease in ``body``.
        body: the lease, or what is wrong.
        retry_after_s: how long to wait before asking again, where that is said; otherwise 0.
    """

    status: int
    etag: str = ""
    body: bytes = b""
    retry_after_s: float = 0.0


class LimitsEndpoint(Protocol):
    """Answers one gateway; an async context, within which it may be asked. `str` names it."""

    async def __aenter__(self) -> object: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> object: ...

    async def ask(self, etag: str, wait_s: float) -> LimitsAnswer:
        """Ask for the lease.

        Args:
            etag: of the lease that the gateway holds; empty: it holds none.
            wait_s: for how long the answer may wait for a change.

        Raises:
            NoAnswerError: there is none.
        """
        ...

    async def report(self, report: dict[str, object]) -> LimitsAnswer:
        """Send a report; the answer is the lease.

        Raises:
            NoAnswerError: there is none.
        """
        ...
