"""Limiters whose leases are polled over HTTP, for a decider that runs beside Envoy."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from scaler.gateway.http_endpoint import HttpEndpoint
from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings
from scaler.gateway.poller import Poller


class PolledLimiters:
    """The limiters of some services; an async context that polls their leases.

    Args:
        services: the service of each limiter, and the name of this gateway.
        endpoint: base URL of tidegate, without a path.
        token_file: holds the bearer token; None if the endpoint needs none.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        services: Sequence[LimiterSettings],
        endpoint: str,
        token_file: Path | None,
        clock: Callable[[], float],
    ) -> None:
        self._limiters = {one.service: LeaseLimiter(one) for one in services}
        self._pollers = [
            Poller(
                one,
                HttpEndpoint(endpoint, one.settings.service, one.settings.instance, token_file),
                clock=clock,
                rng=random.Random(),  # noqa: S311 - jitter
            )
            for one in self._limiters.values()
        ]
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> PolledLimiters:
        self._tasks = [asyncio.create_task(poller.run()) for poller in self._pollers]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def limiter(self, service: str) -> LeaseLimiter | None:
        """Return the limiter of a service; None if it is none of those services."""
        return self._limiters.get(service)
