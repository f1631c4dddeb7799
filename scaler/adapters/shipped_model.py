"""The model that ships: it forecasts services until a model is trained for them."""

from __future__ import annotations

import os
from pathlib import Path

from forecaster.adapters.registry.loading import Loaded, load
from forecaster.errors import ForecasterError
from scaler.adapters.shipped_files import shipped_root

PRETRAINED = "pretrained"  # its name, and what its version is called in place of another model's


def shipped_model(models: Path | None = None) -> Loaded:
    """Return the model that ships, from its place or another registry.

    Raises:
        RegistryError: it is not there, or cannot be read.
    """
    found = load(shipped_root() / "models" if models is None else models, PRETRAINED)
    return found._replace(version=PRETRAINED)


def trained_or_shipped(
    models: str | os.PathLike[str], name: str
) -> tuple[Loaded, ForecasterError | None]:
    """Return the champion of a registry; where it cannot be loaded, the model that ships and why.

    Raises:
        RegistryError: not even that can be loaded.
    """
    try:
        return load(models, name), None
    except ForecasterError as fault:
        return shipped_model(), fault
