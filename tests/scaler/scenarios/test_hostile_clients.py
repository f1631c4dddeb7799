"""Nine scenes with hostile clients, in a third of the size of `benchmarks hostile`."""

from __future__ import annotations

import pytest

from benchmarks.limiters.hostile import CALM_S, HostileScene, fairness, hostile_scenes

PART = 0.3
SCENES = {scene.name: scene for scene in hostile_scenes(PART)}
CROWD, MIMICRY = "flash crowd, 80 % new", "mimicry of the heaviest"
BETWEEN = "rotation, 100 names/s"  # 33 and 500 show the same
# Attackers that send at least three times what the heaviest normal client does, or new names.
HEAVY = sorted(SCENES.keys() - {CROWD, MIMICRY})


def by_day(names):
    marked = {BETWEEN: pytest.mark.nightly}
    return [pytest.param(name, marks=marked.get(name, ())) for name in names]


@pytest.mark.parametrize("name", by_day(sorted(SCENES)))
def test_where_all_fit_nobody_is_refused(name):
    found = fairness(SCENES[name].fitting())
    assert found.refused.total() == found.calm_refused == 0


@pytest.mark.parametrize("name", by_day(HEAVY))
def test_normal_clients_keep_their_max_min_share(name):
    found = fairness(SCENES[name])
    assert found.calm_refused == 0
    assert found.beyond <= 0.015  # in full size 0.01; chance is larger here
    assert found.greed <= 1.0


@pytest.mark.nightly
@pytest.mark.parametrize("scene", hostile_scenes(), ids=lambda scene: scene.name)
def test_in_full_size_no_more_than_a_hundredth_is_missing(scene):
    found = fairness(scene)
    assert scene.name not in HEAVY or found.beyond <= 0.01


def test_who_sends_as_much_as_the_heaviest_gets_no_more_than_its_share():
    assert fairness(SCENES[MIMICRY]).greed <= 1.0


def test_a_crowd_of_new_honest_clients_is_served_in_proportion_once_it_is_known():
    found = fairness(SCENES[CROWD])
    # Over all of it, also the first minute, in which the new ones are newcomers.
    assert found.served("new") > 0.7 * found.served("normal")
    assert found.served("normal") < 0.9


def test_a_scene_offers_what_it_says():
    for scene in SCENES.values():
        offered = sum(group.qps for group in scene.groups)
        assert isinstance(scene, HostileScene)
        assert offered / scene.limit_qps == pytest.approx(1.5, rel=0.01)
        assert all(group.from_s in (0.0, CALM_S) for group in scene.groups)
