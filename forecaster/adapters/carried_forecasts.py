"""Forecasts of items whose anchors are kept from call to call, and on disk over restarts."""

from __future__ import annotations

import io
import logging
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from forecaster.adapters.atomic_write import write_atomically
from forecaster.data.series import Forecast, History, Series
from forecaster.models.carried import CarriedAnchors
from forecaster.models.forecaster import Forecaster

LOGGER = logging.getLogger(__name__)
FORMAT = 1  # of the file; another one is left alone
ITEMS_AT_ONCE = 128  # of the items that are predicted from their whole history


class CarriedForecasts:
    """The forecasts of one model. Confined to one thread.

    Args:
        forecaster: the model.
        path: of the snapshot, or None; what it holds goes on.
    """

    def __init__(self, forecaster: Forecaster, path: Path | None = None) -> None:
        self._forecaster, self._path = forecaster, path
        self._anchors = CarriedAnchors(forecaster.model)
        if path is not None and path.exists():
            self._restore(path)

    def serve(self, forecaster: Forecaster) -> None:
        """Predict with a new champion; anchors of another timing or context are dropped."""
        self._forecaster = forecaster
        if not self._anchors.fits(forecaster.model):
            self._anchors = CarriedAnchors(forecaster.model)

    def predict(self, series: Sequence[Series]) -> list[Forecast]:
        """Return the forecasts of all items that have a known sample, in parts.

        Items that a naive forecaster serves are predicted from their whole history.
        """
        forecaster = self._forecaster
        naive = set(forecaster.candidates.naive)

        def is_learned(item_id: str) -> bool:
            return forecaster.item_model(item_id).source not in naive

        parts = []
        newest = self._anchors.newest(series, is_learned)
        if newest is not None:
            parts.append(
                forecaster.predict_windows(newest.item_ids, newest.origins, newest.windows, {})
            )
        if newest is None or len(newest.item_ids) < len(series):
            parts += self._from_history(series, set() if newest is None else set(newest.item_ids))
        return parts

    def _from_history(self, series: Sequence[Series], done: set[str]) -> list[Forecast]:
        parts, batch = [], []
        for one in series:
            if one.item_id not in done and np.isfinite(one.values).any():
                batch.append(one)
            if len(batch) == ITEMS_AT_ONCE:
                parts.append(self._forecaster.predict(History(tuple(batch))))
                batch = []
        if batch:
            parts.append(self._forecaster.predict(History(tuple(batch))))
        return parts

    def snapshot(self) -> Callable[[], None]:
        """Return what writes the snapshot of this moment; it may be called in another thread."""
        path = self._path
        arrays: dict[str, Any] = self._anchors.arrays()

        def write() -> None:
            if path is None or not arrays:
                return
            arrays["format"] = np.array(FORMAT)
            try:
                write_atomically(path, lambda file: np.savez(file, **arrays))
            except OSError as error:
                LOGGER.warning("%s is not written: %s", path, error)

        return write

    def _restore(self, path: Path) -> None:
        try:
            stored = np.load(io.BytesIO(path.read_bytes()), allow_pickle=False)
            arrays: dict[str, npt.NDArray[Any]] = dict(stored)
            if arrays.pop("format") != FORMAT:
                raise ValueError("it was written by another version")
            self._anchors.restore(arrays)
        except (OSError, KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
            LOGGER.warning("%s is not used, histories are read instead: %s", path, error)
            return
        LOGGER.info("%s: the anchors of %d items go on", path, len(self._anchors))
