"""Something upstream is away, so that demand is far below what is usual: what a user sees of it."""

from __future__ import annotations

import pytest

from scaler.adapters.http import views
from scaler.control.checkpoint import to_plain
from scaler.control.cluster_port import AtZero
from scaler.control.snapshot import ServiceView
from tests.seams.policy_rows import AWAY, policy
from tests.seams.scene import Stage, read, status_of

# 200 QPS until the fourth minute, then 5; at least 100 are usual. A replica is to take 40.
HELD_QPS, HELD, GONE = 101.0, 3, 1
GIVEN = {**AWAY, "spec.replicas.min": 1, "spec.replicas.stabilization": "1m"}


def lived(folder, ticks: int, **given: object) -> tuple[Stage, list[ServiceView]]:
    changes = {key.replace("__", "."): value for key, value in given.items()}
    stage = Stage(read(folder, policy({**GIVEN, **changes})))
    return stage, [stage.tick() for _ in range(ticks)]


def usual(stage: Stage) -> list[tuple[bool, str]]:
    """Return what the policy's status says of the demand."""
    told = status_of(stage.cluster, stage.policy.item_id)["conditions"]
    return [(one["status"], one["reason"]) for one in told if one["kind"] == "DemandUsual"]


def test_what_is_usual_is_held_and_the_status_says_so(tmp_path):
    stage, seen = lived(tmp_path, 120)
    assert usual(stage) == [(False, "DemandHeld")]
    assert seen[-1].decision.why()["demand"] == "held"
    assert seen[-1].decision.demand.qps == pytest.approx(HELD_QPS, rel=0.01)
    assert min(view.floor for view in seen) == seen[-1].floor == HELD
    assert "implausibly low at this time of day" in str(views.explanation_view(seen[-1]))
    stage.close()


def test_no_forecast_rests_on_the_outage(tmp_path):
    stage, seen = lived(tmp_path, 100, spec__demand__model="flat")
    assert usual(stage) == [(False, "DemandHeld")]
    assert seen[-1].decision.why()["demand"] == "forecast"
    assert seen[-1].decision.demand.qps >= 200.0
    stage.close()


def test_it_is_held_no_longer_than_the_policy_says(tmp_path):
    stage, seen = lived(tmp_path, 120, spec__demand__hold__for="10m")
    assert usual(stage) == [(False, "DemandFollowed")]
    assert seen[-1].floor == GONE
    held = [view for view in seen if view.decision.demand.reason.value == "held"]
    assert 9.5 * 60 <= held[-1].at - held[0].at <= 10 * 60
    stage.close()


def test_a_restart_does_not_begin_to_hold_anew(tmp_path):
    stage, seen = lived(tmp_path, 60, spec__demand__hold__for="5m")
    assert usual(stage) == [(False, "DemandFollowed")]
    stage.close()
    document = read(tmp_path, policy({**GIVEN, "spec.demand.hold.for": "5m"}))
    after = Stage(document, checkpoint=to_plain(seen[-1].checkpoint))
    after.skip(60)
    assert after.tick().decision.demand.reason.value != "held"
    after.close()


def test_nothing_is_held_where_the_policy_says_so(tmp_path):
    stage, seen = lived(tmp_path, 120, spec__demand__hold__share=0)
    assert usual(stage) == []
    assert seen[-1].floor == GONE
    stage.close()


def test_a_workload_that_was_stopped_by_hand_stays_so(tmp_path):
    stage, _ = lived(tmp_path, 8)
    stage.cluster.at_zero[stage.target] = AtZero.STOPPED
    seen = [stage.tick() for _ in range(60)]
    assert seen[-1].decision.demand.reason.value == "held"
    assert stage.cluster.woken == {}
    assert "ScaledToZeroByUser" in {one.reason for one in seen[-1].conditions}
    stage.close()
