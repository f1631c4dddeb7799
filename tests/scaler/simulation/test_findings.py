"""What a replay says of itself: winning and losing as plainly as each other."""

import math
from dataclasses import replace

import pytest

from scaler.decision.trust import Standing
from scaler.simulation.contest import CLAIRVOYANT, HPA, TIDEGATE
from scaler.simulation.findings import COLUMNS, latency, row, sentences, share, verdict
from tests.scaler.simulation.contest_samples import small_contest, with_frontier, with_table

FOUND = {"replica_hours": 100.0, "violations": 0.0004}


@pytest.mark.parametrize(
    ("hpa", "tidegate", "passed", "said"),
    [
        pytest.param(
            {}, {"replica_hours": 80.0}, True, "20 % fewer replica-hours than the HPA",
            id="cheaper, and no more violations",
        ),
        pytest.param(
            {}, {}, True, "as many replica-hours as the HPA", id="the same is no worse",
        ),
        pytest.param(
            {}, {"replica_hours": 125.0}, False, "25 % more replica-hours than the HPA",
            id="dearer",
        ),
        pytest.param(
            {}, {"replica_hours": 80.0, "violations": 0.02}, False,
            "with 2 % of the requests over the SLO or dropped (HPA: 0.04 %)",
            id="cheaper, but it breaks the SLO",
        ),
        pytest.param(
            {}, {"replica_hours": 80.0, "violations": 0.001}, True, "with 0.1 % of the requests",
            id="more violations, but no more than the SLO allows (1 - 0.999)",
        ),
        pytest.param(
            {"violations": 0.3}, {"violations": 0.25}, True, "(HPA: 30 %)",
            id="the SLO is broken, but by less than the HPA breaks it",
        ),
    ],
)  # fmt: skip
def test_the_verdict_is_on_cost_and_violations_both(hpa, tidegate, passed, said):
    found = with_table(hpa={**FOUND, **hpa}, tidegate={**FOUND, **tidegate})
    assert verdict(found)[0] is passed
    assert said in verdict(found)[1]
    assert verdict(found)[1].startswith("tidegate: ")


def said_of(*points) -> str:
    return " ".join(sentences(with_frontier(*points)))


@pytest.mark.parametrize(
    ("points", "said"),
    [
        pytest.param(
            [(HPA, 0.6, 100.0, 0.0005), (HPA, 0.8, 90.0, 0.02), (TIDEGATE, 0.95, 70.0, 0.0009)],
            "Each at the cheapest target that keeps violations within 0.1 %: tidegate at target "
            "0.95 needs 30 % fewer replica-hours than the HPA at target 0.6.",
            id="better at equal violations: 70 / 100",
        ),
        pytest.param(
            [(HPA, 0.6, 100.0, 0.0005), (TIDEGATE, 0.95, 103.0, 0.0009)],
            "tidegate at target 0.95 needs 3 % more replica-hours than the HPA at target 0.6.",
            id="worse at equal violations",
        ),
        pytest.param(
            [(HPA, 0.6, 100.0, 0.01), (TIDEGATE, 0.9, 1103.0, 0.0009)],
            "No target of the HPA keeps violations within 0.1 %; tidegate's target 0.9 does, with "
            "1,103.0 replica-hours.",
            id="only tidegate keeps the objective",
        ),
        pytest.param(
            [(HPA, 0.6, 100.0, 0.01), (TIDEGATE, 0.9, 103.0, 0.01)],
            "No target of tidegate keeps violations within 0.1 %",
            id="nobody does",
        ),
    ],
)
def test_the_frontier_is_read_at_equal_violations(points, said):
    assert said in said_of(*points)


def test_where_nothing_was_recorded_a_week_ago_the_offset_query_s_sentence_says_so():
    """The small contest rests on a day and an hour."""
    told = " ".join(sentences(small_contest()))
    assert (
        "Nothing was recorded then for 100 % of the time, in which KEDA's other trigger decided "
        "alone." in told
    )
    assert told.count("Nothing was recorded then") == 1


def test_the_frontier_is_read_at_equal_cost():
    """The table's HPA costs what it costs; only what is no dearer is compared."""
    hours = next(o.replica_hours for o in small_contest().table if o.name == HPA)
    points = (TIDEGATE, 0.7, hours, 0.0002), (TIDEGATE, 0.5, hours + 1, 0.0001)
    assert "At the HPA's own cost, tidegate at target 0.7 has 0.02 % violations" in said_of(*points)
    assert "At the HPA's own cost" not in said_of(points[1])


def test_without_a_frontier_nothing_is_said_of_one():
    assert "cheapest target" not in said_of()
    assert "own cost" not in said_of()


def test_the_floor_under_the_autoscaler_as_it_is_is_told_apart():
    found = with_table(
        hpa={"replica_hours": 100.0}, **{"tidegate, HPA as it is": {"replica_hours": 110.0}}
    )
    assert "Under the HPA as it is, the floor means 10 % more replica-hours than without it" in (
        " ".join(sentences(found))
    )


@pytest.mark.parametrize(
    ("benched", "said"),
    [
        pytest.param(0, "the model was never benched.", id="never"),
        pytest.param(15, "the model was benched 25 % of the time.", id="15 rows of 60"),
    ],
)
def test_trust_is_told_whether_the_model_was_benched_or_not(benched, said):
    held = small_contest()
    one = replace(held.trust[0], coverage=0.93)
    path = (replace(one, standing=Standing.BENCHED),) * benched + (one,) * (60 - benched)
    told = " ".join(sentences(replace(held, trust=path)))
    assert f"The forecast held for 93 % of the lead times; {said}" in told


def test_what_bound_the_plan_is_told_by_time_the_most_first():
    found = replace(small_contest(), reasons={"needed_again": 60, "wanted": 120, "step_up": 20})
    assert sentences(found)[-1] == (
        "What bound tidegate's plan, by time: wanted 60 %, needed again 30 %, step up 10 %."
    )


def test_what_hardly_ever_bound_the_plan_is_left_out():
    found = replace(small_contest(), reasons={"wanted": 999, "held": 1})
    assert sentences(found)[-1] == "What bound tidegate's plan, by time: wanted 100 %."


def test_a_row_has_a_text_for_every_column():
    held = small_contest()
    for found in held.table:
        assert len(row(held, found)) == len(COLUMNS)
    floor = next(found for found in held.table if found.name == CLAIRVOYANT)
    assert row(held, floor)[2] == "1.00"


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0 %"), (0.00047, "0.047 %"), (0.0999, "10 %"), (0.5, "50 %"), (1.0, "100 %")],
)
def test_a_share_is_told_in_per_cent(value, said):
    assert share(value) == said


def test_a_latency_that_more_than_one_in_a_hundred_never_had_is_told_as_dropped():
    assert (latency(1.2345), latency(math.inf)) == ("1,234 ms", "dropped")
