"""The Lua core and the Python limiter have one law, for any lease and any traffic."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaler.gateway.class_parts import divide
from scaler.gateway.lease_document import read_lease
from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings
from scaler.gateway.strict_json import read_json
from scaler.limits.lease import AfterSafe, Lease, limit_at, stage_at
from scaler.limits.schedule import LimitStep
from tests.conformance.leases import SHOP, class_part, lease
from tests.gateways.lua_core import CORE, DIALECTS, LuaLimiter, module, runtime
from tests.gateways.vectors import load

WHOLE = load("whole.json")
SETTINGS = LimiterSettings(SHOP, "gw-1")
each_dialect = pytest.mark.parametrize("dialect", DIALECTS)
FEW = settings(deadline=None)


def read_by_lua(dialect: str, body: bytes):
    """Return the lease; two values if it is refused."""
    return module(dialect, "lease").read(body, SHOP)


def is_refused_by_lua(dialect: str, body: bytes) -> bool:
    return isinstance(read_by_lua(dialect, body), tuple)


def is_refused_by_python(body: bytes) -> bool:
    try:
        read_lease(body, SHOP)
    except ValueError:
        return True
    return False


@each_dialect
def test_the_core_needs_neither_nginx_nor_haproxy(dialect):
    """It is loaded here, where there is neither; and no name of theirs is in it."""
    for path in (CORE / "tidegate" / "core").glob("*.lua"):
        assert module(dialect, path.stem) is not None
        code = [line.partition("--")[0] for line in path.read_text("utf-8").splitlines()]
        assert not [line for line in code if "ngx." in line or "utf8." in line]


@each_dialect
def test_the_core_leaves_no_name_behind_that_others_could_meet(dialect):
    for path in (CORE / "tidegate" / "core").glob("*.lua"):
        module(dialect, path.stem)
    known = set(runtime("lua53").eval("_G")) | set(runtime("luajit21").eval("_G"))

    assert {"tidegate", "json", "lease", "bucket"} & known == set()


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@each_dialect
@FEW
@given(
    st.sampled_from([
        *WHOLE, "share.rps", "share.burst", "on_expiry.then", "classes.1.match",
        "classes.1.match.value", "classes.1.match.header", "classes.0.priority", "schedule.1.in_s",
    ]),
    JSON,
)  # fmt: skip
def test_nonsense_in_a_field_is_judged_alike(dialect, path, value):
    body = json.loads(json.dumps(WHOLE))
    part = body
    *parents, field = path.split(".")
    for parent in parents:
        part = part[int(parent)] if isinstance(part, list) else part[parent]
    part[field] = value
    text = json.dumps(body, ensure_ascii=False).encode(errors="surrogatepass")

    assert is_refused_by_lua(dialect, text) == is_refused_by_python(text)


@each_dialect
@FEW
@given(st.integers(0, 900), st.binary(max_size=3), st.integers(0, 3))
def test_a_text_with_a_few_wrong_bytes_is_judged_alike(dialect, at, bytes_, gone):
    whole = json.dumps(WHOLE).encode()
    text = whole[:at] + bytes_ + whole[at + gone :]

    assert is_refused_by_lua(dialect, text) == is_refused_by_python(text)


@each_dialect
def test_no_lease_that_is_cut_off_is_accepted(dialect):
    whole = json.dumps(WHOLE).encode()

    assert all(is_refused_by_lua(dialect, whole[:length]) for length in range(len(whole)))
    assert not is_refused_by_lua(dialect, whole)


@each_dialect
def test_64_classes_are_read_and_not_one_more(dialect):
    def body(count: int) -> bytes:
        parts = [class_part(f"class-{i}", 0, 1) for i in range(count)]
        return json.dumps(lease(1, 20, classes=parts)).encode()

    assert not is_refused_by_lua(dialect, body(64))
    assert is_refused_by_lua(dialect, body(65))
    assert is_refused_by_python(body(65))


@each_dialect
def test_a_lease_of_more_than_a_mebibyte_is_refused(dialect):
    for length, is_refused in ((1 << 20, False), ((1 << 20) + 1, True)):
        body = json.dumps(WHOLE).encode().ljust(length)
        assert is_refused_by_lua(dialect, body) is is_refused
        assert is_refused_by_python(body) is is_refused


NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
WRITTEN = st.recursive(
    st.booleans() | st.integers(-(10**15) + 1, 10**15 - 1) | NAMES,
    lambda inner: st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@each_dialect
@FEW
@given(WRITTEN)
def test_what_it_writes_reads_as_what_it_read(dialect, value):
    made = module(dialect, "json")
    found = made.encode(made.decode(json.dumps(value).encode()))
    text = found if isinstance(found, bytes) else found.encode()

    assert read_json(text) == read_json(json.dumps(value).encode())


@st.composite
def aged_leases(draw: st.DrawFn) -> tuple[Lease, list[float]]:
    rates = st.floats(0, 1e6)
    at = sorted(draw(st.sets(st.floats(0.5, 1000), max_size=5)))
    made = Lease(
        1, draw(rates), draw(st.floats(0.5, 100)),
        tuple(LimitStep(in_s, draw(rates)) for in_s in at),
        draw(rates), draw(st.floats(0, 200)), draw(st.sampled_from(AfterSafe)),
    )  # fmt: skip
    edges = [*at, made.valid_for_s, made.schedule_ends_s]
    edges.append(made.schedule_ends_s + made.max_stale_s)
    return made, [0.0, *edges, *draw(st.lists(st.floats(0, 2000), min_size=5, max_size=5))]


@each_dialect
@FEW
@given(aged_leases())
def test_a_lease_ages_alike(dialect, aged):
    law, ages = aged
    body = lease(
        law.version, law.qps, valid_for_s=law.valid_for_s, refresh_s=law.valid_for_s / 2,
        safe_rps=law.safe_qps, max_stale_s=law.max_stale_s, then=law.then.value,
        schedule=[{"in_s": step.in_s, "rps": step.qps} for step in law.schedule],
    )  # fmt: skip
    held, aging = read_by_lua(dialect, json.dumps(body).encode()), module(dialect, "aging")

    for age in ages:
        assert aging.stage_at(held, age) == stage_at(law, age)
        assert aging.limit_at(held, age) == limit_at(law, age)


STEPS = [(), (0.5,), (0.5, 3.0)]


@st.composite
def classed_leases(draw: st.DrawFn) -> dict[str, object]:
    """Return leases whose rates are whole eighths, so that no rounding decides."""
    eighths = st.integers(0, 240).map(lambda number: number / 8)
    classes = [
        class_part(
            name, draw(eighths), draw(eighths), guaranteed_rps=draw(eighths),
            priority=draw(st.integers(0, 2)), then=draw(st.sampled_from(["open", "closed"])),
        )
        for name in draw(st.sets(st.sampled_from("abc")))
    ]  # fmt: skip
    return lease(
        draw(st.integers(1, 3)), draw(eighths), classes=classes,
        client_window_s=draw(st.sampled_from([None, 1.0, 10.0])),
        burst=draw(st.integers(0, 20)), valid_for_s=draw(st.sampled_from([1.0, 2.0, 30.0])),
        safe_rps=draw(eighths), max_stale_s=draw(st.sampled_from([0.0, 1.0, 60.0])),
        epoch=draw(st.sampled_from(["c0ff", "beef"])),
        schedule=[{"in_s": at, "rps": draw(eighths)} for at in draw(st.sampled_from(STEPS))],
        mode=draw(st.sampled_from(["enforce", "recommend"])),
    )  # fmt: skip


@each_dialect
@FEW
@given(classed_leases(), st.integers(0, 2000).map(lambda number: number / 8))
def test_classes_divide_a_limit_alike(dialect, body, limit):
    text = json.dumps(body).encode()
    terms, held = read_lease(text, SHOP), read_by_lua(dialect, text)
    own, ceilings, spare = module(dialect, "classes").parts(held, limit)
    names = [held.classes[i + 1].name for i in range(len(terms.classes))]
    parts, left = divide(limit, terms)

    assert spare == pytest.approx(left, abs=1e-9)
    for one, part in zip(terms.classes, parts, strict=True):
        at = names.index(one.name) + 1
        assert (own[at], ceilings[at]) == pytest.approx((part.qps, part.ceiling_qps), abs=1e-9)


events = st.lists(
    st.tuples(
        st.integers(0, 40) | st.integers(0, 4000),
        st.sampled_from([None, "a", "b", "c", "other"]),
        st.sampled_from([None, "one", "two", "three"]),
        st.sampled_from([None, None, "look", "report"]),
        st.none() | st.none() | st.none() | classed_leases(),
    ),
    min_size=1, max_size=60,
)  # fmt: skip


@each_dialect
@FEW
@given(classed_leases(), events)
def test_any_traffic_under_any_leases_is_decided_alike(dialect, first, events):
    lua, python, now = LuaLimiter(dialect, SETTINGS), LeaseLimiter(SETTINGS), 0.0
    python.begin(now)
    for ticks, name, client, tells, new in [(0, None, None, None, first), *events]:
        now += ticks / 64
        if new is not None:
            assert received(lua, new, now) == received(python, new, now)
        ours, theirs = lua.admit(name, client, {}, now), python.admit(name, client, now)
        assert (ours.allowed, ours.would_deny) == (theirs.allowed, theirs.would_deny)
        assert ours.beyond is theirs.beyond
        assert ours.retry_after_s == pytest.approx(theirs.retry_after_s, rel=1e-6, abs=1e-6)
        assert ours.limit_rps == pytest.approx(theirs.limit_rps, rel=1e-9, abs=1e-9)
        assert ours.remaining == pytest.approx(theirs.remaining, rel=1e-6, abs=1e-6)
        assert ours.reset_s == pytest.approx(theirs.reset_s, rel=1e-6, abs=1e-6)
        if tells is not None:
            assert told(lua, now, tells) == told(python, now, tells)
    assert counted(lua, now + 1) == counted(python, now + 1)


def told(limiter, now: float, what: str) -> list[object]:
    """Return what a gateway tells if it looks or reports now."""
    moved = what == "look" and limiter.demand_moved(now)
    before = limiter.report_before_move(now) if moved else None
    report = limiter.report(now) if moved or what == "report" else None
    return [
        moved,
        *({**one, "interval_s": round(one["interval_s"], 9)} for one in (before, report) if one),
    ]


def counted(limiter, now: float) -> dict[str, object]:
    """Return a report, but for its interval: the one before the first report is another."""
    return {name: one for name, one in limiter.report(now).items() if name != "interval_s"}


def crowd(rng: np.random.Generator) -> list[tuple[float, str | None, str]]:
    """Return the requests of two minutes: when, of which class, and whose.

    Thirty clients come and go; one then sends more than the limit; then each request has a name
    of its own.
    """
    found = []
    for number in range(30):
        name = rng.choice(["pay", "browse", ""])
        begins, ends, rps = rng.uniform(0, 40), rng.uniform(60, 120), rng.lognormal()
        times = rng.uniform(begins, ends, int(rps * (ends - begins)))
        found += [(now, name or None, f"client-{number}") for now in times]
    found += [(now, "pay", "heavy") for now in rng.uniform(70, 100, 2400)]
    found += [(now, "pay", f"new-{i}") for i, now in enumerate(rng.uniform(90, 120, 1800))]
    return sorted(found, key=lambda one: one[0])


@each_dialect
@pytest.mark.parametrize("seed", range(3))
def test_a_crowd_of_clients_is_decided_alike_request_by_request(dialect, seed):
    rng = np.random.default_rng(seed)
    classes = [class_part("pay", 20, 40), class_part("browse", 10, 40, priority=int(seed > 0))]
    body = lease(
        1, 40, classes=classes, burst=int(rng.choice([4, 10, 40])), valid_for_s=1e3,
        client_window_s=float(rng.choice([5, 10])),
    )  # fmt: skip
    lua, python = LuaLimiter(dialect, SETTINGS), LeaseLimiter(SETTINGS)
    assert received(lua, body, 0.0) is received(python, body, 0.0) is True
    requests = crowd(rng)

    ours = [lua.admit(name, client, {}, now) for now, name, client in requests]
    theirs = [python.admit(name, client, now) for now, name, client in requests]

    assert [(one.allowed, one.beyond) for one in ours] == [
        (one.allowed, one.beyond) for one in theirs
    ]
    limits = [one.limit_rps for one in theirs]
    assert [one.limit_rps for one in ours] == pytest.approx(limits, rel=1e-9)
    assert sum(one.beyond for one in theirs) > 1000
    assert counted(lua, 121.0) == counted(python, 121.0)


def received(limiter, body, now: float) -> bool | str:
    try:
        return limiter.receive(json.dumps(body).encode(), now)
    except ValueError as reason:
        return str(reason)


BUCKET = """
local bucket = require "tidegate.core.bucket"
local Store = require "tidegate.core.store"

