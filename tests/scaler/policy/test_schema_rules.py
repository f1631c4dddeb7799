"""Contradictory events, and limits that cannot be met, are refused."""

from __future__ import annotations

import pytest

from scaler.limits.header_match import HeaderMatch
from tests.scaler.policy.samples import accepted, faults, text

SALE = "name: sale, starts: 2026-11-27T09:00:00Z, ends: 2026-11-27T12:00:00Z"


def events(*written: str) -> str:
    lines = "".join(f"\n    - {{{event}}}" for event in written)
    return text(f"demand:\n  events:{lines}")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        pytest.param(
            events(SALE),
            "spec.demand.events[0].qps: is missing, and so is multiplier (line 9); "
            "give one of the two",
            id="neither multiplier nor qps",
        ),
        pytest.param(
            events(f"{SALE}, multiplier: 2, qps: 400"),
            "spec.demand.events[0].qps: must not be given beside multiplier (got 400, line 9); "
            "keep one of the two",
            id="both multiplier and qps",
        ),
        pytest.param(
            events(f"{SALE}, multiplier: 2".replace("T12", "T09")),
            "spec.demand.events[0].ends: must be after starts, which is 2026-11-27T09:00:00+00:00 "
            '(got "2026-11-27T09:00:00Z", line 9)',
            id="ends as it starts",
        ),
        pytest.param(
            events(f"{SALE}, multiplier: 2".replace("T12:00:00Z", "T12:00:00")),
            "spec.demand.events[0].ends: must be a time with its zone such as "
            '2026-11-27T09:00:00Z (got "2026-11-27T12:00:00", line 9); write 2026-11-27T12:00:00Z '
            "for UTC, or its offset, e.g. 2026-11-27T12:00:00+02:00",
            id="a moment without a zone",
        ),
        pytest.param(
            events(f"{SALE}, multiplier: 2".replace("2026-11-27T09:00:00Z", "noon")),
            "spec.demand.events[0].starts: must be a time with its zone such as "
            '2026-11-27T09:00:00Z (got "noon", line 9)',
            id="no moment",
        ),
        pytest.param(
            events(
                f"{SALE}, multiplier: 2",
                "name: sale, starts: 2026-12-27T09:00:00Z, ends: 2026-12-27T12:00:00Z, qps: 9",
            ),
            "spec.demand.events: must have unique names, but sale occurs 2 times "
            "(line 8); rename one",
            id="two events of one name",
        ),
        pytest.param(
            events(
                f"{SALE}, multiplier: 2",
                # 12:30 at +01:00 is 11:30 UTC, half an hour before the sale ends
                "name: push, starts: 2026-11-27T12:30:00+01:00, ends: 2026-11-27T13:30:00+01:00,"
                " qps: 9",
            ),
            "spec.demand.events: must be written in one zone where they overlap: sale starts at "
            "2026-11-27T09:00:00+00:00, push at 2026-11-27T12:30:00+01:00 (line 8); "
            "is one of them off by hours?",
            id="overlapping events with different zones",
        ),
    ],
)
def test_incomplete_redundant_or_contradictory_events_are_refused(written, expected):
    assert faults(written) == [expected]


LUNCH = 'name: lunch, recurs: {timezone: UTC, start: "0 12 * * *", end: "0 13 * * *"}'
COST = "spec.cost."
EVENT = "spec.demand.events[0]."


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (text("cost: {replicaHour: -1, currency: EUR}"), COST + "replicaHour: must be above 0"),
        (text("cost: {replicaHour: 1, currency: ABC}"), COST + "currency: must be a currency's"),
        (text("cost: {replicaHour: 1}"), COST + "currency: is missing"),
        (events("name: sale, multiplier: 2"), EVENT + "recurs: is missing, as is starts and ends"),
        (events(f"{LUNCH}, ends: 2026-11-27T09:00:00Z, multiplier: 2"),
         EVENT + "recurs: must not be given beside ends"),
        (events(LUNCH), EVENT + "qps: is missing, and so is multiplier"),
        (events(f"{LUNCH}, learn: true, qps: 5"), EVENT + "qps: must not be given beside learn"),
        (events(f"{LUNCH}, qps: 5".replace("0 12 *", "0 25 *")),
         EVENT + "recurs.start: must have as its hour numbers from 0 to 23"),
        (events(f"{LUNCH}, qps: 5".replace("0 12 * *", "0 12 30 2")),
         EVENT + "recurs.end: must come after a start, but one of the two never comes"),
        (events(f"{LUNCH}, qps: 5".replace("0 13 * *", "0 13 1 1")),
         EVENT + "recurs.end: must come within a week of the start"),
    ],
)  # fmt: skip
def test_impossible_prices_and_recurrences_are_refused(written, expected):
    (fault,) = faults(written)
    assert fault.startswith(expected)


