"""All contenders over the same demand: nobody's run depends on another's, nor on who counts."""

from dataclasses import asdict, replace
from itertools import pairwise

import pytest

from scaler.hpa.controller import HPASpec, MetricGoal, MetricKind
from scaler.simulation.contenders import TidegateContender
from scaler.simulation.contest import (
    CLAIRVOYANT,
    FLOOR_ONLY,
    HOLT_WINTERS,
    HPA,
    KEDA,
    OFFSET_DAY,
    OFFSET_WEEK,
    PREDICTIVE,
    SWEPT,
    TIDEGATE,
    ContestJob,
    FrontierPoint,
    carried_out,
    cheapest,
    contest,
    run_count,
    safest,
)
from scaler.simulation.outcome import ReplayOutcome, outcome
from tests.scaler.simulation.replay_samples import alone, setting_of

FAMILIES = (
    *(HPA, KEDA, OFFSET_WEEK, OFFSET_DAY, PREDICTIVE, HOLT_WINTERS),
    *(FLOOR_ONLY, TIDEGATE, CLAIRVOYANT),
)
TARGETS = (0.4, 0.6, 0.8, 0.95)


@pytest.fixture(scope="module")
def setting():
    """Six hours at 15 s."""
    return setting_of()


@pytest.fixture(scope="module")
def held(setting):
    return contest(setting, targets=TARGETS)


def figures(found):
    """Return everything that a contest says, as plain values."""
    runs = {name: (done.replicas.tolist(), done.lost.tolist()) for name, done in found.runs.items()}
    return [asdict(o) for o in found.table], found.frontier, dict(found.reasons), runs


def test_the_table_holds_every_contender_and_the_frontier_every_target(held):
    assert tuple(found.name for found in held.table) == FAMILIES == tuple(held.runs)
    assert [(p.family, p.target) for p in held.frontier] == [
        (family, target) for family in SWEPT for target in TARGETS
    ]


def test_the_same_setting_gives_the_same_figures(held):
    assert figures(contest(setting_of(), targets=TARGETS)) == figures(held)


def test_two_processes_find_what_one_does(setting, held):
    assert figures(contest(setting, targets=TARGETS, workers=2)) == figures(held)


def test_each_contender_runs_as_if_it_were_alone(setting, held):
    job = ContestJob(TIDEGATE, setting.policy.scale.target_utilization)
    assert outcome(setting.scene, carried_out(setting, job)[0]) in held.table


def test_without_targets_there_is_a_table_alone(setting, held):
    told = []
    found = contest(setting, targets=(), progress=told.append)
    assert found.frontier == ()
    assert found.table == held.table
    assert told == list(FAMILIES)


def test_progress_is_told_of_every_run(setting):
    told = []
    contest(setting, targets=(0.6,), progress=told.append)
    assert told == [*FAMILIES, *SWEPT]
    assert len(told) == run_count(1)


@pytest.mark.parametrize("family", SWEPT)
def test_a_higher_target_never_costs_more(held, family):
    points = sorted((p for p in held.frontier if p.family == family), key=lambda p: p.target)
    hours = [p.outcome.replica_hours for p in points]
    assert hours == sorted(hours, reverse=True)
    assert hours[-1] < 0.6 * hours[0]  # 0.4 / 0.95 = 0.42 of it, and what is held


@pytest.mark.parametrize("family", SWEPT)
def test_a_higher_target_never_breaks_fewer(held, family):
    points = sorted((p for p in held.frontier if p.family == family), key=lambda p: p.target)
    broken = [p.outcome.violations for p in points]
    assert all(after >= before - 1e-6 for before, after in pairwise(broken))


def test_nobody_who_keeps_the_objective_is_cheaper_than_the_clairvoyant(held):
    """Nobody else fills each replica to the brim: targets here are below 1."""
    floor = next(o for o in held.table if o.name == CLAIRVOYANT)
    assert all(o.replica_hours >= floor.replica_hours for o in held.table)
    assert floor.violations <= 0.001


def test_what_bound_the_plan_is_tidegate_s_own_at_its_own_target(setting, held):
    job = ContestJob(TIDEGATE, setting.policy.scale.target_utilization)
    _, who = carried_out(setting, job)
    assert isinstance(who, TidegateContender)
    assert held.reasons == dict(who.reasons)
    assert sum(held.reasons.values()) == setting.scene.ticks
    assert held.trust == tuple(who.trust)


# Who competes


def replicas_at(setting, family: str, target: float):
    return carried_out(setting, ContestJob(family, target))[0].replicas.tolist()


