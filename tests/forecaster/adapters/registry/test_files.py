"""An artifact's files: they come back exactly, and no damage goes unnoticed."""

import hashlib
import json
import math
import pickle  # noqa: TID251 to prove that none is ever read
from datetime import UTC, datetime
from typing import Any

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecaster.adapters.registry.files import Artifact, decode, encode
from forecaster.errors import RegistryError

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
WEIGHTS, CONFIG, REPORT, CHECKSUMS = FILES = (
    *("weights.safetensors", "config.json", "report.json", "checksums.json"),
)
DTYPES = (
    *("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", ">f4", ">i8"),
)


def some_files() -> dict[str, bytes]:
    tensors = {"weight": np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)}
    return encode(Artifact({"units": 64}, tensors, {"summary": {}}), NOW)


def test_a_checksum_file_says_what_was_saved():
    files = some_files()
    content = json.loads(files[CHECKSUMS])
    assert content["format_version"] == 1
    assert content["created"] == "2026-03-01T12:00:00+00:00"
    assert content["files"][CONFIG]["sha256"] == hashlib.sha256(files[CONFIG]).hexdigest()
    assert list(files)[-1] == CHECKSUMS  # written last: it makes a version whole


def tensors() -> st.SearchStrategy[np.ndarray[Any, Any]]:
    def of(dtype: str) -> st.SearchStrategy[np.ndarray[Any, Any]]:
        elements = hnp.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False)
        return hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0), elements=elements)

    # Transposed: tensors come in any memory layout.
    return st.sampled_from(DTYPES).flatmap(of).flatmap(lambda a: st.sampled_from((a, a.T)))


numbers = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)
objects = st.dictionaries(st.text(), json_values, max_size=5)
tensor_names = st.text().filter(lambda name: name != "__metadata__")


@given(st.dictionaries(tensor_names, tensors(), max_size=4), objects, objects)
def test_what_is_encoded_is_decoded_exactly(saved: dict[str, Any], config: Any, report: Any):
    loaded = decode(encode(Artifact(config, saved, report), NOW), "models/web/v0001")
    assert loaded.artifact.config == config
    assert loaded.artifact.report == report
    assert loaded.created == NOW
    assert loaded.artifact.tensors.keys() == saved.keys()
    for name, tensor in loaded.artifact.tensors.items():
        assert tensor.dtype == saved[name].dtype.newbyteorder("<")
        assert tensor.flags.writeable  # torch.from_numpy warns where it is not
        np.testing.assert_array_equal(tensor, saved[name], strict=False)
        assert tensor.shape == saved[name].shape


@given(st.sampled_from(FILES), st.integers(min_value=0), st.integers(1, 255))
def test_a_change_of_any_byte_is_refused(file: str, index: int, mask: int):
    files = some_files()
    changed = bytearray(files[file])
    changed[index % len(changed)] ^= mask
    with pytest.raises(RegistryError, match=r"models/web/v0001/\w+\.\w+ .*; "):
        decode({**files, file: bytes(changed)}, "models/web/v0001")


@given(st.sampled_from(FILES), st.integers(min_value=0))
def test_a_file_cut_anywhere_is_refused_by_name(file: str, length: int):
    files = some_files()
    cut = files[file][: length % len(files[file])]
    with pytest.raises(RegistryError, match=rf"models/web/v0001/{file} (is|was) "):
        decode({**files, file: cut}, "models/web/v0001")


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_is_named(file: str):
    files = {name: data for name, data in some_files().items() if name != file}
    with pytest.raises(RegistryError, match=rf"models/web/v0001/{file} is missing: .*; restore"):
        decode(files, "models/web/v0001")


