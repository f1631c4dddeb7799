"""The loop: ask, forecast, decide, act, publish; every tick, for all policies at once.

It has order but no logic: what follows from what is known is in the core. A policy that fails never
delays or fails another; why it failed is a condition of that policy.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Protocol

import numpy as np

from forecaster.series import Block, Forecast, Series
from scaler.capacity import given_capacity
from scaler.live import Followed, Heard, LiveService, Workload
from scaler.outlook import Outlook, outlooks
from scaler.published import Board, Condition, ConditionKind, Fan, ServiceView
from scaler.service_policy import ServicePolicy
from scaler.simulation.hpa import HPASpec
from scaler.trust import Standing

LOGGER = logging.getLogger(__name__)

HISTORY = timedelta(days=8)
# Between two tries to read the past of a service whose past could not be read.
RETRY_S = 60.0


@dataclass(frozen=True, slots=True)
class Watched:
    """A policy, and the autoscaler that the counterfactual is of."""

    policy: ServicePolicy
    hpa: HPASpec


@dataclass(frozen=True, slots=True)
class Ask:
    """What to ask of one service; ``since`` is the stamp of its last sample."""

    item_id: str
    demand_query: str
    slo_query: str | None
    since: float


class Traffic(Protocol):
    """Where demand is observed."""

    def hear(self, asks: Sequence[Ask], now: float) -> list[Heard]: ...

    def histories(
        self, queries: Sequence[tuple[str, str]], length: timedelta, now: float
    ) -> list[Series | str]: ...


class Predicted(Protocol):
    """A forecast of many items; ``faults`` says why an item has none."""

    @property
    def forecast(self) -> Forecast | None: ...
    @property
    def rows(self) -> Mapping[str, int]: ...
    @property
    def faults(self) -> Mapping[str, str]: ...


class Models(Protocol):
    """Who forecasts."""

    def reload(self, names: Sequence[str]) -> None: ...

    def predict(self, name: str, series: Sequence[Series]) -> Predicted: ...


class Workloads(Protocol):
    """Where replicas are seen and floors are raised."""

    def seen(self, watched: Sequence[Watched], now: float) -> Mapping[str, Workload | str]: ...

    def act(self, views: Sequence[ServiceView], now: float) -> Mapping[str, Condition]: ...


@dataclass(slots=True)
class _Past:
    """The samples of one item on the forecast's grid; the last one ends at ``end``."""

    values: Block  # of a thousand items, the memory counts
    end: float

    def add(self, samples: Sequence[tuple[float, float]], step_s: float) -> None:
        for stamp, value in samples:
            ahead = round((stamp - self.end) / step_s)
            if ahead > 0:
                gap = min(ahead, len(self.values))
                self.values[:-gap] = self.values[gap:].copy()
                self.values[-gap:] = np.nan
                self.end = stamp
                self.values[-1] = value