def test_an_event_that_learns_needs_no_multiplier():
    assert faults(events(f"{LUNCH}, learn: true")) == []


@pytest.mark.parametrize(
    "written",
    [
        pytest.param(
            events(
                f"{SALE}, multiplier: 2",
                "name: push, starts: 2026-11-27T13:00:00+01:00, ends: 2026-11-27T14:00:00+01:00,"
                " qps: 9",
            ),
            id="one begins when the other ends, in another zone",
        ),
        pytest.param(
            events(
                f"{SALE}, multiplier: 2",
                "name: push, starts: 2026-11-27T09:00:00+01:00, ends: 2026-11-27T10:00:00+01:00,"
                " qps: 9",
            ),
            id="one ends when the other begins, in another zone",
        ),
        pytest.param(
            events(
                f"{SALE}, multiplier: 2",
                "name: push, starts: 2026-11-27T11:00:00+00:00, ends: 2026-11-27T14:00:00+00:00,"
                " qps: 9",
            ),
            id="overlap in one zone: Z is +00:00",
        ),
        pytest.param(
            events(
                "name: night, starts: 2026-10-24T22:00:00+02:00, ends: 2026-10-25T10:00:00+01:00,"
                " qps: 9",
                "name: lunch, starts: 2026-10-25T09:00:00+01:00, ends: 2026-10-25T12:00:00+01:00,"
                " qps: 9",
            ),
            id="the clocks change within one of them",
        ),
    ],
)
def test_events_may_overlap_in_one_zone_or_lie_apart_in_two(written):
    assert faults(written) == []


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        pytest.param(
            "classes: [{name: pay, priority: 0, guaranteed: 500, ceiling: 400}]",
            "spec.limit.classes[0].ceiling: must be at least guaranteed, which is 500 "
            "(got 400, line 7)",
            id="a guarantee above its ceiling",
        ),
        pytest.param(
            "classes: [{name: pay, priority: 0}, {name: pay, priority: 1}]",
            "spec.limit.classes: must have unique names, but pay occurs 2 times (line 7); "
            "rename one",
            id="two classes of one name",
        ),
        pytest.param(
            # 10 replicas x 50 requests/s x 0.95
            "headroom: 0.95, classes: [{name: pay, priority: 0, guaranteed: 400}, "
            "{name: web, priority: 1, guaranteed: 75.5}]",
            "spec.limit.classes: must not guarantee more than the highest possible limit, which is "
            "475 (10 replicas x 50 x headroom 0.95): pay 400 + web 75.5 = 475.5 (line 7); lower "
            "the guarantees, or raise spec.replicas.max",
            id="guarantees that the most replicas cannot keep",
        ),
        pytest.param(
            "{ceilingRequestsPerSecond: 100, classes: [{name: pay, priority: 0, guaranteed: 101}]}",
            "spec.limit.classes: must not guarantee more than ceilingRequestsPerSecond, which is "
            "100: pay 101 (line 7); lower the guarantees",
            id="guarantees above the ceiling of all",
        ),
        pytest.param(
            "{ceilingRequestsPerSecond: 100, safeRequestsPerSecond: 101}",
            "spec.limit.safeRequestsPerSecond: must be at most ceilingRequestsPerSecond, which is "
            "100 (got 101, line 7)",
            id="safe above the ceiling",
        ),
        pytest.param(
            "headroom: 0",
            "spec.limit.headroom: must be above 0 and at most 1 (got 0, line 7)",
            id="no headroom: nothing is admitted",
        ),
    ],
)
def test_a_limit_that_cannot_be_kept_is_refused(limit, expected):
    body = limit if limit.startswith("{") else f"{{{limit}}}"

    assert faults(text(f"limit: {body}")) == [expected]


