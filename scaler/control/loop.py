"""The control loop: measure, forecast, decide, apply, publish; each tick, all policies at once.

Rules of this file:

* It has order but no logic: what follows from what is known is in the core.
* A service that fails in any step never delays or fails another; its policy's condition says why.
* What is only shown (the plain autoscaler beside us, the page's figures) never fails a decision.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from scaler.control.auto_mode import AutoMode
from scaler.control.capacity_tracker import CapacityTracker
from scaler.control.conditions import (
    data_fresh,
    decided,
    not_applied,
    not_taken_in,
    undecided,
)
from scaler.control.demand_history import DemandHistory
from scaler.control.demand_judge import DemandJudge
from scaler.control.figures import Figures, Shown
from scaler.control.forecasts import Forecasts
from scaler.control.memory import LoopMemory
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.ports import WatchedPolicy, World
from scaler.control.served import Seen, ServedService, restored
from scaler.control.service_state import ServiceState
from scaler.control.snapshot import PlanOutcome, ServiceView, Snapshot
from scaler.control.unfailing_log import UnfailingLogger
from scaler.decision.lead_demand import LeadForecast

LOGGER = UnfailingLogger(__name__)
_shown = LOGGER.going_on


class ControlLoop:
    """Everything that is watched. `tick` is called from one thread.

    Args:
        world: what is asked and acted on.
        step: of the forecast's grid.
        publish: takes each tick's snapshot.
        leads: whether this replica acts; said in the snapshot.
        tick_s: between two ticks.
        figures: makes what a service's figures are worked out by.
    """

    def __init__(
        self,
        world: World,
        step: timedelta,
        publish: Callable[[Snapshot], None],
        leads: Callable[[], bool] = lambda: True,
        tick_s: float = 15.0,
        figures: Callable[[], Figures] = Figures,
    ) -> None:
        self._world, self._publish, self._leads = world, publish, leads
        self._figures = figures
        self._step_s, self._tick_s = step.total_seconds(), tick_s
        self._services: dict[str, ServedService] = {}
        self._demand_history = DemandHistory(world.traffic, step)
        self._demand_judge = DemandJudge(world.witness, self._step_s, tick_s)
        self._capacity_tracker = CapacityTracker(world.traffic, self._demand_history, step)
        self._forecasts = Forecasts(world, self._demand_history)
        self._auto = AutoMode(leads)
        self._ticks = 0

    def memory(self) -> LoopMemory:
        """Return all that the next tick rests on. Call it between two ticks."""
        services = {item: one.state.memory() for item, one in self._services.items()}
        learned, histories = self._capacity_tracker.memory(), self._demand_history.memory()
        said, judged = self._forecasts.memory(), self._demand_judge.memory()
        trials = self._auto.memory()
        return LoopMemory(self._ticks, services, histories, learned, *said, judged, trials)

    def recall(self, memory: LoopMemory) -> None:
        """Go on from there, before the first tick. What is only shown starts anew."""
        self._ticks = memory.ticks
        for item, one in memory.services.items():
            state = ServiceState(one.policy, self._step_s, self._tick_s)
            state.recall(one)
            self._services[item] = ServedService(state, self._figures)
        self._demand_history.recall(memory.histories)
        self._demand_judge.recall(memory.wariness)
        self._capacity_tracker.recall(memory.learned)
        self._forecasts.recall(memory.models, memory.renewed_at)
        self._auto.recall(memory.trials)

    def tick(self, watched: Sequence[WatchedPolicy], now: float, set_by_s: float = 0.0) -> Snapshot:
        """Decide on every policy once; return what was published.

        Args:
            watched: the policies.
            now: seconds since the epoch.
            set_by_s: how far the wall clock has been set since the tick before.
        """
        begun = time.perf_counter()
        if set_by_s:
            self._rebase(set_by_s, now)
        watched = self._auto.resolved(watched)
        failed = self._enrol(watched, now)
        alive = [one for one in watched if one.policy.item_id not in failed]
        metrics = self._measure(alive, now)
        seen = self._take_in(alive, metrics, now)
        states = {item: service.state for item, service in self._services.items()}
        self._forecasts.renew([one.policy for one in alive], states)
        workloads = self._observe(alive, now)
        ahead = self._forecasts.read(states, now)
        given = {one.policy.item_id: one.policy for one in watched}
        views = [undecided(given[item], why, now) for item, why in failed.items()]
        for one in alive:
            item = one.policy.item_id
            try:
                view = self._view(one, seen[item], workloads[item], ahead.get(item), now)
            except Exception as error:  # a policy that fails must not fail another
                LOGGER.exception("%s: the decision failed", item)
                view = undecided(one.policy, f"the decision failed: {error!r}", now)
            views.append(view)
        services = self._applied(views, now)
        for one in alive:
            item = one.policy.item_id
            if item in ahead:
                services[item] = self._with_forecast(services[item])
            if isinstance(workload := workloads[item], Workload):
                shown = Shown(one.hpa, seen[item].observed, workload)
                services[item] = self._with_figures(services[item], shown)
        self._ticks += 1
        seconds = time.perf_counter() - begun
        offset_s = next((one.clock_offset_s for one in metrics.values()), None)  # of the machine
        snapshot = Snapshot(self._ticks, now, services, seconds, self._leads(), set_by_s, offset_s)
        with _shown("a snapshot could not be published"):
            self._publish(snapshot)
        return snapshot

    def _rebase(self, set_by_s: float, now: float) -> None:
        """Go on under a wall clock that has been set: no hold ends by that, and none is longer."""
        LOGGER.warning("the wall clock was set by %+.1f s; holds go on as before", set_by_s)
        for service in self._services.values():
            service.rebase(set_by_s, now)
        self._demand_history.rebase(set_by_s, now)
        self._demand_judge.rebase(set_by_s)
        self._capacity_tracker.rebase(set_by_s)
        self._forecasts.rebase()
        self._auto.rebase(set_by_s)

    def _enrol(self, watched: Sequence[WatchedPolicy], now: float) -> dict[str, str]:
        """Take up new policies with their past, changed ones without forgetting, drop old ones.

        Return why those could not be taken up that failed, by item_id.
        """
        policies = [one.policy for one in watched]
        names = {policy.item_id for policy in policies}
        self._services = {item: one for item, one in self._services.items() if item in names}
        with _shown("histories were not read"):
            self._demand_history.keep(names)
            self._capacity_tracker.keep(policies)
            read = set(self._demand_history.take_up(policies, now))
            marked = self._demand_history.marked_since(read)
            self._demand_judge.look_back(self._demand_history.latest(read), marked)
            self._capacity_tracker.look_back([p for p in policies if p.item_id in read], now)
        with _shown("no capacity was learned"):
            self._capacity_tracker.learn(policies, now)
        failed = {}
        for one in watched:
            item = one.policy.item_id
            try:
                service = self._services.get(item)
                if service is None:
                    self._services[item] = self._service(one, now)
                else:
                    service.follow(one, leads=self._leads())
                    self._demand_judge.follow(item, one.checkpoint, now)
            except Exception as error:  # a policy that fails must not fail another
                LOGGER.exception("%s: it could not be taken up", item)
                failed[item] = f"it could not be taken up: {error!r}"
        return failed

    def _service(self, one: WatchedPolicy, now: float) -> ServedService:
        """Return a service that goes on where the last process has stopped."""
        state = ServiceState(one.policy, self._step_s, self._tick_s)
        left = restored(state, one.checkpoint)
        if left.capacity is not None and one.policy.capacity_qps is None:
            self._capacity_tracker.remember(one.policy.item_id, left.capacity)
        self._demand_judge.go_on(one.policy.item_id, left.reports, now)
        return ServedService(state, self._figures, left.savings)

    def _measure(
        self, watched: Sequence[WatchedPolicy], now: float
    ) -> Mapping[str, ServiceMetrics]:
        """Return what may be believed of what the metrics say of each service."""
        queries = [self._demand_history.query(one.policy, now) for one in watched]
        try:
            measured = self._world.traffic.measure(queries, now)
            found = {q.item_id: one.of_now() for q, one in zip(queries, measured, strict=True)}
        except Exception as error:  # what is not known lowers nothing
            LOGGER.exception("demand could not be measured")
            fault = f"demand could not be measured: {error!r}"
            found = {q.item_id: ServiceMetrics(math.nan, fault=fault) for q in queries}
        return self._demand_judge.believed(found, now)

    def _take_in(
        self, watched: Sequence[WatchedPolicy], metrics: Mapping[str, ServiceMetrics], now: float
    ) -> dict[str, Seen]:
        """Return what may be acted on of what was measured; new samples join the history."""
        seen = {}
        for one in watched:
            item, policy = one.policy.item_id, one.policy
            measured, observed = metrics[item], math.nan
            try:
                state = self._services[item].looked_back(self._demand_history)
                measured = state.without_implausible(measured, now)
                observed = state.take_in(measured, now)
                self._demand_history.add(item, measured.samples)
                fresh = data_fresh(policy, measured)
            except Exception as error:  # it goes on by what was known; the others by what is
                LOGGER.exception("%s: its metrics could not be taken in", item)
                fresh = not_taken_in(error)
            seen[item] = Seen(fresh, measured, observed)
        return seen

    def _observe(
        self, watched: Sequence[WatchedPolicy], now: float
    ) -> Mapping[str, Workload | str]:
        try:
            return self._world.workloads.observe(watched, now)
        except Exception as error:  # what is not known moves nothing
            LOGGER.exception("workloads could not be observed")
            fault = f"its workload could not be observed: {error!r}"
            return {one.policy.item_id: fault for one in watched}

    def _applied(self, views: Sequence[ServiceView], now: float) -> dict[str, ServiceView]:
        """Carry the plans out; return the views with what came of that."""
        applied: Mapping[str, PlanOutcome]
        try:
            applied = self._world.workloads.apply(views, now)
        except Exception as error:  # limits are published all the same
            LOGGER.exception("plans could not be carried out")
            failed = PlanOutcome((not_applied(error),))
            applied = {view.item_id: failed for view in views if view.decision is not None}
        return {view.item_id: view.told(applied.get(view.item_id)) for view in views}

    def _view(
        self,
        one: WatchedPolicy,
        seen: Seen,
        workload: Workload | str,
        lead_forecast: LeadForecast | None,
        now: float,
    ) -> ServiceView:
        policy, its = one.policy, self._services[one.policy.item_id]
        if isinstance(workload, str):
            return undecided(policy, workload, now, seen.fresh)
        ready = sum(pod.ready_at is not None for pod in workload.pods)
        if policy.capacity_qps is None and not workload.assumed:
            load = seen.observed / ready if ready else math.nan
            self._capacity_tracker.add(policy.item_id, load, seen.metrics.latency_s, now)
        capacity = self._capacity_tracker.of(policy)
        if isinstance(capacity, str):
            return undecided(policy, capacity, now, seen.fresh)
        known = seen.metrics, workload, capacity, lead_forecast
        result = its.state.decide(now, seen.observed, *known)
        learned = capacity if policy.capacity_qps is None else None
        reports = self._demand_judge.kept_reports(policy.item_id)
        why_none = None if lead_forecast is not None else self._forecasts.why_none(policy)
        view = ServiceView(
            policy=policy,
            at=now,
            replicas=workload.replicas,
            floor=workload.floor,
            ready=ready,
            observed_qps=None if math.isnan(seen.observed) else seen.observed,
            decision=result.decision,
            published_limit=result.known_limit,
            trust=result.trust,
            lead_time=result.lead_time,
            conditions=(seen.fresh, *decided(result, why_none, now)),
            checkpoint=its.checkpoint(learned, reports, one.review),
            review=one.review,
        )
        return self._auto.judged(view, Shown(one.hpa, seen.observed, workload))

    def _with_forecast(self, view: ServiceView) -> ServiceView:
        with _shown(f"{view.item_id}: its forecast is not shown"):
            if view.decision is not None:
                return replace(view, forecast=self._forecasts.published(view.policy))
        return view

    def _with_figures(self, view: ServiceView, shown: Shown) -> ServiceView:
        with _shown(f"{view.item_id}: its figures were not kept"):
            return self._services[view.item_id].shown(view, shown)
        return view
