"""Storing a forecaster from Python; the command `train` stores one with its backtest."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from forecaster.adapters.registry.registry import Artifact, Registry
from forecaster.models.artifact import pack
from forecaster.models.forecaster import Forecaster


def save_forecaster(
    forecaster: Forecaster,
    models: str | os.PathLike[str],
    name: str,
    *,
    promote: bool = True,
) -> str:
    """Store a new version of ``name`` and return it, such as ``"v0003"``.

    Args:
        forecaster: to be stored; its backtest is not.
        models: a folder, or any fsspec URL.
        name: letters, digits, ``.``, ``_`` and ``-``.
        promote: whether it becomes champion, which `load_forecaster` and `scaler run` take, without
            the gate of the command `train`; `forecaster models rollback` undoes that.

    Raises:
        RegistryError: it cannot be stored; nothing that is stored has changed.
    """
    registry = Registry(models)
    config, tensors = pack(forecaster)
    now = datetime.now(UTC)  # noqa: TID251 - called by people, as a command is
    version = registry.save(name, Artifact(config, tensors, {}), now=now)
    if promote:
        registry.promote(name, version)
    return version
