"""An event that recurs, from a policy's file to the floor: what it brings teaches the next one."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime

import numpy as np
import pytest

from forecaster.adapters.prometheus.settings import PrometheusSettings
from forecaster.data.series import Series
from scaler.adapters.http.views import explanation_view
from scaler.adapters.prometheus_traffic import PrometheusTraffic
from scaler.decision.event_levels import MOST_RATIOS, learned_multiplier
from tests.forecaster.adapters.prometheus.server import (
    FakeSeries,
    PrometheusServer,
    matrix,
    serving,
)
from tests.seams.policy_rows import policy
from tests.seams.scene import DEMAND, START, STEP, TICK_S, ScriptedTraffic, Stage, read

HOUR_TICKS = int(3600 // TICK_S)
# It begins half an hour after the stage does, and lasts for twenty minutes.
FIRST, LAST = ((START // 60 + minute) % 60 for minute in (30, 50))


def offered(seconds: float) -> float:
    """Return about 200 QPS, and 2.5 times that while the event is on."""
    usual = 200.0 + math.sin(seconds)  # what never moves is not believed
    return 2.5 * usual if 1800 <= seconds % 3600 < 3000 else usual


class Prometheus(PrometheusServer):
    """It was begun to scrape as the stage began."""

    def _answer(self, asked):
        start, end, step = (int(asked.params[name]) for name in ("start", "end", "step"))
        stamps = [at for at in range(start, end + 1, step) if at >= START]
        value = offered if asked.params["query"] == "hourly" else lambda _: 0.1
        return matrix([FakeSeries({}, lambda at: str(value(at - START)))] if stamps else [], stamps)


class NoPast(ScriptedTraffic):
    def _history(self, item, query, length, now):
        return "it is new"


class WithPast(ScriptedTraffic):
    def _history(self, item, query, length, now):
        count = length // STEP
        end = now // 60 * 60
        stamps = end - 60.0 * np.arange(count)[::-1]
        values = np.array([offered(stamp - 30 - START) for stamp in stamps])
        return Series(item, datetime.fromtimestamp(stamps[0], UTC), STEP, values)


@pytest.fixture(autouse=True)
def _demand(monkeypatch):
    monkeypatch.setitem(DEMAND, "hourly", offered)


def given(**more):
    recurs = {"timezone": "UTC", "start": f"{FIRST:.0f} * * * *", "end": f"{LAST:.0f} * * * *"}
    event = {"name": "auction", "recurs": recurs, "multiplier": 4.0, **more}
    return policy(
        {
            "spec.demand.query": "hourly",
            "spec.demand.events": [event],
            "spec.demand.risk": 0.2,
            "spec.replicas.leadTime": "2m",
            "spec.replicas.stabilization": "0s",
        }
    )


def begun(stage, hours):
    """Live through hours; return the view of the tick before each start, and the last one."""
    seen = []
    for tick in range(hours * HOUR_TICKS):
        view = stage.tick()
        if tick % HOUR_TICKS == int(1795 // TICK_S):
            seen.append(view)
    return seen, view


def test_two_occurrences_teach_the_third(tmp_path):
    with serving(Prometheus()) as server:
        traffic = PrometheusTraffic(PrometheusSettings(server.url), STEP, workers=2)
        stage = Stage(read(tmp_path, given(learn=True)), traffic=traffic)
        seen, view = begun(stage, 3)
        stage.close()
    planned = [one.decision.demand.qps for one in seen]
    assert planned[0] == pytest.approx(4.0 * 200, rel=0.01)  # as the policy states
    expected = learned_multiplier((2.5, 2.5), 4.0, 0.2).high
    assert planned[2] == pytest.approx(expected * 200, rel=0.02)
    assert 500 < planned[2] < planned[0]
    assert [one.decision.demand.event for one in seen] == ["auction"] * 3
    floors = [one.floor for one in seen]
    assert floors[0] in (20, 21)  # 800 / (50 x 0.8)
    assert floors[2] < floors[0]
    (told,) = stage.cluster.statuses[stage.policy.item_id][-1].events
    assert (told["name"], told["occurrences"]) == ("auction", 3)
    assert told["last"] == pytest.approx(2.5, rel=0.02)
    assert any("auction brought 2.5 times" in one for one in explanation_view(view)["words"])


def test_what_was_before_anybody_watched_is_learned_from_the_history(tmp_path):
    stage = Stage(read(tmp_path, given(learn=True)), traffic=WithPast())
    (seen,), view = begun(stage, 1)
    stage.close()
    assert len(view.checkpoint.event_ratios["auction"]) == MOST_RATIOS
    expected = learned_multiplier((2.5,) * MOST_RATIOS, 4.0, 0.2).high
    assert seen.decision.demand.qps == pytest.approx(expected * 200, rel=0.02)
    assert seen.floor < 20


def test_without_learning_the_policy_counts_and_what_came_is_told(tmp_path):
    stage = Stage(read(tmp_path, given()), traffic=NoPast())
    seen, view = begun(stage, 2)
    stage.close()
    assert [one.decision.demand.qps for one in seen] == [pytest.approx(800.0, rel=0.01)] * 2
    assert any("learn is not set" in one for one in explanation_view(view)["words"])


def test_the_next_leader_goes_on_with_what_was_learned(tmp_path):
    document = read(tmp_path, given(learn=True))
    stage = Stage(document, traffic=NoPast())
    begun(stage, 1)
    stage.close()
    kept = stage.cluster.statuses[stage.policy.item_id][-1].published
    after = Stage(document, traffic=NoPast(), checkpoint=json.loads(json.dumps(kept)))
    view = after.tick()
    after.close()
    (ratio,) = view.checkpoint.event_ratios["auction"]
    assert ratio == pytest.approx(2.5, rel=0.02)
