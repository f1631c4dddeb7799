"""Lease documents are read whole, or not at all.

Which are accepted and which are refused is said by deploy/gateways/vectors, see tests/gateways.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.adapters.http.schemas import LEASE
from scaler.gateway.lease_document import LeaseRefusedError, read_lease
from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings
from scaler.limits.lease import AfterSafe
from tests.conformance.leases import SHOP, class_part, lease

WHOLE = json.dumps(LEASE).encode()


def test_the_documented_lease_is_read_whole():
    document = read_lease(WHOLE, SHOP)

    assert (document.lease.qps, document.burst, document.enforce) == (335, 34, True)
    assert [(one.name, one.match and one.match.header, one.then) for one in document.classes] == [
        ("pay", None, AfterSafe.OPEN),
        ("stress", "x-stress-test", AfterSafe.CLOSED),
    ]
    assert [(step.in_s, step.qps) for step in document.lease.schedule] == [(60, 372), (300, 405)]


def test_unknown_fields_are_ignored():
    assert read_lease(json.dumps({**LEASE, "weather": "fine"}).encode(), SHOP) == read_lease(
        WHOLE, SHOP
    )


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(WHOLE[:-40], "not JSON", id="truncated"),
        pytest.param(b"[" * 100_000, "not JSON: it is nested", id="nested without end"),
        pytest.param(b"{}" + b" " * (1 << 20), "it has 1048578 bytes", id="too long"),
    ],
)
def test_a_lease_that_no_vector_can_show_is_refused_with_the_reason(body, reason):
    with pytest.raises(LeaseRefusedError, match=reason):
        read_lease(body, SHOP)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(st.sampled_from(sorted(LEASE)), JSON)
def test_garbage_in_a_field_is_refused_or_harmless(field, garbage):
    body = json.dumps({**LEASE, field: garbage}).encode()
    try:
        document = read_lease(body, SHOP)
    except LeaseRefusedError:
        return
    assert 0 <= document.lease.qps <= 1e9
    assert 0 < document.refresh_s <= document.lease.valid_for_s


@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=3))
def test_a_truncated_lease_changes_nothing(at, rest):
    """It is refused, or it is the whole lease with a byte more that JSON does not mind."""
    held = LeaseLimiter(LimiterSettings(SHOP, "gw-1"))
    held.receive(json.dumps(lease(900, 7.0, epoch="c0ff")).encode(), sent_at=0.0)
    before = held.snapshot(1.0)

    with pytest.raises(LeaseRefusedError):
        held.receive(WHOLE[:at] + rest, sent_at=1.0)
    assert held.snapshot(1.0) == before


def test_a_class_may_have_no_header():
    body = lease(1, 50, classes=[class_part("pay", 10, 50)])

    assert read_lease(json.dumps(body).encode(), SHOP).classes[0].match is None
