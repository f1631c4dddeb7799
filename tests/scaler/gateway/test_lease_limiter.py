"""The limiter admits requests by its lease."""

from __future__ import annotations

import math

import pytest

from scaler.gateway.lease_document import LeaseRefusedError
from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings
from scaler.limits.lease import LeaseStage
from tests.conformance.leases import SHOP, class_part
from tests.scaler.gateway.leases import admitted, evenly, limiter, wire

STRESS = class_part("stress", 5, 15, priority=9, match={"header": "X-Stress-Test"}, then="closed")
CLASSES = [class_part("pay", 30, 50), STRESS]
AGING = {
    "valid_for_s": 10.0,
    "refresh_s": 2.0,
    "schedule": [{"in_s": 5.0, "rps": 20}, {"in_s": 30.0, "rps": 80}],
    "safe_rps": 8.0,
    "max_stale_s": 60.0,
}


@pytest.mark.parametrize(
    ("age_s", "stage", "qps"),
    [
        pytest.param(1.0, LeaseStage.FRESH, 40, id="fresh"),
        pytest.param(6.0, LeaseStage.FRESH, 20, id="a decrease is followed while fresh"),
        pytest.param(15.0, LeaseStage.SCHEDULE, 20, id="the last step due"),
        pytest.param(31.0, LeaseStage.SCHEDULE, 80, id="an increase is followed later"),
        pytest.param(41.0, LeaseStage.SAFE, 8, id="after the last step's lease: safe"),
        pytest.param(101.0, LeaseStage.OPEN, 100, id="then it opens"),
    ],
)
def test_the_limit_is_that_of_the_stage(age_s, stage, qps):
    made = limiter(40.0, **AGING)
    offers = evenly(100, 3.5, age_s)
    passed = [made.admit(None, None, now) for now in offers]

    assert passed[0].stage is stage
    # Within the first half second the burst is used up.
    assert sum(one.allowed for one in passed[50:]) == pytest.approx(qps * 3, abs=2)


def test_each_class_opens_or_closes_by_its_own_setting_when_the_lease_expires():
    made = limiter(50.0, classes=CLASSES, valid_for_s=1.0, max_stale_s=1.0)

    assert admitted(made, evenly(100, 1, 5.0), "pay") == 100
    assert admitted(made, evenly(100, 1, 5.0), "stress") == 0
    assert made.admit("stress", None, 6.0).stage is LeaseStage.CLOSED


@pytest.mark.parametrize(
    ("settings", "passes"), [({}, True), ({"fail_open": False}, False)], ids=["open", "closed"]
)
def test_without_a_lease_requests_pass_only_if_configured(settings, passes):
    made = LeaseLimiter(LimiterSettings(SHOP, "gw-1", **settings))

    assert made.admit("pay", "a", 0.0).allowed is passes
    assert made.admit("pay", "a", 0.0).stage is None


@pytest.mark.parametrize(
    ("settings", "changes"),
    [({"dry_run": True}, {}), ({}, {"mode": "recommend"})],
    ids=["its own", "the lease's"],
)
def test_a_dry_run_decides_and_counts_but_refuses_nothing(settings, changes):
    made = limiter(10.0, settings=settings, **changes)
    passed = [made.admit(None, None, now) for now in evenly(100, 1)]
    counts = made.snapshot(1.0).counts

    assert all(one.allowed for one in passed)
    assert sum(one.would_deny for one in passed) == counts.denied[""] == pytest.approx(90, abs=1)
    assert counts.rejected == 0


def test_a_new_or_renewed_lease_leaves_the_content_of_the_buckets():
    made = limiter(10.0, burst=10)
    assert admitted(made, [0.0] * 20) == 10
    made.renew(0.1)
    made.receive(wire(2, 10.0, burst=10, safe_rps=3.0), sent_at=0.1)
    made.receive(wire(3, 5.0, burst=10), sent_at=0.1)

    assert admitted(made, [0.1] * 20) == 1  # 10 rps x 0.1 s has drained; at 5 rps as much is left


def test_a_higher_limit_applies_from_its_arrival_not_from_the_next_request():
    made = limiter(5.0, burst=30)
    admitted(made, [0.0] * 30)
    made.receive(wire(2, 500.0, burst=30), sent_at=0.0, now=0.1)

    assert admitted(made, [0.2] * 40) == 30  # all has drained by then, at 500 rps


def test_a_bucket_that_shrinks_is_cut_to_its_new_size():
    made = limiter(5.0, burst=50)
    assert admitted(made, [0.0] * 60) == 50
    made.receive(wire(2, 5.0, burst=2), sent_at=0.1)

    assert admitted(made, evenly(10, 4, 0.1)) == pytest.approx(20, abs=1)