return function(rate, burst)
    local now = 0
    local function clock() return now end
    local store, keys = Store.new(clock), bucket.named("b")
    return {
        keep = function(requests) keys.kept = keys.kept + requests end,
        take = function(moment, rate_, burst_)
            now = moment
            return (bucket.take(store, keys, clock, rate_ or rate, burst_ or burst))
        end,
        charge = function(moment, requests)
            now = moment
            return (bucket.charge(store, keys, clock, rate, burst, requests))
        end,
    }
end
"""


@each_dialect
def test_room_that_is_kept_is_nobodys_and_does_not_drain(dialect):
    bucket = runtime(dialect).execute(BUCKET)(1, 5)
    bucket.keep(3)
    waits = [bucket.take(now) for now in (1, 1, 1, 100, 100, 100)]
    bucket.keep(-3)

    # Two pass at a time, and the third when one has drained; in the end all of it is free.
    assert waits == pytest.approx([0, 0, 1, 0, 0, 1])
    assert [bucket.take(100) for _ in range(4)] == pytest.approx([0, 0, 0, 1])


@each_dialect
def test_what_passes_in_any_case_fills_a_bucket_no_more_than_to_its_brim(dialect):
    bucket = runtime(dialect).execute(BUCKET)(10, 5)

    assert bucket.charge(1, 100) == pytest.approx(0.5)
    assert bucket.take(1) == pytest.approx(0.1)


LRU = """
local store = require("tidegate.core.lru").new(2)
local found = {}
local function note(value) found[#found + 1] = tostring(value) end
note(store:add("a", 1)); note(store:add("a", 2)); note(store:incr("a", 4)); note(store:incr("b", 1))
store:set("b", 2)
note(store:get("a")) -- so b is the one used longest ago
store:set("c", 3)
note(store:get("b")); note(store:get("a")); note(store:get("c")); note(store.size)
store:delete("a"); store:delete("a")
note(store:incr("d", 1, 6)); note(store:get("c")); note(store:get("a")); note(store.size)
return table.concat(found, " ")
"""


@each_dialect
def test_a_bounded_store_forgets_what_was_used_longest_ago(dialect):
    said = runtime(dialect).execute(LRU)

    assert said == "true false 5 nil 5 nil 5 3 2 7 3 nil 2"


STORE = """
local Store = require "tidegate.core.store"
local now = 0
local store = Store.new(function() return now end)
local found = {}
local function note(value) found[#found + 1] = tostring(value) end
note(store:add("a", 1, 2)); note(store:add("a", 2, 2)); note(store:get("a"))
now = 2
note(store:get("a")); note(store:add("a", 3)); note(store:get("a"))
note(store:incr("n", 1)); note(store:incr("n", 2, 0, 1)); note(store:incr("n", 1))
now = 3
note(store:incr("n", 5, 0)); store:set("n", nil); note(store:get("n"))
store:delete("a"); note(store:get("a"))
return table.concat(found, " ")
"""


@each_dialect
def test_a_store_in_the_process_does_as_a_shared_dict_does(dialect):
    assert runtime(dialect).execute(STORE) == "true false 1 nil true 3 nil 2 3 5 nil nil"
