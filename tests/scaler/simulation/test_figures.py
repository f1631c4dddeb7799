"""What is drawn is what was found: figures are read back from the traces."""

import numpy as np
import pytest

from scaler.simulation import figures
from scaler.simulation.contest import CLAIRVOYANT, HOLT_WINTERS, HPA, TIDEGATE
from tests.scaler.simulation.contest_samples import small_contest, with_frontier


def traces(figure):
    return {trace.name: trace for trace in figure.data}


def test_the_frontier_is_cost_relative_to_the_floor_against_violations():
    held = with_frontier((HPA, 0.9, 80.0, 0.02), (HPA, 0.5, 100.0, 0.0), (TIDEGATE, 0.9, 70.0, 0.1))
    floor = next(o.replica_hours for o in held.table if o.name == CLAIRVOYANT)
    drawn = traces(figures.frontier(held))
    assert drawn[HPA].x == pytest.approx((80 / floor, 100 / floor))
    assert drawn[HPA].y == (0.02, figures.LEAST_SHARE)  # a logarithm has no zero
    assert drawn[HPA].customdata == (0.9, 0.5)
    assert drawn[TIDEGATE].y == (0.1,)


def test_what_is_configured_is_marked_on_the_frontier():
    held = small_contest()
    marks = traces(figures.frontier(held))["as configured"]
    assert set(marks.text) == set(held.runs)
    assert len(marks.x) == len(held.table)


@pytest.mark.parametrize("draw", [figures.frontier, figures.replicas, figures.broken_requests])
def test_every_contender_is_in_every_figure(draw):
    held = small_contest()
    assert set(held.runs) <= {trace.name for trace in draw(held).data}


@pytest.mark.parametrize("draw", [figures.replicas, figures.broken_requests])
def test_replicas_and_requests_are_drawn_from_zero(draw):
    assert draw(small_contest()).layout.yaxis.rangemode == "tozero"


def test_replicas_are_drawn_over_what_was_needed():
    held = small_contest()
    drawn = traces(figures.replicas(held, (HPA, TIDEGATE)))
    assert set(drawn) == {"needed", HPA, TIDEGATE}
    assert max(drawn["needed"].y) == pytest.approx(held.setting.scene.demand.max() / 100)
    assert max(drawn[TIDEGATE].y) == held.runs[TIDEGATE].replicas.max()


def test_the_running_total_ends_with_all_that_were_broken():
    held = small_contest()
    drawn = traces(figures.broken_requests(held))
    assert set(drawn) == set(held.runs)
    for found in held.table:
        requests = held.runs[found.name].offered.sum() * 15
        assert drawn[found.name].y[-1] == pytest.approx(found.violations * requests)
        assert (np.diff(drawn[found.name].y) >= 0).all()


def test_trust_is_drawn_from_the_first_tick_to_the_last():
    held = small_contest()
    drawn = traces(figures.trust(held))
    for who, path in ((TIDEGATE, held.trust), (HOLT_WINTERS, held.smoothing_trust)):
        assert drawn[f"{who}: level read"].y[-1] == path[-1].level
        assert drawn[f"{who}: within what was foreseen"].y[0] == path[0].coverage
    first, last = (drawn["tidegate: level read"].x[i] for i in (0, -1))
    assert str(first)[:16].replace("T", " ") == "2026-03-04 10:59"
    assert str(last)[:16].replace("T", " ") == "2026-03-04 11:59"


def test_frontiers_of_several_replays_stand_beside_one_hpa():
    held = with_frontier((HPA, 0.9, 80.0, 0.02), (TIDEGATE, 0.9, 70.0, 0.1))
    drawn = figures.frontiers({"risk 0.1": held, "risk 0.01": held})
    assert [trace.name for trace in drawn.data] == [HPA, "risk 0.1", "risk 0.01"]
    colours = [trace.line.color for trace in drawn.data]
    assert len(set(colours)) == 3
