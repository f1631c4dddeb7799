"""Values as JSON come back as they went, to the last bit."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import Enum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from forecaster.data.series import FloatArray
from scaler.adapters.journal.plain_values import from_plain_value, to_plain_value
from scaler.errors import JournalError


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True)
class Inner:
    at: datetime
    colour: Colour = Colour.RED
    days: tuple[date, ...] = ()


@dataclass(frozen=True)
class Outer:
    name: str
    number: float
    pairs: tuple[tuple[float, int], ...] = ((1.0, 1),)
    names: Mapping[str, float | None] = field(default_factory=lambda: {"x": 1.0})
    inner: Inner | None = None
    either: Inner | str = "nothing"
    span: timedelta = timedelta(0)
    uids: frozenset[str] = frozenset({"x"})
    data: bytes = b""
    flag: bool = True


def through_json(kind, value):
    return from_plain_value(kind, json.loads(json.dumps(to_plain_value(value), allow_nan=False)))


numbers = st.floats(allow_nan=False)
texts = st.text(max_size=20)
inners = st.builds(
    Inner,
    st.datetimes(timezones=st.just(UTC)),
    days=st.lists(st.dates(), max_size=3).map(tuple),
)
outers = st.builds(
    Outer,
    name=texts,
    number=numbers,
    pairs=st.lists(st.tuples(numbers, st.integers())).map(tuple),
    names=st.dictionaries(texts, st.none() | numbers),
    inner=st.none() | inners,
    either=inners | texts,
    span=st.integers(0, 10**6).map(lambda seconds: timedelta(seconds=seconds)),
    uids=st.frozensets(texts),
    data=st.binary(max_size=2000),
    flag=st.booleans(),
)


@given(outers)
def test_dataclasses_come_back_as_they_went(value):
    assert through_json(Outer, value) == value


@given(
    hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=12),
    )
)
def test_arrays_come_back_with_their_bytes(array):
    found = through_json(FloatArray, array)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    assert np.array_equal(found, array, equal_nan=array.dtype.kind == "f")


@given(hnp.arrays(np.float32, 300, elements=st.floats(width=32)))
def test_doubles_that_are_singles_come_back_as_doubles(array):
    doubles = array.astype(np.float64)
    found = through_json(FloatArray, doubles)
    assert found.dtype == np.float64
    assert np.array_equal(found, doubles, equal_nan=True)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 0.1 + 0.2, -0.0])
def test_numbers_that_json_lacks_come_back(value):
    assert repr(through_json(float, value)) == repr(value)


@pytest.mark.parametrize(
    ("kind", "plain"),
    [
        pytest.param(Outer, {"number": 1.0}, id="a field that must be there"),
        pytest.param(int, "3", id="a text for a number"),
        pytest.param(Colour, "green", id="no such value"),
        pytest.param(tuple[float, int], [1.0], id="too few"),
        pytest.param(FloatArray, {"t": "O", "n": [1], "b": ""}, id="objects"),
        pytest.param(FloatArray, {"t": "<f8", "n": [9], "b": ""}, id="too few bytes"),
        pytest.param(bytes, {"z": "AAAA"}, id="bytes that cannot be unpacked"),
    ],
)
def test_what_is_not_of_the_kind_is_refused(kind, plain):
    with pytest.raises(JournalError):
        from_plain_value(kind, plain)


def test_what_has_no_form_is_refused():
    with pytest.raises(TypeError, match="no form"):
        to_plain_value(object())
