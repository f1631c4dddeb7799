"""Policies with the settings that are chosen for them, where they have an objective.

Rules of this file:

* A tick never waits for a review. Until one is done, what stood before stands.
* What the policy states is never overridden.
* Only who leads has reviews made; who follows takes over those that the leader keeps.
* A review that fails is tried again after an hour; nothing moves by that.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from scaler.control.kept_review import REVIEW, review_from_plain
from scaler.control.ports import WatchedPolicy
from scaler.control.snapshot import ServiceView, Snapshot
from scaler.control.unfailing_log import UnfailingLogger
from scaler.decision.days import day_of
from scaler.decision.review import Review
from scaler.policy.policy import Policy

LOGGER = UnfailingLogger(__name__)
RETRY_S = 3600.0


@dataclass(frozen=True, slots=True)
class ReviewJob:
    """What a review is asked to look at.

    Attributes:
        watched: the policy as it is given, its autoscaler, and the last review.
        capacity_qps: that a replica sustains.
        start_up_s: from a pod's creation until it is Ready.
        today: the day of UTC that has begun, counted since the epoch.
    """

    watched: WatchedPolicy
    capacity_qps: float
    start_up_s: float
    today: int


@dataclass(frozen=True, slots=True)
class DoneReview:
    """What came of a job: a review, or why there is none."""

    item_id: str
    review: Review | None
    fault: str = ""


class Reviewer(Protocol):
    """Who makes reviews, one at a time; no call takes longer than a moment."""

    def begin(self, job: ReviewJob) -> bool:
        """Take up a job; return False while another one is at work."""

    def done(self) -> DoneReview | None:
        """Return what came of a job since this was asked last."""


class PolicySource(Protocol):
    """Where policies come from."""

    def current(self) -> tuple[WatchedPolicy, ...]: ...


class ReviewedPolicies:
    """The policies of a source. Confined to the loop's thread.

    Args:
        policies: as they are given.
        reviewer: makes reviews.
        leads: whether this replica acts.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        policies: PolicySource,
        reviewer: Reviewer,
        leads: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self._policies, self._reviewer = policies, reviewer
        self._leads, self._clock = leads, clock
        self._reviews: dict[str, Review] = {}
        self._tried: dict[str, float] = {}
        self._heard: dict[str, Any] = {}  # of each checkpoint, the review that was read last
        self._views: Mapping[str, ServiceView] = {}
        self._chosen: dict[str, tuple[Policy, Review, Policy]] = {}

    def publish(self, snapshot: Snapshot) -> None:
        """Take in what a tick has found of capacities and start-up times."""
        self._views = snapshot.services

    def current(self) -> tuple[WatchedPolicy, ...]:
        """Return the policies, with the settings that stand now."""
        watched = self._policies.current()
        with LOGGER.going_on("settings were not reviewed"):
            self._review({w.policy.item_id: w for w in watched if w.policy.objective is not None})
        return tuple(self._with_choice(one) for one in watched)

    def _review(self, asking: Mapping[str, WatchedPolicy]) -> None:
        now, leads = self._clock(), self._leads()
        done = self._reviewer.done()
        if done is not None and done.review is not None:
            self._reviews[done.item_id] = done.review
        elif done is not None:
            LOGGER.warning("%s: its settings were not reviewed: %s", done.item_id, done.fault)
        for kept in (self._reviews, self._tried, self._heard, self._chosen):
            for gone in kept.keys() - asking.keys():
                del kept[gone]
        for item, one in asking.items():
            if item not in self._reviews or not leads:
                self._take_over(item, one)
            known = self._reviews.get(item)
            if known is not None and known.objective != one.policy.objective:
                del self._reviews[item]  # it was chosen by something else
        if leads:
            self._begin_next(asking, now)

    def _take_over(self, item: str, one: WatchedPolicy) -> None:
        kept = None if one.checkpoint is None else one.checkpoint.get(REVIEW)
        if kept == self._heard.get(item):  # of most ticks
            return
        self._heard[item] = kept
        try:
            review = review_from_plain(one.checkpoint)
        except ValueError as error:
            LOGGER.warning("%s: %s; its settings are chosen afresh", item, error)
            return
        if review is not None:
            self._reviews[item] = review

    def _begin_next(self, asking: Mapping[str, WatchedPolicy], now: float) -> None:
        """Have the review made that is due for longest."""
        today, due = day_of(now), []
        for item in asking:
            known, tried = self._reviews.get(item), self._tried.get(item, -math.inf)
            last = -1 if known is None else known.reviewed
            if last < today and not 0 <= now - tried < RETRY_S:
                due.append((tried, last, item))
        for _, _, item in sorted(due):
            job = self._job(item, asking[item], today)
            if job is not None:
                if self._reviewer.begin(job):
                    self._tried[item] = now
                return

    def _job(self, item: str, one: WatchedPolicy, today: int) -> ReviewJob | None:
        """Return what is to be reviewed; None while nothing is known of the service."""
        view = self._views.get(item)
        if view is None or view.decision is None or view.lead_time is None:
            return None
        capacity = one.policy.capacity_qps or view.decision.capacity.qps
        known = replace(one, review=self._reviews.get(item), checkpoint=None)
        return ReviewJob(known, capacity, view.lead_time.start_up_s, today)

    def _with_choice(self, one: WatchedPolicy) -> WatchedPolicy:
        item, given = one.policy.item_id, one.policy
        review = self._reviews.get(item)
        if review is None or given.objective is None:
            return one
        before = self._chosen.get(item)
        if before is None or before[0] is not given or before[1] is not review:
            tuning = given.overrides.applied(review.choice.tuning)
            before = self._chosen[item] = given, review, given.tuned(tuning)
        return replace(one, policy=before[2], review=review)
