"""The state of a training run between epochs: one safetensors file, replaced atomically.

A fingerprint of config and history ties it to one run; the state of another run is refused.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from forecaster.adapters.atomic_write import write_atomically
from forecaster.data.series import History
from forecaster.errors import ConfigError
from forecaster.models.config import TrainConfig

logger = logging.getLogger(__name__)

Tensors = dict[str, npt.NDArray[Any]]
# The last version of tidegate that changed the meaning of a state; later ones continue its runs.
_SINCE = "0.1.0"


def fingerprint(history: History, config: TrainConfig) -> str:
    """Return a digest of what a run depends on: all samples, all settings, and `_SINCE`."""
    digest = hashlib.sha256(json.dumps([_SINCE, repr(config)]).encode())
    for series in history:
        digest.update(f"{series.item_id}\0{series.start.isoformat()}\0{series.step}\0".encode())
        digest.update((series.timezone or "").encode())
        digest.update(np.ascontiguousarray(series.values).tobytes())
    return digest.hexdigest()


class FileCheckpoints:
    """Checkpoints of one run in one local file.

    Args:
        path: the file.
        run: the run's `fingerprint`.
        resume: continue from the stored state; otherwise the run starts from the beginning.
    """

    def __init__(self, path: Path, run: str, *, resume: bool) -> None:
        self.path, self.run, self.resume = path, run, resume

    def load(self) -> Tensors | None:
        """Return the stored state, or None if the run is to start from the beginning.

        Raises:
            ConfigError: the stored state is of another run, or cannot be read.
        """
        if not self.resume or not self.path.exists():
            return None
        try:
            with safe_open(self.path, framework="numpy") as stored:
                metadata: Mapping[str, str] = stored.metadata() or {}
                tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ConfigError(
                f"--resume: {self.path} cannot be read ({error}); remove it to begin anew"
            ) from error
        if metadata.get("run") != self.run:
            raise ConfigError(
                f"--resume: {self.path} is of another run (other history or options) or version; "
                "repeat that run's options, or leave --resume out to begin anew"
            )
        logger.info("continuing from %s", self.path)
        return tensors

    def save(self, tensors: Mapping[str, npt.NDArray[Any]]) -> None:
        """Replace the state; after a kill or on a full disk, the one before is still there."""
        arrays = {name: np.ascontiguousarray(array) for name, array in tensors.items()}
        content = save(arrays, metadata={"run": self.run})
        try:
            write_atomically(self.path, content)
        except OSError as error:
            # A run without a checkpoint is better than no run.
            logger.warning("no checkpoint: %s: %s", self.path, error)

    def remove(self) -> None:
        """Delete the state, once the run has finished."""
        self.path.unlink(missing_ok=True)
