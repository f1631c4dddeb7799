"""The model that ships: it forecasts services until a model is trained for them."""

from __future__ import annotations

from pathlib import Path

from forecaster.adapters.registry.loading import Loaded, load
from scaler.adapters.shipped_files import shipped_root

NAME = "tiny"
PRETRAINED = "pretrained"  # what its version is called


def shipped_model(models: Path | None = None) -> Loaded:
    """Return the model that ships, from its place or another registry.

    Raises:
        RegistryError: it is not there, or cannot be read.
    """
    found = load(shipped_root() / "models" if models is None else models, NAME)
    return found._replace(version=PRETRAINED)