def test_the_user_s_autoscaler_at_its_own_target_is_the_user_s_autoscaler(setting):
    user = alone(setting.scene, setting.hpa).replicas.tolist()
    assert replicas_at(setting, HPA, setting.own_target) == user


def test_keda_asks_for_the_mean_of_two_minutes_of_the_whole(setting):
    spec = replace(setting.hpa, metric=MetricKind.EXTERNAL_AVERAGE, target=60.0)
    keda = alone(setting.scene, spec, window_s=120.0).replicas.tolist()
    assert replicas_at(setting, KEDA, 0.6) == keda


def test_under_the_autoscaler_as_it_is_there_are_never_fewer_than_under_a_net(setting, held):
    as_it_is, net = held.runs[FLOOR_ONLY].replicas, held.runs[TIDEGATE].replicas
    assert as_it_is.sum() > net.sum()


@pytest.mark.parametrize(
    ("metric", "target", "share"),
    [
        pytest.param(MetricKind.PODS, 60.0, 0.6, id="60 of 100 requests per second"),
        pytest.param(MetricKind.EXTERNAL_AVERAGE, 80.0, 0.8, id="KEDA's threshold"),
        pytest.param(MetricKind.UTILIZATION, 0.7, 0.7, id="a utilisation is a share already"),
    ],
)
def test_the_user_s_target_is_told_as_a_share_of_the_capacity(setting, metric, target, share):
    own = replace(setting, hpa=HPASpec(2, 60, metric, target))
    assert own.own_target == pytest.approx(share)


def test_a_sweep_aims_a_cpu_target_at_whole_per_cent(setting):
    """What the API can say: 0.625 becomes 62 %."""
    cpu = replace(setting, hpa=HPASpec(2, 60, MetricKind.UTILIZATION, 0.6))
    assert replicas_at(cpu, HPA, 0.625) == replicas_at(cpu, HPA, 0.62)


def test_an_autoscaler_of_two_metrics_has_never_fewer_replicas_than_with_one(setting):
    """The rate's target of 45 asks for more than CPU at 60 %, half of what a replica sustains."""
    rate = MetricGoal(MetricKind.EXTERNAL_AVERAGE, 45.0)
    cpu = HPASpec(2, 60, MetricKind.UTILIZATION, 0.6)
    one, both = (replace(setting, hpa=hpa) for hpa in (cpu, replace(cpu, more=(rate,))))
    assert sum(replicas_at(both, HPA, 0.6)) > 1.2 * sum(replicas_at(one, HPA, 0.6))
    assert replicas_at(both, KEDA, 0.6) == replicas_at(one, KEDA, 0.6)  # which has its own


# Reading the frontier


def point(family: str, target: float, hours: float, violations: float) -> FrontierPoint:
    return FrontierPoint(
        family, target, ReplayOutcome(family, hours, violations, 0.0, 0.2, 0.5, violations, 3, 9)
    )


POINTS = (
    point(HPA, 0.5, 200.0, 0.0001),
    point(HPA, 0.7, 150.0, 0.001),
    point(HPA, 0.9, 120.0, 0.02),
    point(TIDEGATE, 0.9, 110.0, 0.0005),
    point(TIDEGATE, 1.0, 100.0, 0.03),
)


@pytest.mark.parametrize(
    ("family", "violations", "target"),
    [
        pytest.param(HPA, 0.001, 0.7, id="at most: the bound itself is within"),
        pytest.param(HPA, 0.0009, 0.5, id="the dearer one keeps it"),
        pytest.param(TIDEGATE, 0.001, 0.9, id="each family for itself"),
        pytest.param(HPA, 1.0, 0.9, id="any: the cheapest of all"),
        pytest.param(HPA, 0.00001, None, id="none keeps it"),
        pytest.param(KEDA, 1.0, None, id="none was tried"),
    ],
)
def test_the_cheapest_at_so_many_violations(family, violations, target):
    found = cheapest(POINTS, family, violations)
    assert (found and found.target) == target


@pytest.mark.parametrize(
    ("family", "hours", "target"),
    [
        pytest.param(HPA, 150.0, 0.7, id="no more than: the bound itself is within"),
        pytest.param(HPA, 149.0, 0.9, id="only the cheapest one is left"),
        pytest.param(TIDEGATE, 1000.0, 0.9, id="the fewest violations, not the highest cost"),
        pytest.param(TIDEGATE, 99.0, None, id="nothing is so cheap"),
    ],
)
def test_the_safest_at_that_cost(family, hours, target):
    found = safest(POINTS, family, hours)
    assert (found and found.target) == target
