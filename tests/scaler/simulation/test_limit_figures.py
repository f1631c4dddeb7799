"""The figures of rate limits: every class, from zero, and what was counted."""

import pytest

from scaler.simulation.limit_figures import limited_by_class, limited_over_time
from tests.forecaster.evaluation.backtest_samples import HOSTILE
from tests.scaler.simulation.gateway_samples import FOUND, PLAIN, named


def test_what_came_and_passed_is_drawn_of_all_beside_the_limit_and_of_each_class():
    drawn = limited_over_time(FOUND)
    by_row = {(trace.name, trace.yaxis): list(trace.y) for trace in drawn.data}
    assert by_row == {
        ("limit", "y"): [15.0, 16.0],
        ("came", "y"): [15.0, 18.0],
        ("admitted", "y"): [14.5, 16.8],
        ("came", "y2"): [5.0, 6.0],
        ("admitted", "y2"): [5.0, 6.0],
        ("came", "y3"): [10.0, 12.0],
        ("admitted", "y3"): [9.5, 10.8],
    }
    assert [one.text for one in drawn.layout.annotations] == ["all", "pay", "stress"]


def test_without_classes_only_all_requests_are_drawn():
    assert [one.text for one in limited_over_time(PLAIN).layout.annotations] == ["all"]
    assert len(limited_by_class(PLAIN).data[0].y) == 1


def test_each_class_and_all_of_them_have_a_bar_of_what_became_of_their_requests():
    drawn = {trace.name: list(trace.x) for trace in limited_by_class(FOUND).data}
    # In the order stress, pay, all: a bar's axis goes up.
    assert drawn == {
        "admitted": [18_500, 10_000, 28_500],
        "refused above the limit": [1_470, 0, 1_470],
        "refused within the limit": [30, 0, 30],
    }
    assert limited_by_class(FOUND).data[0].y[0] == "stress<br>1,500 refused (7.5 %)"


@pytest.mark.parametrize("draw", [limited_by_class, limited_over_time])
def test_rates_and_requests_are_drawn_from_zero(draw):
    layout = draw(FOUND).layout
    axes = [layout.xaxis] if draw is limited_by_class else [layout.yaxis, layout.yaxis2]
    assert {axis.rangemode for axis in axes} == {"tozero"}


@pytest.mark.parametrize("draw", [limited_by_class, limited_over_time])
def test_a_hostile_class_is_shown_as_text(draw):
    drawn = draw(named(HOSTILE)).to_plotly_json()
    assert "<script" not in str(drawn)
    assert "&lt;" in str(drawn)
