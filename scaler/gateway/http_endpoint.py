"""The endpoint over HTTP."""

from __future__ import annotations

import logging
from collections.abc import Awaitable
from pathlib import Path
from types import TracebackType

import httpx

from scaler.gateway.limits_endpoint import LimitsAnswer, NoAnswerError

logger = logging.getLogger(__name__)

RESPONSE_TIMEOUT_S = 3.0  # beyond the wait of a long poll


class HttpEndpoint:
    """Asks one endpoint for the leases of one gateway.

    Args:
        url: of the endpoint, without a path.
        service: whose limit applies, ``"namespace/name"``.
        instance: name of the gateway.
        token_file: file with the bearer token; it is read for each request, so it may change.
    """

    def __init__(self, url: str, service: str, instance: str, token_file: Path | None) -> None:
        self._url = f"{url.rstrip('/')}/v1/limits/{service}"
        self._instance, self._token_file = instance, token_file
        # The endpoint is in the cluster, so proxies from the environment do not apply.
        limits = httpx.Limits(max_connections=4)
        self._client = httpx.AsyncClient(trust_env=False, limits=limits)
        self._token_fault = ""  # as logged last; empty after a success

    def __str__(self) -> str:
        return self._url

    async def __aenter__(self) -> HttpEndpoint:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, trace)

    async def ask(self, etag: str, wait_s: float) -> LimitsAnswer:
        return await _answer(
            self._client.get(
                self._url,
                params={"instance": self._instance, "wait": f"{wait_s:g}"},
                headers={**self._authorization(), **({"if-none-match": etag} if etag else {})},
                timeout=httpx.Timeout(RESPONSE_TIMEOUT_S, read=wait_s + RESPONSE_TIMEOUT_S),
            )
        )

    async def report(self, report: dict[str, object]) -> LimitsAnswer:
        return await _answer(
            self._client.post(
                f"{self._url}/reports",
                json=report,
                headers=self._authorization(),
                timeout=RESPONSE_TIMEOUT_S,
            )
        )

    def _authorization(self) -> dict[str, str]:
        if self._token_file is None:
            return {}
        fault, token = "", []
        try:
            token = self._token_file.read_text("utf-8").split()
        except (OSError, ValueError) as error:
            fault = f"no token: {error}"
        if fault and not self._token_fault:
            logger.warning("no lease from %s: %s", self._url, fault)
        self._token_fault = fault
        return {"authorization": f"Bearer {token[0]}"} if token else {}


async def _answer(request: Awaitable[httpx.Response]) -> LimitsAnswer:
    try:
        response = await request
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise NoAnswerError(f"{type(error).__name__}: {error}") from error
    header = response.headers.get("retry-after", "")
    return LimitsAnswer(
        response.status_code,
        response.headers.get("etag", ""),
        response.content,
        float(header) if header.isdecimal() else 0.0,
    )
