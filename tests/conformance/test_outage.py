"""What becomes of a lease while the endpoint is away or talks nonsense, and when it is back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from tests.conformance.gateways import Capability
from tests.conformance.leases import lease
from tests.conformance.load import Offered, offer, offering
from tests.conformance.site import Site, site

# A fall while it is fresh, a rise after it; SAFE from 1.5 + 2.3 = 3.8 s on, for 1.5 s.
AGING = {
    "valid_for_s": 1.5,
    "refresh_s": 0.3,
    "schedule": [{"in_s": 1.0, "rps": 20}, {"in_s": 2.3, "rps": 50}],
    "safe_rps": 10.0,
    "max_stale_s": 1.5,
    "burst": 4,
}
OVER_S = 5.3
OFFERED = 70
# A gateway may look at the age of its lease every now and then, and a core be busy.
SLACK_S = 0.4
# An endpoint that is back is asked again within so many seconds.
ASKED_AGAIN_S = 3.0
# The phrase that the log is searched for: once for each lease that is refused.
REFUSED = "lease refused"


@pytest.fixture(scope="module")
def outages(sites: list[Site]) -> Iterator[dict[str, Future[_Outage]]]:
    """Begin two outages, of a lease that opens at last and one that closes.

    They take their time in threads, while other tests use the third site.
    """
    with ThreadPoolExecutor(2) as threads:
        yield {
            then: threads.submit(_outage, here, then)
            for here, then in zip(sites, ("open", "closed"), strict=False)
        }


@dataclass(frozen=True)
class _Outage:
    """What was admitted over an outage.

    Attributes:
        age_0: when the lease was last true, seconds of the load.
        back: when the endpoint was back, the same; taken: when its new limit had been handed out.
    """

    load: Offered
    age_0: float
    back: float
    taken: float

    def rate(self, since: float, until: float) -> float:
        """Return what was admitted per second while the lease was so old."""
        return self.load.rate(200, self.age_0 + since + SLACK_S, self.age_0 + until - 0.1)


def _outage(here: Site, then: str) -> _Outage:
    here.hand_out(40.0, **AGING, then=then)
    load = offering(here.url, OFFERED, 11)
    time.sleep(0.5)
    here.endpoint.down()
    age_0 = here.endpoint.heard_at()
    time.sleep(max(0.0, age_0 + OVER_S + 1.0 - time.monotonic()))
    here.endpoint.up()
    back = time.monotonic()
    here.hand_out(20.0, burst=2)
    taken = here.endpoint.told(here.version)
    offered = load.result(30)
    began = offered.began_at
    return _Outage(offered, age_0 - began, back - began, taken - began)


@pytest.mark.usefixtures("outages")
def test_no_request_waits_for_an_endpoint_that_hangs(sites):
    here = sites[2]
    here.hand_out(200.0, valid_for_s=2.0)
    here.endpoint.hang()
    offered = offer(here.url, 40, 3)
    here.endpoint.hang(hanging=False)

    assert offered.statuses() == {200: 120}
    assert offered.latency_s(0.99) < 0.5


@pytest.mark.needs(Capability.TOKEN)
def test_it_admits_until_it_has_had_a_lease_and_then_obeys(gateway, start_folder):
    with site(gateway, start_folder, token="c3cret", is_up=False) as here:
        unlimited = offer(here.url, 60, 1)
        here.endpoint.up()
        here.hand_out(5.0, burst=1)
        limited = offer(here.url, 60, 1)

    assert unlimited.statuses() == {200: 60}
    assert limited.count(200) <= 9


def test_bad_leases_are_refused_and_the_last_good_one_serves_on(sites):
    here = sites[2]
    here.hand_out(200.0, refresh_s=0.2)
    bad = _bad(here.version + 1, here.version)
    load = offering(here.url, 40, 0.5 * len(bad))
    served: list[tuple[str, float]] = []
    for name, body in bad.items():
        served.append((name, time.monotonic()))
        here.endpoint.raw(body)
        time.sleep(0.5)
    offered = load.result(30)

    rejected = {
        max((at, name) for name, at in served if at <= one.sent_at)[1]
        for one in offered.answers
        if one.status != 200
    }
    assert rejected == set()


@pytest.mark.needs(Capability.REFUSAL_LOG)
def test_a_lease_that_is_refused_is_logged_once_and_not_asked_for_in_a_hurry(sites):
    here = sites[2]
    here.hand_out(200.0, refresh_s=0.2)
    logged = here.log.count(REFUSED)
    before = len(here.endpoint.asked)
    here.endpoint.raw(_bad(here.version + 1, here.version)["negative"])
    time.sleep(2.0)
    asked = len(here.endpoint.asked) - before

    assert here.log.count(REFUSED) - logged == here.running.instances
    assert asked <= 20  # each 0.2 s, had it been a good one
    here.hand_out(5.0, burst=1)
    assert offer(here.url, 40, 0.5).count(200) <= 6


@pytest.mark.needs(Capability.SCHEDULE)
@pytest.mark.parametrize("then", ["open", "closed"])
def test_without_the_endpoint_it_follows_the_schedule(outages, then):
    outage = outages[then].result(60)

    assert outage.rate(1.0, 2.3) == pytest.approx(20, rel=0.1, abs=2)
    assert outage.rate(2.3, 3.8) == pytest.approx(50, rel=0.1, abs=2)


def test_after_the_schedule_the_safe_limit_holds_and_then_it_opens(outages):
    outage = outages["open"].result(60)

    assert outage.rate(3.8, OVER_S) == pytest.approx(10, rel=0.1, abs=2)
    assert outage.rate(OVER_S, OVER_S + 1.0) == pytest.approx(OFFERED, rel=0.05)


def test_after_the_schedule_the_safe_limit_holds_and_then_it_closes(outages):
    outage = outages["closed"].result(60)

    assert outage.rate(3.8, OVER_S) == pytest.approx(10, rel=0.1, abs=2)
    assert outage.rate(OVER_S, OVER_S + 1.0) == 0


@pytest.mark.parametrize("then", ["open", "closed"])
def test_an_endpoint_that_is_back_is_obeyed_without_a_burst(outages, then):
    outage = outages[then].result(60)
    since = outage.taken + SLACK_S

    assert outage.taken - outage.back < ASKED_AGAIN_S
    assert 15 <= outage.load.count(200, since, since + 1) <= 20 + 2 + 2


def _bad(version: int, held: int) -> dict[str, bytes]:
    """Return answers that would be seen to be acted on: they reject nearly all."""

    def wire(body: object) -> bytes:
        return json.dumps(body).encode()

    strict = lease(version, 1.0, burst=1)
    whole = wire(strict)
    share = {**strict["share"]}
    return {
        "cut off": whole[: len(whole) // 2],
        "empty": b"",
        "no JSON": b"<html>502</html>",
        "no object": b"[]",
        "schema 2": wire({**strict, "schema": 2}),
        "negative": wire({**strict, "share": {**share, "rps": -1.0}}),
        "absurd": wire({**strict, "share": {**share, "rps": 1e12, "burst": 1}, "spare_rps": 0}),
        "NaN": wire({**strict, "share": {**share, "rps": float("nan")}}),
        "a text for a number": wire({**strict, "share": {**share, "rps": "1"}}),
        "no share": wire({name: part for name, part in strict.items() if name != "share"}),
        "a negative class": wire(
            {**strict, "classes": [{"name": "pay", "rps": -1, "ceiling_rps": 1}]}
        ),
        "never valid": wire({**strict, "valid_for_s": 0}),
        "descending schedule": wire(
            {**strict, "schedule": [{"in_s": 9, "rps": 1}, {"in_s": 3, "rps": 1}]}
        ),
        "version backwards": wire({**strict, "version": held - 1}),
    }
