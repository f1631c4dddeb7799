"""HAProxy's Lua and `scaler` have one law: what a lease means as it ages, and who may pass."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.adapters.http.schemas import LEASE
from scaler.gateway.buckets import Bucket
from scaler.gateway.class_parts import divide
from scaler.gateway.lease_document import read_lease
from scaler.limits.lease import AfterSafe, Lease, limit_at, stage_at
from scaler.limits.schedule import LimitStep
from tests.conformance.gateways.haproxy import SHIPPED
from tests.conformance.leases import SHOP, class_part, lease
from tests.missing import missing
from tests.paths import ROOT
from tests.peers.haproxy import HAProxy
from tests.peers.install import NotOfferedError

Said = Callable[[Sequence[str]], list[str]]
FEW = settings(max_examples=25, deadline=None)  # each one starts an interpreter
rates = st.floats(0.01, 1e6)


@pytest.fixture(scope="module")
def said() -> Said:
    """Return what Lua answers to lines."""
    try:
        haproxy = HAProxy()
    except NotOfferedError as reason:
        missing(f"HAProxy's Lua is not offered here: {reason}")
    driver = ROOT / "tests" / "conformance" / "haproxy_law.lua"

    def ask(lines: Sequence[str]) -> list[str]:
        done = subprocess.run(
            [haproxy.lua, driver, SHIPPED],
            input="\n".join([*lines, ""]), env=haproxy.environment({}),
            check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        return done.stdout.splitlines()

    return ask


def changed(**fields: object) -> str:
    """Return the documented lease with other fields; ``share`` and ``on_expiry`` are updated."""
    body: dict[str, object] = {**LEASE}
    for name, value in fields.items():
        old = body.get(name)
        merge = isinstance(value, dict) and isinstance(old, dict)
        body[name] = {**old, **value} if merge else value  # type: ignore[dict-item]
    return json.dumps(body)


@st.composite
def aged_leases(draw: st.DrawFn) -> tuple[Lease, list[float]]:
    at = sorted(draw(st.sets(st.floats(0.5, 1000), max_size=5)))
    lease = Lease(
        1, draw(rates), draw(st.floats(0.5, 100)),
        tuple(LimitStep(in_s, draw(rates)) for in_s in at),
        draw(rates), draw(st.floats(0, 200)), draw(st.sampled_from(AfterSafe)),
    )  # fmt: skip
    edges = [*at, lease.valid_for_s, lease.schedule_ends_s]
    edges.append(lease.schedule_ends_s + lease.max_stale_s)
    return lease, [0.0, *edges, *draw(st.lists(st.floats(0, 2000), min_size=5, max_size=5))]


@FEW
@given(aged=aged_leases())
def test_a_lease_ages_as_in_the_scaler(said, aged):
    lease, ages = aged
    told = changed(
        share={"rps": lease.qps},
        valid_for_s=lease.valid_for_s,
        on_expiry={
            "safe_rps": lease.safe_qps, "max_stale_s": lease.max_stale_s, "then": lease.then.value,
        },
        schedule=[{"in_s": step.in_s, "rps": step.qps} for step in lease.schedule],
    )  # fmt: skip
    first, *answers = said([f"lease {told}", *(f"at {age!r}" for age in ages)])

    assert first == "ok"
    got = [(stage, float(rps)) for stage, rps in map(str.split, answers)]
    assert got == [(stage_at(lease, age).value, limit_at(lease, age)) for age in ages]


changes = st.one_of(
    st.none(),
    st.none(),
    st.tuples(st.sampled_from([0.5, 3.0, 10.0, 77.7, 1e4]), st.integers(1, 50)),
)


@FEW
@given(
    burst=st.integers(1, 50),
    # A change now and then, while the bucket is neither empty nor full.
    steps=st.lists(st.tuples(st.floats(0, 0.02), changes), min_size=30, max_size=80),
)
def test_a_bucket_decides_as_in_the_scaler(said, burst, steps):
    now, ours = 5.0, Bucket()
    ours.set_rate(20.0, burst, now)
    lines, expected = [f"bucket 20 {burst}"], []
    for after_s, change in steps:
        now += after_s
        if change is not None:
            ours.set_rate(*change, now)
            lines.append(f"rate {change[0]!r} {change[1]} {now!r}")
        verdict = ours.check(now, 1)
        ours.tat = verdict.tat
        lines.append(f"ask {now!r}")
        expected.append(verdict.retry_after_s)
    waits = [float(one) for one in said(lines) if one != "ok"]

    assert waits == pytest.approx(expected, rel=1e-9, abs=1e-12)


def test_room_that_is_kept_for_passes_is_nobodys_and_drains_with_no_rate(said):
    lines = ["bucket 1 5", "reserve 3", *["ask 1"] * 3, "rate 100 5 9", *["ask 9"] * 3]
    waits = [float(one) for one in said([*lines, "reserve -3", "ask 9"]) if one != "ok"]

    # Two pass at a time, and the third when one has drained; in the end all of it is free.
    assert waits == pytest.approx([0, 0, 1, 0, 0, 0.01, 0])


@st.composite
def divided(draw: st.DrawFn) -> tuple[dict[str, object], float]:
    classes = [
        class_part(
            name, own := draw(rates), own + draw(st.floats(0, 1000)),
            guaranteed_rps=own * draw(st.floats(0, 1)), priority=draw(st.integers(0, 2)),
        )
        for name in draw(st.sets(st.sampled_from("abcd")))
    ]  # fmt: skip
    told = lease(1, sum(one["rps"] for one in classes) + draw(rates), classes=classes)
    return told, draw(st.floats(0, 2e6))


@FEW
@given(case=divided())
def test_classes_share_a_limit_as_in_the_client(said, case):
    told, limit = case
    first, answer = said([f"lease {json.dumps(told)}", f"parts {limit!r}"])
    spare, *fields = answer.split()
    got = {
        name: (float(own), float(ceiling))
        for name, own, ceiling in zip(*(fields[i::3] for i in range(3)), strict=True)
    }
    terms = read_lease(json.dumps(told).encode(), SHOP)
    parts, left = divide(limit, terms)

    assert first == "ok"
    assert float(spare) == pytest.approx(left, rel=1e-9, abs=1e-6)
    for one, part in zip(terms.classes, parts, strict=True):
        assert got[one.name] == pytest.approx((part.qps, part.ceiling_qps), rel=1e-9, abs=1e-6)


def test_no_lease_that_was_cut_off_is_accepted(said):
    whole = json.dumps(LEASE)
    answers = said([f"lease {whole[:length]}" for length in range(len(whole) + 1)])

    assert answers[-1] == "ok"
    assert {answer.split(":")[0] for answer in answers[:-1]} == {"refused it is not JSON"}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        pytest.param(changed() + "}", "more at byte", id="more behind it"),
        pytest.param(changed(schema=2), "schema is 2.0", id="newer schema"),
        pytest.param(changed(service="prod/pay"), "it is of prod/pay", id="another service"),
        pytest.param(changed(share={"rps": -1}), "rps is -1", id="negative"),
        pytest.param(changed(share={"rps": 2e9}), "rps is 2e+09", id="absurd"),
        pytest.param(changed(share={"rps": math.nan}), "not JSON", id="NaN"),
        pytest.param(changed(share={"rps": math.inf}), "not JSON", id="Infinity"),
        pytest.param(changed(share={"rps": "9"}), "rps is 9, but must be a number", id="text"),
        pytest.param(changed(spare_rps=None), "spare_rps is null", id="null"),
        pytest.param(changed(valid_for_s=0), "valid_for_s is 0", id="never valid"),
        pytest.param(changed(mode="panic"), "mode is", id="unknown mode"),
        pytest.param(changed(on_expiry={"then": "maybe"}), "then is", id="unknown end"),
        pytest.param(changed(version=1e400), "not JSON", id="a version beyond all numbers"),
        pytest.param(
            changed(schedule=[{"in_s": 9, "rps": 1}, {"in_s": 9, "rps": 1}]),
            "steps must ascend", id="schedule stands still",
        ),
        pytest.param(
            changed(classes=LEASE["classes"] * 2), "is there twice", id="two classes of one name"
        ),
        pytest.param(changed().replace('"rps"', '"rps": 1, "rps"'), "a name twice", id="twice"),
        pytest.param(changed().replace("1240", "01240"), "leading zero", id="leading zero"),
        pytest.param("[" * 99, "too deep", id="deep"),
    ],
)  # fmt: skip
def test_a_lease_that_cannot_be_meant_is_refused_with_its_reason(said, text, why):
    (answer,) = said([f"lease {text}"])

    assert answer.startswith("refused ")
    assert why in answer


def test_what_a_newer_minor_contract_adds_is_no_fault(said):
    text = changed(greeting={"new": [True, False, None, "\u00e9\ud83d\ude00", -1.5e-3]})

    assert said([f"lease {text}"]) == ["ok"]


def matched(said: Said, headers: str, **changes: object) -> list[str]:
    """Return the class that a request with these headers has, and the window of clients."""
    lines = [
        f"lease {json.dumps({**lease(1, 20, classes=CLASSES), **changes})}",
        f"class {headers}",
    ]
    taken, told = said(lines)
    assert taken == "ok"
    return told.split()


CLASSES = [
    class_part("gold", 1, 2, priority=3, match={"header": "X-Tier", "value": "Gold"}),
    class_part("any", 1, 2, priority=1, match={"header": "x-any"}),
    class_part("pay", 1, 2),
]


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        pytest.param("x-tier=Gold", "gold", id="the header with its value"),
        pytest.param("x-tier=gold", "none", id="another value"),
        pytest.param("x-any=", "any", id="any value, be it none"),
        pytest.param("x-tier=Gold x-any=1", "any", id="the first by priority"),
        pytest.param("x-other=Gold", "none", id="another header"),
    ],
)
def test_a_class_is_known_by_a_header_and_its_value(said, headers, name):
    assert matched(said, headers)[0] == name


@pytest.mark.parametrize(("changes", "window"), [({}, "60"), ({"client_window_s": 20}, "20")])
def test_the_window_of_clients_is_what_the_lease_says_if_it_does(said, changes, window):
    assert matched(said, "a=b", **changes)[1] == window
