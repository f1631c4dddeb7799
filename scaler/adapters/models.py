"""The forecasters in the registry, loaded once and again when the champion moves."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from forecaster.errors import ForecasterError
from forecaster.predict import Loaded, champion, load
from forecaster.series import Forecast, History, Series

LOGGER = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False, slots=True)
class Predicted:
    """One model's forecast of its items, and why there is none of the others."""

    forecast: Forecast | None
    rows: Mapping[str, int]
    faults: Mapping[str, str]


class Models:
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

    def predict(self, name: str, series: Sequence[Series]) -> Predicted:
        """Return the forecast of all items that have a known sample."""
        if name not in self._loaded:
            why = self._faults.get(name, f"model {name} is not loaded")
            return Predicted(None, {}, {one.item_id: why for one in series})
        known = [one for one in series if np.isfinite(one.values).any()]
        faults = {
            one.item_id: "its history holds no known sample yet"
            for one in series
            if not np.isfinite(one.values).any()
        }
        if not known:
            return Predicted(None, {}, faults)
        try:
            forecast = self._loaded[name].forecaster.predict(History(tuple(known)))
        except Exception as error:  # all go on by what is observed, rather than none at all
            LOGGER.exception("model %s: its forecast failed", name)
            return Predicted(None, {}, {one.item_id: f"{name}: {error!r}" for one in series})
        return Predicted(forecast, {one.item_id: i for i, one in enumerate(known)}, faults)
