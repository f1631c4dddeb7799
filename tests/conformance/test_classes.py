"""Priority classes: each has its own part, and may rise on what is spare up to its ceiling."""

from __future__ import annotations

import time

import pytest

from tests.conformance.gateways import Capability
from tests.conformance.leases import class_part
from tests.conformance.load import offering
from tests.conformance.reported import reported
from tests.conformance.setup import CLASS_HEADER

PAY = {CLASS_HEADER: "pay"}
BROWSE = {CLASS_HEADER: "browse"}
STRESS = {"x-stress-test": "1"}
STRESS_PART = class_part(
    "stress", 5, 15, priority=9, match={"header": "x-stress-test"}, then="closed"
)


@pytest.mark.needs(Capability.CLASSES)
def test_a_critical_class_stays_available_while_another_rises_twelvefold(sites):
    here = sites[0]
    here.hand_out(60.0, burst=30, classes=[class_part("pay", 40, 60), class_part("browse", 8, 20)])
    pay = offering(here.url, 35, 4.5, headers=PAY)
    calm = offering(here.url, 8, 1, headers=BROWSE).result(20)
    risen = offering(here.url, 96, 3, headers=BROWSE).result(20)
    critical = pay.result(20)

    assert critical.rate(200) >= 0.994 * 35
    assert calm.statuses() == {200: 8}
    assert 8 <= risen.rate(200, 1) <= 20 * 1.03 + 1  # its own 8, and up to its ceiling of 20
    assert risen.count(200, 1) + critical.count(200, 2, 4) <= 60 * 2 * 1.03


@pytest.mark.needs(Capability.CLASSES)
def test_a_class_unknown_to_the_lease_has_but_the_spare(sites):
    here = sites[2]
    here.hand_out(40.0, burst=10, classes=[class_part("pay", 30, 40)])
    offered = offering(here.url, 30, 2, headers={CLASS_HEADER: "nobody-knows"}).result(20)

    assert offered.rate(200, 1) == pytest.approx(10, abs=1)


@pytest.mark.needs(Capability.CLASSES, Capability.STRESS)
def test_stress_is_shed_first(sites):
    here = sites[1]
    here.hand_out(50.0, burst=25, classes=[class_part("pay", 30, 50), STRESS_PART])
    before = len(here.endpoint.reports)
    loads = [
        offering(here.url, 28, 3, headers=PAY),
        offering(here.url, 5, 3),
        offering(here.url, 60, 3, headers=STRESS),
    ]
    pay, nameless, stress = [load.result(20) for load in loads]
    time.sleep(1.0)

    assert pay.rate(200) >= 0.994 * 28
    assert 5 <= stress.rate(200, 1) <= 15 * 1.03 + 1  # its own 5, and up to its ceiling of 15
    assert sum(load.count(200, 1) for load in (pay, nameless, stress)) <= 50 * 2 * 1.03
    _agrees(here, before, {"pay": pay, "stress": stress})


def _agrees(here, before, loads) -> None:
    """Assert that what was reported of each class is what became of it."""
    told = reported(here.endpoint, before)
    for name, load in loads.items():
        parts = [one.classes[name] for one in told if name in one.classes]
        if not parts:  # a gateway without reports says so in its table
            continue
        assert sum(part.admitted for part in parts) == pytest.approx(load.count(200), rel=0.03)
        assert sum(part.denied for part in parts) == pytest.approx(load.count(429), abs=4)
