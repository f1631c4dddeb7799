"""What becomes of a lease while the endpoint is away or talks nonsense, and when it is back."""

from __future__ import annotations

import json
import time
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
    # At each stage more is offered, so it stays used up; a busy core may catch up with it.
    "burst": 20,
}
OVER_S = 5.3
OFFERED = 70
# A gateway may look at the age of its lease every now and then, and a core be busy.
SLACK_S = 0.4
# An endpoint that is back is asked again within so many seconds.
ASKED_AGAIN_S = 3.0
# The phrase that the log is searched for: once for each lease that is refused.
REFUSED = "lease refused"


@dataclass(frozen=True)
class Outage:
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

    def statuses(self, since: float, until: float) -> set[int]:
        """Return what was answered while the lease was so old."""
        return set(self.load.statuses(self.age_0 + since + SLACK_S, self.age_0 + until - 0.1))


def opening(here: Site) -> Outage:
    return _outage(here, "open")


def closing(here: Site) -> Outage:
    return _outage(here, "closed")


def _outage(here: Site, then: str) -> Outage:
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
    return Outage(offered, age_0 - began, back - began, taken - began)


# How exactly a limit is kept is another test's; here it is told from the stages beside it, in less
# than a second of requests.
EITHER = [
    pytest.param("open", marks=pytest.mark.measures(by=opening)),
    pytest.param("closed", marks=pytest.mark.measures(by=closing)),
]


@pytest.mark.needs(Capability.SCHEDULE)
@pytest.mark.parametrize("then", EITHER)
def test_without_the_endpoint_it_follows_the_schedule(measured, then):
    assert measured.rate(1.0, 2.3) == pytest.approx(20, abs=4)
    assert measured.rate(2.3, 3.8) == pytest.approx(50, abs=8)


@pytest.mark.parametrize("then", EITHER)
def test_after_the_schedule_the_safe_limit_holds(measured, then):
    assert measured.rate(3.8, OVER_S) == pytest.approx(10, abs=3)


@pytest.mark.measures(by=opening)
def test_when_the_safe_limit_is_too_old_it_opens(measured):
    assert measured.statuses(OVER_S, OVER_S + 1.0) == {200}


@pytest.mark.measures(by=closing)
def test_when_the_safe_limit_is_too_old_it_closes(measured):
    assert measured.statuses(OVER_S, OVER_S + 1.0) == {429}


@pytest.mark.parametrize("then", EITHER)
def test_an_endpoint_that_is_back_is_obeyed_without_a_burst(measured, then):
    since = measured.taken + SLACK_S

    assert measured.taken - measured.back < ASKED_AGAIN_S
    assert 10 <= measured.load.count(200, since, since + 1) <= 20 + 2 + 2


def hanging_endpoint(here: Site) -> Offered:
    here.hand_out(200.0, valid_for_s=2.0)
    here.endpoint.hang()
    offered = offer(here.url, 40, 3)
    here.endpoint.hang(hanging=False)
    return offered


@pytest.mark.measures(by=hanging_endpoint)
def test_no_request_waits_for_an_endpoint_that_hangs(measured):
    assert measured.statuses() == {200: 120}
    assert measured.latency_s(0.99) < 0.5


def never_a_lease_then_one(here: Site) -> tuple[Offered, Offered]:
    with site(here.gateway, here.folder / "new", token="c3cret", is_up=False) as new:
        unlimited = offer(new.url, 60, 1)
        new.endpoint.up()
        new.hand_out(5.0, burst=1)
        return unlimited, offer(new.url, 60, 1)


@pytest.mark.needs(Capability.TOKEN)
@pytest.mark.measures(by=never_a_lease_then_one)
def test_it_admits_until_it_has_had_a_lease_and_then_obeys(measured):
    unlimited, limited = measured

    assert unlimited.statuses() == {200: 60}
    assert limited.count(200) <= 9


def bad_leases(here: Site) -> set[str]:
    """Return the names of those under which anything was rejected."""
    here.hand_out(200.0, refresh_s=0.2)
    bad = _bad(here.version + 1, here.version)
    load = offering(here.url, 40, 0.5 * len(bad))
    served: list[tuple[str, float]] = []
    for name, body in bad.items():
        served.append((name, time.monotonic()))
        here.endpoint.raw(body)
        time.sleep(0.5)
    offered = load.result(30)

    return {
        max((at, name) for name, at in served if at <= one.sent_at)[1]
        for one in offered.answers
        if one.status != 200
    }


@pytest.mark.measures(by=bad_leases)
def test_bad_leases_are_refused_and_the_last_good_one_serves_on(measured):
    assert measured == set()


def one_bad_lease(here: Site) -> tuple[int, int, Offered]:
    """Return the lines about it for each instance, the questions meanwhile, and what came after."""
    here.hand_out(200.0, refresh_s=0.2)
    logged, before = here.log.count(REFUSED), len(here.endpoint.asked)
    here.endpoint.raw(_bad(here.version + 1, here.version)["negative"])
    time.sleep(2.0)
    lines = here.log.count(REFUSED) - logged
    asked = len(here.endpoint.asked) - before
    here.hand_out(5.0, burst=1)
    return lines // here.running.instances, asked, offer(here.url, 40, 0.5)


@pytest.mark.needs(Capability.REFUSAL_LOG)
@pytest.mark.measures(by=one_bad_lease)
def test_a_lease_that_is_refused_is_logged_once_and_not_asked_for_in_a_hurry(measured):
    lines, asked, after = measured

    assert lines == 1
    assert asked <= 20  # each 0.2 s, had it been a good one
    assert after.count(200) <= 6


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
