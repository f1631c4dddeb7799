"""Keeps a limiter's lease true: asks for it, waits for news of it, and reports.

Two tasks, both off the path of requests. One always waits at the endpoint, so that a change is
known at once; the other reports each ``refresh_s``, which is answered by the lease as well. So a
lease is renewed while the other waits.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from forecaster.adapters.backoff import backoff_s
from scaler.gateway.lease_document import LeaseRefusedError
from scaler.gateway.lease_limiter import LeaseLimiter

logger = logging.getLogger(__name__)

ANSWER_WITHIN_S = 3.0
# Beyond the wait that was asked for, which the server may cut short.
LONGEST_WAIT_S = 25.0
# Until a lease says how often to report.
REFRESH_S = 1.0
# After a change: others are often close behind, and one question is enough for all of them.
SETTLING_S = 0.05
FIRST_BACKOFF_S, LAST_BACKOFF_S = 0.2, 2.0
LONGEST_RETRY_AFTER_S = 10.0


class Poller:
    """Asks one endpoint for one limiter.

    Args:
        limiter: that is kept.
        endpoint: URL without the path.
        token_file: with the bearer token; it is read anew each time, so it may be changed.
        clock: the limiter's, monotonic seconds.
        rng: jitter.
    """

    def __init__(
        self,
        limiter: LeaseLimiter,
        endpoint: str,
        *,
        token_file: Path | None,
        clock: Callable[[], float],
        rng: random.Random,
    ) -> None:
        self._limiter, self._clock, self._rng = limiter, clock, rng
        self._url = f"{endpoint.rstrip('/')}/v1/limits/{limiter.settings.service}"
        self._token_file = token_file
        self._etag = ""
        self._refused = self._fault = ""

    async def run(self) -> None:
        """Go on until cancelled. No fault of the endpoint or the network ends it."""
        # Environment proxies are for the outside; the endpoint is next door.
        limits = httpx.Limits(max_connections=4)
        async with (
            httpx.AsyncClient(trust_env=False, limits=limits) as client,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(self._follow(client))
            tasks.create_task(self._report(client))

    async def _follow(self, client: httpx.AsyncClient) -> None:
        """Ask, and wait for news, again and again."""
        failures = 0
        while True:
            held, sent_at = self._etag, self._clock()
            wait_s = LONGEST_WAIT_S if held else 0.0
            answer = await self._ask(
                client.get(
                    self._url,
                    params={"instance": self._limiter.settings.instance, "wait": f"{wait_s:g}"},
                    headers={**self._authorization(), **({"if-none-match": held} if held else {})},
                    timeout=httpx.Timeout(ANSWER_WITHIN_S, read=wait_s + ANSWER_WITHIN_S),
                )
            )
            if answer is None or not self._taken(answer, held, sent_at):
                failures += 1
                await asyncio.sleep(self._backoff_s(failures, answer))
                continue
            failures = 0
            took = self._clock() - sent_at
            news = answer.status_code == httpx.codes.OK and answer.headers.get("etag") != held
            # An endpoint that does not wait is asked no more often than it says.
            pause = SETTLING_S if news else max(0.0, self._refresh_s() - took)
            await asyncio.sleep(pause)

    async def _report(self, client: httpx.AsyncClient) -> None:
        """Say what was counted, again and again; what cannot be said is lost, the next is not."""
        while True:
            await asyncio.sleep(self._refresh_s() * self._rng.uniform(0.9, 1.1))
            sent_at = self._clock()
            answer = await self._ask(
                client.post(
                    f"{self._url}/reports",
                    json=self._limiter.report(sent_at),
                    headers=self._authorization(),
                    timeout=ANSWER_WITHIN_S,
                )
            )
            if answer is not None:
                self._taken(answer, "", sent_at)

    async def _ask(self, request: Awaitable[httpx.Response]) -> httpx.Response | None:
        """Return the answer; None: there is none."""
        try:
            return await request
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            self._complain(f"{type(error).__name__}: {error}")
            return None

    def _taken(self, answer: httpx.Response, held: str, sent_at: float) -> bool:
        """Act on an answer; return whether it was one to act on."""
        if answer.status_code == httpx.codes.NOT_MODIFIED:
            # Another answer may have overtaken this one: it says nothing of what is held now.
            if held == self._etag:
                self._limiter.renew(sent_at)
        elif answer.status_code == httpx.codes.OK:
            try:
                if self._limiter.receive(answer.content, sent_at, self._clock()):
                    self._etag = answer.headers.get("etag", "")
            except LeaseRefusedError as error:
                self._refuse(str(error))
                return False
        else:
            self._complain(f"{answer.status_code} {answer.text[:200]}")
            return False
        if self._fault:
            logger.info("limits endpoint is back: %s", self._url)
        self._fault = self._refused = ""
        return True

    def _refuse(self, reason: str) -> None:
        if reason != self._refused:
            logger.warning("lease refused: %s; the one before serves on", reason)
        self._refused = reason

    def _complain(self, fault: str) -> None:
        if not self._fault:
            logger.warning("no lease from %s: %s", self._url, fault)
        self._fault = fault

    def _refresh_s(self) -> float:
        return self._limiter.refresh_s or REFRESH_S

    def _backoff_s(self, failures: int, answer: httpx.Response | None) -> float:
        if answer is not None and answer.status_code == httpx.codes.OK:
            # It is there, and what it says is refused: no more often than it is asked otherwise.
            return self._refresh_s()
        retry_after = answer.headers.get("retry-after", "") if answer is not None else ""
        return backoff_s(
            failures,
            first_s=FIRST_BACKOFF_S,
            longest_s=LAST_BACKOFF_S,
            share=self._rng.uniform(0.5, 1.0),
            retry_after_s=min(float(retry_after), LONGEST_RETRY_AFTER_S)
            if retry_after.isdecimal()
            else 0.0,
        )

    def _authorization(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            token = self._token_file.read_text("utf-8").split()
        except (OSError, ValueError) as error:
            self._complain(f"no token: {error}")
            return {}
        return {"authorization": f"Bearer {token[0]}"} if token else {}
