"""Durations, quantities and times as a policy file writes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.policy.fields import quantity, seconds, stamp


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("0s", 0.0),
        ("500ms", 0.5),
        ("90s", 90.0),
        ("15m", 900.0),
        ("1h30m", 5400.0),
        pytest.param("1h1m1s1ms", 3661.001, id="all units, the largest first"),
    ],
)
def test_a_duration_is_a_sum_of_whole_numbers_with_units(written, expected):
    assert seconds(written) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "written",
    [
        pytest.param("", id="nothing"),
        pytest.param("90", id="no unit"),
        pytest.param(90, id="a bare number"),
        pytest.param(True, id="a switch"),
        pytest.param("-5s", id="negative"),
        pytest.param("1.5h", id="a fraction"),
        pytest.param("30s1m", id="units that rise"),
        pytest.param("5 s", id="a space"),
        pytest.param("1d", id="a day, which is not always 24 hours"),
        pytest.param("9" * 6 + "s", id="more than five digits"),
    ],
)
def test_anything_else_is_no_duration(written):
    with pytest.raises(ValueError, match="must be a duration such as 90s"):
        seconds(written)


@given(st.integers(0, 99_999), st.integers(0, 59), st.integers(0, 59), st.integers(0, 999))
def test_a_duration_that_is_written_is_read_back(hours, minutes, whole, thousandths):
    written = f"{hours}h{minutes}m{whole}s{thousandths}ms"

    expected = hours * 3600 + minutes * 60 + whole + thousandths / 1000
    assert seconds(written) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (55, 55.0),
        ("55", 55.0),
        (0.5, 0.5),
        ("1500m", 1.5),
        pytest.param("100m", 0.1, id="exactly the float that 0.1 is"),
        ("1k", 1000.0),
        ("2M", 2e6),
        ("1Ki", 1024.0),
        pytest.param("1E", 1e18, id="an exa, not an exponent"),
        pytest.param("1E3", 1000.0, id="an exponent, not an exa"),
        ("1e-3", 0.001),
        ("50u", 5e-5),
        (".5", 0.5),
        ("-3", -3.0),
    ],
)
def test_a_quantity_is_read_as_kubernetes_reads_it(written, expected):
    assert quantity(written) == expected


@pytest.mark.parametrize("written", ["", "5x", "k", "1 k", "1K", "1e", "NaN", True, None, 10**400])
def test_anything_else_is_no_quantity(written):
    with pytest.raises(ValueError, match="must be a Kubernetes quantity such as"):
        quantity(written)


def test_a_time_keeps_the_zone_in_which_it_was_written():
    assert str(stamp("2026-11-27T09:00:00+02:00").utcoffset()) == "2:00:00"
