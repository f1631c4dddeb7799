"""Whether limits are handed out here, by what the election says at that instant."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.metrics import Telemetry
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.report import GatewayReport
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.control.reign import Reign, Tenure
from tests.scaler.adapters.http.conftest import served
from tests.scaler.adapters.http.gateways import SHOP, Gateway, Site
from tests.scaler.adapters.http.snapshots import Clock, snapshot, view

HELD = '"dead-7-335.000"'
LEASE_S = 12.0


class Elected(Site):
    """A site whose election a test decides."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.reign = Reign(Tenure.FOLLOWS)
        self.holder = SnapshotHolder(self.clock, lambda: self.reign)
        self.lease_service = LeaseService(self.holder, ApiSettings(), "c0ff")

    def lead(self, others_until: float = 0.0, tenure: Tenure = Tenure.LEADS) -> None:
        """Begin a reign; seconds from now on."""
        self.reign = Reign(tenure, self.clock.now + others_until)

    def become(self, tenure: Tenure) -> None:
        self.reign = replace(self.reign, tenure=tenure)

    def refusal(self, gateway: Gateway, wants: float | None = None) -> str:
        with pytest.raises(RequestProblem) as refused:
            self.ask(gateway, wants)
        assert refused.value.status == 503
        return str(refused.value)


@pytest.mark.parametrize(
    ("tenure", "words"),
    [
        pytest.param(Tenure.FOLLOWS, "another replica hands out limits", id="follows"),
        pytest.param(Tenure.LAPSED, "cannot reach the API server", id="led last, long ago"),
    ],
)
def test_who_may_not_hand_out_limits_says_why(tenure, words):
    site = Elected()
    site.publish()
    site.reign = Reign(tenure)
    assert words in site.refusal(Gateway("gw-1", HELD))


def test_a_tick_does_not_decide_who_leads():
    """It is up to fifteen seconds old, and the Lease may have been lost since."""
    site = Elected()
    site.holder.publish(replace(snapshot(view()), leader=True))
    site.refusal(Gateway("gw-1", HELD))
    site.lead()
    site.holder.publish(replace(snapshot(view()), leader=False))
    assert site.ask(Gateway("gw-1", HELD)).changed


@pytest.mark.parametrize("others_s", [0.0, 30.0], ids=["released", "cut off"])
def test_a_new_leader_learns_until_the_shares_of_a_leader_before_it_have_expired(others_s):
    site = Elected()
    site.clock.now += 100.0  # the process has run for long, and never followed
    site.lead(others_s)
    site.publish()
    newcomer = Gateway("gw-1")
    site.clock.now += others_s + LEASE_S - 0.1
    assert "learning" in site.refusal(newcomer)
    site.clock.now += 0.1
    assert site.ask(newcomer).changed


def test_a_caretaker_renews_and_lowers_but_does_not_raise():
    site = Elected()
    site.lead(-LEASE_S)
    site.publish()
    one, two = Gateway("gw-1"), Gateway("gw-2")
    for _ in range(4):
        site.ask(one, wants=400.0)
        site.ask(two, wants=400.0)
    before = one.qps
    site.become(Tenure.CARETAKES)
    assert not site.ask(one).changed
    site.publish(ready=16)
    site.ask(one, wants=4000.0)
    assert one.qps <= before
    site.publish(ready=2)
    site.ask(one)
    assert one.qps < before / 2
    low = one.qps
    site.publish(ready=16)
    site.ask(one)
    assert one.qps == low
    site.become(Tenure.LEADS)
    site.ask(one)
    site.ask(one)
    assert one.qps > before


def test_a_caretaker_gives_no_share_to_who_has_none_of_it():
    site = Elected()
    site.lead(-LEASE_S)
    site.publish()
    known, gone = Gateway("gw-1"), Gateway("gw-2")
    for gateway in (known, gone):
        site.ask(gateway)
    site.become(Tenure.CARETAKES)
    assert "no leader is known" in site.refusal(Gateway("gw-3"))
    assert "no leader is known" in site.refusal(Gateway("gw-3", HELD))
    site.clock.now += 10.0
    site.ask(known)
    site.clock.now += 2.0
    assert "no leader is known" in site.refusal(gone)
    site.ask(known)


