"""The poller: keeps a limiter's lease current and sends its reports.

There are two tasks, neither of which delays requests. One long-polls the endpoint, so that a change
of the lease arrives at once. The other sends a report each ``refresh_s``, or at once where demand
has moved; the response is a lease too, and so renews it while the first task waits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol

from forecaster.adapters.backoff import backoff_s
from scaler.gateway.lease_document import LeaseRefusedError
from scaler.gateway.lease_limiter import LeaseLimiter
from scaler.gateway.limits_endpoint import (
    NOT_MODIFIED,
    OK,
    LimitsAnswer,
    LimitsEndpoint,
    NoAnswerError,
)

logger = logging.getLogger(__name__)

MAX_WAIT_S = 25.0  # of a long poll; the server may answer earlier
DEFAULT_REFRESH_S = 1.0  # until a lease arrives, which has its own
# How often to look whether demand has moved; reports are never closer together.
LOOK_S = 0.2
# Pause after a change: more changes often follow at once, and one request covers them all.
SETTLE_S = 0.05
FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.2, 2.0
MAX_RETRY_AFTER_S = 10.0


class Jitter(Protocol):
    """A source of chance, as `random.Random` is."""

    def uniform(self, a: float, b: float, /) -> float: ...


class Poller:
    """Polls one endpoint for one limiter.

    Args:
        limiter: receives the leases and makes the reports.
        endpoint: that is asked.
        clock: the limiter's clock, monotonic seconds.
        rng: draws the jitter of waiting times.
    """

    def __init__(
        self,
        limiter: LeaseLimiter,
        endpoint: LimitsEndpoint,
        *,
        clock: Callable[[], float],
        rng: Jitter,
    ) -> None:
        self._limiter, self._endpoint = limiter, endpoint
        self._clock, self._rng = clock, rng
        self._etag = ""
        self._refusal = self._fault = ""  # as logged last; empty after a success

    async def run(self) -> None:
        """Poll until cancelled. No fault ends it, be it one that nobody has thought of."""
        while True:
            try:
                await self._run()
            except Exception as error:
                # Without this the lease would never be renewed again, and nobody would know.
                logger.exception("polling failed, and begins anew")
                self._fault = repr(error)
            await asyncio.sleep(MAX_BACKOFF_S)

    async def _run(self) -> None:
        """Poll until cancelled, or until a task fails."""
        async with self._endpoint, asyncio.TaskGroup() as tasks:
            tasks.create_task(_unending(self._long_poll))
            tasks.create_task(_unending(self._send_reports))

    async def _long_poll(self) -> None:
        """Request the lease and wait for its changes, forever."""
        failures = 0
        while True:
            sent_at = self._clock()
            etag = self._etag if self._limiter.is_fresh(sent_at) else ""
            answer = await self._answer(self._endpoint.ask(etag, MAX_WAIT_S if etag else 0.0))
            if answer is None or not self._apply(answer, etag, sent_at):
                failures += 1
                await asyncio.sleep(self._backoff_s(failures, answer))
                continue
            failures = 0
            took = self._clock() - sent_at
            changed = answer.status == OK and answer.etag != etag
            # An endpoint that answers without a wait is polled each ``refresh_s``.
            pause = SETTLE_S if changed else max(0.0, self._refresh_s() - took)
            await asyncio.sleep(pause)

    async def _send_reports(self) -> None:
        """Send a report each ``refresh_s``, or earlier, forever; one that fails is lost."""
        self._limiter.begin(self._clock())
        due = self._clock() + self._jittered(self._refresh_s())
        while True:
            look_s = min(self._jittered(LOOK_S), due - self._clock())
            await asyncio.sleep(max(0.0, look_s))
            now = self._clock()
            moved = self._limiter.demand_moved(now)
            if now < due and not moved:
                continue
            before = self._limiter.report_before_move(now) if moved else None
            for report in (before, self._limiter.report(now)):
                if report is not None:
                    await self._report(report)
            # What has moved may still be on the move.
            due = self._clock() + self._jittered(LOOK_S if moved else self._refresh_s())

    async def _report(self, report: dict[str, object]) -> None:
        etag, sent_at = self._etag, self._clock()
        answer = await self._answer(self._endpoint.report(report))
        if answer is not None:
            self._apply(answer, etag, sent_at)

    def _jittered(self, seconds: float) -> float:
        return seconds * self._rng.uniform(0.9, 1.1)

    async def _answer(self, asking: Awaitable[LimitsAnswer]) -> LimitsAnswer | None:
        """Return the answer; None: there is none."""
        try:
            return await asking
        except NoAnswerError as error:
            self._log_fault(str(error))
            return None

    def _apply(self, answer: LimitsAnswer, etag: str, sent_at: float) -> bool:
        """Hand an answer to the limiter; return whether it was a lease or a renewal.

        ``etag`` is the lease held when the request was sent.
        """
        if answer.status == NOT_MODIFIED:
            # If another response arrived meanwhile, this one is not about the lease held now.
            if etag == self._etag:
                self._limiter.renew(sent_at)
        elif answer.status == OK:
            try:
                if self._limiter.receive(answer.body, sent_at, self._clock()):
                    self._etag = answer.etag
            except LeaseRefusedError as error:
                if etag != self._etag:  # a newer lease has overtaken it
                    return True
                self._log_refusal(str(error))
                return False
        else:
            self._log_fault(f"{answer.status} {answer.body.decode(errors='replace')[:200]}")
            return False
        if self._fault:
            logger.info("limits endpoint is back: %s", self._endpoint)
        self._fault = self._refusal = ""
        return True

    def _log_refusal(self, reason: str) -> None:
        if reason != self._refusal:
            logger.warning("lease refused: %s; the previous lease stays in force", reason)
        self._refusal = reason

    def _log_fault(self, fault: str) -> None:
        if not self._fault:
            logger.warning("no lease from %s: %s", self._endpoint, fault)
        self._fault = fault

    def _refresh_s(self) -> float:
        return self._limiter.refresh_s or DEFAULT_REFRESH_S

    def _backoff_s(self, failures: int, answer: LimitsAnswer | None) -> float:
        if answer is not None and answer.status == OK:
            # The endpoint works, but its lease was refused: retry at the usual interval.
            return self._refresh_s()
        return backoff_s(
            failures,
            first_s=FIRST_BACKOFF_S,
            longest_s=MAX_BACKOFF_S,
            share=self._rng.uniform(0.5, 1.0),
            retry_after_s=min(answer.retry_after_s if answer else 0.0, MAX_RETRY_AFTER_S),
        )


async def _unending(work: Callable[[], Coroutine[object, object, None]]) -> None:
    """Do work that only an error or a cancellation from outside ends.

    A task that is cancelled by what it awaits would end without a word, and without its group.
    """
    try:
        await work()
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RuntimeError("a task of the poller was cancelled by nobody") from None
