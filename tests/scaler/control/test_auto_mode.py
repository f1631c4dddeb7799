"""In mode Auto a policy is acted by as Recommend or Enforce, as the evidence says."""

from dataclasses import replace

import pytest

from scaler.control.auto_mode import AutoMode
from scaler.control.checkpoint import ServiceCheckpoint, to_plain
from scaler.control.loop import ControlLoop
from scaler.control.ports import World
from scaler.control.snapshot import ConditionKind
from scaler.decision.earned_trust import AutoStanding, FloorEvidence, PairedDay
from scaler.decision.sequential_test import BettingTest
from scaler.policy.policy import Mode
from tests.scaler.control.test_loop import START, STEP, Demand, Flat, Replicas, after, watched

AUTO = watched(mode=Mode.AUTO)
EARNED = FloorEvidence(AutoStanding.EARNED, 3, BettingTest((0.1, 1 / 3, 1e-9, 2.0)))
# Shown by a day that is over; the hour that is not ends it.
SHOWN = BettingTest((100.0, 20.0, 5.0, 2.0))
YESTERDAY = PairedDay(int(START // 86400) - 1, 24, -240.0, 0.0, 480.0, 0.0, 1e6)
ABOUT_TO_EARN = FloorEvidence(AutoStanding.ON_TRIAL, 44, SHOWN, SHOWN, YESTERDAY)


def kept(evidence, one=AUTO):
    return replace(one, checkpoint=to_plain(ServiceCheckpoint(evidence=evidence)))


def loop_of(leads=lambda: True):
    return ControlLoop(
        World(Demand(shop_web=200.0), Flat(), Replicas()), STEP, lambda _: None, leads
    )


def view_after(one, seconds=30, leads=lambda: True):
    return after(loop_of(leads), [one], seconds).services["shop/web"]


@pytest.mark.parametrize(
    ("standing", "mode"),
    [(one, Mode.ENFORCE if one is AutoStanding.EARNED else Mode.RECOMMEND) for one in AutoStanding],
)
def test_only_what_has_earned_it_is_enforced(standing, mode):
    view = view_after(kept(FloorEvidence(standing)))
    assert view.policy.mode is mode
    told = next(one for one in view.conditions if one.kind is ConditionKind.FLOOR_EARNED)
    assert told.status is (mode is Mode.ENFORCE)


@pytest.mark.parametrize("mode", [Mode.RECOMMEND, Mode.ENFORCE])
def test_the_other_modes_stay_as_they_are(mode):
    given = [watched(mode=mode)]
    assert AutoMode(lambda: True).resolved(given) is given
    view = view_after(given[0])
    assert (view.policy.mode, view.evidence, view.checkpoint.evidence) == (mode, None, None)


def test_it_begins_with_recommending():
    assert view_after(AUTO).policy.mode is Mode.RECOMMEND


def test_a_service_goes_over_to_enforce_by_itself_and_tells_it_once():
    loop, one = loop_of(), kept(ABOUT_TO_EARN)
    seen = [
        loop.tick([one], START + tick * 15.0).services["shop/web"] for tick in range(260)
    ]  # an hour and five minutes
    modes = [view.policy.mode for view in seen]
    assert (modes[0], modes[-1]) == (Mode.RECOMMEND, Mode.ENFORCE)
    assert sum(view.turned for view in seen) == 1
    assert seen[-1].evidence.is_earned


def test_what_is_kept_for_the_next_process_is_kept_to_the_last_bit():
    view = view_after(kept(EARNED))
    assert view.evidence.cost == EARNED.cost
    again = view_after(replace(AUTO, checkpoint=to_plain(view.checkpoint)))
    assert again.evidence == view.evidence


def test_a_replica_that_does_not_lead_takes_over_what_the_leader_keeps():
    loop = loop_of(lambda: False)
    loop.tick([AUTO], START)
    view = loop.tick([kept(EARNED)], START + 15).services["shop/web"]
    assert view.evidence.cost == EARNED.cost
    leading = loop_of()
    leading.tick([AUTO], START)
    assert not leading.tick([kept(EARNED)], START + 15).services["shop/web"].evidence.is_earned


@pytest.mark.parametrize(
    "broken",
    [{"standing": "odd"}, {"cost": [1.0]}, {"violations": "x"}, {"day": None}, {"days": None}],
)
def test_evidence_that_is_not_readable_starts_afresh(broken):
    checkpoint = to_plain(ServiceCheckpoint(evidence=EARNED))
    checkpoint["auto"] |= broken
    view = view_after(replace(AUTO, checkpoint=checkpoint))
    assert (view.policy.mode, view.evidence.days) == (Mode.RECOMMEND, 0)


def test_a_policy_that_leaves_the_mode_and_comes_back_begins_anew():
    loop = loop_of()
    loop.tick([kept(EARNED)], START)
    loop.tick([watched(mode=Mode.RECOMMEND)], START + 15)
    assert not loop.tick([AUTO], START + 30).services["shop/web"].evidence.is_earned
