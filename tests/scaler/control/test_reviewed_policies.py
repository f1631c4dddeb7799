"""Policies whose settings are chosen: when a review is asked for, and what stands meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest

from scaler.control.checkpoint import ServiceCheckpoint, from_plain, to_plain
from scaler.control.kept_review import REVIEW, review_from_plain
from scaler.control.ports import WatchedPolicy
from scaler.control.review_words import chosen_settings, settings_sentence
from scaler.control.reviewed_policies import (
    RETRY_S,
    DoneReview,
    ReviewedPolicies,
    ReviewJob,
)
from scaler.control.snapshot import ServiceView, Snapshot
from scaler.decision.capacity import given_capacity
from scaler.decision.days import DAY_S
from scaler.decision.decide import Decision, initial_state
from scaler.decision.demand import UNKNOWN_DEMAND
from scaler.decision.lead_time import lead_time
from scaler.decision.limit import LimitPolicy, limit_for
from scaler.decision.objective import (
    Choice,
    ChoiceReason,
    Objective,
    Overrides,
    Spent,
    Tuning,
)
from scaler.decision.replicas import ScalePolicy
from scaler.decision.review import Review, ReviewedDay, TriedTuning
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import plain_hpa

NOON = 100.5 * DAY_S
OBJECTIVE = Objective(violations=0.001)
CHOSEN = Tuning(0.2, 0.95, 60.0)


def policy(name: str = "checkout", **more: object) -> Policy:
    return Policy(
        item_id=f"shop/{name}", target=name, scale=ScalePolicy(1, 40), capacity_qps=50.0,
        demand_query="offered", **{"objective": OBJECTIVE, **more},
    )  # fmt: skip


def review(reviewed: int = 100, tuning: Tuning = CHOSEN) -> Review:
    spent = Spent(1e6, 123.4, 90.5, 7)
    return Review(
        OBJECTIVE,
        Choice(tuning, ChoiceReason.CHEAPEST, spent, 0.0005),
        (TriedTuning(tuning, spent),),
        (ReviewedDay(99, Spent(1e5, 3.0, 10.0, 1), Spent(1e5, 1.0, 12.0, 1)),),
        reviewed,
        reviewed,
    )


@dataclass
class FakeReviewer:
    """Takes one job at a time; its answer is whatever the test puts in."""

    jobs: list[ReviewJob] = field(default_factory=list)
    busy: bool = False
    answer: DoneReview | None = None

    def begin(self, job: ReviewJob) -> bool:
        if self.busy:
            return False
        self.busy = True
        self.jobs.append(job)
        return True

    def done(self) -> DoneReview | None:
        answer, self.answer = self.answer, None
        self.busy = self.busy and answer is None
        return answer


@dataclass
class Given:
    watched: tuple[WatchedPolicy, ...]

    def current(self) -> tuple[WatchedPolicy, ...]:
        return self.watched


def view(of: Policy) -> ServiceView:
    state = initial_state(3, NOON)
    capacity = given_capacity(50.0)
    limit = limit_for(150.0, LimitPolicy())
    decision = Decision(state.plan, limit, UNKNOWN_DEMAND, capacity, state)
    return ServiceView(policy=of, at=NOON, decision=decision, lead_time=lead_time((), given_s=90.0))


class Scene:
    def __init__(self, *policies: Policy, checkpoint: object = None) -> None:
        self.now, self.leads, self.reviewer = NOON, True, FakeReviewer()
        watched = tuple(WatchedPolicy(one, plain_hpa(one), checkpoint) for one in policies)
        self.source = Given(watched)
        self.reviewed = ReviewedPolicies(
            self.source, self.reviewer, lambda: self.leads, lambda: self.now
        )
        services = {one.item_id: view(one) for one in policies}
        self.reviewed.publish(Snapshot(1, NOON, services, 0.1, True, 0.0, None))

    def tick(self) -> dict[str, Policy]:
        return {one.policy.target: one.policy for one in self.reviewed.current()}


def test_a_policy_runs_with_its_own_settings_until_its_review_is_done():
    scene = Scene(policy())
    assert scene.tick()["checkout"].tuning == Tuning()
    assert scene.tick()["checkout"].tuning == Tuning()
    (job,) = scene.reviewer.jobs
    assert (job.today, job.capacity_qps, job.start_up_s) == (100, 50.0, 90.0)
    scene.reviewer.answer = DoneReview("shop/checkout", review())
    found = scene.tick()["checkout"]
    assert found.tuning == CHOSEN
    assert scene.tick()["checkout"] is found  # the loop tells a change by that


def test_it_is_reviewed_once_a_day_with_what_the_last_review_found():
    scene = Scene(policy())
    scene.tick()
    scene.reviewer.answer = DoneReview("shop/checkout", review())
    for _ in range(3):
        scene.now += RETRY_S
        scene.tick()
    assert len(scene.reviewer.jobs) == 1
    scene.now = 101 * DAY_S
    scene.tick()
    assert len(scene.reviewer.jobs) == 2
    assert scene.reviewer.jobs[1].watched.review == review()
    assert scene.reviewer.jobs[1].watched.policy.tuning == Tuning()  # as it is given


def test_a_policy_without_an_objective_keeps_its_settings():
    scene = Scene(policy(objective=None), policy("search"))
    scene.tick()
    assert [job.watched.policy.target for job in scene.reviewer.jobs] == ["search"]


def test_a_failed_review_moves_nothing_and_is_tried_again_after_an_hour(caplog):
    scene = Scene(policy())
    scene.tick()
    scene.reviewer.answer = DoneReview("shop/checkout", None, "its past could not be read")
    assert scene.tick()["checkout"].tuning == Tuning()
    assert "its past could not be read" in caplog.text
    assert len(scene.reviewer.jobs) == 1
    scene.now += RETRY_S
    scene.tick()
    assert len(scene.reviewer.jobs) == 2


def test_one_service_after_the_other_is_reviewed_and_one_that_fails_keeps_none_away():
    scene = Scene(policy(), policy("search"))
    scene.tick()
    scene.reviewer.answer = DoneReview("shop/checkout", None, "no")
    scene.tick()
    scene.reviewer.answer = DoneReview("shop/search", review())
    assert scene.tick()["search"].tuning == CHOSEN
    assert [job.watched.policy.target for job in scene.reviewer.jobs] == ["checkout", "search"]


def test_what_the_policy_states_is_never_overridden():
    scene = Scene(policy(overrides=Overrides(risk=0.05)))
    scene.tick()
    scene.reviewer.answer = DoneReview("shop/checkout", review())
    assert scene.tick()["checkout"].tuning == replace(CHOSEN, risk=0.05)


def test_another_objective_makes_a_review_void():
    scene = Scene(policy())
    scene.tick()
    scene.reviewer.answer = DoneReview("shop/checkout", review())
    scene.tick()
    changed = policy(objective=Objective(price=100.0))
    scene.source.watched = (WatchedPolicy(changed, plain_hpa(changed)),)
    scene.now += RETRY_S
    assert scene.tick()["checkout"].tuning == Tuning()
    assert len(scene.reviewer.jobs) == 2


def test_the_next_leader_goes_on_with_the_settings_that_stood():
    kept = to_plain(ServiceCheckpoint(review=review()))
    scene = Scene(policy(), checkpoint=kept)
    scene.leads = False
    assert scene.tick()["checkout"].tuning == CHOSEN
    assert not scene.reviewer.jobs  # who follows asks for none
    newer = to_plain(ServiceCheckpoint(review=review(101, Tuning(0.5, 0.4, 60.0))))
    scene.source.watched = (replace(scene.source.watched[0], checkpoint=newer),)
    assert scene.tick()["checkout"].tuning.risk == 0.5
    scene.leads = True
    assert scene.tick()["checkout"].tuning.risk == 0.5


def test_a_review_that_somebody_else_wrote_is_none(caplog):
    for wrong in ({"tuning": [2, 1, 1]}, "x", {"days": [[1]]}, {"reason": "luck"}):
        plain = to_plain(ServiceCheckpoint(review=review()))[REVIEW]
        broken = {**plain, **wrong} if isinstance(wrong, dict) else wrong
        scene = Scene(policy(), checkpoint={REVIEW: broken})
        assert scene.tick()["checkout"].tuning == Tuning()
        assert "not readable" in caplog.text
        caplog.clear()


def test_a_clock_that_is_set_back_does_not_stop_reviews():
    scene = Scene(policy())
    scene.tick()
    scene.reviewer.answer = DoneReview("shop/checkout", None, "no")
    scene.now -= 10 * RETRY_S
    scene.tick()
    assert len(scene.reviewer.jobs) == 2


@pytest.mark.parametrize("objective", [OBJECTIVE, Objective(price=100.0)])
def test_a_checkpoint_keeps_a_review_to_the_last_bit(objective):
    kept = replace(review(), objective=objective)
    assert from_plain(to_plain(ServiceCheckpoint(review=kept))).review == kept
    assert review_from_plain(None) is None


def test_it_is_said_what_was_chosen_and_when_the_next_review_is():
    shown = replace(view(policy()), review=review())
    sentence = settings_sentence(chosen_settings(shown))
    assert sentence == (
        "Asked is at most 0.1 % of the requests late, dropped or refused. "
        "risk 0.2, targetUtilization 0.95, stabilization 60s are the cheapest within the 0.05 % "
        "allowed: 90 replica-hours and 0.012 % in 7 days. "
        "Against the policy's own settings, what was chosen saved 2.0 replica-hours. "
        "Next review: 1970-04-12."
    )
    assert chosen_settings(view(policy(objective=None))) is None
