"""In mode Auto the floor in the cluster follows the evidence, both ways."""

from __future__ import annotations

import pytest

from scaler.control.cluster_port import EventReason
from tests.seams.policy_rows import policy
from tests.seams.scenarios import SCENARIOS
from tests.seams.scene import Stage, read

EARNS, COSTS = "a floor that is proved to save", "one that costs more"


@pytest.mark.parametrize(
    ("name", "before", "after", "told"),
    [
        pytest.param(EARNS, False, True, EventReason.FLOOR_EARNED, id="it is written once earned"),
        pytest.param(COSTS, True, False, EventReason.FLOOR_TAKEN_BACK, id="and then put back"),
    ],
)
def test_the_floor_stands_while_it_has_earned_trust(name, before, after, told, tmp_path):
    scenario = SCENARIOS[name]
    stage = Stage(read(tmp_path, policy(scenario.given)), **scenario.stage())
    stands = []
    for tick in range(scenario.ticks):
        scenario.each(stage, tick)
        stage.tick()
        stands.append(bool(stage.cluster.raised()))
    stage.close()
    assert (stands[1], stands[-1]) == (before, after)
    reasons = [one.reason for one in stage.cluster.notices[stage.policy.item_id]]
    assert reasons.count(told) == 1


def test_the_next_process_goes_on_with_what_the_status_keeps(tmp_path):
    scenario = SCENARIOS[EARNS]
    document = read(tmp_path, policy(scenario.given))
    stage = Stage(document, **scenario.stage())
    for tick in range(scenario.ticks):
        scenario.each(stage, tick)
        view = stage.tick()
    stage.close()
    kept = stage.cluster.statuses[stage.policy.item_id][-1].published
    after = Stage(document, stage.cluster, checkpoint=kept)
    assert after.tick().evidence == view.evidence
    assert after.cluster.raised()
    after.close()
