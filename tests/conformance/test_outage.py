"""What becomes of a lease while the endpoint is away or talks nonsense, and when it is back."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from tests.conformance.bucket_law import Bucket, Floats, excess, room
from tests.conformance.gateways import Capability
from tests.conformance.leases import lease
from tests.conformance.load import Answer, Offered, Underway, offer, underway
from tests.conformance.site import Site, site
from tests.waiting import eventually

BURST = 10
# A fall while it is fresh, a rise after it; SAFE from 1.2 + 1.8 = 3.0 s on, for 1.2 s.
AGING = {
    "valid_for_s": 1.2,
    "refresh_s": 0.3,
    "schedule": [{"in_s": 0.7, "rps": 20}, {"in_s": 1.8, "rps": 50}],
    "safe_rps": 10.0,
    "max_stale_s": 1.2,
    "burst": BURST,
}
STAGES = ((0.0, 40.0), (0.7, 20.0), (1.8, 50.0), (3.0, 10.0))
# A busy machine renews late, so the lease may have followed its schedule before the outage already:
# what is held against it begins with the fall.
FALLS_S, OVER_S = 0.7, 4.2
OFFERED = 100
# A gateway looks at its clock before it answers a request, and may look only now and then.
CLOCK_S = 0.1
# By so many requests a gateway may be off: its workers read their clocks at different moments.
NEARLY = 2.0
# The phrase that the log is searched for: once for each lease that is refused.
REFUSED = "lease refused"


@dataclass(frozen=True)
class Outage:
    """What was answered over an outage.

    Attributes:
        answers: to what was sent until the endpoint came back.
        after: to what was sent when its new limit was held.
        age_0: between which moments the lease was last true, monotonic seconds.
    """

    answers: list[Answer]
    after: list[Answer]
    age_0: tuple[float, float]

    def while_aged(self, since: float, until: float) -> list[Answer]:
        """Return what was decided while the lease was surely that old."""
        return [
            one
            for one in self.answers
            if one.sent_at >= self.age_0[1] + since + CLOCK_S
            and one.answered_at < self.age_0[0] + until - CLOCK_S
        ]


def stepped(
    age_0: tuple[float, float], of: Callable[[list[float]], float]
) -> Callable[[Floats], Floats]:
    """Return what has drained by a moment; near a step, ``of`` the rates on both sides of it."""
    earliest, latest = age_0[0] - CLOCK_S, age_0[1] + CLOCK_S
    edges = sorted(since + at for at, _ in STAGES for since in (earliest, latest))
    rates = [of(_rates_within(at - latest + 1e-6, at - earliest + 1e-6)) for at in edges]
    drained = np.concatenate([[0.0], np.cumsum(np.diff(edges) * rates[:-1])])

    def by(at: Floats) -> Floats:
        past = np.maximum(at - edges[-1], 0.0)
        return np.interp(at, edges, drained) + past * rates[-1]

    return by


def _rates_within(since: float, until: float) -> list[float]:
    """Return the rates that a lease has between these ages."""
    ends = [*(at for at, _ in STAGES[1:]), np.inf]
    return [rps for (at, rps), end in zip(STAGES, ends, strict=True) if at < until and end > since]


def opening(here: Site) -> Outage:
    here.hand_out(40.0, **AGING, then="open")
    with underway(here.url, OFFERED) as load:
        _answered(load, 30)
        here.endpoint.down()
        age_0 = here.endpoint.last_true()
        time.sleep(max(0.0, age_0[1] + OVER_S + 0.8 - time.monotonic()))
        back = time.monotonic()
        here.endpoint.up()
        here.hand_out(20.0, burst=BURST)
        held = time.monotonic()
        _answered(load, 150)
    before = [one for one in load.answers if one.answered_at < back]
    return Outage(before, load.since(held), age_0)


def _answered(load: Underway, more: int) -> None:
    """Wait until so many more are answered."""
    until = len(load.answers) + more
    eventually(lambda: len(load.answers) >= until)


@pytest.mark.needs(Capability.SCHEDULE)
@pytest.mark.measures(by=opening)
def test_without_the_endpoint_it_follows_the_schedule_and_then_the_safe_limit(measured):
    limited = measured.while_aged(FALLS_S, OVER_S)

    assert excess(limited, Bucket(stepped(measured.age_0, max), BURST)) <= NEARLY
    assert room(limited, Bucket(stepped(measured.age_0, min), BURST)) <= NEARLY


@pytest.mark.needs(Capability.SCHEDULE, Capability.RETRY_AFTER)
@pytest.mark.measures(by=opening)
def test_it_names_the_limit_that_it_follows(measured):
    stages = [one for one in STAGES if one[0] >= FALLS_S]
    ends = [*(at for at, _ in stages[1:]), OVER_S]
    named = [
        {one.policy_rps for one in measured.while_aged(at, end) if one.status == 429} - {None}
        for (at, _), end in zip(stages, ends, strict=True)
    ]

    for found, (_, rps) in zip(named, stages, strict=True):
        assert found <= {int(rps)}
    assert {one.policy_rps for one in measured.answers} >= {20, 10}


@pytest.mark.measures(by=opening)
def test_when_the_safe_limit_is_too_old_it_opens(measured):
    late = [one for one in measured.answers if one.sent_at > measured.age_0[1] + OVER_S + CLOCK_S]

    assert {one.status for one in late} == {200}
    assert len(late) > 20


@pytest.mark.measures(by=opening)
def test_an_endpoint_that_is_back_is_obeyed(measured):
    assert excess(measured.after, Bucket(20.0, BURST)) <= NEARLY
    assert room(measured.after, Bucket(20.0, BURST)) <= NEARLY
    assert len(measured.after) >= 100


def closing(here: Site) -> list[Answer]:
    """Return the last answers while the endpoint is away."""
    here.hand_out(
        200.0, burst=50, valid_for_s=0.8, refresh_s=0.2, safe_rps=200.0, max_stale_s=0.2,
        then="closed",
    )  # fmt: skip
    with underway(here.url, 60) as load:
        here.endpoint.down()
        eventually(lambda: {one.status for one in load.answers[-20:]} == {429})
        closed = time.monotonic()
        _answered(load, 30)
    here.endpoint.up()
    return load.since(closed)


@pytest.mark.measures(by=closing)
def test_when_the_safe_limit_is_too_old_it_closes(measured):
    assert {one.status for one in measured} == {429}


def hanging_endpoint(here: Site) -> Offered:
    here.hand_out(200.0, burst=100, valid_for_s=2.0)
    here.endpoint.hang()
    # It hangs until all are answered: none of them can have waited for it.
    offered = offer(here.url, 40, 2.5)
    here.endpoint.hang(hanging=False)
    return offered


@pytest.mark.measures(by=hanging_endpoint)
def test_no_request_waits_for_an_endpoint_that_hangs(measured):
    assert measured.statuses() == {200: 100}


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
    assert excess(limited.answers, Bucket(5.0, 1)) <= NEARLY


def a_few_bad_leases(here: Site) -> set[str]:
    return _rejecting(here, "cut off", "negative", "version backwards")


def every_bad_lease(here: Site) -> set[str]:
    return _rejecting(here, *_bad(2, 1))


def _rejecting(here: Site, *names: str) -> set[str]:
    """Return the names of those under which anything was rejected."""
    here.hand_out(200.0, burst=100, refresh_s=0.2)
    served: list[tuple[str, float]] = []
    with underway(here.url, 40) as load:
        for name in names:
            served.append((name, time.monotonic()))
            here.endpoint.raw(_bad(here.version + 1, here.version)[name])
            here.endpoint.told(here.running.instances)
            _answered(load, 5)
    return {
        max((at, name) for name, at in served if at <= one.answered_at)[1]
        for one in load.since(served[0][1])
        if one.status != 200
    }


@pytest.mark.parametrize(
    "which",
    [
        pytest.param("a few", marks=pytest.mark.measures(by=a_few_bad_leases)),
        pytest.param("all", marks=[pytest.mark.measures(by=every_bad_lease), pytest.mark.nightly]),
    ],
)
def test_bad_leases_are_refused_and_the_last_good_one_serves_on(measured, which):
    assert measured == set()


@dataclass(frozen=True)
class Refusal:
    """What a bad lease came to.

    Attributes:
        lines: of the log about it, for each instance.
        asked: questions meanwhile, in ``seconds``.
        after: what became of a load under a good one.
    """

    lines: float
    asked: int
    seconds: float
    after: Offered


def one_bad_lease(here: Site) -> Refusal:
    here.hand_out(200.0, refresh_s=0.2)
    logged, before = here.log.count(REFUSED), len(here.endpoint.asked)
    began = time.monotonic()
    here.endpoint.raw(_bad(here.version + 1, here.version)["negative"])
    eventually(lambda: len(here.endpoint.asked) >= before + 4 and REFUSED in here.log)
    lines = (here.log.count(REFUSED) - logged) / here.running.instances
    asked, seconds = len(here.endpoint.asked) - before, time.monotonic() - began
    here.hand_out(5.0, burst=1)
    return Refusal(lines, asked, seconds, offer(here.url, 40, 0.5))


@pytest.mark.needs(Capability.REFUSAL_LOG)
@pytest.mark.measures(by=one_bad_lease)
def test_a_lease_that_is_refused_is_logged_once_and_not_asked_for_in_a_hurry(measured):
    assert measured.lines == 1
    assert measured.asked <= 2 * measured.seconds / 0.2 + 2  # each 0.2 s, had it been a good one
    assert excess(measured.after.answers, Bucket(5.0, 1)) <= NEARLY


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
