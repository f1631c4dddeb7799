"""Replicas are created, start, warm up and go, in the order in which a ReplicaSet takes them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.policy.service_model import ServiceModel
from scaler.simulation.replicas import SimulatedReplicas

# Ready after 90 s; from half of a warm one to all of it in 30 s.
EXACT = ServiceModel(100.0, start_up_spread=0.0)


def cluster(replicas: int = 2, model: ServiceModel = EXACT, *, seed: int = 0) -> SimulatedReplicas:
    return SimulatedReplicas(model, replicas, 0.0, np.random.default_rng(seed))


def test_at_first_all_are_warm():
    one = cluster(5)
    assert (one.replicas, one.ready, one.starting, one.warm(0.0)) == (5, 5, 0, 5.0)


@pytest.mark.parametrize(
    ("after_s", "ready", "warm"),
    [
        pytest.param(0.0, 2, 2.0, id="created: nothing yet"),
        pytest.param(89.0, 2, 2.0, id="still starting"),
        pytest.param(90.0, 4, 3.0, id="ready: 2 + 2 x 0.5"),
        pytest.param(105.0, 4, 3.5, id="half way up the ramp: 2 + 2 x 0.75"),
        pytest.param(120.0, 4, 4.0, id="warm"),
        pytest.param(1e6, 4, 4.0, id="warm for good"),
    ],
)
def test_a_replica_is_ready_after_its_start_up_and_warm_after_the_ramp(after_s, ready, warm):
    one = cluster(2)
    one.scale(1000.0, 4)
    assert one.warm(1000.0 + after_s) == pytest.approx(warm)
    assert (one.ready, one.replicas, one.starting) == (ready, 4, 4 - ready)


def test_without_a_ramp_ready_is_warm():
    one = cluster(1, ServiceModel(100.0, start_up_spread=0.0, ramp_s=0.0))
    one.scale(0.0, 3)
    assert one.warm(90.0) == 3.0


def test_those_that_start_go_first():
    one = cluster(2)
    one.scale(0.0, 5)
    one.scale(15.0, 3)
    assert (one.ready, one.starting) == (2, 1)
    assert one.warm(90.0) == 2.5  # the one that is left was not delayed


def test_of_those_that_start_the_last_to_be_ready_go_first():
    one = cluster(0)
    one.scale(0.0, 1)  # ready at 90
    one.scale(60.0, 2)  # ready at 150
    one.scale(75.0, 1)
    one.warm(90.0)
    assert one.ready == 1


def test_of_those_ready_the_youngest_go_first():
    one = cluster(2)
    one.scale(0.0, 3)
    one.scale(15.0, 4)
    # Ready at 90 and at 105 s; at 111 s they are 21 and 6 s up a ramp of 30 s from one half.
    assert one.warm(111.0) == pytest.approx(2 + 0.85 + 0.6)
    one.scale(111.0, 3)
    assert one.warm(111.0) == pytest.approx(2 + 0.85)
    one.scale(111.0, 1)
    assert one.warm(111.0) == 1.0


def test_the_same_count_again_changes_nothing():
    one, other = cluster(2), cluster(2)
    for now, count in ((0.0, 5), (15.0, 5), (30.0, 4), (45.0, 4), (45.0, 4)):
        one.scale(now, count)
    other.scale(0.0, 5)
    other.scale(30.0, 4)
    assert [one.warm(t) for t in (60.0, 90.0, 120.0)] == [
        other.warm(t) for t in (60.0, 90.0, 120.0)
    ]


def test_start_up_times_are_lognormal_around_the_median():
    model = ServiceModel(100.0, start_up_s=90.0, start_up_spread=0.2, ramp_s=0.0)
    one = cluster(0, model)
    one.scale(0.0, 4000)
    shares = [one.warm(90.0 * np.exp(0.2 * z)) / 4000 for z in (-1.0, 0.0, 1.645)]
    assert shares == pytest.approx([0.159, 0.5, 0.95], abs=0.03)  # the normal distribution's


def test_the_same_seed_gives_the_same_start_ups_and_another_seed_others():
    spread = ServiceModel(100.0, start_up_spread=0.3)

    def ready_at(seed):
        one = cluster(0, spread, seed=seed)
        one.scale(0.0, 50)
        return [one.warm(float(t)) for t in range(0, 300, 10)]

    assert ready_at(1) == ready_at(1)
    assert ready_at(1) != ready_at(2)


steps = st.lists(st.tuples(st.sampled_from([0.0, 15.0, 60.0]), st.integers(0, 30)), max_size=30)


@given(st.integers(0, 20), steps, st.integers(0, 5))
def test_there_are_as_many_as_asked_for_and_no_count_is_negative(replicas, steps, seed):
    one = cluster(replicas, ServiceModel(100.0, start_up_spread=0.5), seed=seed)
    now = 0.0
    for wait, count in steps:
        now += wait
        before = one.warm(now)
        ready = one.ready
        one.scale(now, count)
        after = one.warm(now)
        assert one.replicas == count == one.ready + one.starting
        assert one.ready == min(ready, count)  # starting ones go first, and none is ready at once
        assert 0 <= after <= one.ready
        assert after <= before


def test_fewer_than_none_is_refused():
    with pytest.raises(ValueError, match="replicas is -1, but must be at least 0"):
        cluster(2).scale(0.0, -1)
