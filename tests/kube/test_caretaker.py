"""An API server that is away, for all or for the leader alone: limits go on within their sum."""

from __future__ import annotations

import numpy as np
import pytest

from scaler.adapters.kube.leader_election import ElectionSettings, leader_elector
from scaler.adapters.kube.leader_label import LABEL, LeaderLabel
from scaler.control.reign import Tenure
from tests.kube.faults import Fault
from tests.kube.objects import pod
from tests.kube.replicas import Site
from tests.waiting import eventually

LIMIT_QPS = 300.0


@pytest.fixture
def site(server, tmp_path):
    made = Site(server, tmp_path, gateways=3, limit_qps=LIMIT_QPS)
    made.settle()
    return made


# At 20.5 s the other is the first that looks at the Lease again.
@pytest.mark.parametrize("away_s", [10.0, 20.0, 20.5, 27.0], ids=lambda s: f"{s:g}s")
def test_while_the_api_server_is_away_limits_are_served_and_none_is_raised(site, away_s):
    site.server.faults.partition = True
    before = {one.name: one.qps for one in site.gateways}
    site.publish(2 * LIMIT_QPS)  # it could be raised, and is wanted

    def served():
        assert site.all_ask(site.one, 1000.0)
        caretakes = site.one.tenure is Tenure.CARETAKES
        assert not caretakes or all(one.qps <= before[one.name] for one in site.gateways)
        before.update((one.name, one.qps) for one in site.gateways)

    site.run(away_s, served)
    assert site.one.tenure is Tenure.CARETAKES
    site.server.faults.end()
    site.run(5.0, served)
    # Who led last leads again, though the other looked as often, and the Lease has expired.
    assert (site.one.tenure, site.two.tenure) == (Tenure.LEADS, Tenure.FOLLOWS)
    site.run(20.0, lambda: site.all_ask(site.one, 1000.0))
    assert site.acted_on == pytest.approx(0.98 * 2 * LIMIT_QPS, rel=0.01)


def test_while_the_api_server_is_away_limits_are_lowered(site):
    site.server.faults.partition = True
    site.run(12.0, lambda: site.all_ask(site.one))
    assert site.one.tenure is Tenure.CARETAKES
    site.publish(LIMIT_QPS / 3)
    site.run(1.0, lambda: site.all_ask(site.one))
    assert site.acted_on <= LIMIT_QPS / 3


def test_a_gateway_that_comes_while_no_leader_is_known_gets_no_share(site):
    site.server.faults.partition = True
    site.run(12.0, lambda: [one.ask(site.one) for one in site.gateways[:2]])
    newcomer, gone = type(site.gateways[0])("gw-new", site.clock), site.gateways[2]
    assert not newcomer.ask(site.one)
    site.run(1.0)
    # Its lease has expired here, so others may have got its share before.
    assert not gone.ask(site.one)
    assert "no leader is known" in gone.refusals[-1]


def test_an_outage_that_lasts_too_long_ends_the_limits_until_it_is_over(site):
    site.server.faults.partition = True
    site.run(28.0, lambda: site.all_ask(site.one))
    site.run(4.0)
    assert site.one.tenure is Tenure.LAPSED
    assert not site.all_ask(site.one)
    assert "cannot reach the API server" in site.gateways[0].refusals[-1]
    site.server.faults.end()
    site.run(5.0)
    assert site.one.tenure is Tenure.LEADS
    # Nobody else has led, so what is booked is known: nothing has to be learned.
    assert site.all_ask(site.one)


def test_two_lead_one_after_the_other_where_the_first_is_cut_off(site):
    site.server.faults.cut_off.add("one")
    told = []

    def look():
        told.append((site.one.tenure, site.two.tenure))

    site.run(40.0, look)
    assert (Tenure.LEADS, Tenure.LEADS) not in told
    assert (Tenure.CARETAKES, Tenure.LEADS) in told
    assert told[-1] == (Tenure.LAPSED, Tenure.LEADS)
    site.server.faults.end()
    site.run(3.0)
    assert site.one.tenure is Tenure.FOLLOWS


def test_the_sum_holds_where_one_gateway_stays_with_the_leader_that_is_cut_off(site):
    """The worst that can be: one renews as long as it may, the other wants all of the rest."""
    stays, goes, _ = site.gateways
    site.server.faults.cut_off.add("one")

    def step():
        stays.ask(site.one, 1000.0)
        goes.ask(site.two, 1000.0)
        assert site.acted_on <= LIMIT_QPS

    site.run(60.0, step)
    assert stays.acts_on_qps == 0.0
    assert goes.acts_on_qps == pytest.approx(0.98 * LIMIT_QPS, rel=0.01)


@pytest.mark.parametrize("seed", range(12))
def test_the_sum_holds_whoever_asks_whom_while_the_leader_is_cut_off(server, tmp_path, seed):
    """Gateways reach either side, at any time, and want anything; replies are lost."""
    rng = np.random.default_rng(seed)
    site = Site(server, tmp_path, gateways=5, limit_qps=LIMIT_QPS)
    site.settle()
    reaches = [rng.choice(3) for _ in site.gateways]  # one, two, or either
    until = site.clock.now + rng.uniform(5.0, 50.0)
    server.faults.cut_off.add("one")

    def step():
        if site.clock.now >= until:
            server.faults.end()
        for gateway, side in zip(site.gateways, reaches, strict=True):
            # At least every five seconds: who is silent for longer holds nothing any more.
            if rng.random() < 0.4 or site.clock.now - gateway.asked_at > 4.0:
                replica = (site.one, site.two)[side if side < 2 else rng.integers(2)]
                before = gateway.etag, gateway.qps, gateway.asked_at
                asked = gateway.ask(replica, float(rng.choice([1.0, 50.0, 1000.0])))
                if asked and rng.random() < 0.1:
                    gateway.etag, gateway.qps, gateway.asked_at = before
        assert site.acted_on <= LIMIT_QPS

    site.run(90.0, step)


def test_after_an_outage_the_service_of_the_limits_is_not_left_without_a_pod(server, ground):
    """The label stays where it is while nobody else is known to lead."""
    ground.put(ground.listing("pods", "/api/v1"), pod("tidegate-a"))
    label = LeaderLabel(ground.api, "prod", "tidegate-a", retry_s=0.02)
    terms = ElectionSettings("prod", "tidegate", "tidegate-a", 600, 0.4, 0.02)
    elector = leader_elector(ground.api, terms, lambda: 1.8e9, label.changed)
    label.start()
    elector.start()

    def labelled() -> list[bool]:
        with server.store.locked():
            return [
                LABEL in one.found["metadata"].get("labels", {})
                for one in server.store.history
                if one.found["metadata"]["name"] == "tidegate-a" and one.kind.plural == "pods"
            ]

    eventually(lambda: labelled()[-1])
    versions = len(labelled())
    server.faults.partition = True
    eventually(lambda: elector.reign().tenure is Tenure.CARETAKES)
    # The API server is back, but for a while renewals fail: what is queued is written before.
    refused = Fault("PUT .*leases", status=500, times=20)
    server.faults.add(refused)
    server.faults.partition = False
    eventually(lambda: refused.times == 0)
    eventually(lambda: elector.reign().tenure is Tenure.LEADS)
    renewals = server.count("PUT /apis/coordination")
    eventually(lambda: server.count("PUT /apis/coordination") > renewals + 3)
    assert labelled()[versions - 1 :] == [True]  # it was not written again
    elector.close()
    label.close()
