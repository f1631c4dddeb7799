"""The poller keeps the lease current, whatever happens to the endpoint."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from scaler.gateway.http_endpoint import HttpEndpoint
from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings
from scaler.gateway.poller import Poller
from scaler.limits.lease import LeaseStage, LeaseTerms
from tests.conformance.leases import SHOP, lease
from tests.conformance.scripted import ScriptedEndpoint
from tests.scaler.adapters.http.conftest import served
from tests.waiting import PATIENCE_S


@contextlib.asynccontextmanager
async def polled(
    url: str, token_file: Path | None = None, clock: Callable[[], float] = time.monotonic
) -> AsyncIterator[LeaseLimiter]:
    limiter = LeaseLimiter(LimiterSettings(SHOP, "gw-1"))
    endpoint = HttpEndpoint(url, SHOP, "gw-1", token_file)
    poller = Poller(limiter, endpoint, clock=clock, rng=random.Random(7))
    task = asyncio.create_task(poller.run())
    try:
        yield limiter
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


def limit(limiter: LeaseLimiter) -> float:
    return limiter.snapshot(time.monotonic()).limit_rps


def test_the_lease_of_a_real_endpoint_is_held_and_kept_fresh():
    async def scenario(url: str) -> tuple[float, LeaseStage | None, int]:
        async with polled(url) as limiter:
            await until(lambda: limiter.snapshot(0).version is not None)
            for _ in range(20):
                limiter.admit("pay", None, time.monotonic())
            began = time.monotonic()

            def is_renewed() -> bool:
                """It is younger than the time since it came."""
                now = time.monotonic()
                return now - began > 1.5 and limiter.snapshot(now).age_s < now - began - 0.2

            await until(is_renewed)
            now = limiter.snapshot(time.monotonic())
            return now.limit_rps, now.stage, now.counts.admitted["pay"]

    # Fresh for long enough that a busy machine does not let it age.
    with served(lease=LeaseTerms(valid_for_s=120.0, refresh_s=0.5)) as endpoint:
        limit_rps, stage, admitted = asyncio.run(scenario(endpoint.server.url))
        told = endpoint.client.get("/v1/limits/prod/shop", params={"instance": "gw-1"}).json()

    assert limit_rps == told["share"]["rps"]
    assert stage is LeaseStage.FRESH
    assert admitted == 20


def test_a_change_of_the_lease_arrives_without_waiting_for_the_next_refresh():
    async def scenario(endpoint: ScriptedEndpoint) -> None:
        async with polled(endpoint.url) as limiter:
            await until(lambda: limit(limiter) == 50)
            await asyncio.to_thread(endpoint.held)
            await asyncio.to_thread(endpoint.set, changed)
            await until(lambda: limit(limiter) == 20)

    # The next refresh comes later than anybody waits for here.
    terms = {"refresh_s": 10 * PATIENCE_S, "valid_for_s": 100 * PATIENCE_S}
    changed = lease(2, 20.0, **terms)
    with ScriptedEndpoint() as endpoint:
        endpoint.set(lease(1, 50.0, **terms))
        asyncio.run(scenario(endpoint))


def test_an_endpoint_that_answers_without_a_wait_is_polled_with_a_pause():
    async def scenario(endpoint: ScriptedEndpoint) -> tuple[int, int, float]:
        began = time.monotonic()
        async with polled(endpoint.url):
            await until(lambda: len(endpoint.asked) >= 4 and len(endpoint.reports) >= 2)
            # Counted before the clock is read: whatever comes later is no matter.
            return len(endpoint.asked), len(endpoint.reports), time.monotonic() - began

    with ScriptedEndpoint() as endpoint:
        # It would wait for 0 s: what is over when it is refreshed may not wait.
        endpoint.set(lease(1, 50.0, refresh_s=0.4, valid_for_s=0.4))
        asked, reports, took = asyncio.run(scenario(endpoint))

    # One after a change, which is a moment later, and then one each refresh.
    assert asked <= took / 0.4 + 3
    assert reports <= took / (0.9 * 0.4) + 1


def test_a_fault_is_logged_once_and_so_is_its_end(caplog):
    async def scenario(endpoint: ScriptedEndpoint) -> None:
        async with polled(endpoint.url) as limiter:
            await until(lambda: limit(limiter) == 50)
            await asyncio.to_thread(endpoint.down)
            await until(lambda: "no lease" in caplog.text)
            await asyncio.sleep(0.6)  # time to fail again, and say nothing
            await asyncio.to_thread(endpoint.up)
            await until(lambda: "is back" in caplog.text)
            refused = json.dumps({**lease(2, 20.0), "schema": 2}).encode()
            await asyncio.to_thread(endpoint.raw, refused)
            asked = len(endpoint.asked)
            await until(lambda: "refused" in caplog.text and len(endpoint.asked) >= asked + 3)
            assert limit(limiter) == 50

    with ScriptedEndpoint() as endpoint, caplog.at_level(logging.INFO, "scaler.gateway.poller"):
        endpoint.set(lease(1, 50.0))
        asyncio.run(scenario(endpoint))

    ours = [one.message for one in caplog.records if one.name == "scaler.gateway.poller"]
    logged = [message.split(":")[0].split(" from ")[0] for message in ours]
    assert logged == ["no lease", "limits endpoint is back", "lease refused"]


@pytest.mark.parametrize("error", [ZeroDivisionError, asyncio.CancelledError])
def test_an_error_that_nobody_has_thought_of_does_not_end_polling(error, caplog):
    failing = False

    def clock() -> float:
        if failing:
            raise error
        return time.monotonic()

    async def scenario(endpoint: ScriptedEndpoint) -> None:
        nonlocal failing
        async with polled(endpoint.url, clock=clock) as limiter:
            await until(lambda: limit(limiter) == 50)
            failing = True
            await until(lambda: "polling failed, and begins anew" in caplog.text)
            failing = False
            await asyncio.to_thread(endpoint.set, lease(2, 20.0))
            await until(lambda: limit(limiter) == 20)
            reports = len(endpoint.reports)
            await until(lambda: len(endpoint.reports) >= reports + 2)

    with ScriptedEndpoint() as endpoint:
        endpoint.set(lease(1, 50.0))
        asyncio.run(scenario(endpoint))


def test_the_token_is_read_for_each_request(tmp_path):
    token = tmp_path / "token"

    async def scenario(endpoint: ScriptedEndpoint) -> None:
        async with polled(endpoint.url, token) as limiter:
            await asyncio.sleep(0.3)  # time to be refused
            assert limiter.snapshot(time.monotonic()).version is None
            token.write_text("c3cret\n")
            await until(lambda: limit(limiter) == 50)

    with ScriptedEndpoint(token="c3cret") as endpoint:
        endpoint.set(lease(1, 50.0))
        asyncio.run(scenario(endpoint))


@pytest.mark.parametrize("status", [404, 500, 503])
def test_an_error_response_leaves_the_lease_that_is_held(status):
    async def scenario(endpoint: ScriptedEndpoint) -> float:
        async with polled(endpoint.url) as limiter:
            await until(lambda: limit(limiter) == 50)
            await asyncio.to_thread(endpoint.failing, status)
            asked = len(endpoint.asked)
            await until(lambda: len(endpoint.asked) >= asked + 2)
            return limit(limiter)

    with ScriptedEndpoint() as endpoint:
        endpoint.set(lease(1, 50.0))

        assert asyncio.run(scenario(endpoint)) == 50
