"""Envoy's rate limit descriptors are read and answered as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.limits.descriptors import (
    MAX_DESCRIPTORS,
    MAX_HITS,
    NO_LIMIT,
    Descriptor,
    DescriptorCall,
    DescriptorQuestion,
    DescriptorStatus,
    Unit,
    call_error,
    questions,
    reply_of,
    requests_per_unit,
)

SHOP = ("service", "prod/shop")


def asked(
    *entries: tuple[str, str], hits: int | None = None, call_hits: int = 0, domain="tidegate"
):
    return questions(DescriptorCall(domain, (Descriptor(entries, hits),), call_hits))[0]


@pytest.mark.parametrize(
    ("entries", "question"),
    [
        pytest.param((SHOP,), DescriptorQuestion("prod/shop"), id="a service alone"),
        pytest.param(
            (SHOP, ("class", "pay"), ("client", "10.0.0.7")),
            DescriptorQuestion("prod/shop", "pay", {}, "10.0.0.7"),
            id="class and client",
        ),
        pytest.param(
            (("client", "a"), SHOP), DescriptorQuestion("prod/shop", client="a"), id="in any order"
        ),
        pytest.param(
            (SHOP, ("remote_address", "10.0.0.7")),
            DescriptorQuestion("prod/shop", client="10.0.0.7"),
            id="Envoy's own key for an address",
        ),
        pytest.param(
            (SHOP, ("masked_remote_address", "10.0.0.0/24")),
            DescriptorQuestion("prod/shop", client="10.0.0.0/24"),
            id="Envoy's own key for a network",
        ),
        pytest.param(
            (SHOP, ("X-Stress-Test", "1")),
            DescriptorQuestion("prod/shop", None, {"x-stress-test": "1"}),
            id="any other entry is a header",
        ),
        pytest.param(
            (SHOP, ("class", ""), ("client", "")),
            DescriptorQuestion("prod/shop"),
            id="an empty value counts as absent",
        ),
        pytest.param(
            (SHOP, ("service", "prod/other")),
            DescriptorQuestion("prod/shop"),
            id="the first one counts",
        ),
        pytest.param((("class", "pay"),), DescriptorQuestion("", "pay"), id="no service: no limit"),
        pytest.param((), DescriptorQuestion(""), id="no entry"),
    ],
)
def test_the_entries_of_a_descriptor_select_the_limit(entries, question):
    assert asked(*entries) == question


def test_another_domain_has_no_limit():
    assert asked(SHOP, domain="other") == DescriptorQuestion("")


@pytest.mark.parametrize(
    ("own", "call_hits", "hits"),
    [
        pytest.param(None, 0, 1, id="unset: one"),
        pytest.param(None, 3, 3, id="of the call"),
        pytest.param(2, 3, 2, id="of the descriptor, before the call's"),
        pytest.param(0, 3, 0, id="none: nothing is counted"),
    ],
)
def test_hits_are_those_of_the_descriptor_else_of_the_call_else_one(own, call_hits, hits):
    assert asked(SHOP, hits=own, call_hits=call_hits).hits == hits


@pytest.mark.parametrize(
    ("call", "word"),
    [
        pytest.param(DescriptorCall("", (Descriptor((SHOP,)),)), "domain", id="no domain"),
        pytest.param(DescriptorCall("tidegate", ()), "no descriptor", id="no descriptor"),
        pytest.param(
            DescriptorCall("tidegate", (Descriptor((SHOP,)),) * (MAX_DESCRIPTORS + 1)),
            "at most",
            id="many",
        ),
        pytest.param(
            DescriptorCall("tidegate", (Descriptor((SHOP,)),), MAX_HITS + 1),
            "hits_addend",
            id="hits",
        ),
        pytest.param(
            DescriptorCall("tidegate", (Descriptor((SHOP,), MAX_HITS + 1),)),
            "hits_addend",
            id="own hits",
        ),
    ],
)
def test_an_invalid_call_is_refused_with_the_reason(call, word):
    assert word in (call_error(call) or "")


def test_a_valid_call_has_no_error():
    assert call_error(DescriptorCall("tidegate", (Descriptor((SHOP,)),), 5)) is None


ADMITTED = DescriptorStatus(False, limit_qps=20.0, remaining=3, reset_s=2.2, window_s=0.05)
DENIED = DescriptorStatus(True, limit_qps=20.7, remaining=0, reset_s=0.05, retry_s=0.05)


@pytest.mark.parametrize(
    ("statuses", "headers"),
    [
        pytest.param((NO_LIMIT,), {}, id="no limit, no fields"),
        pytest.param(
            (ADMITTED,),
            {"RateLimit-Policy": '"default";q=20;w=1', "RateLimit": '"default";r=3;t=1'},
            id="admitted",
        ),
        pytest.param(
            (ADMITTED, NO_LIMIT, DENIED),
            {
                "RateLimit-Policy": '"default";q=20;w=1',
                "RateLimit": '"default";r=0;t=1',
                "Retry-After": "1",
            },
            id="the one that is over the limit is the tightest",
        ),
        pytest.param(
            (DescriptorStatus(True, 0.4, 0, 2.1, 2.1),),
            {
                "RateLimit-Policy": '"default";q=1;w=3',  # 1 / 0.4 = 2.5 s
                "RateLimit": '"default";r=0;t=3',
                "Retry-After": "3",
            },
            id="less than one a second",
        ),
        pytest.param(
            (DescriptorStatus(True, 0.0, 0, float("inf"), float("inf")),),
            {
                "RateLimit-Policy": '"default";q=0;w=1',
                "RateLimit": '"default";r=0;t=3600',
                "Retry-After": "3600",
            },
            id="nothing at all",
        ),
        pytest.param(
            (DescriptorStatus(True, None, retry_s=10.0),),
            {"Retry-After": "10"},
            id="closed without a limit",
        ),
        pytest.param(
            (ADMITTED, DescriptorStatus(False, 50.0, 1, window_s=0.02)),
            {"RateLimit-Policy": '"default";q=50;w=1', "RateLimit": '"default";r=1;t=1'},
            id="the one with the fewest requests left is the tightest",
        ),
    ],
)
def test_the_response_has_the_fields_of_the_tightest_limit(statuses, headers):
    reply = reply_of(statuses)

    assert dict(reply.headers) == headers
    assert reply.over == any(status.over for status in statuses)


@given(st.floats(0, 1e9))
def test_a_rate_in_whole_requests_is_never_rounded_up_nor_below_its_half(qps):
    requests, unit = requests_per_unit(qps)
    rate = requests / {Unit.SECOND: 1, Unit.MINUTE: 60, Unit.HOUR: 3600}[unit]

    assert rate <= qps + 1e-9
    assert requests < 2**32
    assert rate > qps / 2 or qps < 1 / 3600


@given(
    st.builds(
        DescriptorStatus,
        st.booleans(),
        st.one_of(st.none(), st.floats(0, 1e9)),
        st.integers(0, 2**31),
        st.floats(0, 1e9),
        st.floats(0, allow_infinity=True),
    )
)
def test_retry_after_is_never_shorter_than_the_window(status):
    fields = dict(reply_of([status]).headers)

    assert ("Retry-After" in fields) == status.over
    if status.over and "RateLimit" in fields:
        assert int(fields["Retry-After"]) >= int(fields["RateLimit"].rpartition("t=")[2]) >= 1
