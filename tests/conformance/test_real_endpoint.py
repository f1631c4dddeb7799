"""Gateways that ask tidegate itself: it hands out shares, and they compare their clients.

The shares' arithmetic is held to its law in virtual time, in tests/scaler/limits; here it has to
come true in real gateways, however long a busy machine takes for it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from tests.conformance.bucket_law import Bucket, excess, room
from tests.conformance.gateways import Capability
from tests.conformance.load import Answer, Underway, underway
from tests.conformance.real import real_site
from tests.waiting import eventually

LIMIT = 60.0
# 3 : 1, and together more than there is.
DEMANDS = (75, 25)
# That is left free for newcomers.
RESERVE = 1.2
NEARLY = 4.0


@pytest.mark.by_day("nginx")
def test_two_gateways_share_the_limit_by_their_demand_and_one_that_is_left_takes_it_over(
    gateway, tmp_path
):
    with real_site(LIMIT) as site, site.start(gateway, tmp_path / "first") as first:
        limit = site.limit_qps
        with underway(first.url, DEMANDS[0]) as one:
            with (
                site.start(gateway, tmp_path / "second") as second,
                underway(second.url, DEMANDS[1]) as two,
            ):
                # Max-min fair: who wants 25 has it, who wants 75 has the rest.
                eventually(
                    lambda: (
                        _has(one.answers[-225:], limit - 25 - RESERVE)
                        and {it.status for it in two.answers[-75:]} == {200}
                    )
                )
                settled = time.monotonic()
                _answered(one, 225)
                both = [*one.since(settled), *two.since(settled)]
            # The second's process has ended; it had no way to say so.
            eventually(lambda: _has(one.answers[-225:], limit - RESERVE))

    assert excess(both, Bucket(1.03 * limit, limit / 2)) <= NEARLY


def _has(answers: Sequence[Answer], qps: float) -> bool:
    """Return whether a gateway with more than enough to do admits so much, give or take 8 %."""
    return (
        len(answers) >= 225
        and excess(answers, Bucket(1.08 * qps, qps / 2)) <= NEARLY
        and room(answers, Bucket(0.92 * qps, qps / 2)) <= NEARLY
    )


def _answered(load: Underway, more: int) -> None:
    until = len(load.answers) + more
    eventually(lambda: len(load.answers) >= until)


@pytest.mark.by_day("nginx")
@pytest.mark.needs(Capability.PER_CLIENT)
def test_a_client_that_asks_for_more_than_there_is_leaves_room_for_the_others(gateway, tmp_path):
    with (
        real_site(LIMIT) as site,
        site.start(gateway, tmp_path / "clients") as running,
        underway(running.url, 150, clients=["heavy"]) as heavy,
        underway(running.url, 20, clients=10) as light,  # 2 rps each
    ):
        eventually(lambda: 429 in {one.status for one in heavy.answers})
        # The levels of a load are known a second after it began to be too much.
        _answered(light, 60)
        known = time.monotonic()
        _answered(light, 80)

    others = light.since(known)
    assert sum(one.status == 200 for one in others) >= 0.9 * len(others)
    assert 429 in {one.status for one in heavy.since(known)}
    assert excess([*heavy.since(known), *others], Bucket(1.03 * LIMIT, LIMIT / 2)) <= NEARLY