@pytest.mark.parametrize(
    ("version", "epoch", "sent_at", "outcome"),
    [
        pytest.param(6, "c0ff", 1.0, True, id="newer"),
        pytest.param(5, "c0ff", 1.0, True, id="the same again"),
        pytest.param(6, "c0ff", -1.0, True, id="newer, though requested earlier"),
        pytest.param(4, "c0ff", 1.0, "version 4 came after version 5", id="older is refused"),
        pytest.param(1, "beef", 1.0, True, id="another epoch counts anew"),
        pytest.param(
            1, "beef", -1.0, False, id="another epoch that was requested earlier: ask again"
        ),
    ],
)
def test_a_lease_replaces_another_by_version_epoch_and_time(version, epoch, sent_at, outcome):
    made = LeaseLimiter(LimiterSettings(SHOP, "gw-1"))
    made.receive(wire(5, 50.0), sent_at=0.0)
    body = wire(version, 20.0, epoch=epoch) if version != 5 else wire(5, 50.0)

    if isinstance(outcome, str):
        with pytest.raises(LeaseRefusedError, match=outcome):
            made.receive(body, sent_at)
    else:
        assert made.receive(body, sent_at) is outcome


def test_the_age_of_a_lease_counts_from_its_request():
    made = LeaseLimiter(LimiterSettings(SHOP, "gw-1"))
    made.receive(wire(1, 50.0, valid_for_s=10.0, safe_rps=3.0), sent_at=2.0)

    assert made.snapshot(11.9).stage is LeaseStage.FRESH
    assert made.snapshot(12.0).stage is LeaseStage.SAFE
    made.renew(1.0)  # the late response to an older request
    assert made.snapshot(11.9).stage is LeaseStage.FRESH
    made.renew(5.0)
    assert made.snapshot(14.9).stage is LeaseStage.FRESH


def test_a_class_has_its_own_rate_and_uses_the_spare_up_to_its_ceiling():
    made = limiter(50.0, classes=CLASSES, burst=10)
    pay = stress = no_class = 0
    for i, now in enumerate(evenly(100, 10)):
        pay += made.admit("pay", None, now).allowed if i % 4 == 0 else 0  # 25 rps of its own 30
        stress += made.admit("stress", None, now).allowed
        no_class += made.admit(None, None, now).allowed

    assert pay == 250
    assert stress <= 15 * 10 + 3
    assert stress + no_class <= 50 * 10 + 12


def test_a_class_stays_below_its_ceiling_even_if_there_is_spare():
    made = limiter(50.0, classes=CLASSES, burst=1)

    # Its own 5 and all that the other class leaves would be 50.
    assert admitted(made, evenly(100, 10), "stress") == pytest.approx(146, abs=5)


TIERS = [
    class_part("gold", 5, 15, priority=3, match={"header": "X-Tier", "value": "Gold"}),
    class_part("any", 5, 15, priority=1, match={"header": "x-any"}),
]


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        pytest.param([("x-stress-test", "1")], "stress", id="a header, whatever it says"),
        pytest.param([("x-tier", "Gold")], "gold", id="a header and its value"),
        pytest.param([("x-tier", "gold")], None, id="another value"),
        pytest.param([("x-tier", "no"), ("x-tier", "Gold")], "gold", id="one of several values"),
        pytest.param([("x-tier", "Gold"), ("x-any", "")], "any", id="the first by priority"),
        pytest.param([("x-other", "Gold")], None, id="another header"),
    ],
)
def test_a_header_of_the_lease_names_a_class(headers, name):
    assert limiter(classes=[*CLASSES, *TIERS]).class_by_headers(headers) == name


def test_without_a_lease_no_header_names_a_class():
    assert LeaseLimiter(LimiterSettings(SHOP, "gw-1")).class_by_headers([("x-a", "1")]) is None


def test_a_refused_request_gets_the_time_after_which_it_may_pass():
    made = limiter(4.0, burst=1)
    made.admit(None, None, 0.0)
    refused = made.admit(None, None, 0.05)

    assert not refused.allowed
    assert refused.retry_after_s == pytest.approx(0.2)
    assert (refused.limit_rps, refused.remaining) == (4.0, 0.0)
    assert made.admit(None, None, 0.05 + refused.retry_after_s).allowed


def test_at_a_limit_of_zero_the_wait_ends_with_the_lease():
    assert limiter(0.0, burst=0, valid_for_s=10.0).admit(None, None, 0.0).retry_after_s == 10.0


