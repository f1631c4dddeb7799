"""The champion models of the registry, loaded once, and again when the champion changes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, overload

import numpy as np

from forecaster.adapters.carried_forecasts import CarriedForecasts
from forecaster.adapters.registry.loading import Loaded, champion, load
from forecaster.data.series import Forecast, History, Series
from forecaster.errors import ForecasterError
from scaler.adapters.heap import release_free_memory
from scaler.adapters.shipped_model import PRETRAINED
from scaler.control.unfailing_log import UnfailingLogger

LOGGER = UnfailingLogger(__name__)
# Predictions of a model, one per step, between two snapshots of its anchors.
SNAPSHOT_EVERY = 5
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
    the previous champion serves, see `load`. Where nothing can be loaded, as before the first
    training, the model that ships serves until something can. The anchors of all items are kept
    between predictions, so that a prediction only needs the new samples of each history.

    Args:
        models: path or URL of the registry.
        anchors: directory in which the anchors are kept over restarts, or None.
        shipped: loads the model that ships; None: nothing serves in place of a model.
    """

    def __init__(
        self,
        models: str | os.PathLike[str],
        anchors: str | os.PathLike[str] | None = None,
        shipped: Callable[[], Loaded] | None = None,
    ) -> None:
        self._models, self._anchors, self._shipped = models, anchors, shipped
        self._loaded: dict[str, Loaded] = {}
        self._faults: dict[str, str] = {}
        self._carried: dict[str, CarriedForecasts] = {}
        self._predictions: dict[str, int] = {}
        self._writing: threading.Thread | None = None

    def close(self) -> None:
        """Write the last snapshot of the anchors."""
        if self._writing is not None:
            self._writing.join()
        for carried in self._carried.values():
            carried.snapshot()()

    def reload(self, names: Sequence[str]) -> None:
        """Load the models that are not loaded yet or have a new champion; forget all others."""
        kept: tuple[dict[str, Any], ...] = (
            self._loaded, self._faults, self._carried, self._predictions,
        )  # fmt: skip
        for known in kept:
            for gone in known.keys() - set(names):
                del known[gone]
        for name in dict.fromkeys(names):
            current = self._loaded.get(name)
            try:
                version = champion(self._models, name)
                if current is not None and current.version == version:
                    self._faults.pop(name, None)
                    continue
                is_stored = current is not None and current.version != PRETRAINED
                loaded = load(self._models, name, version if is_stored else None)
            except ForecasterError as error:
                if self._faults.get(name) != str(error):
                    LOGGER.warning("model %s: %s", name, error)
                self._faults[name] = str(error)
                if current is None:
                    self._load_shipped(name)
                continue
            self._faults.pop(name, None)
            if current is None or current.version != loaded.version:
                LOGGER.info("model %s: %s serves", name, loaded.version)
            self._loaded[name] = loaded
            if name in self._carried:
                self._carried[name].serve(loaded.forecaster)

    def _load_shipped(self, name: str) -> None:
        if self._shipped is None:
            return
        try:
            self._loaded[name] = self._shipped()
        except ForecasterError:
            LOGGER.exception("the model that ships cannot be loaded")
            return
        LOGGER.info("model %s: the pretrained one serves until it can be loaded", name)

    def version(self, name: str) -> str | None:
        """Return the version that serves; None if none does."""
        return self._loaded[name].version if name in self._loaded else None

    def step(self, name: str) -> timedelta | None:
        return self._loaded[name].forecaster.model.step if name in self._loaded else None

    def predict(self, name: str, series: Sequence[Series]) -> ModelForecast:
        """Return the forecast of all items that have a known sample.

        The histories are read from ``series`` one by one, and not kept.
        """
        if name not in self._loaded:
            fault = self._faults.get(name, f"model {name} is not loaded")
            return ModelForecast(None, {}, {one.item_id: fault for one in series})
        parts: list[Forecast] = []
        faults: dict[str, str] = {}
        left = _Some(series, self._carried_forecasts(name, series, parts))
        for first in range(0, len(left), BATCH_SIZE):
            self._predict_batch(name, left[first : first + BATCH_SIZE], parts, faults)
        release_free_memory()
        if not parts:
            return ModelForecast(None, {}, faults)
        forecast = _concatenated(parts)
        if self._loaded[name].version == PRETRAINED:
            told = tuple(f"{PRETRAINED} {source}" for source in forecast.sources)
            forecast = replace(forecast, sources=told)
        return ModelForecast(
            forecast, {item: i for i, item in enumerate(forecast.item_ids)}, faults
        )

    def _carried_forecasts(
        self, name: str, series: Sequence[Series], parts: list[Forecast]
    ) -> Sequence[int]:
        """Add the forecasts from the kept anchors; return which items they do not include."""
        try:
            if name not in self._carried:
                path = None if self._anchors is None else Path(self._anchors) / f"{name}.npz"
                self._carried[name] = CarriedForecasts(self._loaded[name].forecaster, path)
            forecast, left = self._carried[name].predict(series)
        except Exception:  # they are computed anew
            LOGGER.exception("model %s: the kept anchors failed", name)
            self._carried.pop(name, None)
            return range(len(series))
        if forecast is not None:
            parts.append(forecast)
        self._keep(name)
        return left

    def _keep(self, name: str) -> None:
        """Write the anchors of a model now and then, beside the loop."""
        count = self._predictions[name] = self._predictions.get(name, 0) + 1
        is_free = self._writing is None or not self._writing.is_alive()
        if self._anchors is not None and count % SNAPSHOT_EVERY == 0 and is_free:
            write = self._carried[name].snapshot()
            self._writing = threading.Thread(target=write, name=f"anchors of {name}")
            self._writing.start()

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


class _Some(Sequence[Series]):
    """Some of the series, each made when it is looked at."""

    def __init__(self, series: Sequence[Series], places: Sequence[int]) -> None:
        self._series, self._places = series, places

    def __len__(self) -> int:
        return len(self._places)

    @overload
    def __getitem__(self, place: int) -> Series: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Series]: ...
    def __getitem__(self, place: int | slice) -> Series | Sequence[Series]:
        if isinstance(place, slice):
            return _Some(self._series, self._places[place])
        return self._series[self._places[place]]


def _concatenated(parts: Sequence[Forecast]) -> Forecast:
    """Return forecasts of different items as one forecast."""
    return replace(
        parts[0],
        item_ids=tuple(item for part in parts for item in part.item_ids),
        origins=tuple(origin for part in parts for origin in part.origins),
        values=np.concatenate([part.values for part in parts]),
        sources=tuple(source for part in parts for source in part.sources),
    )
