"""The forecasters in the registry, loaded once and again when the champion moves."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import islice

import numpy as np

from forecaster.adapters.registry.loading import Loaded, champion, load
from forecaster.data.series import Forecast, History, Series
from forecaster.errors import ForecasterError
from scaler.adapters.heap import give_back

LOGGER = logging.getLogger(__name__)
BLOCK = 128  # items at once: of a thousand pasts of eight days, each copy is 92 MB


@dataclass(frozen=True, eq=False, slots=True)
class ModelForecast:
    """One model's forecast of its items, and why there is none of the others."""

    forecast: Forecast | None
    rows: Mapping[str, int]
    faults: Mapping[str, str]


class RegistryModels:
    """The champions of a registry, by name.

    A model that is corrupt or gone leaves the one that serves in place; where none serves yet, the
    champion before it does, see `load`.
    """

    def __init__(self, models: str | os.PathLike[str]) -> None:
        self._models = models
        self._loaded: dict[str, Loaded] = {}
        self._faults: dict[str, str] = {}

    def reload(self, names: Sequence[str]) -> None:
        """Load what is not loaded, and what has a new champion."""
        for name in dict.fromkeys(names):
            serving = self._loaded.get(name)
            try:
                version = champion(self._models, name)
                if serving is not None and serving.version == version:
                    self._faults.pop(name, None)
                    continue
                found = load(self._models, name, version if serving is not None else None)
            except ForecasterError as error:
                if self._faults.get(name) != str(error):
                    LOGGER.warning("model %s: %s", name, error)
                self._faults[name] = str(error)
                continue
            self._faults.pop(name, None)
            if serving is None or serving.version != found.version:
                LOGGER.info("model %s: %s serves", name, found.version)
            self._loaded[name] = found

    def version(self, name: str) -> str | None:
        """Return what serves; None if nothing does."""
        return self._loaded[name].version if name in self._loaded else None

    def step(self, name: str) -> timedelta | None:
        return self._loaded[name].forecaster.model.step if name in self._loaded else None

    def predict(self, name: str, series: Sequence[Series]) -> ModelForecast:
        """Return the forecast of all items that have a known sample.

        Pasts are taken from ``series`` a block at a time, and not kept.
        """
        if name not in self._loaded:
            why = self._faults.get(name, f"model {name} is not loaded")
            return ModelForecast(None, {}, {one.item_id: why for one in series})
        parts: list[Forecast] = []
        faults: dict[str, str] = {}
        demand_history = iter(series)
        while block := list(islice(demand_history, BLOCK)):
            known = [one for one in block if np.isfinite(one.values).any()]
            faults |= {
                one.item_id: "its history holds no known sample yet"
                for one in block
                if not np.isfinite(one.values).any()
            }
            try:
                if known:
                    parts.append(self._loaded[name].forecaster.predict(History(tuple(known))))
            except Exception as error:  # these go on by what is observed; the others have theirs
                LOGGER.exception("model %s: a forecast failed", name)
                faults |= {one.item_id: f"{name}: {error!r}" for one in known}
        give_back()
        if not parts:
            return ModelForecast(None, {}, faults)
        forecast = _joined(parts)
        return ModelForecast(
            forecast, {item: i for i, item in enumerate(forecast.item_ids)}, faults
        )


def _joined(parts: Sequence[Forecast]) -> Forecast:
    """Return forecasts of different items as one."""
    return replace(
        parts[0],
        item_ids=tuple(item for part in parts for item in part.item_ids),
        origins=tuple(origin for part in parts for origin in part.origins),
        values=np.concatenate([part.values for part in parts]),
        sources=tuple(source for part in parts for source in part.sources),
    )
