"""A review in a process of its own: its answer, its failure, its death, and when it hangs."""

from __future__ import annotations

import os
import time
from dataclasses import replace

import pytest

from forecaster.adapters.prometheus.settings import PrometheusSettings
from scaler.commands.review_process import ReviewProcess, ReviewSources
from scaler.control.reviewed_policies import DoneReview, ReviewJob
from scaler.decision.objective import ReviewRules
from scaler.decision.review import Review, begun
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
    scene = Scene(policy())
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
