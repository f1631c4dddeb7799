"""Priority classes: each has its own part, and may rise on what is spare up to its ceiling."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from scaler.adapters.http.schemas import ReportBody
from tests.conformance.gateways import Capability
from tests.conformance.leases import class_part
from tests.conformance.load import Offered, offering
from tests.conformance.reported import reported
from tests.conformance.setup import CLASS_HEADER
from tests.conformance.site import Site

PAY = {CLASS_HEADER: "pay"}
BROWSE = {CLASS_HEADER: "browse"}
STRESS = {"x-stress-test": "1"}
STRESS_PART = class_part(
    "stress", 5, 15, priority=9, match={"header": "x-stress-test"}, then="closed"
)


def twelvefold_rise(here: Site) -> tuple[Offered, Offered, Offered]:
    here.hand_out(60.0, burst=30, classes=[class_part("pay", 40, 60), class_part("browse", 8, 20)])
    pay = offering(here.url, 35, 4.5, headers=PAY)
    calm = offering(here.url, 8, 1, headers=BROWSE).result(20)
    risen = offering(here.url, 96, 3, headers=BROWSE).result(20)
    return pay.result(20), calm, risen


@pytest.mark.needs(Capability.CLASSES)
@pytest.mark.measures(by=twelvefold_rise)
def test_a_critical_class_stays_available_while_another_rises_twelvefold(measured):
    critical, calm, risen = measured

    assert critical.rate(200) >= 0.994 * 35
    assert calm.statuses() == {200: 8}
    assert 8 <= risen.rate(200, 1) <= 20 * 1.03 + 1  # its own 8, and up to its ceiling of 20
    assert risen.count(200, 1) + critical.count(200, 2, 4) <= 60 * 2 * 1.03


def stress_beside_others(here: Site) -> tuple[dict[str, Offered], Sequence[ReportBody]]:
    here.hand_out(50.0, burst=25, classes=[class_part("pay", 30, 50), STRESS_PART])
    before = len(here.endpoint.reports)
    loads = {
        "pay": offering(here.url, 28, 3, headers=PAY),
        "": offering(here.url, 5, 3),
        "stress": offering(here.url, 60, 3, headers=STRESS),
    }
    offered = {name: load.result(20) for name, load in loads.items()}
    time.sleep(1.0)
    return offered, reported(here.endpoint, before)


@pytest.mark.needs(Capability.CLASSES, Capability.STRESS)
@pytest.mark.measures(by=stress_beside_others)
def test_stress_is_shed_first(measured):
    offered, _ = measured

    assert offered["pay"].rate(200) >= 0.994 * 28
    # Its own 5, and up to its ceiling of 15.
    assert 5 <= offered["stress"].rate(200, 1) <= 15 * 1.03 + 1
    assert sum(load.count(200, 1) for load in offered.values()) <= 50 * 2 * 1.03


@pytest.mark.needs(Capability.CLASSES, Capability.STRESS, Capability.REPORTS)
@pytest.mark.measures(by=stress_beside_others)
@pytest.mark.parametrize("name", ["pay", "stress"])
def test_what_became_of_each_class_is_reported(measured, name):
    offered, told = measured
    parts = [one.classes[name] for one in told if name in one.classes]

    assert sum(part.admitted for part in parts) == pytest.approx(offered[name].count(200), abs=4)
    assert sum(part.denied for part in parts) == pytest.approx(offered[name].count(429), abs=4)


def a_class_nobody_knows(here: Site) -> Offered:
    here.hand_out(40.0, burst=10, classes=[class_part("pay", 30, 40)])
    return offering(here.url, 30, 2.5, headers={CLASS_HEADER: "nobody-knows"}).result(20)


@pytest.mark.needs(Capability.CLASSES)
@pytest.mark.measures(by=a_class_nobody_knows)
def test_a_class_unknown_to_the_lease_has_but_the_spare(measured):
    assert measured.rate(200, 1) == pytest.approx(10, abs=1.5)


SOAK_PART = class_part(
    "soak", 60, 60, priority=0, match={"header": "x-stress-test", "value": "soak"}
)


def a_class_by_the_value_of_a_header(here: Site) -> tuple[Sequence[ReportBody], Offered]:
    here.hand_out(90.0, burst=45, classes=[SOAK_PART])
    time.sleep(1.0)
    before = len(here.endpoint.reports)
    loads = [
        offering(here.url, 10, 2, headers={"x-stress-test": value}) for value in ("soak", "Soak")
    ]
    offered = [load.result(20) for load in loads]
    time.sleep(1.0)
    return reported(here.endpoint, before), offered[0]


@pytest.mark.needs(Capability.CLASSES, Capability.MATCH_VALUE, Capability.REPORTS)
@pytest.mark.measures(by=a_class_by_the_value_of_a_header)
def test_a_class_is_known_by_the_value_of_its_header(measured):
    told, meant = measured
    counted = sum(one.classes["soak"].admitted for one in told if "soak" in one.classes)

    assert counted == pytest.approx(meant.count(200), abs=2)
