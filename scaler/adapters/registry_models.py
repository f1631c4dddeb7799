"""The champion models of the registry, loaded once, and again when the champion changes."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import numpy as np

from forecaster.adapters.registry.loading import Loaded, champion, load
from forecaster.data.series import Forecast, History, Series
from forecaster.errors import ForecasterError
from scaler.adapters.heap import release_free_memory
from scaler.control.unfailing_log import UnfailingLogger

LOGGER = UnfailingLogger(__name__)
BATCH_SIZE = 128  # items per batch: each copy of a thousand histories of eight days is 92 MB


@dataclass(frozen=True, eq=False, slots=True)
class ModelForecast:
    """One model's forecast of its items, and why other items have none."""

    forecast: Forecast | None
    rows: Mapping[str, int]
    faults: Mapping[str, str]


class RegistryModels:
    """The champions of a registry, by name.

    If a new champion is corrupt or missing, the loaded model goes on serving; if none is loaded,
    the previous champion serves, see `load`.
    """

    def __init__(self, models: str | os.PathLike[str]) -> None:
        self._models = models
        self._loaded: dict[str, Loaded] = {}
        self._faults: dict[str, str] = {}

    def reload(self, names: Sequence[str]) -> None:
        """Load the models that are not loaded yet or have a new champion."""
        for name in dict.fromkeys(names):
            current = self._loaded.get(name)
            try:
                version = champion(self._models, name)
                if current is not None and current.version == version:
                    self._faults.pop(name, None)
                    continue
                loaded = load(self._models, name, version if current is not None else None)
            except ForecasterError as error:
                if self._faults.get(name) != str(error):
                    LOGGER.warning("model %s: %s", name, error)
                self._faults[name] = str(error)
                continue
            self._faults.pop(name, None)
            if current is None or current.version != loaded.version:
                LOGGER.info("model %s: %s serves", name, loaded.version)
            self._loaded[name] = loaded

    def version(self, name: str) -> str | None:
        """Return the version that serves; None if none does."""
        return self._loaded[name].version if name in self._loaded else None

    def step(self, name: str) -> timedelta | None:
        return self._loaded[name].forecaster.model.step if name in self._loaded else None

    def predict(self, name: str, series: Sequence[Series]) -> ModelForecast:
        """Return the forecast of all items that have a known sample.

        The histories are read from ``series`` in batches, and not kept.
        """
        if name not in self._loaded:
            fault = self._faults.get(name, f"model {name} is not loaded")
            return ModelForecast(None, {}, {one.item_id: fault for one in series})
        parts: list[Forecast] = []
        faults: dict[str, str] = {}
        for first in range(0, len(series), BATCH_SIZE):
            self._predict_batch(name, series[first : first + BATCH_SIZE], parts, faults)
        release_free_memory()
        if not parts:
            return ModelForecast(None, {}, faults)
        forecast = _concatenated(parts)
        return ModelForecast(
            forecast, {item: i for i, item in enumerate(forecast.item_ids)}, faults
        )

    def _predict_batch(
        self, name: str, batch: Sequence[Series], parts: list[Forecast], faults: dict[str, str]
    ) -> None:
        """Add the forecast of a batch; an item that fails is told from the others by halving."""
        histories: list[Series] = []
        try:
            histories = list(batch)
            known = tuple(one for one in histories if np.isfinite(one.values).any())
            if known:
                parts.append(self._loaded[name].forecaster.predict(History(known)))
        except Exception as error:
            if len(batch) > 1:
                half = len(batch) // 2
                self._predict_batch(name, batch[:half], parts, faults)
                self._predict_batch(name, batch[half:], parts, faults)
                return
            LOGGER.exception("model %s: a forecast failed", name)
            faults |= {one.item_id: f"{name}: {error!r}" for one in histories}
            return
        with_samples = {one.item_id for one in known}
        faults |= {
            one.item_id: "its history holds no known sample yet"
            for one in histories
            if one.item_id not in with_samples
        }


def _concatenated(parts: Sequence[Forecast]) -> Forecast:
    """Return forecasts of different items as one forecast."""
    return replace(
        parts[0],
        item_ids=tuple(item for part in parts for item in part.item_ids),
        origins=tuple(origin for part in parts for origin in part.origins),
        values=np.concatenate([part.values for part in parts]),
        sources=tuple(source for part in parts for source in part.sources),
    )
