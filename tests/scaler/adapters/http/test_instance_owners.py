"""Whose a gateway is: the first's who said its name, until its lease has expired."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.instance_owners import InstanceOwners
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.report import GatewayReport
from tests.scaler.adapters.http.gateways import SETTINGS, SHOP, Site


def asked(name: str, owner: str, *, most: int | None = None, wants: float | None = None):
    report = None if wants is None else GatewayReport(wants)
    return LeaseRequest(name, report=report, owner=owner, owner_instances=most)


def ask(site: Site, request: LeaseRequest) -> float:
    """Return the share in QPS."""
    return site.lease_service.reply(SHOP, request, site.clock.now).lease.tag.qps


def refused(site: Site, request: LeaseRequest) -> tuple[int, str]:
    with pytest.raises(RequestProblem) as problem:
        ask(site, request)
    assert problem.value.reason is not None
    return problem.value.status, problem.value.reason.value


def test_nobody_else_reports_in_a_gateway_s_name():
    site = Site()
    for _ in range(3):
        held = ask(site, asked("gw-1", "shop", wants=500.0))
    assert refused(site, asked("gw-1", "rival", wants=0.0)) == (409, "instance_taken")
    assert ask(site, asked("gw-1", "shop")) == held


def test_nobody_else_waits_in_a_gateway_s_name():
    site = Site()
    lease = site.lease_service.reply(SHOP, asked("gw-1", "shop"), site.clock.now).lease
    mine, other = (LeaseRequest("gw-1", lease.etag, owner=owner) for owner in ("shop", "rival"))
    assert not site.lease_service.may_wait(SHOP, other, site.clock.now)
    assert site.lease_service.may_wait(SHOP, mine, site.clock.now)
    site.publish(ready=4)
    (told,) = site.lease_service.changed(SHOP, [other], site.clock.now)
    assert told is None
    with pytest.raises(RequestProblem, match="belongs to another"):
        site.lease_service.renew(SHOP, other, site.clock.now)


def test_a_name_is_free_once_its_lease_has_expired():
    site = Site()
    ask(site, asked("gw-1", "shop", wants=500.0))
    site.clock.now += 11.9
    assert refused(site, asked("gw-1", "rival")) == (409, "instance_taken")
    site.clock.now += 1.1  # the lease's 12 s, and a second until it is looked
    assert ask(site, asked("gw-1", "rival")) > 0
    assert refused(site, asked("gw-1", "shop")) == (409, "instance_taken")


def test_what_nobody_in_particular_holds_is_taken_over_by_who_says_who_it_is():
    """So a file can be rewritten with roles while gateways run."""
    site = Site()
    ask(site, asked("gw-1", ""))
    ask(site, asked("gw-1", "shop"))
    assert refused(site, asked("gw-1", "")) == (409, "instance_taken")


def test_an_owner_has_no_more_gateways_than_it_may():
    site = Site()
    for number in range(3):
        ask(site, asked(f"made-up-{number}", "rival", most=3))
    assert refused(site, asked("made-up-3", "rival", most=3)) == (429, "instances")
    ask(site, asked("made-up-1", "rival", most=3))  # one that it has goes on
    ask(site, asked("gw-1", "shop", most=3))  # and so does everybody else
    site.clock.now += 13.0
    ask(site, asked("made-up-3", "rival", most=3))


def test_who_follows_a_leader_forgets_who_owned_what():
    site = Site()
    ask(site, asked("gw-1", "shop"))
    before = site.lease_service.memory().owners
    site.clock.now += 60.0
    site.lease_service.drop_empty(site.clock.now)
    assert (before, site.lease_service.memory().owners) == ({SHOP: {"gw-1": "shop"}}, {})


def test_a_service_that_recalls_knows_the_owners():
    site = Site()
    ask(site, asked("gw-1", "shop"))
    memory = site.lease_service.memory()
    site.lease_service = LeaseService(site.holder, SETTINGS, "beef")
    site.lease_service.recall(memory)
    assert refused(site, asked("gw-1", "rival")) == (409, "instance_taken")


names = st.sampled_from(["gw-1", "gw-2", "gw-3"])
people = st.sampled_from(["", "a", "b"])


@given(
    st.lists(
        st.tuples(names, people) | st.sets(names).map(lambda alive: ("keep", frozenset(alive))),
        max_size=30,
    )
)
def test_the_count_of_an_owner_is_that_of_its_gateways(steps):
    owners, model = InstanceOwners(), {}
    for name, owner in steps:
        if name == "keep":
            owners.keep(owner.__contains__)
            model = {one: model[one] for one in model if one in owner}
            continue
        request = LeaseRequest(name, owner=owner, owner_instances=1)
        full = sum(one == owner for one in model.values()) >= 1
        if full:
            with pytest.raises(RequestProblem):
                owners.check_room(request)
        else:
            owners.check_room(request)
        assert owners.owns(request) == (model.get(name, "") in ("", owner))
        owners.claim(request)
        model[name] = owner
        assert owners.memory() == model
