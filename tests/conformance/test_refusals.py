"""Leases that cannot be meant are refused: the last good one serves on."""

from __future__ import annotations

import json
import time

import pytest

from tests.conformance.gateways import Capability
from tests.conformance.leases import lease
from tests.conformance.load import offer, offering

# The phrase that the log is searched for: once for each lease that is refused.
REFUSED = "lease refused"


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


def test_bad_leases_are_refused_and_the_last_good_one_serves_on(sites):
    here = sites[0]
    here.hand_out(200.0, refresh_s=0.2)
    bad = _bad(here.version + 1, here.version)
    load = offering(here.url, 40, 0.6 * len(bad))
    served: list[tuple[str, float]] = []
    for name, body in bad.items():
        served.append((name, time.monotonic()))
        here.endpoint.raw(body)
        time.sleep(0.6)
    offered = load.result(30)

    rejected = {
        max((at, name) for name, at in served if at <= one.sent_at)[1]
        for one in offered.answers
        if one.status != 200
    }
    assert rejected == set()


@pytest.mark.needs(Capability.REFUSAL_LOG)
def test_a_lease_that_is_refused_is_logged_once_and_not_asked_for_in_a_hurry(sites):
    here = sites[1]
    here.hand_out(200.0, refresh_s=0.2)
    logged = here.log.count(REFUSED)
    before = len(here.endpoint.asked)
    here.endpoint.raw(_bad(here.version + 1, here.version)["negative"])
    time.sleep(2.0)
    asked = len(here.endpoint.asked) - before

    assert here.log.count(REFUSED) - logged == here.running.instances
    assert 2 <= asked <= 20  # each 0.2 s, had it been a good one
    here.hand_out(5.0, burst=1)
    assert offer(here.url, 40, 0.5).count(200) <= 6
