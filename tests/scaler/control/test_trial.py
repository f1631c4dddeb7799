"""What a floor costs and breaks is paired with the autoscaler alone, tick by tick."""

import math

import pytest

from scaler.control.observations import Pod, Workload
from scaler.control.simulated_hpa import SimulatedHPA
from scaler.control.trial import Trial, TrialTick
from scaler.decision.earned_trust import AutoRules, AutoStanding, FloorEvidence
from scaler.hpa.controller import HPASpec, MetricKind

DAY_S, TICK_S, MIDNIGHT = 86400, 60.0, 20_000 * 86400.0
HPA = HPASpec(2, 60, MetricKind.PODS, 30.0)  # 600 / 30 = 20 replicas; the net: 600 / 50 = 12
RULES = AutoRules(60, 0.001)


def pods(count):
    return Workload(tuple(Pod(str(i), 0.0, 0.0) for i in range(count)))


def lived(trial, seconds, *, start=MIDNIGHT, qps=lambda at: 600.0, plan=15, real=20):
    for n in range(int(seconds / TICK_S)):
        now = start + n * TICK_S
        trial.tick(TrialTick(now, RULES, HPA, qps(now), 50.0, pods(real), plan, 120.0))
    return trial


def earned(**how):
    return lived(Trial(FloorEvidence(AutoStanding.EARNED)), DAY_S + 7200, **how).evidence


def test_replicas_under_the_floor_are_paired_with_those_of_the_autoscaler_alone():
    day = lived(Trial(FloorEvidence()), 7200 + TICK_S).evidence.day
    assert (day.hours, day.number) == (2, 20_000)
    assert day.extra == pytest.approx(2 * (15 - 20), rel=0.01)
    assert day.real == pytest.approx(2 * 20)
    assert (day.broken, day.requests) == (0, pytest.approx(2 * 3600 * 600, rel=0.02))


def test_a_floor_below_what_the_net_asks_for_holds_nothing_down():
    day = lived(Trial(FloorEvidence()), 3600 + TICK_S, plan=3).evidence.day
    assert day.extra == pytest.approx(12 - 20, rel=0.01)


def test_a_replica_is_ready_once_the_lead_time_has_passed():
    """Demand leaps from 12 to 24 replicas; 24 are there at once, and ready two minutes later."""
    leap = MIDNIGHT + 1800
    day = lived(
        Trial(FloorEvidence()),
        3600 + TICK_S,
        qps=lambda at: 600.0 if at < leap else 1200.0,
        plan=12,
    ).evidence.day
    assert day.broken == pytest.approx(3 * TICK_S * 1200, abs=TICK_S * 1200)


@pytest.mark.parametrize(
    ("real", "standing"), [(20, AutoStanding.ON_TRIAL), (23, AutoStanding.VOID)]
)
def test_evidence_counts_while_the_simulated_autoscaler_is_the_real_one(real, standing):
    assert lived(Trial(FloorEvidence()), DAY_S + 7200, real=real).evidence.standing is standing


@pytest.mark.parametrize(("real", "wealth"), [(15, 0), (24, 1)])
def test_once_earned_what_runs_is_compared(real, wealth):
    evidence = earned(real=real)
    assert evidence.days == 1
    assert math.floor(evidence.cost.wealth) == wealth


def test_pods_that_are_too_few_break_what_comes():
    assert earned(real=11).standing is AutoStanding.BREAKS_MORE


@pytest.mark.parametrize(
    ("qps", "hours"),
    [
        pytest.param(lambda at: math.nan, 0, id="demand is not known"),
        pytest.param(lambda at: math.nan if at % 3600 < 300 else 600.0, 3, id="but for minutes"),
        pytest.param(lambda at: math.nan if at % 3600 < 900 else 600.0, 0, id="for a quarter"),
    ],
)
def test_an_hour_counts_where_most_of_it_is_known(qps, hours):
    day = lived(Trial(FloorEvidence()), 3 * 3600 + TICK_S, qps=qps).evidence.day
    assert day.hours == hours


def test_the_time_of_a_pause_counts_for_nothing():
    trial = lived(Trial(FloorEvidence()), 1800)
    after = lived(trial, 1800 + TICK_S, start=MIDNIGHT + 3600)
    assert after.evidence.day.hours == 0


@pytest.mark.parametrize("minutes", [1, 59, 61, 1439, 1441])
def test_a_trial_that_is_recalled_goes_on_to_the_last_bit(minutes):
    def qps(at):
        return 600.0 + 300.0 * math.sin(at / 5000)

    whole = lived(Trial(FloorEvidence()), DAY_S + 7200, qps=qps)
    first = lived(Trial(FloorEvidence()), minutes * 60, qps=qps)
    rest = DAY_S + 7200 - minutes * 60
    recalled = Trial.recalled(first.memory())
    later = lived(recalled, rest, start=MIDNIGHT + minutes * 60, qps=qps)
    assert later.memory() == whole.memory()


def test_a_floor_that_follows_the_day_earns_trust_and_one_that_holds_the_maximum_loses_it():
    """Two months of a daily season; the real autoscaler is one of the same spec."""
    real, trial, standings = SimulatedHPA(HPA, 20), Trial(FloorEvidence()), []
    for n in range(75 * 1440):
        now = MIDNIGHT + n * TICK_S
        qps = 600.0 + 400.0 * math.sin(2 * math.pi * n / 1440)
        there = real.sync(now, qps, 50.0)
        plan = math.ceil((600.0 + 400.0 * math.sin(2 * math.pi * (n + 5) / 1440)) / 40)
        if trial.evidence.is_earned:
            there = 60
        trial.tick(TrialTick(now, RULES, HPA, qps, 50.0, pods(there), plan, 120.0))
        standings.append(trial.evidence.standing)
    earned_on = standings.index(AutoStanding.EARNED) // 1440
    lost_on = standings.index(AutoStanding.COSTS_MORE) // 1440
    assert 44 <= earned_on <= 50
    assert lost_on - earned_on <= 8  # 40 replicas more than needed, of a bound of 15
    assert AutoStanding.VOID not in standings[: standings.index(AutoStanding.EARNED)]


def test_a_wall_clock_that_is_set_back_costs_no_more_than_that_hour():
    trial = lived(Trial(FloorEvidence()), 7200)
    trial.rebase(-5400.0)
    after = lived(trial, 7200, start=MIDNIGHT + 1800).evidence
    assert after.day.hours >= 2
