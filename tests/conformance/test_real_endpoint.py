"""Gateways that ask tidegate itself: it hands out shares, and tells abusive clients by reports."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from tests.conformance.gateways import Capability, Gateway
from tests.conformance.load import Offered, offering
from tests.conformance.real import BOOKED_S, real_site

LIMIT = 60.0
# 3 : 1, and together more than there is.
DEMANDS = (75, 25)
DIES_AT_S = 8.0
ENDS_AT_S = 16.0
SETTLED_S = 4.0
NORMAL, ABUSIVE = 2000, 20
LEARNT_S = 5.0
WATCHED_S = 12.0


@dataclass(frozen=True)
class _Shared:
    """Two gateways with one limit, the second of which dies.

    Attributes:
        limit: of both together.
    """

    first: Offered
    second: Offered
    limit: float

    def admitted(self, since: float, until: float) -> int:
        return sum(load.count(200, since, until) for load in (self.first, self.second))


@pytest.fixture(scope="module")
def shared(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Future[_Shared]]:
    """Begin to share; the clients below are watched meanwhile."""
    with ThreadPoolExecutor(1) as thread:
        yield thread.submit(_share, gateway, tmp_path_factory.mktemp("shared"))


def _share(gateway: Gateway, folder: Path) -> _Shared:
    with real_site(LIMIT) as site, ExitStack() as lasting:
        first = lasting.enter_context(site.start(gateway, folder / "first"))
        with site.start(gateway, folder / "second") as second:
            loads = [
                offering(one.url, rps, ENDS_AT_S)
                for one, rps in zip((first, second), DEMANDS, strict=True)
            ]
            # Its process ends; it has no way to say so.
            time.sleep(DIES_AT_S)
        return _Shared(*[load.result(60) for load in loads], site.limit_qps)


@pytest.mark.usefixtures("shared")
@pytest.mark.needs(Capability.PER_CLIENT)
def test_abusive_clients_are_refused_and_normal_ones_are_not(gateway, tmp_path):
    """Twenty among two thousand, whose rates spread as rates do; there is room for all of them."""
    rng = np.random.default_rng(11)
    popular = rng.lognormal(0.0, 0.5, NORMAL)
    drawn = rng.choice(NORMAL, 20_000, p=popular / popular.sum())
    with real_site(4000.0) as site, site.start(gateway, tmp_path / "clients") as running:
        loads = [
            offering(running.url, 130, WATCHED_S, clients=[f"normal-{i}" for i in drawn]),
            offering(running.url, 70, WATCHED_S, clients=[f"abusive-{i}" for i in range(ABUSIVE)]),
        ]
        normal, abusive = [load.result(60) for load in loads]

    assert abusive.rate(429, LEARNT_S) >= 0.95 * 70
    assert normal.rate(429, LEARNT_S) <= 0.01 * 130


def test_two_gateways_share_the_limit_by_their_demand(shared):
    both = shared.result(90)
    since, until = SETTLED_S, DIES_AT_S

    # Max-min fair: who wants 25 has it, who wants 75 has the rest but for the newcomers' reserve.
    assert both.second.rate(200, since, until) == pytest.approx(25, rel=0.1)
    assert both.first.rate(200, since, until) == pytest.approx(both.limit - 25 - 1.2, rel=0.08)


def test_the_one_that_is_left_takes_over_what_the_other_had(shared):
    both = shared.result(90)
    expired = DIES_AT_S + BOOKED_S + 1.5

    assert both.first.rate(200, expired) == pytest.approx(both.limit - 1.2, rel=0.06)


def test_together_they_never_exceed_the_limit(shared):
    both = shared.result(90)

    for since in np.arange(SETTLED_S, ENDS_AT_S - 3.0, 0.5):
        # What drains in that time, and what both buckets hold.
        assert both.admitted(since, since + 3.0) <= both.limit * 3 * 1.03 + both.limit / 2 + 2
