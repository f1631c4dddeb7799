"""A stored model as the bytes of its four files, with checksums over all. Home of safetensors.

Rules of this file: no disk, no network, no clock; only safetensors and JSON are ever decoded, so
that reading a model runs no code from it.

    weights.safetensors   every tensor, calibration included
    config.json           what the model is built from; a number that is not finite is refused
    report.json           the backtest; a number that is not finite becomes null: not known
    checksums.json        format_version, created, size and SHA-256 of the other three, and a seal

The seal is the SHA-256 of the rest of `checksums.json`, which is also compared byte for byte with
what would be written from its content. So a change of any byte of any file is noticed.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors import numpy as safetensors_numpy

from forecaster.adapters.exact_json import RESTORE, JsonDict, json_bytes, plain_object, read_object
from forecaster.data.series import utc
from forecaster.errors import RegistryError

FORMAT_VERSION = 1
WEIGHTS, CONFIG, REPORT, CHECKSUMS = (
    "weights.safetensors",
    "config.json",
    "report.json",
    "checksums.json",
)
PICKLE_SUFFIXES = frozenset({".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib", ".bin"})
_TENSOR_TYPES = (
    *("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float16", "float32", "float64", "complex64"),
)

Tensor = npt.NDArray[Any]


@dataclass(frozen=True, eq=False)
class Artifact:
    """A fitted forecaster as plain values.

    Attributes:
        config: JSON-able; what the model is built from.
        tensors: weights, and calibration under a prefix; all finite.
        report: JSON-able; the backtest; ``report["summary"]["relative_pinball"]`` is the headline.
    """

    config: JsonDict
    tensors: Mapping[str, Tensor]
    report: JsonDict


@dataclass(frozen=True, eq=False)
class StoredArtifact:
    """An artifact whose files have passed every check, with their sizes and checksums.

    Attributes:
        created: when it was saved; aware UTC.
        sizes: bytes per file, ``checksums.json`` included.
        sha256: hex digest per file, ``checksums.json`` excluded.
    """

    artifact: Artifact
    created: datetime
    sizes: Mapping[str, int]
    sha256: Mapping[str, str]


def encode(artifact: Artifact, created: datetime) -> dict[str, bytes]:
    """Return the four files; ``checksums.json`` comes last and is to be written last."""
    if created.utcoffset() != timedelta(0):
        raise ValueError(f"created is {created!r}, but it must be aware UTC")
    files = {
        WEIGHTS: _weights_bytes(artifact.tensors),
        CONFIG: json_bytes(plain_object(artifact.config, "config", non_finite_as_null=False)),
        REPORT: json_bytes(plain_object(artifact.report, "report", non_finite_as_null=True)),
    }
    return files | {CHECKSUMS: _checksums_bytes(files, created)}


def decode(files: Mapping[str, bytes], where: str) -> StoredArtifact:
    """Return the artifact in the files, after checking all of them.

    Args:
        files: every file of the version's directory.
        where: the directory, for messages.

    Raises:
        RegistryError: naming the file, the rule it breaks and the fix.
    """
    refuse_pickles(files, where)
    if CHECKSUMS not in files:
        raise RegistryError(
            f"{where}/{CHECKSUMS} is missing: it was removed, or a save was cut off; {RESTORE}"
        )
    checksums = _read_checksums(files[CHECKSUMS], f"{where}/{CHECKSUMS}")
    _check_file_set(files, where)
    for file, entry in checksums["files"].items():
        _check_file(files[file], entry, f"{where}/{file}")
    return StoredArtifact(
        artifact=Artifact(
            config=read_object(files[CONFIG], f"{where}/{CONFIG}"),
            tensors=_read_weights(files[WEIGHTS], f"{where}/{WEIGHTS}"),
            report=read_object(files[REPORT], f"{where}/{REPORT}"),
        ),
        created=utc(checksums["created"]),
        sizes={file: len(data) for file, data in files.items()},
        sha256={file: entry["sha256"] for file, entry in checksums["files"].items()},
    )


def refuse_pickles(files: Iterable[str], where: str) -> None:
    """Raise RegistryError where a file's name says that it is a pickle; it is not read."""
    for file in files:
        if PurePosixPath(file).suffix.lower() in PICKLE_SUFFIXES:
            _refuse_pickle(f"{where}/{file}")


