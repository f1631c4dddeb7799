"""Priority classes: each has its own part, and may use what others leave up to its ceiling."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from scaler.adapters.http.schemas import ReportBody
from tests.conformance.bucket_law import Bucket, excess, room
from tests.conformance.gateways import Capability
from tests.conformance.leases import class_part
from tests.conformance.load import Offered, offering
from tests.conformance.reported import reported
from tests.conformance.setup import CLASS_HEADER
from tests.conformance.site import Site
from tests.waiting import PATIENCE_S, eventually

PAY = {CLASS_HEADER: "pay"}
BROWSE = {CLASS_HEADER: "browse"}
STRESS = {"x-stress-test": "1"}
STRESS_PART = class_part(
    "stress", 5, 15, priority=9, match={"header": "x-stress-test"}, then="closed"
)
# By so many requests a gateway may be off: its workers read their clocks at different moments.
NEARLY = 2.0


def twelvefold_rise(here: Site) -> tuple[Offered, Offered, Offered]:
    here.hand_out(60.0, burst=30, classes=[class_part("pay", 40, 60), class_part("browse", 8, 20)])
    pay = offering(here.url, 35, 3.5, headers=PAY)
    calm = offering(here.url, 8, 1, headers=BROWSE).result(PATIENCE_S)
    risen = offering(here.url, 96, 2.5, headers=BROWSE).result(PATIENCE_S)
    return pay.result(PATIENCE_S), calm, risen


@pytest.mark.needs(Capability.CLASSES)
@pytest.mark.measures(by=twelvefold_rise)
def test_a_critical_class_stays_available_while_another_rises_twelvefold(measured):
    critical, calm, risen = measured

    # No less than its own part of the burst, 30 x 40 / 60, is there for it.
    assert room(critical.answers, Bucket(40, 20)) <= NEARLY
    assert calm.statuses() == {200: 8}
    assert risen.count(200) >= 8
    assert excess(risen.answers, Bucket(20, 30)) <= NEARLY  # up to its ceiling
    assert 429 in risen.statuses()
    everything = [*critical.answers, *calm.answers, *risen.answers]
    assert excess(everything, Bucket(60, 30)) <= NEARLY


def stress_beside_others(here: Site) -> tuple[dict[str, Offered], Sequence[ReportBody]]:
    here.hand_out(50.0, burst=25, classes=[class_part("pay", 30, 50), STRESS_PART])
    before = len(here.endpoint.reports)
    loads = {
        "pay": offering(here.url, 28, 2.5, headers=PAY),
        "": offering(here.url, 5, 2.5),
        "stress": offering(here.url, 60, 2.5, headers=STRESS),
    }
    offered = {name: load.result(PATIENCE_S) for name, load in loads.items()}
    done = len(here.endpoint.reports)
    eventually(lambda: len(here.endpoint.reports) >= done + 2)  # the first may have begun before
    return offered, reported(here.endpoint, before)


@pytest.mark.needs(Capability.CLASSES, Capability.STRESS)
@pytest.mark.measures(by=stress_beside_others)
def test_stress_is_shed_first(measured):
    offered, _ = measured

    assert room(offered["pay"].answers, Bucket(30, 15)) <= NEARLY
    assert offered["stress"].count(200) >= 5
    assert excess(offered["stress"].answers, Bucket(15, 25)) <= NEARLY
    assert 429 in offered["stress"].statuses()
    everything = [one for load in offered.values() for one in load.answers]
    assert excess(everything, Bucket(50, 25)) <= NEARLY


@pytest.mark.needs(Capability.CLASSES, Capability.STRESS, Capability.RETRY_AFTER)
@pytest.mark.measures(by=stress_beside_others)
def test_who_is_refused_is_told_the_limit_of_its_class(measured):
    offered, _ = measured

    assert {one.policy_rps for one in offered["stress"].answers if one.status == 429} == {15}


@pytest.mark.needs(Capability.CLASSES, Capability.STRESS, Capability.REPORTS)
@pytest.mark.measures(by=stress_beside_others)
@pytest.mark.parametrize("name", ["pay", "stress"])
def test_what_became_of_each_class_is_reported(measured, name):
    offered, told = measured
    parts = [one.classes[name] for one in told if name in one.classes]

    assert sum(part.admitted for part in parts) == pytest.approx(offered[name].count(200), abs=4)
    assert sum(part.denied for part in parts) == pytest.approx(offered[name].count(429), abs=4)


def a_class_nobody_knows(here: Site) -> Offered:
    here.hand_out(40.0, burst=40, classes=[class_part("pay", 30, 40)])
    unknown = offering(here.url, 80, 2.5, headers={CLASS_HEADER: "nobody-knows"})
    return unknown.result(PATIENCE_S)


@pytest.mark.needs(Capability.CLASSES)
@pytest.mark.measures(by=a_class_nobody_knows)
def test_a_class_unknown_to_the_lease_has_what_the_others_leave(measured):
    # It is all of the rate, as nobody else is there, but a quarter of the burst is kept for others.
    assert excess(measured.answers, Bucket(40, 30)) <= NEARLY
    assert room(measured.answers, Bucket(40, 30)) <= NEARLY
    assert 429 in measured.statuses()


SOAK_PART = class_part(
    "soak", 60, 60, priority=0, match={"header": "x-stress-test", "value": "soak"}
)


def a_class_by_the_value_of_a_header(here: Site) -> tuple[Sequence[ReportBody], Offered]:
    before = len(here.endpoint.reports)
    here.hand_out(90.0, burst=45, classes=[SOAK_PART])
    loads = [
        offering(here.url, 10, 2, headers={"x-stress-test": value}) for value in ("soak", "Soak")
    ]
    offered = [load.result(PATIENCE_S) for load in loads]
    done = len(here.endpoint.reports)
    eventually(lambda: len(here.endpoint.reports) >= done + 2)  # the first may have begun before
    return reported(here.endpoint, before), offered[0]


@pytest.mark.needs(Capability.CLASSES, Capability.MATCH_VALUE, Capability.REPORTS)
@pytest.mark.measures(by=a_class_by_the_value_of_a_header)
def test_a_class_is_known_by_the_value_of_its_header(measured):
    told, meant = measured
    counted = sum(one.classes["soak"].admitted for one in told if "soak" in one.classes)

    assert counted == pytest.approx(meant.count(200), abs=2)
