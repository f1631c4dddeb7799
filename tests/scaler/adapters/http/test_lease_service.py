"""Leases of several gateways: shares, renewals and refusals."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.adapters.http import lease_service
from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.report import GatewayReport
from scaler.adapters.http.settings import ApiSettings
from scaler.limits.lease import AfterSafe, LeaseTerms
from tests.scaler.adapters.http.gateways import SHOP, Gateway, Site
from tests.scaler.adapters.http.snapshots import snapshot, view


def test_a_lease_is_renewed_while_nothing_changes():
    site, gateway = Site(), Gateway("gw-1")
    assert site.ask(gateway).changed
    for _ in range(20):
        site.clock.now += 2.0
        site.publish()  # a tick without a change
        assert not site.ask(gateway).changed


def test_a_renewal_is_refused_once_a_scheduled_fall_has_come_nearer():
    site, gateway = Site(), Gateway("gw-1")
    site.publish(ready=8, planned=4)  # a fall in 15 s
    first = site.ask(gateway)
    site.clock.now += 4.0
    assert not site.ask(gateway).changed
    site.clock.now += 2.0
    second = site.ask(gateway)
    assert second.changed
    falls = [json.loads(a.lease.json_body)["schedule"][0]["in_s"] for a in (first, second)]
    assert falls == [10.0, 5.0]


def test_a_lower_limit_is_issued_at_once():
    site, gateway = Site(ready=8), Gateway("gw-1")
    site.ask(gateway)
    site.publish(ready=4)
    assert site.ask(gateway).changed
    assert gateway.qps <= 4 * 155.0


def test_a_new_gateway_gets_a_share_at_once_and_its_fair_share_when_the_other_has_shrunk():
    site, one, two = Site(), Gateway("gw-1"), Gateway("gw-2")
    for _ in range(2):
        site.ask(one, wants=100.0)
    site.ask(two, wants=100.0)
    assert 1.0 <= two.qps < 100.0
    site.ask(one)  # gets less
    site.ask(one)  # acknowledges it
    site.ask(two)
    assert two.qps == pytest.approx(one.qps)
    assert two.qps == pytest.approx(1240 * 0.98 / 2, rel=1e-3)


def test_the_share_of_an_expired_gateway_goes_to_the_others():
    site, one, two = Site(), Gateway("gw-1"), Gateway("gw-2")
    for _ in range(4):
        site.ask(one)
        site.ask(two)
    site.clock.now += 11.0
    site.ask(one)
    site.clock.now += 2.0  # two's lease has expired
    site.ask(one)
    assert one.qps == pytest.approx(1240 * 0.98, rel=1e-3)


def test_a_small_change_of_demand_changes_no_lease():
    site, one, two = Site(), Gateway("gw-1"), Gateway("gw-2")
    for _ in range(4):
        site.ask(one, wants=100.0)
        site.ask(two, wants=50.0)
    assert not site.ask(one, wants=105.0).changed
    assert not site.ask(two, wants=51.0).changed
    assert site.ask(one, wants=200.0).changed


def reported(name, offered, admitted, owner=""):
    return LeaseRequest(
        name, report=GatewayReport(offered, admits_qps=admitted, interval_s=2.0), owner=owner
    )


def said(site, request):
    """Return the share that a report is answered, once all that wait have been told."""
    site.clock.now += 1.0
    reply = site.lease_service.reply(SHOP, request, site.clock.now)
    return replace(request, etag=reply.lease.etag), reply.lease.tag.qps


def test_a_greedy_report_takes_nothing_that_others_use():
    site = Site()
    honest, greedy = reported("gw-1", 700.0, 700.0), reported("gw-2", 1e9, 5.0)
    for _ in range(8):
        honest, share = said(site, honest)
        greedy, _ = said(site, greedy)
    assert share >= 700.0


def test_a_gateway_that_is_short_and_uses_what_it_has_gets_its_fair_part():
    site = Site()
    first, second = reported("gw-1", 2000.0, 1e9), reported("gw-2", 800.0, 0.0)
    for _ in range(8):
        first, _ = said(site, first)
        second, share = said(site, second)
        second = replace(second, report=replace(second.report, admits_qps=min(share, 800.0)))
    # Of the spare: what pay is guaranteed, 120, is kept for it.
    assert share == pytest.approx(1240 * 0.98 / 2, rel=0.01)


def test_made_up_gateways_of_one_owner_take_no_more_than_its_fair_part():
    site = Site()
    theirs = reported("gw-1", 500.0, 500.0, owner="shop")
    made_up = [reported(f"gw-x-{i}", 1e9, 1e9, owner="rival") for i in range(50)]
    for _ in range(6):
        site.clock.now += 1.0
        theirs, share = said(site, theirs)
        made_up = [said(site, one)[0] for one in made_up[:5]] + made_up[5:]
        for one in made_up[5:]:
            site.lease_service.reply(SHOP, one, site.clock.now)
    assert share >= 500.0


def test_that_a_gateway_has_come_is_a_reason_to_tell_those_that_wait():
    site = Site()
    site.ask(Gateway("gw-1"))
    site.lease_service.changed(SHOP, [], site.clock.now)
    assert not site.lease_service.has_freed(SHOP)
    site.ask(Gateway("gw-2"))
    assert site.lease_service.has_freed(SHOP)


def test_versions_never_decrease():
    site, one, two = Site(), Gateway("gw-1"), Gateway("gw-2")
    for ready in (8, 4, 9, 9, 2):
        site.publish(ready)
        site.ask(one)
        site.ask(two, wants=10.0 * ready)
    for gateway in (one, two):
        versions = [answer.lease.tag.version for answer in gateway.answers]
        assert versions == sorted(versions)


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),  # which gateway
            st.sampled_from(["ask", "lost", "report", "wait"]),
            st.floats(0, 6),  # seconds before the event
            st.integers(1, 500),
        ),
        max_size=60,
    )
)
def test_all_valid_leases_together_never_exceed_a_constant_limit(events):
    """For any sequence of requests, waits, reports and lost responses, while leases are fresh."""
    site = Site()
    acting: dict[str, list[tuple[float, float]]] = {}
    gateways = [Gateway(f"gw-{i}") for i in range(4)]
    for number, what, after, wants in events:
        site.clock.now += after
        now, gateway = site.clock.now, gateways[number]
        if what == "wait" and site.lease_service.may_wait(
            SHOP, LeaseRequest(gateway.name, gateway.etag), now
        ):
            (news,) = site.lease_service.changed(
                SHOP, [LeaseRequest(gateway.name, gateway.etag)], now
            )
            answer = news or site.lease_service.renew(
                SHOP, LeaseRequest(gateway.name, gateway.etag), now
            )
            gateway.take(answer)
        elif what == "lost":  # the response is lost
            site.lease_service.reply(SHOP, LeaseRequest(gateway.name, gateway.etag), now)
        else:
            site.ask(gateway, float(wants) if what == "report" else None)
        if what != "lost":
            acting[gateway.name] = [(gateway.qps, now + 10.0)]
        fresh = [max((q for q, end in held if end > now), default=0.0) for held in acting.values()]
        assert sum(fresh) <= 1240.0


def test_a_server_that_has_just_started_grants_only_what_gateways_already_hold():
    site = Site(ApiSettings(learns_shares=True))
    holder, stranger = Gateway("gw-1", etag='"dead-7-335.000"'), Gateway("gw-2")
    site.ask(holder)
    assert holder.qps == 335.0
    with pytest.raises(RequestProblem, match="just started") as refused:
        site.ask(stranger)
    assert (refused.value.status, refused.value.retry_after_s) == (503, 2)
    site.clock.now += 12.0
    site.ask(stranger)
    assert stranger.qps > 0


def test_after_the_end_of_the_schedule_without_a_tick_no_lease_is_issued():
    site, gateway = Site(), Gateway("gw-1")
    site.clock.now += 299.0
    site.ask(gateway)
    site.clock.now += 2.0
    with pytest.raises(RequestProblem, match="last tick was 301 s ago"):
        site.ask(gateway)


@pytest.mark.parametrize(
    ("service", "near"),
    [
        pytest.param("prod/shup", ["prod/shop"], id="a typo"),
        pytest.param("test/shop", ["prod/shop"], id="another namespace"),
        pytest.param("x" * 10_000, [], id="no similar name"),
    ],
)
def test_an_unknown_service_is_refused_with_similar_names(service, near):
    with pytest.raises(RequestProblem) as refused:
        Site().lease_service.view(service)
    assert (refused.value.status, refused.value.body["near"]) == (404, near)
    assert len(str(refused.value)) < 500


def test_before_the_first_tick_no_lease_is_issued():
    site = Site(ready=None)
    with pytest.raises(RequestProblem, match="no tick yet") as refused:
        site.ask(Gateway("gw-1"))
    assert refused.value.status == 503


def test_no_more_gateways_than_allowed_hold_a_share(monkeypatch):
    monkeypatch.setattr(lease_service, "MAX_INSTANCES", 1)
    site = Site()
    site.ask(Gateway("gw-1"))
    with pytest.raises(RequestProblem) as refused:
        site.ask(Gateway("gw-2"))
    assert refused.value.status == 429


def test_a_service_whose_limit_is_not_known_is_refused_with_the_reason():
    site = Site()
    site.holder.publish(
        snapshot(replace(view(), published_limit=None, error="two series for one item"))
    )
    with pytest.raises(RequestProblem, match="two series for one item"):
        site.ask(Gateway("gw-1"))


def test_a_ledger_without_gateways_is_dropped():
    site = Site()
    site.ask(Gateway("gw-1"))
    assert site.lease_service.gateways() == {SHOP: 1}
    site.clock.now += 60.0
    site.lease_service.drop_empty(site.clock.now)
    assert site.lease_service.gateways() == {}


@pytest.mark.parametrize(
    "services",
    [
        pytest.param((), id="the service is gone"),
        pytest.param((replace(view(), published_limit=None, error="no pods"),), id="undecided"),
    ],
)
def test_a_ledger_that_no_limit_is_divided_by_is_dropped_with_its_last_lease(services):
    site = Site()
    site.ask(Gateway("gw-1"))
    site.holder.publish(snapshot(*services))
    site.lease_service.drop_empty(site.clock.now)
    assert site.lease_service.gateways() == {SHOP: 1}  # the gateway may act on its lease still
    site.clock.now += 60.0
    site.lease_service.drop_empty(site.clock.now)
    assert (site.lease_service.gateways(), site.lease_service.memory().owners) == ({}, {})


def following(site):
    site.holder.publish(replace(snapshot(view()), leader=False))
    site.lease_service.drop_empty(site.clock.now)


def silent(site):
    site.clock.now += 60.0
    site.lease_service.drop_empty(site.clock.now)


@pytest.mark.parametrize("dropped", [silent, following])
def test_versions_go_on_where_a_ledger_was_dropped_for_gateways_refuse_older_ones(dropped):
    site, gateway = Site(), Gateway("gw-1")
    for ready in (8, 4, 9):
        site.publish(ready)
        site.ask(gateway)
    before = gateway.answers[-1].lease.tag.version
    dropped(site)
    assert site.lease_service.gateways() == {}
    memory = site.lease_service.memory()
    site.lease_service.recall(memory)  # as a replay of a journal does
    site.publish(5)
    assert site.ask(gateway).lease.tag.version > before


def test_a_gateway_that_returns_after_its_lease_has_expired_is_booked_again():
    site, one, two = Site(), Gateway("gw-1"), Gateway("gw-2")
    for _ in range(4):
        site.ask(one)
        site.ask(two)
    site.clock.now += 11.5
    site.ask(two)
    site.clock.now += (
        0.6  # gw-1's 12 s are over, and the last expiry check is less than a second ago
    )
    report = GatewayReport(700.0)
    site.lease_service.reply(SHOP, LeaseRequest("gw-2", two.etag, report), site.clock.now)
    assert site.lease_service.gateways() == {SHOP: 1}
    site.ask(one)
    assert site.lease_service.gateways() == {SHOP: 2}


def test_a_wait_that_ends_after_a_new_limit_is_not_a_renewal():
    site, gateway = Site(), Gateway("gw-1")
    for _ in range(3):
        site.ask(gateway)
    waiting = LeaseRequest(gateway.name, gateway.etag)
    assert site.lease_service.may_wait(SHOP, waiting, site.clock.now)
    site.publish(ready=4)
    assert site.lease_service.renew(SHOP, waiting, site.clock.now).changed


def test_a_follower_issues_no_lease_and_a_new_leader_learns_first():
    site = Site(ApiSettings(learns_shares=True))
    site.clock.now += 20.0  # long after its own start
    site.holder.publish(replace(snapshot(view()), leader=False))
    with pytest.raises(RequestProblem) as following:
        site.ask(Gateway("gw-1"))
    assert (following.value.status, following.value.retry_after_s) == (503, 2)
    site.publish()  # it leads now; leases of the former leader may still be valid
    with pytest.raises(RequestProblem, match="learning"):
        site.ask(Gateway("gw-1"))
    site.clock.now += 12.0
    site.publish()
    assert site.ask(Gateway("gw-1")).changed


def test_a_new_leader_that_got_no_requests_as_a_follower_learns_too():
    site = Site(ApiSettings(learns_shares=True))
    site.clock.now += 20.0
    site.holder.publish(replace(snapshot(view()), leader=False))
    site.lease_service.drop_empty(site.clock.now)
    site.publish()
    with pytest.raises(RequestProblem, match="learning"):
        site.ask(Gateway("gw-1"))


class Leased(Site):
    """A site whose policy has other lease terms."""

    def lease(self, terms: LeaseTerms) -> None:
        self.holder.publish(snapshot(view(lease=terms)))


def test_the_terms_of_a_lease_are_those_of_the_policy_and_a_change_is_a_new_lease():
    site, gateway = Leased(), Gateway("gw-1")
    site.ask(gateway)
    site.lease(LeaseTerms(valid_for_s=30.0, refresh_s=5.0, max_stale_s=60.0, then=AfterSafe.CLOSED))
    answer = site.ask(gateway)
    assert answer.changed
    lease = json.loads(answer.lease.json_body)
    assert lease["valid_for_s"] == 30.0
    assert lease["refresh_s"] == pytest.approx(5.0, rel=0.1)  # a tenth more or less for each
    assert (lease["on_expiry"]["max_stale_s"], lease["on_expiry"]["then"]) == (60.0, "closed")


def test_a_share_is_booked_for_as_long_as_its_lease_is_valid():
    site, one, two = Leased(), Gateway("gw-1"), Gateway("gw-2")
    site.lease(LeaseTerms(valid_for_s=30.0, refresh_s=5.0))
    for _ in range(2):
        site.ask(one, wants=1000.0)
    site.clock.now += 31.0  # 30 s, and 2 s for a response on its way
    site.lease(LeaseTerms(valid_for_s=30.0, refresh_s=5.0))
    assert site.ask(two, wants=1000.0).lease.tag.qps + one.qps <= 8 * 155.0
    site.clock.now += 1.0
    assert site.ask(two).lease.tag.qps > 1000.0


def test_a_gateway_that_waits_with_a_longer_lease_keeps_its_share_for_that_long():
    """The policy has shortened leases, but it does not know yet."""
    site, one, two = Leased(), Gateway("gw-1"), Gateway("gw-2")
    long = LeaseTerms(valid_for_s=60.0, refresh_s=5.0)
    site.lease(long)
    for _ in range(2):
        site.ask(one, wants=1000.0)
    site.lease(LeaseTerms(valid_for_s=10.0))
    waiting = LeaseRequest(one.name, one.etag)
    assert site.lease_service.may_wait(SHOP, waiting, site.clock.now)
    site.clock.now += 40.0
    site.lease(LeaseTerms(valid_for_s=10.0))
    assert site.ask(two, wants=1000.0).lease.tag.qps + one.qps <= 8 * 155.0


def test_after_a_change_of_leader_a_lease_is_learned_for_as_long_as_the_policy_says():
    site = Leased(ApiSettings())
    site.lease(LeaseTerms(valid_for_s=30.0, refresh_s=5.0))
    site.clock.now += 31.0
    site.lease(LeaseTerms(valid_for_s=30.0, refresh_s=5.0))
    with pytest.raises(RequestProblem, match="learning"):
        site.ask(Gateway("gw-1"))
    site.clock.now += 1.0
    assert site.ask(Gateway("gw-1")).changed