def test_guarantees_that_just_fit_are_accepted():
    limit = "limit: {classes: [{name: pay, priority: 0, guaranteed: 500}]}"  # 10 x 50

    assert faults(text(limit)) == []


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        pytest.param(
            "lease: {validFor: 10s, refresh: 6s}",
            "spec.limit.lease.refresh: must be at most half of validFor, which is 10s, for a "
            'question may be lost (got "6s", line 7); it is 2s if not given',
            id="a lease that one lost question ends",
        ),
        pytest.param(
            "lease: {validFor: 3s}",
            "spec.limit.lease.refresh: must be at most half of validFor, which is 3s, for a "
            "question may be lost (line 7); it is 2s if not given",
            id="a lease that is too short for the usual refresh",
        ),
        pytest.param(
            "lease: {validFor: 900ms, refresh: 100ms}",
            "spec.limit.lease.validFor: must be from 1s to 168h, which is a week "
            '(got "900ms", line 7)',
            id="a lease of less than a second",
        ),
        pytest.param(
            "lease: {maxStale: 169h}",
            "spec.limit.lease.maxStale: must be from 0s to 168h, which is a week "
            '(got "169h", line 7)',
            id="a safe limit for more than a week",
        ),
        pytest.param(
            "lease: {refresh: 50ms}",
            'spec.limit.lease.refresh: must be from 100ms to 5m (got "50ms", line 7)',
            id="questions without a break",
        ),
        pytest.param(
            "classes: [{name: a, priority: 0, match: {header: X-Tier, value: gold}},"
            " {name: b, priority: 1, match: {header: x-tier, value: gold}}]",
            "spec.limit.classes: must each match another header, but a and b both match "
            "x-tier: gold (line 7); give one of them another value",
            id="two classes by one header",
        ),
        pytest.param(
            "classes: [{name: stress, priority: 9},"
            " {name: load, priority: 8, match: {header: x-stress-test}}]",
            "spec.limit.classes: must each match another header, but stress and load both match "
            "x-stress-test (line 7); give one of them another value",
            id="the header that stress has unasked",
        ),
        pytest.param(
            "classes: [{name: a, priority: 0, match: {header: 'x tier'}}]",
            "spec.limit.classes[0].match.header: must be letters, digits and '-', 128 "
            'characters at most (got "x tier", line 7)',
            id="no header",
        ),
        pytest.param(
            "classes: [{name: a, priority: 0, match: {header: x-tier, value: 'gold '}}]",
            "spec.limit.classes[0].match.value: must be printable ASCII, without blanks before or "
            'after it, 256 characters at most (got "gold ", line 7)',
            id="a value that no proxy lets through",
        ),
    ],
)
def test_leases_and_matches_are_refused_that_no_gateway_could_keep(limit, expected):
    assert faults(text(f"limit: {{{limit}}}")) == [expected]


def test_a_class_follows_the_policys_end_unless_it_has_its_own():
    limit = (
        "limit: {onExpiry: Closed, classes: [{name: a, priority: 0},"
        " {name: b, priority: 1, onExpiry: Open}]}"
    )
    classes = accepted(text(limit)).to_policy().classes

    assert [one.then.value for one in classes] == ["closed", "open"]


def test_a_header_is_known_whatever_its_case_and_stress_by_its_own_unless_told():
    limit = (
        "limit: {classes: [{name: a, priority: 0, match: {header: X-Tier}},"
        " {name: stress, priority: 9, match: {header: X-Load, value: 'Yes'}}]}"
    )
    classes = accepted(text(limit)).to_policy().classes

    assert [one.match for one in classes] == [
        HeaderMatch("x-tier"), HeaderMatch("x-load", "Yes"),
    ]  # fmt: skip
