"""Which lease documents are accepted, and which are refused."""

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

    assert (document.lease.qps, document.burst, document.spare_qps, document.enforce) == (
        335,
        34,
        175,
        True,
    )
    assert [(one.name, one.match and one.match.header, one.then) for one in document.classes] == [
        ("pay", None, AfterSafe.OPEN),
        ("stress", "x-stress-test", AfterSafe.CLOSED),
    ]
    assert [(step.in_s, step.qps) for step in document.lease.schedule] == [(60, 372), (300, 405)]


def test_unknown_fields_are_ignored():
    assert read_lease(json.dumps({**LEASE, "weather": "fine"}).encode(), SHOP) == read_lease(
        WHOLE, SHOP
    )


def _with(path: str, value: object) -> bytes:
    body = json.loads(WHOLE)
    *parents, field = path.split(".")
    part = body
    for parent in parents:
        part = part[int(parent) if parent.isdecimal() else parent]
    part[field] = value
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        pytest.param(WHOLE[:-40], "not JSON", id="truncated"),
        pytest.param(b"", "not JSON", id="nothing"),
        pytest.param(b"\xff\xfe", "not JSON", id="no text"),
        pytest.param(b"[" * 100_000, "not JSON", id="nested without end"),
        pytest.param(b"{}" + b" " * (1 << 20), "bytes", id="too long"),
        pytest.param(b"[]", r"is \[\], but must be an object", id="no object"),
        pytest.param(_with("schema", 2), "schema is 2, but must be 1", id="schema 2"),
        pytest.param(_with("schema", True), "schema .* is True", id="true is not 1"),
        pytest.param(_with("service", "prod/other"), "'prod/other'", id="another service"),
        pytest.param(_with("mode", "perhaps"), "mode is 'perhaps'", id="no such mode"),
        pytest.param(_with("version", -1), "version .* whole number", id="negative version"),
        pytest.param(_with("version", 1.5), "version .* whole number", id="half a version"),
        pytest.param(_with("share.rps", -1), "rps of share .* is -1", id="negative"),
        pytest.param(_with("share.rps", 2e9), r"must be in \[0, 1e\+09\]", id="absurd"),
        pytest.param(_with("share.rps", float("nan")), "NaN for a number", id="NaN"),
        pytest.param(_with("share.rps", float("inf")), "Infinity for a number", id="infinity"),
        pytest.param(WHOLE.replace(b"335", b"1e999"), "is inf", id="infinity, spelled out"),
        pytest.param(_with("share.rps", "335"), "must be a number", id="a text for a number"),
        pytest.param(_with("share.rps", True), "must be a number", id="true for a number"),
        pytest.param(_with("share.rps", None), "must be a number", id="missing"),
        pytest.param(_with("share", None), "must be an object", id="no share"),
        pytest.param(_with("on_expiry.safe_rps", -0.1), "safe_rps", id="negative safe limit"),
        pytest.param(_with("on_expiry.then", "maybe"), "maybe", id="neither open nor closed"),
        pytest.param(_with("valid_for_s", 0), "valid_for_s", id="never valid"),
        pytest.param(_with("valid_for_s", 1e8), "valid_for_s", id="valid for years"),
        pytest.param(_with("refresh_s", 0), "refresh_s", id="no pause between reports"),
        pytest.param(_with("refresh_s", 11), "refresh_s", id="reported after it has expired"),
        pytest.param(_with("schedule.1.in_s", 60), "ascend", id="schedule that does not ascend"),
        pytest.param(_with("schedule", {}), "must be a list", id="schedule that is no list"),
        pytest.param(_with("classes.0.rps", -1), r"rps of classes\[0\]", id="negative class"),
        pytest.param(_with("classes.1.name", "pay"), "unique", id="two classes of one name"),
        pytest.param(_with("classes.1.match", {"header": 7}), "text", id="header that is none"),
        pytest.param(_with("classes.1.match.value", 7), "text", id="value that is none"),
        pytest.param(_with("client_window_s", 0), "client_window_s is 0", id="no window"),
        pytest.param(_with("spare_rps", None), "spare_rps", id="no spare"),
    ],
)
def test_an_invalid_lease_is_refused_with_the_reason(body, reason):
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
