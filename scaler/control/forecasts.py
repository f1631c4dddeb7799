"""The newest forecasts of all services, read by each service for its own lead time.

With them the seasonal lows are found: what is least usual now, of services without a model, too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from forecaster.data.series import Forecast
from scaler.control.demand_history import DemandHistory
from scaler.control.memory import ModelMemory
from scaler.control.ports import World
from scaler.control.service_state import ServiceState
from scaler.control.snapshot import PublishedForecast
from scaler.control.unfailing_log import UnfailingLogger
from scaler.decision.lead_demand import ForecastReader, LeadForecast
from scaler.policy.policy import Policy

LOGGER = UnfailingLogger(__name__)


@dataclass(frozen=True, slots=True)
class _ModelForecasts:
    """What one model said last: a reader of its forecast, and why items have none."""

    reader: ForecastReader | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    fault: str = ""  # of all its items

    @property
    def forecast(self) -> Forecast | None:
        return None if self.reader is None else self.reader.forecast


class Forecasts:
    """Confined to the loop's thread.

    Args:
        world: what forecasts, and what finds seasonal lows.
        demand_history: what both rest on.
    """

    def __init__(self, world: World, demand_history: DemandHistory) -> None:
        self._models, self._demand_history = world.models, demand_history
        self._seasonal_lows = world.seasonal_lows
        self._by_model: dict[str, _ModelForecasts] = {}
        self._renewed_at = -math.inf
        self._unread: dict[str, str] = {}  # of each item, why its forecast was not read

    def memory(self) -> tuple[dict[str, ModelMemory], float]:
        """Return what each model said last, and of when its newest sample was."""
        said = {
            model: ModelMemory(one.forecast, one.rows, one.faults, one.fault)
            for model, one in self._by_model.items()
        }
        return said, self._renewed_at

    def recall(self, memory: Mapping[str, ModelMemory], renewed_at: float) -> None:
        self._renewed_at = renewed_at
        self._by_model = {
            model: _ModelForecasts(
                None if one.forecast is None else ForecastReader(one.forecast),
                one.rows,
                one.faults,
                one.fault,
            )
            for model, one in memory.items()
        }

    def rebase(self) -> None:
        """Forecast anew from what is known by a wall clock that has been set."""
        self._renewed_at = -math.inf

    def renew(self, policies: Iterable[Policy], states: Mapping[str, ServiceState]) -> None:
        """Forecast anew when a step is over: all items of a model in one batch.

        Each service is told its seasonal low.
        """
        newest = self._demand_history.newest
        if newest <= self._renewed_at:
            return
        self._renewed_at = newest
        by_model: dict[str, list[Policy]] = {}
        known = [policy for policy in policies if policy.item_id in self._demand_history]
        self._renew_lows([states[policy.item_id] for policy in known])
        for policy in known:
            if policy.model is not None:
                by_model.setdefault(policy.model, []).append(policy)
        try:
            self._models.reload(list(by_model))
        except Exception:  # what is loaded serves on
            LOGGER.exception("models could not be reloaded")
        self._by_model = {model: self._forecast(model, of) for model, of in by_model.items()}

    def read(self, states: Mapping[str, ServiceState], now: float) -> dict[str, LeadForecast]:
        """Return what the forecast says to each service that has one; each remembers it."""
        self._unread.clear()
        found: dict[str, LeadForecast] = {}
        for model, said in self._by_model.items():
            if said.reader is None:
                continue
            queries = {}
            for item, row in said.rows.items():
                state = states.get(item)
                if state is not None and state.policy.model == model:
                    with self._reading(item):
                        if self._reaches(item, said.reader, row, now):
                            queries[item] = state.lead_query(row)
            try:
                said.reader.prepare(queries.values(), now)
            except Exception:  # each is then worked out alone
                LOGGER.exception("model %s: forecasts could not be read at once", model)
            for item, query in queries.items():
                with self._reading(item):
                    lead_forecast = said.reader.read(query, now)
                    states[item].expect(lead_forecast, said.reader.origin(query.row))
                    found[item] = lead_forecast
        return found

    def _reaches(self, item: str, reader: ForecastReader, row: int, now: float) -> bool:
        """Return whether a forecast reaches to now from what it was made of; say why not."""
        known = self._demand_history.known_until(item)
        if reader.reaches(row, known, now):
            return True
        ago = f"{(now - known) / 60:.0f} minutes ago" if known > -math.inf else "never"
        reach = f"{reader.reach_s / 60:.0f} minutes"
        self._unread[item] = f"demand was last known {ago}; a forecast reaches {reach} from then"
        return False

    @contextmanager
    def _reading(self, item: str) -> Iterator[None]:
        """Have an item whose forecast cannot be read be reactive; the others have theirs."""
        try:
            yield
        except Exception as error:
            LOGGER.exception("%s: its forecast could not be read", item)
            self._unread[item] = f"its forecast could not be read: {error!r}"

    def published(self, policy: Policy) -> PublishedForecast | None:
        """Return the forecast of a policy's service, to be shown."""
        said = self._by_model.get(policy.model or "")
        row = None if said is None else said.rows.get(policy.item_id)
        if said is None or said.reader is None or row is None:
            return None
        forecast = said.reader.forecast
        return PublishedForecast(
            said.reader.origin(row),
            forecast.step.total_seconds(),
            forecast.quantile_levels,
            forecast.values[row].copy(),  # or it would hold on to the forecasts of all items
            forecast.sources[row],
        )

    def why_none(self, policy: Policy) -> str:
        """Return why a policy's service has no forecast."""
        if policy.model is None:
            return "the policy names no model: spec.demand.model"
        if policy.item_id not in self._demand_history:
            return self._demand_history.why_none(policy.item_id)
        if policy.item_id in self._unread:
            return self._unread[policy.item_id]
        said = self._by_model.get(policy.model)
        fault = "" if said is None else said.faults.get(policy.item_id, said.fault)
        return fault or "no forecast has been made of it yet"

    def _renew_lows(self, states: Sequence[ServiceState]) -> None:
        policies = [state.policy for state in states]
        try:
            found = self._seasonal_lows(self._demand_history.half_hours(policies)).tolist()
        except Exception:  # those of the minute before are as good
            LOGGER.exception("seasonal lows could not be found")
            return
        for state, low in zip(states, found, strict=True):
            state.low_qps = low

    def _forecast(self, model: str, policies: list[Policy]) -> _ModelForecasts:
        items = [policy.item_id for policy in policies]
        try:
            predicted = self._models.predict(model, self._demand_history.of(policies))
        except Exception as error:  # its services are reactive; those of other models have theirs
            LOGGER.exception("model %s: the forecast failed", model)
            return _ModelForecasts(fault=f"the forecast failed: {error!r}")
        forecast = predicted.forecast
        reader = None if forecast is None else ForecastReader(forecast)
        unsaid = dict.fromkeys(items, "its history could not be made into a series")
        faults = {item: why for item, why in unsaid.items() if item not in predicted.rows}
        return _ModelForecasts(reader, predicted.rows, {**faults, **predicted.faults})
