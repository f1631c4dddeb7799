"""The format of a stored model: converts a forecaster to JSON values and named arrays, and back.

A change that an older reader would misunderstand increases the registry's format version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from forecaster import __version__
from forecaster.errors import ForecasterError, RegistryError
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.forecaster import CANDIDATES, Candidates, Forecaster, ItemModel
from forecaster.models.lstm_ensemble import Ensemble
from forecaster.models.tabular import BoostingBaseline, RidgeBaseline, column_count

Tensors = dict[str, npt.NDArray[Any]]


def pack(forecaster: Forecaster, config: TrainConfig) -> tuple[dict[str, Any], Tensors]:
    """Return the config, including that of the training run, and the arrays of a forecaster."""
    candidates = forecaster.candidates
    items = sorted(forecaster.item_models)
    services = [*(forecaster.item_models[item] for item in items), forecaster.default_model]
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
    """Return the forecaster from what `pack` returned.

    Raises:
        RegistryError: a key or an array is missing or inconsistent.
    """
    try:
        model = model_config(config["model"])
        services = _services(config["services"], _TensorGroup(tensors, "shifts/"), model)
        candidates = Candidates(
            model,
            Ensemble.from_tensors(model, _TensorGroup(tensors, "lstm/")),
            RidgeBaseline.from_tensors(_TensorGroup(tensors, "ridge/")),
            BoostingBaseline.from_tensors(_TensorGroup(tensors, "boosting/")),
        )
        _check_fit(candidates)
        named = dict(zip(config["items"], services[:-1], strict=True))
        return Forecaster(candidates, named, services[-1])
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, ForecasterError) as error:
        found = " ".join(f"{type(error).__name__}: {error}".split())
        raise RegistryError(
            f"the stored model is inconsistent: {found[:200]}; "
            f"it was written by tidegate {config.get('tidegate', 'unknown')}, this is "
            f"{__version__}; train it again"
        ) from error


def _services(
    records: Sequence[Mapping[str, Any]], shifts: Tensors, model: ModelConfig
) -> list[ItemModel]:
    shape = (len(records), model.prediction_length, len(model.quantile_levels))
    for name in CANDIDATES:
        _require(shifts[name].shape == shape, f"shifts/{name}", shifts[name], shape)
    for record in records:
        if record["source"] not in CANDIDATES:
            raise ValueError(f"{record['source']!r} is none of {', '.join(CANDIDATES)}")
    return [
        ItemModel(
            record["source"],
            record["reason"],
            {name: shifts[name][row] for name in CANDIDATES},
            _moment(record["trained_until"]),
        )
        for row, record in enumerate(records)
    ]


def _check_fit(candidates: Candidates) -> None:
    """Raise ValueError if an array does not have the shape that the config implies."""
    model, ridge, boosting = candidates.model, candidates.ridge, candidates.boosting
    horizon, levels, columns = (
        model.prediction_length, len(model.quantile_levels), column_count(model.context_length),
    )  # fmt: skip
    trees, leaves = boosting.leaf.shape[1:]
    expected: dict[str, tuple[npt.NDArray[Any], tuple[int, ...]]] = {
        "ridge/weights": (ridge.weights, (horizon, columns)),
        "ridge/offset": (ridge.offset, (horizon,)),
        "boosting/start": (boosting.start, (levels,)),
        "boosting/leaf": (boosting.leaf, (levels, trees, leaves)),
        "boosting/feature": (boosting.feature, (levels, trees, leaves - 1)),
        "boosting/threshold": (boosting.threshold, (levels, trees, leaves - 1)),
    }
    for name, (array, shape) in expected.items():
        _require(array.shape == shape, name, array, shape)
    _require(leaves.bit_count() == 1, "boosting/leaf", boosting.leaf, "a power of two of leaves")
    if boosting.feature.min() < 0 or boosting.feature.max() >= columns:
        raise ValueError(f"boosting/feature names columns outside 0 to {columns - 1}")
    if not candidates.ensemble.networks:
        raise ValueError("lstm/ holds no network")


def _require(holds: bool, name: str, array: npt.NDArray[Any], rule: object) -> None:
    if not holds:
        raise ValueError(f"{name} has shape {array.shape}, not {rule}")


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


def _service_record(service: ItemModel) -> dict[str, Any]:
    until = service.trained_until
    return {
        "source": service.source,
        "reason": service.reason,
        "trained_until": None if until is None else until.isoformat(),
    }


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


class _TensorGroup(Tensors):
    """The arrays whose names have a prefix; an error for a missing one names it with the prefix."""

    def __init__(self, tensors: Mapping[str, npt.NDArray[Any]], prefix: str) -> None:
        self.prefix = prefix
        mine = (name for name in tensors if name.startswith(prefix))
        super().__init__({name.removeprefix(prefix): tensors[name] for name in mine})

    def __missing__(self, name: str) -> npt.NDArray[Any]:
        raise KeyError(f"{self.prefix}{name}")