class Trap:
    """Says so when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return pytest.fail, ("a pickle was read",)


ZIP = b"PK\x03\x04" + bytes(60)


@pytest.mark.parametrize(
    ("file", "data"),
    [
        pytest.param("model.pt", ZIP, id="beside the weights, by name"),
        pytest.param("scaler.PKL", pickle.dumps(Trap()), id="the case of the name is no escape"),
        pytest.param(WEIGHTS, ZIP, id="torch.save in place of the weights"),
        *(
            pytest.param(WEIGHTS, pickle.dumps(Trap(), protocol), id=f"pickle protocol {protocol}")
            for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1)
        ),
        pytest.param(CONFIG, pickle.dumps(Trap()), id="in place of the config"),
    ],
)
def test_a_pickle_is_refused_and_never_read(file: str, data: bytes):
    with pytest.raises(RegistryError, match=rf"v0001/{file} is a pickle: .* never loaded; remove"):
        decode({**some_files(), file: data}, "models/web/v0001")


def test_an_unknown_file_is_refused():
    with pytest.raises(RegistryError, match=r"v0001/notes.txt is no part of a model: .*; remove"):
        decode({**some_files(), "notes.txt": b"hello"}, "models/web/v0001")


def test_a_newer_format_is_refused_before_its_files_are_judged():
    content = json.loads(some_files()[CHECKSUMS]) | {"format_version": 2, "files": {"new": {}}}
    newer = {CHECKSUMS: json.dumps(content).encode(), "weights.zst": b""}
    with pytest.raises(RegistryError, match=r"format_version 2, but .* reads up to 1; upgrade"):
        decode(newer, "models/web/v0001")


def test_checksums_that_were_made_to_fit_edited_files_are_refused():
    files = some_files()
    edited = b'{"units": 65}\n'
    digest = hashlib.sha256(edited).hexdigest()
    content = json.loads(files[CHECKSUMS])
    content["files"][CONFIG] = {"bytes": len(edited), "sha256": digest}
    checksums = (json.dumps(content, indent=2) + "\n").encode()
    with pytest.raises(RegistryError, match=r"checksums.json was edited"):
        decode({**files, CONFIG: edited, CHECKSUMS: checksums}, "models/web/v0001")


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "c8"])
def test_weights_that_are_not_finite_are_refused(bad: float, dtype: str):
    weights = {"ok": np.ones(2), "lstm.bias": np.array([0, bad], dtype)}
    with pytest.raises(RegistryError, match=r"'lstm.bias': weights contain NaN .* diverged; train"):
        encode(Artifact({}, weights, {}), NOW)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, np.float32("nan")])
def test_a_number_that_is_not_finite_is_refused_in_the_config_and_null_in_the_report(bad: float):
    with pytest.raises(RegistryError, match=r"config.decay\[1\] is -?(nan|inf), but .* finite"):
        encode(Artifact({"decay": [1.0, bad]}, {}, {}), NOW)
    files = encode(Artifact({}, {}, {"peaks": {"pinball": bad}}), NOW)
    assert decode(files, "here").artifact.report == {"peaks": {"pinball": None}}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param({"when": NOW}, "config.when is datetime, but must be null", id="datetime"),
        pytest.param(
            {"by_step": {1: 2}}, "config.by_step is dict, .* text keys", id="number as key"
        ),
        pytest.param([1], "config is list, but must be an object", id="a list"),
    ],
)
def test_a_config_that_json_cannot_hold_is_refused_with_the_place(value: Any, message: str):
    with pytest.raises(RegistryError, match=message):
        encode(Artifact(value, {}, {}), NOW)


def test_numpy_numbers_are_numbers():
    files = encode(Artifact({"units": np.int64(64)}, {}, {"wape": np.float32(0.5)}), NOW)
    loaded = decode(files, "here").artifact
    assert (loaded.config, loaded.report) == ({"units": 64}, {"wape": 0.5})


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        pytest.param("a", np.array(["x"]), id="text"),
        pytest.param("a", np.array([None]), id="objects, which only a pickle could hold"),
        pytest.param("a", np.ones(1, np.complex128), id="a type without safetensors code"),
        pytest.param("__metadata__", np.ones(1), id="a reserved name"),
        pytest.param("\ud800", np.ones(1), id="a name that is no UTF-8"),
    ],
)
def test_a_tensor_that_safetensors_cannot_hold_is_refused(name: str, tensor: Any):
    with pytest.raises(RegistryError, match=r"tensor"):
        encode(Artifact({}, {name: tensor}, {}), NOW)
