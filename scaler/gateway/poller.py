"""The poller: keeps a limiter's lease current and sends its reports.

There are two tasks, neither of which delays requests. One long-polls the endpoint, so that a change
of the lease arrives at once. The other sends a report each ``refresh_s``; the response is a lease
too, and so renews it while the first task waits.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Coroutine
from pathlib import Path

import httpx

from forecaster.adapters.backoff import backoff_s
from scaler.gateway.bounded_http import BoundedResponse, bounded_request
from scaler.gateway.lease_document import MAX_BYTES, LeaseRefusedError
from scaler.gateway.lease_limiter import LeaseLimiter

logger = logging.getLogger(__name__)

RESPONSE_TIMEOUT_S = 3.0  # beyond the wait of a long poll
MAX_WAIT_S = 25.0  # of a long poll; the server may answer earlier
DEFAULT_REFRESH_S = 1.0  # until a lease arrives, which has its own
# Pause after a change: more changes often follow at once, and one request covers them all.
SETTLE_S = 0.05
FIRST_BACKOFF_S, MAX_BACKOFF_S = 0.2, 2.0
MAX_RETRY_AFTER_S = 10.0


class Poller:
    """Polls one endpoint for one limiter.

    Args:
        limiter: receives the leases and makes the reports.
        endpoint: URL without the path.
        token_file: file with the bearer token; it is read for each request, so it may change.
        clock: the limiter's clock, monotonic seconds.
        rng: draws the jitter of waiting times.
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
        # The endpoint is in the cluster, so proxies from the environment do not apply.
        limits = httpx.Limits(max_connections=4)
        async with (
            httpx.AsyncClient(trust_env=False, limits=limits) as client,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(_unending(self._long_poll, client))
            tasks.create_task(_unending(self._send_reports, client))

    async def _long_poll(self, client: httpx.AsyncClient) -> None:
        """Request the lease and wait for its changes, forever."""
        failures = 0
        while True:
            etag, sent_at = self._etag, self._clock()
            wait_s = MAX_WAIT_S if etag else 0.0
            request = client.build_request(
                "GET",
                self._url,
                params={"instance": self._limiter.settings.instance, "wait": f"{wait_s:g}"},
                headers={**self._headers(), **({"if-none-match": etag} if etag else {})},
                timeout=httpx.Timeout(RESPONSE_TIMEOUT_S, read=wait_s + RESPONSE_TIMEOUT_S),
            )
            response = await self._response(client, request, wait_s + RESPONSE_TIMEOUT_S)
            if response is None or not self._apply(response, etag, sent_at):
                failures += 1
                await asyncio.sleep(self._backoff_s(failures, response))
                continue
            failures = 0
            took = self._clock() - sent_at
            changed = response.status == httpx.codes.OK and response.etag != etag
            # An endpoint that answers without a wait is polled each ``refresh_s``.
            pause = SETTLE_S if changed else max(0.0, self._refresh_s() - took)
            await asyncio.sleep(pause)

    async def _send_reports(self, client: httpx.AsyncClient) -> None:
        """Send a report each ``refresh_s``, forever; one that cannot be sent is lost."""
        while True:
            await asyncio.sleep(self._refresh_s() * self._rng.uniform(0.9, 1.1))
            sent_at = self._clock()
            report = self._limiter.report(sent_at)
            url, headers = f"{self._url}/reports", self._headers()
            request = client.build_request("POST", url, json=report, headers=headers)
            response = await self._response(client, request, RESPONSE_TIMEOUT_S)
            if response is not None:
                self._apply(response, "", sent_at)

    async def _response(
        self, client: httpx.AsyncClient, request: httpx.Request, within_s: float
    ) -> BoundedResponse | None:
        """Return the response to a request; None: there is none in time."""
        try:
            return await bounded_request(client, request, within_s, MAX_BYTES)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
            self._log_fault(f"{type(error).__name__}: {error}")
            return None

    def _apply(self, response: BoundedResponse, etag: str, sent_at: float) -> bool:
        """Hand a response to the limiter; return whether it was a lease or a renewal.

        ``etag`` is the lease held when the request was sent.
        """
        if response.status == httpx.codes.NOT_MODIFIED:
            # If another response arrived meanwhile, this one is not about the lease held now.
            if etag == self._etag:
                self._limiter.renew(sent_at)
        elif response.status == httpx.codes.OK:
            try:
                if self._limiter.receive(response.body, sent_at, self._clock()):
                    self._etag = response.etag
            except LeaseRefusedError as error:
                self._log_refusal(str(error))
                return False
        else:
            self._log_fault(f"{response.status} {response.body[:200].decode(errors='replace')}")
            return False
        if self._fault:
            logger.info("limits endpoint is back: %s", self._url)
        self._fault = self._refusal = ""
        return True

    def _log_refusal(self, reason: str) -> None:
        if reason != self._refusal:
            logger.warning("lease refused: %s; the previous lease stays in force", reason)
        self._refusal = reason

    def _log_fault(self, fault: str) -> None:
        if not self._fault:
            logger.warning("no lease from %s: %s", self._url, fault)
        self._fault = fault

    def _refresh_s(self) -> float:
        return self._limiter.refresh_s or DEFAULT_REFRESH_S

    def _backoff_s(self, failures: int, response: BoundedResponse | None) -> float:
        if response is not None and response.status == httpx.codes.OK:
            # The endpoint works, but its lease was refused: retry at the usual interval.
            return self._refresh_s()
        return backoff_s(
            failures,
            first_s=FIRST_BACKOFF_S,
            longest_s=MAX_BACKOFF_S,
            share=self._rng.uniform(0.5, 1.0),
            retry_after_s=min(response.retry_after_s if response else 0.0, MAX_RETRY_AFTER_S),
        )

    def _headers(self) -> dict[str, str]:
        # A connection that is kept would stay with an address that has moved.
        return {**self._authorization(), **({"connection": "close"} if self._fault else {})}

    def _authorization(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        try:
            token = self._token_file.read_text("utf-8").split()
        except (OSError, ValueError) as error:
            self._log_fault(f"no token: {error}")
            return {}
        return {"authorization": f"Bearer {token[0]}"} if token else {}


async def _unending(
    work: Callable[[httpx.AsyncClient], Coroutine[object, object, None]], client: httpx.AsyncClient
) -> None:
    """Do work that only an error or a cancellation from outside ends.

    A task that is cancelled by what it awaits would end without a word, and without its group.
    """
    try:
        await work(client)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise RuntimeError("a task of the poller was cancelled by nobody") from None
