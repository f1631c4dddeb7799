"""The local limiters: a gateway like all others, within the same limit."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.report import GatewayReport
from scaler.control.snapshot import Snapshot
from scaler.limits.descriptors import NO_LIMIT, Descriptor, DescriptorCall
from scaler.limits.header_match import HeaderMatch
from scaler.limits.priority_classes import PriorityClass
from scaler.policy.policy import Mode
from tests.scaler.adapters.envoy.lease_services import SHOP, Place, limited

PAY = PriorityClass("pay", 0, guaranteed_qps=40.0)
STRESS = PriorityClass("stress", 9, ceiling_qps=10.0, match=HeaderMatch("x-stress-test"))


def call(*entries: tuple[str, str], service: str = SHOP, hits: int = 0) -> DescriptorCall:
    return DescriptorCall("tidegate", (Descriptor((("service", service), *entries)),), hits)


def admitted(place: Place, qps: float, seconds: float, *entries: tuple[str, str]) -> int:
    """Send requests at an even rate, and return how many were admitted."""
    passed = 0
    for number in range(round(qps * seconds)):
        place.clock.now += 1 / qps
        passed += not place.gate.decide(call(*entries)).over
        if number % max(1, int(qps / 2)) == 0:
            place.holder.publish(place.holder.latest().snapshot)
            place.limiters.renew_all()
    return passed


@pytest.mark.parametrize("limit", [20.0, 50.0, 400.0])
def test_admitted_requests_are_its_share_of_the_limit(limit):
    place = Place(limited(limit))
    admitted(place, 2 * limit, 2)  # its burst, and the time until its demand is known
    share = limit - max(0.02 * limit, 1.0)  # the reserve for new gateways

    assert admitted(place, 2 * limit, 10) == pytest.approx(10 * share, rel=0.03)


def test_demand_below_the_limit_is_admitted():
    place = Place(limited(50.0))

    assert admitted(place, 40, 5) == 200


def test_with_another_gateway_both_have_their_fair_share_and_the_sum_is_within_the_limit():
    place, theirs = Place(limited(100.0)), 0.0
    other = LeaseRequest("gw-1", report=GatewayReport(300.0))
    for _ in range(30):
        lease = place.lease_service.reply(SHOP, other, place.clock.now).lease
        other, theirs = replace(other, etag=lease.etag), lease.tag.qps
        ours = admitted(place, 100, 1)

    # Both want more than half of what remains beside the reserve of 2.
    assert (ours, theirs) == (pytest.approx(49, abs=2), pytest.approx(49, abs=1))


def test_a_change_of_the_limit_is_acted_on_at_the_next_renewal():
    place = Place(limited(100.0))
    admitted(place, 200, 3)
    place.holder.publish(limited(10.0))
    place.limiters.renew_all()

    assert admitted(place, 100, 5) <= 5 * 10 + 10 + 1


def test_in_recommend_mode_nothing_is_rejected():
    place = Place(limited(10.0, mode=Mode.RECOMMEND))

    assert admitted(place, 100, 2) == 200


def test_classes_have_their_own_rates_and_the_stress_class_its_ceiling():
    place = Place(limited(60.0, PAY, STRESS))
    for _ in range(6):
        pay = admitted(place, 39, 2, ("class", "pay"))
        stress = admitted(place, 60, 2, ("x-stress-test", "1"))

    assert pay >= 0.994 * 78
    assert stress <= 2 * 10 + 10


def test_the_header_of_a_class_takes_precedence_over_the_class_entry():
    place = Place(limited(60.0, PAY, STRESS))
    admitted(place, 60, 4, ("class", "pay"), ("x-stress-test", "1"))

    assert admitted(place, 60, 4, ("class", "pay"), ("x-stress-test", "1")) <= 4 * 10 + 10


def test_twenty_heavy_clients_are_refused_what_two_thousand_light_ones_need():
    place = Place(limited(150.0))
    counts = {"light": [0, 0], "heavy": [0, 0]}  # offered and refused
    for number in range(200 * 130):  # each kind sends 100 requests a second
        kind, of = (("light", 2000), ("heavy", 20))[number % 2]
        place.clock.now += 1 / 200
        if number % 100 == 0:
            place.holder.publish(place.holder.latest().snapshot)
            place.limiters.renew_all()
        over = place.gate.decide(call(("client", f"{kind}-{number // 2 % of}"))).over
        if number >= 200 * 110:  # by then all of them are known
            counts[kind][0] += 1
            counts[kind][1] += over

    assert counts["heavy"][1] >= 0.35 * counts["heavy"][0]
    assert counts["light"][1] <= 0.01 * counts["light"][0]


def test_hits_pass_together_or_not_at_all():
    place = Place(limited(50.0))
    place.gate.decide(call())

    assert place.gate.decide(call(hits=2)).over is False
    assert place.gate.decide(call(hits=1000)).over is True


def test_an_unknown_service_is_not_limited_and_is_logged_once(caplog):
    place = Place(limited(10.0))
    with caplog.at_level(logging.WARNING):
        replies = [place.gate.decide(call(service="prod/shup")) for _ in range(30)]

    assert {reply.statuses for reply in replies} == {(NO_LIMIT,)}
    assert [one.message for one in caplog.records if "prod/shup" in one.message] == [
        "no such service, so no limit service='prod/shup'"
    ]


def test_without_a_lease_everything_passes():
    place = Place(limited(10.0), learns_shares=True)

    assert place.gate.decide(call()).statuses == (NO_LIMIT,)
    place.wait(13.0)
    assert admitted(place, 100, 5) < 100


@pytest.mark.parametrize(
    "published",
    [
        pytest.param(None, id="no tick yet"),
        pytest.param(replace(limited(10.0), leader=False), id="another replica leads"),
    ],
)
def test_a_follower_refuses_to_decide(published):
    with pytest.raises(RequestProblem, match=r"come back|another replica"):
        Place(published).gate.decide(call())


def test_when_ticks_stop_the_lease_ages_to_the_safe_limit_and_opens():
    place = Place(limited(100.0))
    admitted(place, 200, 3)

    def later(seconds: float) -> int:
        """Return how many of 100 requests within a second are admitted, without a new tick."""
        for _ in range(round(seconds * 2)):
            place.clock.now += 0.5
            place.gate.decide(call())  # it is in use, so it stays
            place.limiters.renew_all()
        passed = 0
        for _ in range(100):
            place.clock.now += 0.01
            passed += not place.gate.decide(call()).over
        return passed

    assert later(5.0) <= 100
    # No lease is issued after the schedule (300 s); then safe for 120 s, then open.
    for _ in range(9):
        last = later(60.0)
    assert last == 100


def both(shop_qps: float, cart_qps: float, *of_cart: PriorityClass) -> Snapshot:
    shop, cart = limited(shop_qps), limited(cart_qps, *of_cart, service="prod/cart")
    return replace(shop, services={**cart.services, **shop.services})


def test_a_service_whose_lease_is_refused_holds_up_no_other(caplog):
    place = Place(both(100.0, 100.0))
    for service in ("prod/cart", SHOP):
        place.gate.decide(call(service=service))
    # No gateway takes a lease with such a priority.
    place.holder.publish(both(10.0, 10.0, PriorityClass("pay", 10**16)))
    place.wait(3.0)

    assert place.limiters.limiter(SHOP).snapshot(place.clock.now).limit_rps < 10
    assert place.limiters.limiter("prod/cart").snapshot(place.clock.now).limit_rps > 90
    assert "lease refused service=prod/cart" in caplog.text


def test_a_service_that_cannot_be_renewed_holds_up_no_other(caplog):
    place = Place(both(100.0, 100.0))
    for service in ("prod/cart", SHOP):
        place.gate.decide(call(service=service))
    wrong = both(10.0, 10.0)
    # What nobody has thought of: a service without what each has.
    broken = replace(wrong.services["prod/cart"], policy=None)
    place.holder.publish(replace(wrong, services={**wrong.services, "prod/cart": broken}))
    place.wait(3.0)

    assert place.limiters.limiter(SHOP).snapshot(place.clock.now).limit_rps < 10
    assert "could not be renewed service=prod/cart" in caplog.text


def test_an_unused_share_is_given_up():
    place = Place(limited(100.0))
    place.gate.decide(call())
    assert place.lease_service.gateways() == {SHOP: 1}
    place.wait(61.0)
    place.wait(20.0)
    place.lease_service.drop_empty(place.clock.now)

    assert place.lease_service.gateways() == {}


def test_a_deleted_service_is_not_limited_any_more():
    place = Place(limited(10.0))
    admitted(place, 100, 1)
    place.holder.publish(limited(10.0, service="prod/other"))
    place.limiters.renew_all()

    assert admitted(place, 100, 1) == 100
