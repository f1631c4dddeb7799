"""A review in a process of its own: its answer, its failure, its death, and when it hangs."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from forecaster.adapters.prometheus.settings import PrometheusSettings
from scaler.commands import review_process
from scaler.commands.review_process import ReviewProcess, ReviewSources, review_from
from scaler.control.reviewed_policies import DoneReview, ReviewJob
from scaler.decision.days import DAY_S
from scaler.decision.objective import ChoiceReason, ReviewRules
from scaler.decision.review import Review, begun
from scaler.errors import ScalerError
from tests.faults.scene import PRETRAINED
from tests.forecaster.adapters.prometheus.server import (
    FakeSeries,
    PrometheusServer,
    Reply,
    serving,
)
from tests.scaler.control.test_reviewed_policies import OBJECTIVE, Scene, policy
from tests.waiting import eventually

SOURCES = ReviewSources(PrometheusSettings("http://127.0.0.1:9"), None, "models")
RULES = ReviewRules(OBJECTIVE)


def made(sources: ReviewSources, job: ReviewJob) -> Review:
    assert os.nice(0) == 19
    return begun(RULES, job.today)


def failed(sources: ReviewSources, job: ReviewJob) -> Review:
    raise OSError("there is no past")


def died(sources: ReviewSources, job: ReviewJob) -> Review:
    os._exit(3)


def hung(sources: ReviewSources, job: ReviewJob) -> Review:
    time.sleep(600)
    raise AssertionError


@pytest.fixture
def job():
    scene = Scene(policy(model="web"))
    scene.tick()
    return scene.reviewer.jobs[0]


def answer_of(process: ReviewProcess, job: ReviewJob) -> DoneReview:
    assert process.begin(job)
    assert not process.begin(job)  # one at a time
    found: list[DoneReview] = []
    try:
        eventually(lambda: found.extend(filter(None, [process.done()])) or found)
    finally:
        process.close()
    return found[0]


def test_a_review_comes_back_from_its_process(job):
    process = ReviewProcess(SOURCES, made)
    assert process.done() is None
    assert answer_of(process, job) == DoneReview("shop/checkout", begun(RULES, job.today))
    assert process.done() is None
    assert answer_of(process, job).review is not None  # and then the next


@pytest.mark.parametrize(
    ("make", "why"), [(failed, "OSError: there is no past"), (died, "with exit code 3")]
)
def test_one_that_fails_or_dies_says_so(job, make, why):
    found = answer_of(ReviewProcess(SOURCES, make), job)
    assert found.review is None
    assert why in found.fault


def test_one_that_hangs_is_given_up(job):
    found = answer_of(ReviewProcess(SOURCES, hung, longest_s=0.1), job)
    assert found == replace(found, review=None, fault="it was given up after 0 s")


def sources_of(server: PrometheusServer) -> ReviewSources:
    return ReviewSources(PrometheusSettings(server.url, retries=0), None, PRETRAINED)


def past_of(job: ReviewJob, days: float) -> PrometheusServer:
    """Return a Prometheus that has so much of a service before today."""
    until = job.today * DAY_S

    def text(stamp: int) -> str | None:
        return "900" if until - days * DAY_S <= stamp <= until else None

    return PrometheusServer({"offered": [FakeSeries({}, text)]})


def test_a_review_reads_the_past_from_prometheus_and_says_that_it_is_too_short(job):
    with serving(past_of(job, 1.5)) as server:
        found = review_from(sources_of(server), job)
    assert found.choice.reason is ChoiceReason.TOO_LITTLE_PAST
    assert found.choice.tuning == job.watched.policy.tuning
    assert found.reviewed == job.today
    ends = {float(asked.params["end"]) for asked in server.asked}
    assert max(ends) <= job.today * DAY_S  # nothing of the day that has begun


def test_a_past_that_cannot_be_read_is_a_fault_and_no_choice(job, monkeypatch):
    monkeypatch.setattr(review_process, "_RETRY_S", 0.0)
    away = PrometheusServer(script=[Reply(503)] * 100)
    for server, why in ((away, "could not be read"), (PrometheusServer(), "no sample")):
        with serving(server) as serves, pytest.raises(ScalerError, match=why):
            review_from(sources_of(serves), job)


def test_a_policy_that_names_no_model_is_told_so_for_nothing_is_forecast(job):
    one = job.watched
    nameless = replace(job, watched=replace(one, policy=replace(one.policy, model=None)))
    with pytest.raises(ScalerError, match="names no forecaster, so nothing is forecast"):
        review_from(SOURCES, nameless)


@pytest.mark.nightly
def test_a_steady_service_is_given_fewer_replicas_by_a_month_of_its_past(job):
    with serving(past_of(job, 36)) as server:
        found = review_from(sources_of(server), job)
    assert len(found.days) == 28
    assert found.choice.tuning.target_utilization >= 0.9
    assert found.stood.replica_hours < found.given.replica_hours
    assert found.choice.spent.violations <= 0.0005