def test_a_caretaker_that_still_learned_goes_on_to_learn():
    """Gateways hold shares of the leader before it, which it does not know yet."""
    site = Elected()
    site.lead(0.0)
    site.publish()
    site.become(Tenure.CARETAKES)
    holder = Gateway("gw-1", HELD)
    site.ask(holder)
    assert holder.qps == 335.0


def test_a_reign_that_goes_on_forgets_nothing_and_another_forgets_all():
    site = Elected()
    site.lead(-LEASE_S)
    site.publish()
    gateway = Gateway("gw-1")
    site.ask(gateway)
    for tenure in (Tenure.CARETAKES, Tenure.LAPSED, Tenure.LEADS):
        site.become(tenure)
        site.lease_service.drop_empty(site.clock.now)
    assert not site.ask(gateway).changed
    site.lead(0.0)
    assert "learning" in site.refusal(Gateway("gw-2"))
    assert site.lease_service.gateways() == {SHOP: 0}


def test_a_new_reign_counts_from_when_it_was_acquired_not_from_when_it_was_asked():
    site = Elected()
    site.lead(0.0)
    site.clock.now += 5.0
    site.publish()
    assert "learning" in site.refusal(Gateway("gw-1"))
    site.clock.now += LEASE_S - 5.0
    assert site.ask(Gateway("gw-1")).changed


def test_gateways_that_wait_are_not_raised_by_a_caretaker():
    site = Elected()
    site.lead(-LEASE_S)
    site.publish()
    gateway = Gateway("gw-1")
    for _ in range(3):
        site.ask(gateway, wants=100.0)
    site.become(Tenure.CARETAKES)
    waiting = LeaseRequest("gw-1", gateway.etag, GatewayReport(9000.0))
    assert site.lease_service.may_wait(SHOP, waiting, site.clock.now)
    site.publish(ready=16)
    (told,) = site.lease_service.changed(SHOP, [waiting], site.clock.now)
    assert told is None or told.lease.tag.qps <= gateway.qps


def ready(endpoint) -> tuple[int, str]:
    answer = endpoint.client.get("/readyz")
    body = answer.json()
    return answer.status_code, body.get("limits") or body["detail"]


def test_readyz_says_whether_limits_are_handed_out_here():
    reigns = [Reign(Tenure.LEADS)]
    with served(reign=lambda: reigns[-1]) as endpoint:
        found = []
        for tenure in Tenure:
            reigns.append(Reign(tenure))
            found.append((tenure, *ready(endpoint)))
    assert found == [
        (Tenure.LEADS, 200, "handed out"),
        (Tenure.CARETAKES, 200, "handed out, but not raised: no leader is known"),
        (
            Tenure.LAPSED, 503,
            "limits are not handed out: the API server has been away for too long",
        ),
        (Tenure.FOLLOWS, 200, "handed out by the leader, not here"),
    ]  # fmt: skip


def test_whether_limits_are_handed_out_is_a_metric():
    reigns = [Reign(Tenure.LEADS)]
    holder = SnapshotHolder(reign=lambda: reigns[-1])
    holder.publish(snapshot())
    telemetry = Telemetry(holder)
    found = {}
    for tenure in Tenure:
        reigns.append(Reign(tenure))
        found[tenure] = next(
            sample.value
            for family in text_string_to_metric_families(telemetry.exposition().decode())
            for sample in family.samples
            if sample.name == "tidegate_hands_out_limits"
        )
    assert found == {
        Tenure.LEADS: 1, Tenure.CARETAKES: 1, Tenure.LAPSED: 0, Tenure.FOLLOWS: 0,
    }  # fmt: skip


def test_what_a_caretaker_hands_out_is_a_whole_lease():
    site = Elected()
    site.lead(-LEASE_S)
    site.publish()
    gateway = Gateway("gw-1")
    site.ask(gateway)
    site.become(Tenure.CARETAKES)
    site.publish(ready=4)
    lease = json.loads(site.ask(gateway).lease.json_body)
    assert lease["share"]["rps"] == pytest.approx(gateway.qps, abs=0.001)
    assert lease["valid_for_s"] == 10.0
