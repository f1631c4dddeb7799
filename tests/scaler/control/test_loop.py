"""The loop with everything around it replaced by small classes: what is published, tick by tick."""

import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from forecaster.data.series import Forecast, Series, utc
from scaler.control.checkpoint import to_plain
from scaler.control.demand_history import AT_ONCE
from scaler.control.loop import ControlLoop
from scaler.control.observations import Pod, ServiceMetrics, Workload
from scaler.control.ports import WatchedPolicy, World
from scaler.control.snapshot import Condition, ConditionKind, PlanOutcome
from scaler.decision.replicas import PlanReason, ScalePolicy
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.policy.policy import Policy, Slo

STEP = timedelta(minutes=1)
START = utc("2026-03-02T09:00:00Z").timestamp()
LEVELS = (0.1, 0.5, 0.9, 0.95, 0.99)


class Demand:
    """Traffic that is what it is told to be; some services cannot be asked."""

    def __init__(self, **qps):
        self.qps = {name.replace("_", "/"): value for name, value in qps.items()}
        self.faults = {}

    def measure(self, queries, now):
        return [self._measured(query, now) for query in queries]

    def _measured(self, ask, now):
        if ask.item_id in self.faults:
            return ServiceMetrics(math.nan, fault=self.faults[ask.item_id])
        first = int(ask.since // 60 + 1) * 60
        stamps = range(first, int(now) + 1, 60)
        qps = self.qps[ask.item_id]
        return ServiceMetrics(qps, tuple((float(stamp), qps) for stamp in stamps))

    def histories(self, queries, length, now):
        return [self._history(item, length, now) for item, _ in queries]

    def _history(self, item, length, now):
        if item in self.faults:
            return self.faults[item]
        count = length // STEP
        end = datetime.fromtimestamp(int(now // 60) * 60, UTC)
        return Series(item, end - (count - 1) * STEP, STEP, np.full(count, self.qps[item]))


class Flat:
    """Forecasts that demand stays, times a factor."""

    def __init__(self, factor=1.0):
        self.factor = factor
        self.reloaded = []

    def reload(self, names):
        self.reloaded.append(tuple(names))

    def predict(self, name, series):
        shape = np.array([0.9, 1.0, 1.1, 1.15, 1.25]) * self.factor
        last = np.array([one.values[np.isfinite(one.values)][-1] for one in series])
        values = np.repeat(last[:, None, None] * shape, 30, axis=1)
        origins = tuple(one.end - one.step for one in series)
        items = tuple(one.item_id for one in series)
        forecast = Forecast(items, origins, STEP, LEVELS, values, ("lstm",) * len(items))
        return Said(forecast, {item: i for i, item in enumerate(items)}, {})


class Said:
    def __init__(self, forecast, rows, faults):
        self.forecast, self.rows, self.faults = forecast, rows, faults


def pods(count):
    return tuple(Pod(str(i), START - 1000.0, START - 600.0) for i in range(count))


class Replicas:
    """A cluster in which floors are carried out at once."""

    def __init__(self):
        self.floors = {}
        self.away = {}

    def observe(self, watched, now):
        return {one.policy.item_id: self._one(one.policy) for one in watched}

    def _one(self, policy):
        if policy.item_id in self.away:
            return self.away[policy.item_id]
        count = self.floors.get(policy.item_id, policy.scale.min_replicas)
        return Workload(pods(count), floor=count)

    def apply(self, views, now):
        decided = [view for view in views if view.decision is not None]
        for view in decided:
            self.floors[view.item_id] = view.decision.plan.replicas
        acted = PlanOutcome((Condition(ConditionKind.READY, True, "Acted"),))
        return {v.item_id: acted for v in decided}


def watched(name="shop/web", **changes):
    policy = Policy(
        item_id=name,
        target="web",
        scale=ScalePolicy(2, 60, target_utilization=0.8),
        capacity_qps=50.0,
        demand_query="sum(rate(x[1m]))",
        model="m",
    )
    hpa = HPASpec(2, 60, MetricKind.PODS, 30.0)
    return WatchedPolicy(replace(policy, **changes), hpa)


@pytest.fixture
def world():
    traffic, models, cluster = Demand(shop_web=200.0, shop_api=400.0), Flat(), Replicas()
    snapshots = []
    return (
        traffic,
        models,
        cluster,
        snapshots,
        ControlLoop(World(traffic, models, cluster), STEP, snapshots.append),
    )


def after(loop, watch, seconds, tick=15):
    """Run ticks for some seconds; return the last board."""
    snapshot = None
    for now in np.arange(START, START + seconds, tick):
        snapshot = loop.tick(watch, float(now))
    return snapshot


def test_a_tick_publishes_what_the_forecast_asks_for(world):
    *_, snapshots, loop = world
    snapshot = after(loop, [watched()], 60)
    view = snapshot.services["shop/web"]
    # The largest demand is between 200 x 1.15 and 200 x 1.25; 40 QPS per replica.
    assert 6 <= view.decision.plan.replicas <= 7
    assert view.forecast.values.shape == (30, 5)
    assert view.error is None
    assert snapshots[-1] is snapshot
    assert [b.tick for b in snapshots] == [1, 2, 3, 4]


def test_a_service_that_cannot_be_asked_fails_alone(world):
    traffic, *_, loop = world
    traffic.faults["shop/api"] = "the query 'x' returns 3 series, but must return one"
    snapshot = after(loop, [watched(), watched("shop/api")], 60)
    broken, fine = snapshot.services["shop/api"], snapshot.services["shop/web"]
    (fresh,) = [c for c in broken.conditions if c.kind is ConditionKind.DATA_FRESH]
    assert (fresh.status, fresh.reason) == (False, "QueryFailed")
    assert "3 series" in fresh.message
    assert broken.decision.plan.reason is PlanReason.HELD
    assert fine.decision.plan.replicas >= 6


def test_a_workload_that_is_away_fails_alone(world):
    *_, cluster, _, loop = world
    cluster.away["shop/api"] = "HorizontalPodAutoscaler shop/api does not exist"
    snapshot = after(loop, [watched(), watched("shop/api")], 30)
    assert snapshot.services["shop/api"].error == "HorizontalPodAutoscaler shop/api does not exist"
    assert snapshot.services["shop/web"].decision is not None


def test_without_a_forecast_the_scaler_is_reactive_and_says_so(world):
    *_, loop = world
    snapshot = after(loop, [watched(model=None)], 60)
    view = snapshot.services["shop/web"]
    assert view.decision.plan.replicas == 5  # 200 / (50 x 0.8)
    assert view.decision.demand.reason.value == "reactive"
    (trusted,) = [c for c in view.conditions if c.kind is ConditionKind.FORECAST_TRUSTED]
    assert not trusted.status
    assert "names no model" in trusted.message


def test_an_outage_holds_the_plan_and_what_comes_after_it_is_distrusted(world):
    traffic, *_, loop = world
    watch = [watched()]
    before = after(loop, watch, 120).services["shop/web"].decision.plan.replicas
    traffic.faults["shop/web"] = "no answer within 5 s"
    for now in np.arange(START + 120, START + 600, 15):
        snapshot = loop.tick(watch, float(now))
    assert snapshot.services["shop/web"].decision.plan.replicas == before
    del traffic.faults["shop/web"]
    traffic.qps["shop/web"] = 20.0  # a rate that reaches back into the outage
    for now in np.arange(START + 600, START + 800, 15):
        snapshot = loop.tick(watch, float(now))
    assert snapshot.services["shop/web"].decision.plan.replicas >= 5  # 200 / 40


def test_a_forecast_is_judged_by_what_happened(world):
    _, models, *_, loop = world
    models.factor = 0.3  # it foresees a third of what comes
    snapshot = after(loop, [watched()], 3600)
    view = snapshot.services["shop/web"]
    assert view.trust.coverage < 0.2
    assert view.decision.plan.replicas >= 5  # what is observed is the least


def test_a_changed_policy_holds_from_the_next_tick_on(world):
    *_, loop = world
    after(loop, [watched()], 60)
    snapshot = loop.tick([watched(scale=ScalePolicy(9, 60))], START + 75)
    assert snapshot.services["shop/web"].decision.plan.replicas == 9


def test_a_policy_that_is_gone_is_gone_and_comes_back_afresh(world):
    *_, loop = world
    after(loop, [watched()], 60)
    assert loop.tick([], START + 75).services == {}
    assert loop.tick([watched()], START + 90).services["shop/web"].ledger.seconds == 0


def test_forecasts_are_made_once_per_step_and_the_champion_looked_up_then(world):
    _, models, *_, loop = world
    after(loop, [watched()], 240)
    assert len(models.reloaded) == 4  # four minutes


def test_a_board_says_whether_this_replica_leads():
    snapshots, leads = [], [False]
    ports = World(Demand(shop_web=200.0), Flat(), Replicas())
    loop = ControlLoop(ports, STEP, snapshots.append, lambda: leads[-1])
    loop.tick([watched()], START)
    leads.append(True)
    loop.tick([watched()], START + 15)
    assert [snapshot.leader for snapshot in snapshots] == [False, True]


def test_a_capacity_that_is_edited_holds_from_the_next_tick_on(world):
    *_, loop = world
    after(loop, [watched(model=None)], 60)
    snapshot = loop.tick([watched(model=None, capacity_qps=25.0)], START + 75)
    assert snapshot.services["shop/web"].decision.plan.replicas == 10  # 200 / (25 x 0.8)


def test_a_service_whose_capacity_is_not_known_yet_says_so_and_is_left_alone(world):
    *_, cluster, _, loop = world
    snapshot = after(loop, [watched(capacity_qps=None, slo=Slo(0.5, query="p99"))], 60)
    view = snapshot.services["shop/web"]
    assert "capacity is not known yet" in view.error
    assert [(c.kind, c.status, c.reason) for c in view.conditions] == [
        (ConditionKind.DATA_FRESH, True, "Observed"), (ConditionKind.READY, False, "NotDecided"),
    ]  # fmt: skip
    assert cluster.floors == {}


def test_who_takes_over_starts_with_what_was_remembered(world):
    *_, loop = world
    first = after(loop, [watched()], 3600).services["shop/web"]
    ports = World(Demand(shop_web=200.0), Flat(0.3), Replicas())
    successor = ControlLoop(ports, STEP, lambda _: None)
    start = replace(watched(), checkpoint=to_plain(first.checkpoint))
    trust = successor.tick([start], START + 3600).services["shop/web"].trust
    assert trust.seconds == pytest.approx(first.trust.seconds, rel=1e-3)
    assert trust.level == pytest.approx(first.trust.level, rel=1e-3)


def test_a_memory_that_cannot_be_read_is_no_reason_not_to_decide(world):
    *_, loop = world
    snapshot = loop.tick([replace(watched(), checkpoint={"factor": "much"})], START)
    assert snapshot.services["shop/web"].error is None


def test_the_pasts_of_many_services_are_read_over_several_ticks(world):
    traffic, *_, loop = world
    names = [f"shop/{n}" for n in range(AT_ONCE + 50)]
    traffic.qps |= dict.fromkeys(names, 100.0)
    watch = [watched(name) for name in names]
    first = loop.tick(watch, START)
    assert sum(view.forecast is not None for view in first.services.values()) == AT_ONCE
    assert all(view.decision is not None for view in first.services.values())
    loop.tick(watch, START + 15)
    assert all(view.forecast is not None for view in loop.tick(watch, START + 60).services.values())
