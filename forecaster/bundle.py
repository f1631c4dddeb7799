"""A forecaster as plain values: a JSON-able config and named arrays, and back.

This is the format of a stored model. A change that an older reader would misunderstand raises the
registry's format version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from forecaster import __version__
from forecaster.config import ModelConfig, TrainConfig
from forecaster.ensemble import Ensemble
from forecaster.errors import ForecasterError, RegistryError
from forecaster.serving import CANDIDATES, Candidates, Forecaster, Service
from forecaster.tabular import BoostingBaseline, RidgeBaseline

Tensors = dict[str, npt.NDArray[Any]]


def pack(forecaster: Forecaster, config: TrainConfig) -> tuple[dict[str, Any], Tensors]:
    """Return the config and the arrays of a forecaster and of the run that made it."""
    candidates = forecaster.candidates
    items = sorted(forecaster.services)
    services = [*(forecaster.services[item] for item in items), forecaster.others]
    parts = {
        "lstm": candidates.ensemble.tensors(),
        "ridge": candidates.ridge.tensors(),
        "boosting": candidates.boosting.tensors(),
        "shifts": {name: np.stack([s.shifts[name] for s in services]) for name in CANDIDATES},
    }
    tensors = {
        f"{part}/{name}": np.ascontiguousarray(array)
        for part, arrays in parts.items()
        for name, array in arrays.items()
    }
    return {
        "tidegate": __version__,
        "model": _plain(config.model),
        "train": {k: v for k, v in _plain(config).items() if k != "model"},
        "items": items,
        "services": [_service_record(service) for service in services],
    }, tensors


def unpack(config: Mapping[str, Any], tensors: Mapping[str, npt.NDArray[Any]]) -> Forecaster:
    """Return the forecaster.

    Raises:
        RegistryError: a key or an array is missing, or does not fit the rest.
    """
    try:
        model = model_config(config["model"])
        shifts = _part(tensors, "shifts")
        services = [
            Service(
                record["source"],
                record["reason"],
                {name: shifts[name][row] for name in CANDIDATES},
                _moment(record["trained_until"]),
            )
            for row, record in enumerate(config["services"])
        ]
        candidates = Candidates(
            model,
            Ensemble.from_tensors(model, _part(tensors, "lstm")),
            RidgeBaseline.from_tensors(_part(tensors, "ridge")),
            BoostingBaseline.from_tensors(_part(tensors, "boosting")),
        )
        named = dict(zip(config["items"], services[:-1], strict=True))
        return Forecaster(candidates, named, services[-1])
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, ForecasterError) as error:
        raise RegistryError(
            f"the stored model does not hold together: {type(error).__name__}: {error}; "
            f"it was written by tidegate {config.get('tidegate', 'unknown')}, this is "
            f"{__version__}; train it again"
        ) from error


def model_config(record: Mapping[str, Any]) -> ModelConfig:
    """Return the model's config from its stored form."""
    values = dict(record)
    step = timedelta(seconds=values.pop("step"))
    return ModelConfig(step=step, quantile_levels=tuple(values.pop("quantile_levels")), **values)


def _plain(config: ModelConfig | TrainConfig) -> dict[str, Any]:
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    return {
        name: value.total_seconds() if isinstance(value, timedelta) else value
        for name, value in values.items()
    }


def _service_record(service: Service) -> dict[str, Any]:
    until = service.trained_until
    return {
        "source": service.source,
        "reason": service.reason,
        "trained_until": None if until is None else until.isoformat(),
    }


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _part(tensors: Mapping[str, npt.NDArray[Any]], part: str) -> Tensors:
    prefix = f"{part}/"
    return {
        name.removeprefix(prefix): array
        for name, array in tensors.items()
        if name.startswith(prefix)
    }
