"""Events as lines: told by difference, read back whole, and without what lets somebody in."""

from __future__ import annotations

import json
import math
from dataclasses import fields, is_dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.journal.deltas import DeltaReader, DeltaWriter
from scaler.adapters.journal.events import JournalHead, LeasesCalled, LeaseTold, Measured, SeenTick
from scaler.adapters.journal.lines import LineReader, LineWriter, without_secrets
from scaler.adapters.journal.plain_values import to_plain_value
from scaler.control.observations import ServiceMetrics
from scaler.errors import JournalError

items = st.sampled_from(["a", "b", "c", "="])
values = st.text(max_size=3) | st.dictionaries(
    st.sampled_from(["x", "y", "z"]), st.integers(0, 2), min_size=1
)


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b", "c"]), values), max_size=8))
def test_differences_add_up_to_the_whole_in_its_order(steps):
    writer, reader = DeltaWriter(), DeltaReader()
    for step in steps:
        whole, _ = reader.whole(json.loads(json.dumps(writer.change(step))))
        assert whole == step
        assert list(whole) == list(step)


def same(one, other):
    return to_plain_value(one) == to_plain_value(other)


def test_what_says_the_same_as_before_is_not_written_again():
    writer, reader = LineWriter(), LineReader()
    seen = SeenTick(3, 17.25)
    asked = LeaseRequest("gw-1", '"c0ff-1-2.000"')
    told = LeaseTold("gw-1", '"c0ff-1-2.000"', False, "abcd")
    event = LeasesCalled("reply", "prod/shop", 20.5, seen, (asked,), (told,))
    first, second = writer.line(event), writer.line(event)
    assert len(second) < len(first) / 2
    assert b"since" not in second
    for line in (first, second):
        assert same(reader.event(line), event)


def test_who_asks_is_recorded_and_a_line_of_before_has_nobody_in_particular():
    asked = LeaseRequest("gw-1", owner="shop-gateways", owner_instances=20)
    event = LeasesCalled("reply", "prod/shop", 20.5, SeenTick(3, 17.25), (asked,))
    line = LineWriter().line(event)
    assert LineReader().event(line).asked == (asked,)
    plain = json.loads(line)
    del plain["asked"][0]["owner"], plain["asked"][0]["owner_instances"]
    assert LineReader().event(json.dumps(plain).encode()).asked == (LeaseRequest("gw-1"),)


def test_a_service_that_goes_on_as_before_takes_no_room():
    writer, reader = LineWriter(), LineReader()
    one = Measured({"prod/a": ServiceMetrics(12.5), "prod/b": ServiceMetrics(math.nan)})
    two = Measured({"prod/a": ServiceMetrics(12.5), "prod/b": ServiceMetrics(3.0)})
    first, second = writer.line(one), writer.line(two)
    assert b"prod/a" not in second
    assert same(reader.event(first), one)
    assert same(reader.event(second), two)


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        pytest.param("https://me:hush@prom/api", "https://prom/api", id="user and password"),
        pytest.param("https://token@prom:9090/", "https://prom:9090/", id="a user that is a token"),
        pytest.param("Authorization: Bearer abc.def-123", "Authorization: ***", id="a header"),
        pytest.param("said 'Basic dXNlcjpwdw=='", "said 'Basic ***'", id="basic access"),
        pytest.param("/api?token=abc&x=1", "/api?token=***&x=1", id="a query"),
        pytest.param('{"password": "hush"}', '{"password": "***"}', id="JSON"),
        pytest.param(r"{\"api_key\": \"hush\"}", r"{\"api_key\": \"***\"}", id="JSON in JSON"),
        pytest.param(
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "***", id="PEM"
        ),
        pytest.param('sum(rate(x{code="200"}[1m]))', 'sum(rate(x{code="200"}[1m]))', id="PromQL"),
    ],
)
def test_what_lets_somebody_in_is_left_out(said, kept):
    once = without_secrets(said)
    assert "hush" not in once
    assert kept.split("***")[0] in once
    assert without_secrets(once) == once


@given(st.text(max_size=60), st.sampled_from(["password=", "Bearer ", "https://a:b@c", "token="]))
def test_an_event_with_a_secret_is_still_a_line(text, lead):
    event = Measured({"prod/a": ServiceMetrics(1.0, fault=text + lead + text)})
    found = LineReader().event(LineWriter().line(event))
    assert found.items["prod/a"].fault == without_secrets(text + lead + text)


@pytest.mark.parametrize("line", [b"{", b"[]", b'{"k": "nothing"}', b'{"x": 1}', b"\xff"])
def test_a_line_that_cannot_be_read_is_told_as_such(line):
    with pytest.raises(JournalError, match="cannot be read"):
        LineReader().event(line)


def test_no_setting_that_lets_somebody_in_is_in_a_head():
    def names(kind):
        for one in fields(kind):
            yield one.name
            if is_dataclass(one.type):
                yield from names(one.type)

    assert not {"tokens", "token", "password", "kubeconfig"} & set(names(JournalHead))
