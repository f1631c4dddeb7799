"""When the poller asks and reports, on virtual time."""

from __future__ import annotations

import asyncio
import json
import random
from dataclasses import dataclass, field

import numpy as np
import pytest

from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings
from scaler.gateway.limits_endpoint import NOT_MODIFIED, OK, LimitsAnswer, NoAnswerError
from scaler.gateway.poller import DEFAULT_REFRESH_S, LOOK_S, Poller
from scaler.simulation.virtual_loop import VirtualLoop
from tests.conformance.leases import SHOP, lease

REFRESH_S, VALID_S = 2.0, 10.0


@dataclass
class Endpoint:
    """Answers with one lease, and knows what it was asked and when."""

    loop: VirtualLoop
    body: dict = field(default_factory=lambda: _lease(1, 1000.0))
    down: bool = False
    asked: list[tuple[float, str]] = field(default_factory=list)
    reports: list[tuple[float, dict]] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Endpoint:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    @property
    def etag(self) -> str:
        return f'"c0ff-{self.body["version"]}-0.000"'

    def set(self, body: dict) -> None:
        self.body = body
        self._changed.set()

    async def ask(self, etag: str, wait_s: float) -> LimitsAnswer:
        self.asked.append((self.loop.time(), etag))
        if self.down:
            raise NoAnswerError("down")
        if etag == self.etag:
            self._changed.clear()
            try:
                async with asyncio.timeout(min(wait_s, VALID_S - REFRESH_S)):
                    await self._changed.wait()
            except TimeoutError:
                return LimitsAnswer(NOT_MODIFIED, etag)
        return await self._whole()

    async def report(self, report: dict[str, object]) -> LimitsAnswer:
        self.reports.append((self.loop.time(), report))
        if self.down:
            raise NoAnswerError("down")
        return await self._whole()

    async def _whole(self) -> LimitsAnswer:
        answer = LimitsAnswer(OK, self.etag, json.dumps(self.body).encode())
        await asyncio.sleep(self.delays_s.pop() if self.delays_s else 0.0)
        return answer


def _lease(version, rps):
    return lease(version, rps, valid_for_s=VALID_S, refresh_s=REFRESH_S)


class Site:
    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.endpoint = Endpoint(self.loop)
        self.limiter = LeaseLimiter(LimiterSettings(SHOP, "gw-1"))
        poller = Poller(self.limiter, self.endpoint, clock=self.loop.time, rng=random.Random(3))
        self.polling = self.loop.create_task(poller.run())

    def offer(self, qps: float, until: float) -> None:
        """Send evenly spaced requests from now on."""
        for now in np.arange(self.loop.time(), until, 1 / qps).tolist():
            self.loop.run_up_to(now)
            self.limiter.admit(None, None, now)
        self.loop.run_up_to(until)

    def reported_at(self, since: float = 0.0) -> list[float]:
        return [at for at, _ in self.endpoint.reports if at >= since]


@pytest.fixture
def site():
    made = Site()
    yield made
    assert not made.polling.done()
    made.loop.end()


def test_without_news_a_report_is_sent_each_refresh(site):
    site.offer(100.0, 60.0)
    gaps = np.diff(site.reported_at(since=1.0))
    assert len(gaps) >= 25
    assert gaps.min() >= 0.9 * REFRESH_S
    assert gaps.max() <= 1.1 * REFRESH_S + 0.01


def test_demand_that_moves_is_reported_at_once_and_once_more(site):
    site.offer(100.0, 20.0)
    site.offer(400.0, 25.0)
    moved = [at - 20.0 for at in site.reported_at(since=20.0)]
    assert moved[0] <= 1.1 * LOOK_S + 0.01
    # What came before goes first, by itself, but for what came within one look.
    counts = [(one["admitted"], one["interval_s"]) for at, one in site.endpoint.reports if at >= 20]
    assert counts[0][0] / counts[0][1] == pytest.approx(100.0, rel=0.15)
    assert counts[2][0] / counts[2][1] == pytest.approx(400.0, rel=0.05)
    # Soon there are no more than usual.
    assert len([at for at in moved if at > 1.5]) <= 2


def test_reports_are_never_closer_together_than_a_look(site):
    rng = np.random.default_rng(1)
    for second in range(1, 30):
        site.offer(float(rng.uniform(5, 2000)), float(second))
    times = sorted(set(site.reported_at()))
    assert np.diff(times).min() >= 0.9 * LOOK_S - 0.001


def test_a_lease_that_has_expired_is_no_longer_claimed(site):
    site.offer(10.0, 5.0)
    site.endpoint.down = True
    site.endpoint.set(_lease(2, 900.0))
    site.loop.run_up_to(30.0)
    last_at, last_etag = site.endpoint.asked[-1]
    assert last_at > 25.0
    assert last_etag == ""
    assert "holds_rps" in next(one for at, one in site.endpoint.reports if 2.0 < at < 5.0)
    assert "holds_rps" not in site.endpoint.reports[-1][1]


def test_a_lease_that_a_newer_one_has_overtaken_is_no_reason_to_wait(site, caplog):
    site.offer(10.0, 5.0)
    site.endpoint.delays_s = [0.5]  # of the next answer, which waits for news
    site.endpoint.set(_lease(2, 900.0))
    site.loop.run_up_to(5.1)
    site.endpoint.set(_lease(3, 800.0))
    site.offer(500.0, 5.4)  # so that a report brings the third
    assert site.limiter.snapshot(5.4).version == 3
    site.loop.run_up_to(6.0)
    assert site.endpoint.asked[-1][1] == site.endpoint.etag
    assert "refused" not in caplog.text


def test_before_the_first_lease_reports_are_sent_too(site):
    site.endpoint.down = True
    site.loop.run_up_to(10.0)
    assert len(site.reported_at()) == pytest.approx(10 / DEFAULT_REFRESH_S, abs=2)
