"""The contract of leader election: one leader at a time, with any clock skew, and a hand-over."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scaler.adapters.kube.client import Request
from scaler.adapters.kube.leader_election import Election, ElectionSettings, leader_elector
from scaler.control.reign import Reign, Tenure
from scaler.errors import ClusterAbsentError
from tests.waiting import eventually

NOW = 1_767_225_600.0  # 2026-01-01T00:00:00Z


class Clocks:
    """The clocks of one replica: monotonic time and wall-clock time."""

    def __init__(self, off_s=0.0):
        self.passed, self.off_s = 0.0, off_s

    def date(self):
        return NOW + self.passed + self.off_s

    def measured(self):
        return 1000.0 + self.passed


@pytest.fixture
def elect(playground):
    terms = ElectionSettings(playground.namespace, "tidegate", "a")

    def start(identity, clocks):
        own = replace(terms, identity=identity)
        return Election(playground.api, own, clocks.date, clocks.measured)

    return start


def lease(playground):
    path = playground.listing("leases", "/apis/coordination.k8s.io/v1")
    return playground.admin.get(f"{path}/tidegate")["spec"]


def test_the_first_leads_and_the_second_follows(elect):
    clocks = Clocks()
    first, second = elect("a", clocks), elect("b", clocks)

    assert first.step()
    assert not second.step()
    assert second.leader == "a"


def test_times_in_the_lease_have_microseconds_even_where_they_are_zero(elect, playground):
    elect("a", Clocks()).step()

    assert lease(playground)["renewTime"] == "2026-01-01T00:00:00.000000Z"


def test_a_leader_that_renews_goes_on_leading(elect, playground):
    clocks = Clocks()
    first, second = elect("a", clocks), elect("b", clocks)
    for clocks.passed in range(0, 120, 5):
        assert first.step()
        assert not second.step()

    found = lease(playground)
    assert (found["acquireTime"], found["leaseTransitions"]) == ("2026-01-01T00:00:00.000000Z", 0)


def test_a_leader_that_stops_renewing_is_replaced_within_the_lease_duration(elect, playground):
    clocks = Clocks()
    first, second = elect("a", clocks), elect("b", clocks)
    first.step()
    second.step()  # sees the Lease at 0 s

    clocks.passed = 14.9
    assert not second.step()
    clocks.passed = 15.0  # the duration of the Lease
    assert second.step()
    assert lease(playground)["leaseTransitions"] == 1


def test_a_leader_that_cannot_renew_stops_before_another_may_start(elect):
    clocks = Clocks()
    first, second = elect("a", clocks), elect("b", clocks)
    first.step()
    second.step()

    clocks.passed = 10.0  # the deadline, of 15 s that the Lease lasts
    assert not first.leads()
    assert not second.step()


@pytest.mark.parametrize("off_s", [60.0, -60.0, 86_400.0], ids=lambda s: f"{s:g}s off")
def test_clock_skew_does_not_make_two_leaders(elect, off_s):
    first_clock, second_clock = Clocks(), Clocks(off_s)
    first, second = elect("a", first_clock), elect("b", second_clock)
    for passed in range(0, 60, 2):
        first_clock.passed = second_clock.passed = passed
        first.step()
        second.step()
        assert first.leads()
        assert not second.leads()


def test_handing_over_lets_another_lead_at_once(elect, playground):
    clocks = Clocks()
    first, second = elect("a", clocks), elect("b", clocks)
    first.step()
    second.step()

    first.hand_over()

    assert not first.leads()
    assert second.step()
    assert lease(playground)["holderIdentity"] == "b"


def test_a_follower_that_ends_does_not_take_the_lease_from_the_leader(elect, playground):
    clocks = Clocks()
    first, second = elect("a", clocks), elect("b", clocks)
    first.step()

    second.hand_over()

    assert lease(playground)["holderIdentity"] == "a"


def test_a_restarted_leader_goes_on_with_its_own_lease(elect):
    clocks = Clocks()
    elect("a", clocks).step()

    assert elect("a", clocks).step()


@pytest.mark.parametrize(
    ("seconds", "tenure"),
    [
        pytest.param(0.0, Tenure.LEADS, id="it has just renewed"),
        pytest.param(9.9, Tenure.LEADS, id="before the deadline"),
        pytest.param(10.0, Tenure.CARETAKES, id="from the deadline on it hands out limits alone"),
        pytest.param(29.9, Tenure.CARETAKES, id="for two durations of the Lease"),
        pytest.param(30.0, Tenure.LAPSED, id="no longer"),
    ],
)
def test_who_led_last_hands_out_limits_for_a_stated_time(elect, seconds, tenure):
    clocks = Clocks()
    first = elect("a", clocks)
    first.step()
    clocks.passed = seconds
    assert (first.reign().tenure, first.leads()) == (tenure, tenure is Tenure.LEADS)


def test_who_knows_of_another_leader_hands_out_no_limits_at_once(elect):
    clocks = Clocks()
    first, second = elect("a", clocks), elect("b", clocks)
    first.step()
    second.step()
    clocks.passed = 15.0
    second.step()
    clocks.passed = 16.0
    assert first.reign().tenure is Tenure.CARETAKES  # it does not know
    first.step()
    assert first.reign() == Reign(Tenure.FOLLOWS)


BEGAN = Clocks().measured()


def taken_over(elect, playground, how, passed):
    """Return the reign of one that takes over from another after so many seconds."""
    clocks = Clocks()
    first, second = elect("a", clocks), elect("b", clocks)
    first.step()
    clocks.passed = 4.0
    second.step()  # sees the Lease of 0 s
    how(first, playground)
    clocks.passed = passed
    assert second.step()
    return second.reign().others_until - BEGAN


def gone(_, playground):
    path = playground.listing("leases", "/apis/coordination.k8s.io/v1")
    playground.admin.call(Request("DELETE", f"{path}/tidegate"))


@pytest.mark.parametrize(
    ("how", "passed", "others_until"),
    [
        pytest.param(lambda *_: None, 19.0, 4 + 30.0, id="silent: it may go on"),
        pytest.param(lambda first, _: first.hand_over(), 5.0, 5.0, id="released: it has stopped"),
        pytest.param(gone, 5.0, 5 + 30.0, id="deleted by hand: it may not know yet"),
    ],
)
def test_a_new_leader_knows_until_when_another_may_hand_out_limits(
    elect, playground, how, passed, others_until
):
    assert taken_over(elect, playground, how, passed) == others_until


def test_a_reign_goes_on_while_the_lease_is_renewed_and_not_beyond(elect):
    clocks = Clocks()
    first, second = elect("a", clocks), elect("b", clocks)
    reigns = []
    for clocks.passed, step in (
        (0.0, first.step), (5.0, first.step), (40.0, first.step),  # nobody has taken it meanwhile
        (41.0, first.hand_over), (42.0, second.step), (43.0, second.hand_over), (44.0, first.step),
    ):  # fmt: skip
        step()
        reigns.append(first.reign().others_until)
    assert reigns[:3] == [BEGAN] * 3
    assert reigns[-1] == BEGAN + 44.0


def test_a_follower_that_was_cut_off_gives_the_leader_time_to_renew(elect, playground):
    if playground.server is None:
        pytest.skip("a real API server is not taken away")
    clocks = Clocks()
    first, second = elect("a", clocks), elect("b", clocks)
    first.step()
    second.step()
    playground.server.faults.partition = True
    for clocks.passed in (10.0, 20.0):
        second.step()
    playground.server.faults.end()
    clocks.passed = 21.0
    assert not second.step()  # the Lease has expired, but its holder could not renew it either
    clocks.passed = 25.9
    assert not second.step()
    clocks.passed = 26.0  # the five seconds between the deadline and the duration
    assert second.step()


def test_an_elector_leads_in_the_background_and_hands_over_when_closed(playground):
    clocks = Clocks()
    terms = ElectionSettings(playground.namespace, "tidegate", "a", 300, 200.0, 0.02)
    changes: list[bool] = []
    elector = leader_elector(playground.api, terms, clocks.date, changes.append)
    elector.start()
    eventually(elector.leads)

    elector.close()

    assert not elector.leads()
    assert changes == [True]
    assert lease(playground)["holderIdentity"] == ""


def test_an_elector_that_never_started_leaves_no_lease(playground):
    with pytest.raises(ClusterAbsentError):
        lease(playground)


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        pytest.param({"deadline_s": 15.0}, "must ascend", id="a deadline as long as the Lease"),
        pytest.param({"retry_s": 9.0}, "must ascend", id="no time for a second try"),
        pytest.param({"identity": ""}, "identity is empty", id="nobody"),
    ],
)
def test_settings_under_which_two_could_lead_are_refused(terms, message):
    with pytest.raises(ValueError, match=message):
        replace(ElectionSettings("tidegate", "tidegate", "a"), **terms)