def check_format_version(content: JsonDict, path: str) -> None:
    """Raise RegistryError unless ``content`` was written by this or an older forecaster."""
    found = content.get("format_version")
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise RegistryError(
            f"{path} has format_version {found!r}, but it must be 1 or more; {RESTORE}"
        )
    if found > FORMAT_VERSION:
        raise RegistryError(
            f"{path} has format_version {found}, but this forecaster reads up to {FORMAT_VERSION}; "
            "upgrade tidegate, or promote a version that it wrote itself"
        )


def _weights_bytes(tensors: Mapping[str, Tensor]) -> bytes:
    ready = {name: _checked_tensor(name, tensor) for name, tensor in tensors.items()}
    try:
        return safetensors_numpy.save(ready)
    except (SafetensorError, ValueError) as error:
        raise RegistryError(f"the tensors cannot be stored as safetensors: {error}") from error


def _checked_tensor(name: str, tensor: Tensor) -> Tensor:
    if not isinstance(name, str) or name == "__metadata__":
        raise RegistryError(f"{name!r} is not a tensor name that safetensors can hold; rename it")
    if tensor.dtype.name not in _TENSOR_TYPES:
        allowed = ", ".join(_TENSOR_TYPES)
        raise RegistryError(f"tensor {name!r} is {tensor.dtype}, but must be one of: {allowed}")
    if not np.isfinite(tensor).all():
        raise RegistryError(
            f"tensor {name!r}: weights contain NaN or infinity: training diverged; "
            "train again with a lower learning rate or another --seed"
        )
    # A copy, not ascontiguousarray: that turns a scalar into shape (1,).
    return np.array(tensor, dtype=tensor.dtype.newbyteorder("<"), order="C", copy=True)


def _read_weights(data: bytes, path: str) -> dict[str, Tensor]:
    try:
        return dict(safetensors_numpy.load(data))
    except (SafetensorError, KeyError, ValueError) as error:
        raise RegistryError(f"{path} is not valid safetensors ({error}); {RESTORE}") from error


def _is_pickle(data: bytes) -> bool:
    """Tell a zip (torch.save) or a pickle from safetensors, which has ``{`` at byte 8."""
    return data[8:9] != b"{" and re.match(rb"PK\x03\x04|\x80[\x00-\x05]", data) is not None


def _refuse_pickle(path: str) -> NoReturn:
    raise RegistryError(
        f"{path} is a pickle: it could run any code when read, so it is never loaded; "
        "remove it, and train the model again or convert it to safetensors"
    )


def _checksums_bytes(files: Mapping[str, bytes], created: datetime) -> bytes:
    entries = {
        file: {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        for file, data in files.items()
    }
    return _sealed({"format_version": FORMAT_VERSION, "created": created.isoformat()}, entries)


def _sealed(head: JsonDict, entries: JsonDict) -> bytes:
    content = {**head, "files": dict(entries)}
    return json_bytes({**content, "seal": hashlib.sha256(json_bytes(content)).hexdigest()})


def _read_checksums(data: bytes, path: str) -> dict[str, Any]:
    content = read_object(data, path)
    check_format_version(content, path)
    try:
        utc(content["created"])
        files = {file: content["files"][file] for file in (WEIGHTS, CONFIG, REPORT)}
        entries = {
            f: {"bytes": int(e["bytes"]), "sha256": str(e["sha256"])} for f, e in files.items()
        }
        head = {"format_version": FORMAT_VERSION, "created": content["created"]}
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise RegistryError(f"{path} was edited ({error!r}); {RESTORE}") from error
    if _sealed(head, entries) != data:
        raise RegistryError(f"{path} was edited: it is not what the registry writes; {RESTORE}")
    return {**head, "files": entries}


def _check_file_set(files: Iterable[str], where: str) -> None:
    found, expected = set(files), {WEIGHTS, CONFIG, REPORT, CHECKSUMS}
    for file in sorted(expected - found):
        raise RegistryError(f"{where}/{file} is missing: {CHECKSUMS} lists it; {RESTORE}")
    for file in sorted(found - expected):
        raise RegistryError(
            f"{where}/{file} is no part of a model: {CHECKSUMS} does not list it; remove it"
        )


def _check_file(data: bytes, entry: Mapping[str, Any], path: str) -> None:
    if _is_pickle(data):
        _refuse_pickle(path)
    if len(data) < entry["bytes"]:
        raise RegistryError(
            f"{path} is truncated: {len(data)} bytes found, {entry['bytes']} were saved; {RESTORE}"
        )
    digest = hashlib.sha256(data).hexdigest()
    if digest != entry["sha256"]:
        raise RegistryError(
            f"{path} was edited: its SHA-256 is {digest[:12]}..., "
            f"but {entry['sha256'][:12]}... was saved; {RESTORE}"
        )
