"""The format of a stored model: converts a forecaster to JSON values and named arrays, and back.

A change that an older reader would misunderstand increases the registry's format version.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import astuple, fields
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from forecaster import __version__
from forecaster.data.local_clock import zone_named
from forecaster.errors import ForecasterError, RegistryError
from forecaster.models.candidate import Candidate, CandidateKind, require_shape
from forecaster.models.candidates import BLEND, KINDS, Candidates
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.forecaster import Forecaster, ItemModel
from forecaster.models.naive import NAIVE
from forecaster.models.tail import TailLaw

Tensors = dict[str, npt.NDArray[Any]]
# The candidates of a stored model without a list of them, as written by version 0.1.0.
_FIRST_CANDIDATES = (
    *("last_value", "seasonal_day", "seasonal_week", "day_shape", "holt_winters"),
    *("ridge", "boosting", "lstm"),
)


def pack(
    forecaster: Forecaster, config: TrainConfig | None = None
) -> tuple[dict[str, Any], Tensors]:
    """Return the config and the arrays of a forecaster.

    ``config`` is that of the training run; None: it is not known any more.
    """
    candidates = forecaster.candidates
    items = sorted(forecaster.item_models)
    young = [found for _, found in forecaster.young_models]
    services = [*(forecaster.item_models[one] for one in items), forecaster.default_model, *young]
    parts = {
        **{name: candidate.tensors() for name, candidate in candidates.learned.items()},
        "shifts": {name: np.stack([s.shifts[name] for s in services]) for name in candidates.names},
    }
    if forecaster.default_model.tails:
        parts["tails"] = {
            name: np.array([astuple(s.tails[name]) for s in services]) for name in candidates.names
        }
    tensors = {
        f"{part}/{name}": np.ascontiguousarray(array)
        for part, arrays in parts.items()
        for name, array in arrays.items()
    }
    return {
        "tidegate": __version__,
        "model": _plain(forecaster.model),
        "train": {k: v for k, v in _plain(config).items() if k != "model"} if config else {},
        "candidates": list(candidates.names),
        "items": items,
        "services": [_service_record(service) for service in services],
        "holidays": [day.isoformat() for day in forecaster.holidays],
        "young_s": [span.total_seconds() for span, _ in forecaster.young_models],
    }, tensors


def unpack(
    config: Mapping[str, Any],
    tensors: Mapping[str, npt.NDArray[Any]],
    kinds: Sequence[CandidateKind] = KINDS,
) -> Forecaster:
    """Return the forecaster from what `pack` returned, with the candidates that were stored.

    Args:
        config: the stored config.
        tensors: the stored arrays.
        kinds: the known kinds of trained candidates; not all of them need to be stored.

    Raises:
        RegistryError: a key or an array is missing or inconsistent, or a candidate is unknown.
    """
    try:
        names = _candidate_names(config, kinds)
        model = model_config(config["model"])
        services = _services(config["services"], tensors, model, names)
        learned = {
            kind.name: _loaded(kind, model, _TensorGroup(tensors, f"{kind.name}/"))
            for kind in kinds
            if kind.name in names
        }
        naive = tuple(name for name in names if name in NAIVE)
        candidates = Candidates(model, learned, naive, has_blend=BLEND in names)
        items = config["items"]
        named, others = dict(zip(items, services, strict=False)), services[len(items) :]
        spans = [timedelta(seconds=seconds) for seconds in config.get("young_s", ())]
        young = tuple(zip(spans, others[1:], strict=True))
        holidays = tuple(date.fromisoformat(day) for day in config.get("holidays", ()))
        return Forecaster(candidates, named, others[0], holidays, young)
    except RegistryError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, RuntimeError, ForecasterError) as error:
        found = " ".join(f"{type(error).__name__}: {error}".split())
        raise RegistryError(
            f"the stored model is inconsistent: {found[:200]}; "
            f"it was written by tidegate {config.get('tidegate', 'unknown')}, this is "
            f"{__version__}; train it again"
        ) from error


def _candidate_names(config: Mapping[str, Any], kinds: Sequence[CandidateKind]) -> tuple[str, ...]:
    """Return the names of the stored candidates."""
    names = config.get("candidates", _FIRST_CANDIDATES)
    known = (*NAIVE, *(kind.name for kind in kinds), BLEND)
    if not isinstance(names, list | tuple):
        raise TypeError(f"candidates are {names!r}, not a list")
    unknown = [name for name in names if name not in known]
    if unknown:
        raise RegistryError(
            f"the stored model has the candidate {unknown[0]!r}, which this tidegate, "
            f"{__version__}, does not know; it was written by tidegate "
            f"{config.get('tidegate', 'unknown')}: upgrade this one, or promote a version whose "
            f"candidates are among {', '.join(known)}"
        )
    return tuple(names)


def _loaded(kind: CandidateKind, model: ModelConfig, tensors: Tensors) -> Candidate:
    try:
        return kind.load(model, tensors)
    except ValueError as error:
        raise ValueError(f"{kind.name}/{error}") from error


def _services(
    records: Sequence[Mapping[str, Any]],
    tensors: Mapping[str, npt.NDArray[Any]],
    model: ModelConfig,
    names: Sequence[str],
) -> list[ItemModel]:
    shifts, tails = _TensorGroup(tensors, "shifts/"), _TensorGroup(tensors, "tails/")
    shape = (len(records), model.prediction_length, len(model.quantile_levels))
    for name in names:
        require_shape(shifts[name], shape, f"shifts/{name}")
        if tails:  # models of before have none
            require_shape(tails[name], (len(records), len(fields(TailLaw))), f"tails/{name}")
    for record in records:
        if record["source"] not in names:
            raise ValueError(f"{record['source']!r} is none of {', '.join(names)}")
    return [
        ItemModel(
            record["source"],
            record["reason"],
            {name: shifts[name][row] for name in names},
            _moment(record["trained_until"]),
            zone_named(record["timezone"]) if record.get("timezone") else None,
            {name: TailLaw(*laws[row].tolist()) for name, laws in tails.items()},
        )
        for row, record in enumerate(records)
    ]


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
    zone = {"timezone": service.timezone} if service.timezone else {}
    return {
        "source": service.source,
        "reason": service.reason,
        "trained_until": None if until is None else until.isoformat(),
        **zone,
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