def test_an_admitted_request_gets_the_number_that_may_still_pass():
    made = limiter(10.0, burst=10)
    first = made.admit(None, None, 0.0)

    assert (first.remaining, first.reset_s) == (pytest.approx(9), pytest.approx(0.1))


def test_a_request_may_count_as_several_all_or_none():
    made = limiter(10.0, burst=10)

    assert made.admit(None, None, 0.0, hits=7).allowed
    assert not made.admit(None, None, 0.0, hits=4).allowed
    assert made.admit(None, None, 0.0, hits=3).allowed
    assert made.admit(None, None, 60.0, hits=11).retry_after_s > 0  # more than the bucket holds


def heavy_beside_light(made: LeaseLimiter, heavy_rps: float) -> dict[str, list]:
    """Return the admissions of a minute in which a client joins ten that are known.

    Each of these sends 2 requests a second.
    """
    offers = [(70 + now, "heavy") for now in evenly(heavy_rps, 60)]
    offers += [(now + i / 20, f"light-{i}") for i in range(10) for now in evenly(2, 130)]
    found: dict[str, list] = {"heavy": [], "light": []}
    for now, client in sorted(offers):
        admission = made.admit(None, client, now)
        if now >= 70:
            found[client.partition("-")[0]].append(admission)
    return found


def test_where_all_fit_no_client_is_refused_however_much_it_sends():
    found = heavy_beside_light(limiter(100.0, burst=10, valid_for_s=1e3), 70.0)

    assert all(one.allowed for of_kind in found.values() for one in of_kind)
    assert not any(one.beyond for of_kind in found.values() for one in of_kind)


def test_where_not_all_fit_the_heaviest_is_refused_what_others_need():
    found = heavy_beside_light(limiter(50.0, burst=10, valid_for_s=1e3), 200.0)

    assert sum(one.allowed for one in found["light"]) >= 0.95 * len(
        found["light"]
    )  # all but of the first seconds
    # What the others leave is used: the limit is, as a whole.
    heavy = sum(one.allowed for one in found["heavy"])
    assert heavy == pytest.approx((50.0 - 20.0) * 60.0, rel=0.05)
    refused = [one for one in found["heavy"] if one.would_deny]
    assert refused[-1].beyond
    assert refused[-1].limit_rps == pytest.approx(50.0 - 20.0, rel=0.15)  # its own level


def test_requests_without_a_client_are_not_compared():
    made = limiter(10.0, burst=5)
    admissions = [made.admit(None, None, now) for now in evenly(50, 20)]

    assert sum(one.allowed for one in admissions) == pytest.approx(10 * 20 + 5, abs=1)
    assert not any(one.beyond for one in admissions)


def test_another_window_begins_the_comparison_anew():
    made = limiter(50.0, burst=10, client_window_s=10.0)
    heavy_beside_light(made, 200.0)
    made.receive(wire(2, 50.0, burst=10, client_window_s=20.0), sent_at=130.0)

    assert made.snapshot(130.0).clients == 0


def test_what_is_beyond_a_fair_part_is_no_demand_of_its_class():
    made = limiter(50.0, burst=10, classes=[class_part("pay", 50, 50)])
    light = [(now, f"light-{int(now * 20) % 10}") for now in evenly(20, 70)]
    for now, client in sorted(light + [(now, "heavy") for now in evenly(200, 70)]):
        made.admit("pay", client, now)
        if now == 60.0:
            made.report(now)
    report = made.report(70.0)

    said = report["classes"]["pay"]
    assert report["admitted"] + report["denied"] == pytest.approx(10 * (200 + 20), abs=5)
    # The light clients', and the part of the heavy one.
    assert said["admitted"] + said["denied"] == pytest.approx(10 * 50, rel=0.1)


def test_a_report_covers_the_time_since_the_one_before():
    made = limiter(20.0, burst=2, classes=CLASSES[:1])
    admitted(made, [0.0] * 10, "pay", "a")
    made.admit("unheard of", "b", 0.5)
    first, second = made.report(1.0), made.report(3.0)

    assert (first["epoch"], first["version"], first["holds_rps"]) == ("c0ff", 1, 20.0)
    assert first["classes"] == {"pay": {"admitted": 2, "denied": 8}}
    assert first["admitted"] + first["denied"] == 11
    assert (second["admitted"], second["denied"], second["interval_s"]) == (0, 0, 2.0)


def test_a_snapshot_sums_up_all_reports():
    made = limiter(20.0)
    admitted(made, evenly(10, 2))
    made.report(2.0)
    admitted(made, evenly(10, 1, 2.0))

    assert made.snapshot(3.0).counts.admitted == {"": 30}
    assert math.isclose(made.snapshot(3.0).limit_rps, 20.0)