class Loop:
    """Everything that is watched. `tick` is called from one thread."""

    def __init__(
        self,
        traffic: Traffic,
        models: Models,
        workloads: Workloads,
        step: timedelta,
        publish: Callable[[Board], None],
        leads: Callable[[], bool] = lambda: True,
    ) -> None:
        self._traffic, self._models, self._workloads = traffic, models, workloads
        self._step, self._step_s = step, step.total_seconds()
        self._publish, self._leads = publish, leads
        self._services: dict[str, LiveService] = {}
        self._pasts: dict[str, _Past] = {}
        self._tried: dict[str, float] = {}
        self._told: dict[str, str] = {}  # of each item, what was logged last
        self._forecasts: dict[str, Predicted] = {}
        self._forecast_at = -math.inf
        self._ticks = 0

    def tick(self, watched: Sequence[Watched], now: float) -> Board:
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
                views.append(ServiceView(policy=one.policy, at=now, error=str(error)))
        acted = self._workloads.act(views, now)
        self._ticks += 1
        services = {view.item_id: _with(view, acted.get(view.item_id)) for view in views}
        seconds = time.perf_counter() - begun
        board = Board(self._ticks, now, services, seconds, self._leads())
        self._publish(board)
        return board

    def _enrol(self, watched: Sequence[Watched], now: float) -> None:
        """Take up new policies with their past, changed ones without forgetting, drop old ones."""
        names = {one.policy.item_id for one in watched}
        for gone in self._services.keys() - names:
            del self._services[gone]
            self._pasts.pop(gone, None)
        for one in watched:
            item = one.policy.item_id
            known = self._services.get(item)
            if known is None and one.policy.capacity_qps is not None:
                capacity = given_capacity(one.policy.capacity_qps)
                self._services[item] = LiveService(one.policy, capacity, one.hpa, self._step_s)
            elif known is not None and known.policy != one.policy:
                known.policy = one.policy
        due = [
            one.policy
            for one in watched
            if one.policy.item_id not in self._pasts
            and now - self._tried.get(one.policy.item_id, -math.inf) >= RETRY_S
            and one.policy.demand_query is not None
        ]
        queries = [(policy.item_id, policy.demand_query or "") for policy in due]
        for (item, _), past in zip(
            queries, self._traffic.histories(queries, HISTORY, now), strict=True
        ):
            self._tried[item] = now
            if isinstance(past, str):
                if self._told.get(item) != past:
                    LOGGER.warning("%s: no history: %s", item, past)
                self._told[item] = past
                continue
            last = past.end - past.step
            self._pasts[item] = _Past(past.values.astype(np.float32), last.timestamp())

    def _hear(self, watched: Sequence[Watched], now: float) -> dict[str, Heard]:
        """Return what the metrics say of each service; its new samples join its past."""
        asks = []
        for one in watched:
            policy = one.policy
            past = self._pasts.get(policy.item_id)
            since = past.end if past is not None else now - self._step_s
            asks.append(Ask(policy.item_id, policy.demand_query or "", policy.slo.query, since))
        found = {
            ask.item_id: heard
            for ask, heard in zip(asks, self._traffic.hear(asks, now), strict=True)
        }
        for item, heard in found.items():
            if item in self._pasts:
                self._pasts[item].add(heard.samples, self._step_s)
        return found

    def _forecast(self, watched: Sequence[Watched]) -> None:
        """Forecast anew when a step is over: all items of a model in one batch."""
        newest = max((past.end for past in self._pasts.values()), default=-math.inf)
        if newest <= self._forecast_at:
            return
        self._forecast_at = newest
        by_model: dict[str, list[str]] = {}
        for one in watched:
            if one.policy.model is not None and one.policy.item_id in self._pasts:
                by_model.setdefault(one.policy.model, []).append(one.policy.item_id)
        self._models.reload(list(by_model))
        self._forecasts = {
            model: self._models.predict(model, [self._series(item) for item in items])
            for model, items in by_model.items()
        }

    def _series(self, item: str) -> Series:
        past = self._pasts[item]
        end = datetime.fromtimestamp(past.end, UTC)
        start = end - (len(past.values) - 1) * self._step
        return Series(item, start, self._step, past.values.astype(np.float64))

    def _ahead(self, watched: Sequence[Watched], now: float) -> dict[str, tuple[Outlook, Fan]]:
        """Return what the forecast says to each policy that has one."""
        found: dict[str, tuple[Outlook, Fan]] = {}
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
            for item, outlook in zip(items, outlooks(forecast, needs, now), strict=True):
                row = predicted.rows[item]
                origin = forecast.origins[row].timestamp()
                self._services[item].told(outlook, origin, forecast.quantile_levels)
                fan = Fan(
                    origin, self._step_s, forecast.quantile_levels, forecast.values[row],
                    forecast.sources[row],
                )  # fmt: skip
                found[item] = outlook, fan
        return found

    def _view(
        self,
        one: Watched,
        heard: Heard,
        workload: Workload | str,
        ahead: tuple[Outlook, Fan] | None,
        now: float,
    ) -> ServiceView:
        policy = one.policy
        service = self._services.get(policy.item_id)
        if service is None:
            return ServiceView(policy=policy, at=now, error="the capacity is not known yet")
        if isinstance(workload, str):
            return ServiceView(policy=policy, at=now, error=workload)
        observed = service.hear(heard, now)
        outlook, fan = ahead if ahead is not None else (None, None)
        followed = service.follow(now, observed, heard, workload, outlook)
        return ServiceView(
            policy=policy,
            at=now,
            replicas=workload.replicas,
            ready=len(workload.ready_s),
            observed_qps=None if math.isnan(observed) else observed,
            hpa_replicas=followed.hpa_replicas,
            decision=followed.decision,
            offer=followed.offer,
            fan=fan,
            trust=followed.trust,
            recent=service.recent(),
            ledger=followed.ledger,
            conditions=self._conditions(policy, heard, followed, fan),
        )

    def _conditions(
        self, policy: ServicePolicy, heard: Heard, followed: Followed, fan: Fan | None
    ) -> tuple[Condition, ...]:
        fresh = Condition(ConditionKind.DATA_FRESH, status=True, reason="Observed")
        if heard.fault is not None:
            fresh = Condition(ConditionKind.DATA_FRESH, False, "QueryFailed", heard.fault)
        elif math.isnan(heard.observed_qps):
            fresh = Condition(
                ConditionKind.DATA_FRESH, False, "NoSample",
                f"the query {policy.demand_query!r} has no sample now",
            )  # fmt: skip
        trusted = Condition(
            ConditionKind.FORECAST_TRUSTED, True, followed.trust.standing.value.title()
        )
        if fan is None:
            why = self._why_no_forecast(policy)
            trusted = Condition(ConditionKind.FORECAST_TRUSTED, False, "NoForecast", why)
        elif followed.trust.standing is Standing.BENCHED:
            trusted = Condition(
                ConditionKind.FORECAST_TRUSTED, False, "Benched",
                f"its loss is {followed.trust.skill:.1f} times that of the last value",
            )  # fmt: skip
        return fresh, trusted

    def _why_no_forecast(self, policy: ServicePolicy) -> str:
        if policy.model is None:
            return "the policy names no model: spec.demand.model"
        if policy.item_id not in self._pasts:
            return "its history could not be read yet"
        predicted = self._forecasts.get(policy.model)
        return predicted.faults.get(policy.item_id, "") if predicted is not None else ""


def _with(view: ServiceView, acted: Condition | None) -> ServiceView:
    """Return the view with what acting on it came to."""
    if acted is None:
        return view
    return replace(view, conditions=(*view.conditions, acted))
