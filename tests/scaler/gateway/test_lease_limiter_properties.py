"""Properties of the limiter for any traffic and any times of renewal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from scaler.gateway.class_parts import divide
from scaler.gateway.known_clients import KnownClients
from scaler.gateway.lease_document import read_lease
from tests.conformance.leases import SHOP, class_part
from tests.scaler.gateway.leases import limiter, wire

GAPS = st.lists(st.floats(0, 0.3, allow_subnormal=False), min_size=1, max_size=80)
NAMES = ("a", "b", "c")
CLASSES = st.lists(
    st.tuples(st.integers(0, 3), st.floats(0, 30), st.floats(0, 1), st.floats(0, 30)),
    max_size=3,
)


def _classes(drawn) -> list:
    return [
        class_part(
            name, round(own, 3), round(own + above, 3), priority=priority,
            guaranteed_rps=round(own * kept, 3),
        )
        for name, (priority, own, kept, above) in zip(NAMES, drawn, strict=False)
    ]  # fmt: skip


@given(GAPS, st.floats(0.5, 50), st.integers(1, 20), CLASSES, st.data())
def test_in_any_window_no_more_passes_than_rate_and_burst_allow(gaps, rps, burst, drawn, data):
    classes = _classes(drawn)
    own = sum(one["rps"] for one in classes)
    limit = rps + own
    made = limiter(limit, burst=burst, classes=classes)
    now, passed = 0.0, []
    for gap in gaps:
        now += gap
        name = data.draw(st.sampled_from((None, *NAMES)))
        if data.draw(st.booleans()):
            made.renew(now)
        passed += [now] if made.admit(name, None, now).allowed else []

    for i, since in enumerate(passed):
        for j in range(i, len(passed)):
            # Each bucket holds at least one request, however small its part of the burst.
            most = limit * (passed[j] - since) + burst + len(classes) + 1
            assert j - i + 1 <= most + 1e-6


@given(GAPS, st.floats(0.5, 50), st.integers(1, 20), st.data())
def test_renewing_changes_no_bucket(gaps, rps, burst, data):
    plain, renewed = (limiter(rps, burst=burst) for _ in range(2))
    now = 0.0
    for gap in gaps:
        now += gap
        if data.draw(st.booleans()):
            renewed.renew(now)
        if data.draw(st.booleans()):
            renewed.receive(wire(1, rps, burst=burst), sent_at=now)
        assert plain.admit(None, None, now) == renewed.admit(None, None, now)


@given(CLASSES, st.floats(0, 200))
def test_the_classes_parts_and_the_spare_sum_up_to_any_limit(drawn, limit):
    classes = _classes(drawn)
    document = read_lease(wire(1, 100.0, classes=classes), SHOP)
    parts, left = divide(limit, document)

    assert abs(sum(part.qps for part in parts) + left - limit) <= 1e-9 * max(1.0, limit)
    assert all(0 <= part.qps <= part.ceiling_qps + 1e-9 for part in parts) or left == 0


@given(CLASSES, st.floats(0, 100))
def test_a_class_loses_nothing_while_one_of_lower_priority_has_more_than_its_guarantee(
    drawn, limit
):
    classes = _classes(drawn)
    document = read_lease(wire(1, 100.0, classes=classes), SHOP)
    parts, _ = divide(limit, document)

    for first, its in zip(document.classes, parts, strict=True):
        for last, others in zip(document.classes, parts, strict=True):
            keeps_more = others.qps > min(last.guaranteed_qps, last.qps) + 1e-9
            if first.priority < last.priority and keeps_more:
                assert its.qps >= first.qps - 1e-9


@given(st.lists(st.tuples(st.floats(0, 40), st.integers(0, 30)), max_size=60))
def test_no_more_clients_are_remembered_than_allowed(offers):
    known, now = KnownClients(5), 0.0
    for gap, client in offers:
        now += gap
        known.seen(client, now)

    assert len(known) <= 2 * 5
