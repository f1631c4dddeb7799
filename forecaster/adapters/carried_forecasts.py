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
from forecaster.data.series import Forecast, Series
from forecaster.models.carried import CarriedAnchors
from forecaster.models.forecaster import Forecaster

LOGGER = logging.getLogger(__name__)
FORMAT = 1  # of the file; another one is left alone


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

    def predict(self, series: Sequence[Series]) -> tuple[Forecast | None, list[int]]:
        """Return the forecast from the kept anchors, and the places of the items left out.

        Left out are items without a known sample, those that a naive forecaster serves, which needs
        the whole history, and those that fail.
        """
        forecaster = self._forecaster
        naive = set(forecaster.candidates.naive)

        def is_learned(item_id: str) -> bool:
            return forecaster.item_model(item_id).source not in naive

        newest = self._anchors.newest(series, is_learned, forecaster.placed)
        if newest is None:
            return None, list(range(len(series)))
        forecast = forecaster.predict_windows(newest.item_ids, newest.origins, newest.windows, {})
        return forecast, sorted(set(range(len(series))) - set(newest.places))

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
