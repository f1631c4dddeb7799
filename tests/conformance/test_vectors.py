"""Real gateways and the golden vectors: what is a lease, and what passes at one moment.

Over time the vectors are played in virtual time, in tests/gateways.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import pytest

from tests.conformance.gateways import Capability
from tests.conformance.leases import lease
from tests.conformance.load import offer
from tests.conformance.setup import CLASS_HEADER
from tests.conformance.site import Site
from tests.gateways.vectors import Json, changed, load, read, with_fields
from tests.waiting import eventually

LEASES, SCENARIOS = load("leases.json"), load("scenarios.json")
# One of each kind; by night it is all of them.
BY_DAY = {
    "a whole number with a fraction of nothing", "without the window of clients, as version 0.1",
    "nonsense in what is for people", "a number beyond all in a field of tomorrow", "32 deep",
    "cut off in the middle", "NaN", "a name twice", "half of a surrogate pair",
    "a version that is null", "half a version", "reported when it has expired",
    "a schedule that is an empty object", "a class without a guarantee", "two classes of one name",
}  # fmt: skip
# All that these judge comes at the moment in which the lease does, to classes by a header.
AT_ONCE = (
    "a burst passes at once, then as many as drain",
    "a class has its own rate, and above it what others leave, to its ceiling",
    "a class that the lease does not know has what the others leave",
)
# By so many requests a gateway may be off: its workers read their clocks at different moments.
NEARLY = 2.0
# HAProxy may keep room for so many that take a pass, until it has seen that none here does.
KEPT = 4


def a_few_odd_leases(here: Site) -> dict[str, bool]:
    return _held(here, BY_DAY)


def every_odd_lease(here: Site) -> dict[str, bool]:
    return _held(here, {one["name"] for one in [*LEASES["accepted"], *LEASES["refused"]]})


def _held(here: Site, names: Collection[str]) -> dict[str, bool]:
    """Return which of these leases the gateway acts on once it has been told of them."""
    found = {}
    for verdict in ("accepted", "refused"):
        for case in LEASES[verdict]:
            if case["name"] in names:
                found[case["name"]] = _is_held(here, case, is_expected=verdict == "accepted")
    return found


def _is_held(here: Site, case: Json, *, is_expected: bool) -> bool:
    instances = here.running.instances
    # Another epoch each time: what comes next is no older version of it.
    here.version += 1
    here.endpoint.set(lease(1, 100.0, epoch=f"before-{here.version}", refresh_s=0.2))
    here.endpoint.held(instances)
    here.endpoint.raw(changed(LEASES["lease"], case))
    if is_expected:
        here.endpoint.held(instances)
    else:
        here.endpoint.told(instances)
        asked = len(here.endpoint.asked)
        eventually(lambda: len(here.endpoint.asked) >= asked + 2 * instances)
    return here.endpoint.is_held(1)


@pytest.mark.parametrize(
    "which",
    [
        pytest.param("a few", marks=pytest.mark.measures(by=a_few_odd_leases)),
        pytest.param("all", marks=[pytest.mark.measures(by=every_odd_lease), pytest.mark.nightly]),
    ],
)
def test_odd_leases_are_judged_as_the_vectors_say(measured, which):
    accepted = {one["name"] for one in LEASES["accepted"]}

    assert measured == {name: name in accepted for name in measured}
    assert len(measured) >= len(BY_DAY)


@dataclass(frozen=True)
class Moment:
    """What became of the requests of one event.

    Attributes:
        event: of the vector.
        passed: requests that were admitted.
        drained: as many more as these may have been since the lease came.
    """

    event: Json
    passed: int
    drained: float


def requests_at_once(here: Site) -> list[Moment]:
    """Return what became of those events that come in the moment of the lease."""
    found = []
    for scenario in SCENARIOS["scenarios"]:
        if scenario["name"] in AT_ONCE:
            found += _at_once(here, scenario)
    return found


def _at_once(here: Site, scenario: Json) -> Iterator[Moment]:
    first, *others = (event for event in scenario["events"] if event["at"] == 0)
    here.hand_out(1000.0, burst=100)
    time.sleep(0.2)  # whatever was in the bucket has drained
    here.version += 1
    given = {"version": here.version, "valid_for_s": 60, "refresh_s": 0.4, **first["lease"]}
    body = with_fields(json.loads(read(SCENARIOS["lease"])), given)
    rps, came_at = body["share"]["rps"], time.monotonic()
    here.endpoint.set(body)
    here.endpoint.held(here.running.instances)
    for event in others:
        if "requests" in event:
            headers = {CLASS_HEADER: event["class"]} if "class" in event else {}
            count = event["requests"]
            passed = offer(here.url, 300, count / 300, headers=headers).count(200)
            yield Moment(event, passed, rps * (time.monotonic() - came_at))


@pytest.mark.needs(Capability.CLASSES)
@pytest.mark.measures(by=requests_at_once)
def test_requests_at_one_moment_are_judged_as_the_vectors_say(measured):
    assert len(measured) >= 5
    for one in measured:
        wanted = one.event["admitted"]
        least, most = wanted - KEPT - NEARLY, wanted + one.drained + NEARLY
        assert least <= one.passed <= most, one.event
