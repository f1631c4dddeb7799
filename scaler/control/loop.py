"""The loop: ask, forecast, decide, act, publish; every tick, for all policies at once.

It has order but no logic: what follows from what is known is in the core. A policy that fails never
delays or fails another; why it failed is a condition of that policy.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from scaler.control.capacity_tracker import CapacityTracker
from scaler.control.checkpoint import from_plain, to_plain
from scaler.control.conditions import data_fresh, forecast_trusted, not_decided
from scaler.control.demand_history import DemandHistory
from scaler.control.observations import ServiceMetrics, Workload
from scaler.control.ports import (
    BatchForecast,
    ForecastModels,
    TrafficQuery,
    TrafficSource,
    WatchedPolicy,
    Workloads,
)
from scaler.control.service_state import ServiceState
from scaler.control.snapshot import (
    Condition,
    PublishedForecast,
    ServiceView,
    Snapshot,
    with_condition,
)
from scaler.decision.lead_demand import LeadForecast, lead_forecasts
from scaler.policy.policy import Policy

LOGGER = logging.getLogger(__name__)


class ControlLoop:
    """Everything that is watched. `tick` is called from one thread."""

    def __init__(
        self,
        traffic: TrafficSource,
        models: ForecastModels,
        workloads: Workloads,
        step: timedelta,
        publish: Callable[[Snapshot], None],
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._traffic, self._models, self._workloads = traffic, models, workloads
        self._step_s = step.total_seconds()
        self._publish, self._leads = publish, leads
        self._services: dict[str, ServiceState] = {}
        self._demand_history = DemandHistory(traffic, step)
        self._capacity_tracker = CapacityTracker(traffic, self._demand_history, step)
        self._forecasts: dict[str, BatchForecast] = {}
        self._forecast_at = -math.inf
        self._ticks = 0

    def tick(self, watched: Sequence[WatchedPolicy], now: float) -> Snapshot:
        """Decide on every policy once; return what was published."""
        begun = time.perf_counter()
        self._enrol(watched, now)
        heard = self._hear(watched, now)
        self._forecast(watched)
        workloads = self._workloads.seen(watched, now)
        ahead = self._ahead(watched, now)
        views = []
        for one in watched:
            item = one.policy.item_id
            try:
                views.append(self._view(one, heard[item], workloads[item], ahead.get(item), now))
            except Exception as error:  # a policy that fails must not fail another
                LOGGER.exception("%s: the decision failed", item)
                views.append(_undecided(one.policy, str(error), now))
        acted = self._workloads.act(views, now)
        self._ticks += 1
        services = {view.item_id: _with(view, acted.get(view.item_id)) for view in views}
        seconds = time.perf_counter() - begun
        snapshot = Snapshot(self._ticks, now, services, seconds, self._leads())
        self._publish(snapshot)
        return snapshot

    def _enrol(self, watched: Sequence[WatchedPolicy], now: float) -> None:
        """Take up new policies with their past, changed ones without forgetting, drop old ones."""
        policies = [one.policy for one in watched]
        names = {policy.item_id for policy in policies}
        for gone in self._services.keys() - names:
            del self._services[gone]
        self._demand_history.keep(names)
        self._capacity_tracker.keep(policies)
        read = set(self._demand_history.take_up(policies, now))
        self._capacity_tracker.look_back([p for p in policies if p.item_id in read], now)
        self._capacity_tracker.learn(policies, now)
        for one in watched:
            item = one.policy.item_id
            if item not in self._services:
                self._services[item] = self._service(one)
            self._services[item].follow_policy(one.policy, one.hpa)

    def _service(self, one: WatchedPolicy) -> ServiceState:
        """Return a service with what was remembered of it."""
        service = ServiceState(one.policy, one.hpa, self._step_s)
        try:
            checkpoint = from_plain(one.checkpoint)
        except ValueError as error:
            LOGGER.warning("%s: %s; it starts afresh", one.policy.item_id, error)
            return service
        service.remember(checkpoint)
        if checkpoint.capacity is not None and one.policy.capacity_qps is None:
            self._capacity_tracker.remember(one.policy.item_id, checkpoint.capacity)
        return service

    def _hear(self, watched: Sequence[WatchedPolicy], now: float) -> dict[str, ServiceMetrics]:
        """Return what the metrics say of each service; its new samples join its past."""
        asks = []
        for one in watched:
            policy = one.policy
            since = self._demand_history.since(policy.item_id, now)
            asks.append(
                TrafficQuery(policy.item_id, policy.demand_query or "", policy.slo.query, since)
            )
        found = {
            ask.item_id: heard
            for ask, heard in zip(asks, self._traffic.hear(asks, now), strict=True)
        }
        for item, heard in found.items():
            self._demand_history.add(item, heard.samples)
        return found

    def _forecast(self, watched: Sequence[WatchedPolicy]) -> None:
        """Forecast anew when a step is over: all items of a model in one batch."""
        newest = self._demand_history.newest
        if newest <= self._forecast_at:
            return
        self._forecast_at = newest
        by_model: dict[str, list[str]] = {}
        for one in watched:
            if one.policy.model is not None and one.policy.item_id in self._demand_history:
                by_model.setdefault(one.policy.model, []).append(one.policy.item_id)
        self._models.reload(list(by_model))
        self._forecasts = {
            model: self._models.predict(model, self._demand_history.of(items))
            for model, items in by_model.items()
        }

    def _ahead(
        self, watched: Sequence[WatchedPolicy], now: float
    ) -> dict[str, tuple[LeadForecast, PublishedForecast]]:
        """Return what the forecast says to each policy that has one."""
        found: dict[str, tuple[LeadForecast, PublishedForecast]] = {}
        for model, predicted in self._forecasts.items():
            forecast = predicted.forecast
            if forecast is None:
                continue
            items = [
                one.policy.item_id
                for one in watched
                if one.policy.model == model
                and one.policy.item_id in predicted.rows
                and one.policy.item_id in self._services
            ]
            needs = [self._services[item].need(predicted.rows[item]) for item in items]
            for item, lead_forecast in zip(
                items, lead_forecasts(forecast, needs, now), strict=True
            ):
                row = predicted.rows[item]
                origin = forecast.origins[row].timestamp()
                self._services[item].told(lead_forecast, origin, forecast.quantile_levels)
                published_forecast = PublishedForecast(
                    origin, self._step_s, forecast.quantile_levels, forecast.values[row],
                    forecast.sources[row],
                )  # fmt: skip
                found[item] = lead_forecast, published_forecast
        return found

    def _view(
        self,
        one: WatchedPolicy,
        heard: ServiceMetrics,
        workload: Workload | str,
        ahead: tuple[LeadForecast, PublishedForecast] | None,
        now: float,
    ) -> ServiceView:
        policy = one.policy
        service = self._services[policy.item_id]
        fresh = data_fresh(policy, heard)
        if isinstance(workload, str):
            return _undecided(policy, workload, now, fresh)
        observed = service.hear(heard, now)
        if policy.capacity_qps is None:
            load = observed / len(workload.ready_s) if workload.ready_s else math.nan
            self._capacity_tracker.add(policy.item_id, load, heard.latency_s, now)
        capacity = self._capacity_tracker.of(policy)
        if isinstance(capacity, str):
            return _undecided(policy, capacity, now, fresh)
        lead_forecast, published_forecast = ahead if ahead is not None else (None, None)
        followed = service.follow(now, observed, heard, workload, capacity, lead_forecast)
        why_none = None if published_forecast is not None else self._why_no_forecast(policy)
        return ServiceView(
            policy=policy,
            at=now,
            replicas=workload.replicas,
            ready=len(workload.ready_s),
            observed_qps=None if math.isnan(observed) else observed,
            hpa_replicas=followed.hpa_replicas,
            decision=followed.decision,
            published_limit=followed.published_limit,
            forecast=published_forecast,
            trust=followed.trust,
            recent=service.recent(),
            ledger=followed.ledger,
            conditions=(fresh, forecast_trusted(followed.trust, why_none)),
            checkpoint=to_plain(
                service.checkpoint(capacity if policy.capacity_qps is None else None)
            ),
        )

    def _why_no_forecast(self, policy: Policy) -> str:
        if policy.model is None:
            return "the policy names no model: spec.demand.model"
        if policy.item_id not in self._demand_history:
            return "its history could not be read yet"
        predicted = self._forecasts.get(policy.model)
        return predicted.faults.get(policy.item_id, "") if predicted is not None else ""


def _undecided(policy: Policy, error: str, now: float, *known: Condition) -> ServiceView:
    return ServiceView(policy=policy, at=now, error=error, conditions=(*known, not_decided(error)))


def _with(view: ServiceView, acted: Condition | None) -> ServiceView:
    """Return the view with what acting on it came to."""
    if acted is None:
        return view
    return replace(view, conditions=with_condition(view.conditions, acted))
