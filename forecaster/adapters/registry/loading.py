"""Loading a stored forecaster from the registry, for the scaler, the commands and notebooks."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

from forecaster.adapters.registry.registry import Artifact, Registry
from forecaster.models.artifact import unpack
from forecaster.models.forecaster import Forecaster

logger = logging.getLogger(__name__)


class Loaded(NamedTuple):
    """A stored forecaster with its version and the report of its training."""

    forecaster: Forecaster
    version: str
    report: Mapping[str, Any]


def champion(models: str | os.PathLike[str], name: str) -> str:
    """Return the version of ``name`` that is to serve, without loading it; raises RegistryError."""
    return Registry(models).champion(name)


def load_forecaster(
    models: str | os.PathLike[str], name: str, version: str | None = None
) -> Forecaster:
    """Return a version of ``name``, or its champion; see `load`."""
    return load(models, name, version).forecaster


def load(models: str | os.PathLike[str], name: str, version: str | None = None) -> Loaded:
    """Return a version of ``name``, or its champion; if that is broken, the champion before it.

    Args:
        models: a folder, or any fsspec URL.
        name: name the forecaster was trained under.
        version: such as ``"v0003"``; None for the champion.

    Raises:
        RegistryError: there is no such forecaster, or it cannot be read.
    """
    registry = Registry(models)
    if version is not None:
        artifact = registry.load(name, version)
    else:
        version, artifact, warning = registry.load_champion_or_previous(name, _unpacked)
        if warning:
            logger.warning("%s", warning)
    return Loaded(_unpacked(artifact), version, artifact.report)


def _unpacked(artifact: Artifact) -> Forecaster:
    return unpack(artifact.config, artifact.tensors)
