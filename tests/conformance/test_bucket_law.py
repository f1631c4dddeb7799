"""The judge of real gateways accuses nobody who obeys, and finds out who does not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.limits import gcra
from tests.conformance.bucket_law import Bucket, excess, room
from tests.conformance.load import Answer

# More or less than a whole request is not to be told apart.
NEARLY = 1e-3


def answer(sent: float, back: float, status: int) -> Answer:
    return Answer(sent, status, back - sent, {}, "", sent, b"")


def played(rps: float, burst: int, sent: list[float], delays: list[float]) -> list[Answer]:
    """Return what a gateway that obeys answers: it decides somewhere between the two delays."""
    tat, answers = -math.inf, []
    pairs = zip(delays[::2], delays[1::2], strict=True)
    moments = [(at + late, at, back) for at, (late, back) in zip(sent, pairs, strict=True)]
    for decided, at, back in sorted(moments):
        verdict = gcra.admit(tat, decided, 1 / rps, burst)
        tat = verdict.tat
        answers.append(answer(at, decided + back, 200 if verdict.allowed else 429))
    return answers


def steady(rps: float, seconds: float) -> list[float]:
    return [number / rps for number in range(round(rps * seconds))]


def at_once(offered: float, seconds: float, rps: float, burst: int) -> list[Answer]:
    sent = steady(offered, seconds)
    return played(rps, burst, sent, [0.001] * 2 * len(sent))


@given(st.data())
def test_who_obeys_is_never_accused_however_late_everything_comes(data):
    gaps = data.draw(st.lists(st.floats(0, 0.5), min_size=5, max_size=60))
    sent = list(np.cumsum(gaps))
    late = st.floats(0, 2)
    delays = data.draw(st.lists(late, min_size=2 * len(sent), max_size=2 * len(sent)))
    rps, burst = data.draw(st.floats(0.5, 50)), data.draw(st.integers(1, 20))
    answers = played(rps, burst, sent, delays)

    assert excess(answers, Bucket(rps, burst)) <= NEARLY
    assert room(answers, Bucket(rps, burst)) <= NEARLY


@pytest.mark.parametrize(
    ("real", "burst"), [pytest.param(53, 5, id="6 % faster"), pytest.param(50, 8, id="3 deeper")]
)
def test_who_admits_more_is_told_by_how_much(real, burst):
    found = excess(at_once(150, 4, real, burst), Bucket(50, 5))

    assert found == pytest.approx(real * 4 + burst - 50 * 4 - 5, abs=1.5)


def test_who_admits_less_is_told_as_well():
    # Three a second too few; but the bucket may have been full at first, and is empty in the end.
    assert room(at_once(150, 1, 47, 10), Bucket(50, 10)) < 0
    assert room(at_once(150, 5, 47, 10), Bucket(50, 10)) == pytest.approx(5 * 3 - 10, abs=1.5)
    assert room(at_once(150, 9, 47, 10), Bucket(50, 10)) == pytest.approx(9, abs=1)
    assert room(at_once(30, 4, 20, 10), Bucket(50, 10)) > 8


def test_a_machine_that_stands_still_for_a_second_accuses_nobody():
    sent = [at if at < 1 or at > 2 else 2.0 for at in steady(100, 4)]
    answers = played(20, 2, sent, [0.001] * 2 * len(sent))

    assert excess(answers, Bucket(20, 2)) <= NEARLY
    assert room(answers, Bucket(20, 2)) <= NEARLY


def test_a_limit_that_changes_is_followed():
    def drained(at):
        return np.where(at < 2, at * 40, 80 + (at - 2) * 10)

    before, after = at_once(100, 2, 40, 1), at_once(100, 2, 10, 1)
    later = [answer(one.at + 2, one.answered_at + 2, one.status) for one in after]
    never = at_once(100, 4, 40, 1)

    assert excess([*before, *later], Bucket(drained, 2)) <= NEARLY
    assert excess(never, Bucket(drained, 2)) > 40


def test_where_nobody_was_refused_there_is_nothing_to_accuse_of():
    assert room(at_once(10, 1, 50, 5), Bucket(50, 5)) == -math.inf
