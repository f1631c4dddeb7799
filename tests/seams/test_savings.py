"""What a floor saves is told in money, from a policy's file to its status, and is handed on."""

from __future__ import annotations

import pytest

from scaler.adapters.http.views import explanation_view, snapshot_view
from scaler.control.checkpoint import from_plain
from scaler.control.snapshot import Snapshot
from scaler.decision.savings import NOTHING_SAVED
from tests.seams.policy_rows import COST, policy
from tests.seams.scene import Stage, read


def lived(stage: Stage, ticks: int):
    for _ in range(ticks):
        view = stage.tick()
    stage.close()
    return view


@pytest.mark.parametrize(
    ("given", "tells"),
    [
        pytest.param(COST, True, id="enforced, at a price"),
        pytest.param({**COST, "spec.mode": "Recommend"}, False, id="without a floor none saves"),
    ],
)
def test_money_is_told_where_a_floor_stands(given, tells, tmp_path):
    stage = Stage(read(tmp_path, policy(given)))
    view = lived(stage, 60)
    status = stage.cluster.statuses[stage.policy.item_id][-1]
    assert (status.saved is not None) is tells
    said = [one for one in explanation_view(view)["words"] if " EUR" in one]
    assert bool(said) is tells
    in_all = snapshot_view(Snapshot(1, view.at, {view.item_id: view}))["saved"]
    assert [one["currency"] for one in in_all] == (["EUR"] if tells else [])


def test_money_is_replica_hours_at_the_price(tmp_path):
    stage = Stage(read(tmp_path, policy(COST)))
    lived(stage, 60)
    saved = stage.cluster.statuses[stage.policy.item_id][-1].saved
    assert saved["amount"] == pytest.approx(saved["replicaHours"] * 0.05, rel=1e-3)
    assert saved["seconds"] > 0
    assert "low" not in saved  # of less than a week


def test_the_next_process_goes_on_with_the_sums(tmp_path):
    document = read(tmp_path, policy(COST))
    stage = Stage(document)
    lived(stage, 60)
    kept = stage.cluster.statuses[stage.policy.item_id][-1].published
    after = lived(Stage(document, checkpoint=kept), 1).checkpoint.savings
    assert after == from_plain(kept).savings != NOTHING_SAVED
