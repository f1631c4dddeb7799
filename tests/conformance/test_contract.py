"""How a gateway acts on the lease that it holds: limits, changes of them, what it answers.

What takes time is a scenario; all of them run beside each other, each with a gateway to itself.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from scaler.adapters.http.schemas import ReportBody
from tests.conformance.bucket_law import Bucket, excess, room
from tests.conformance.gateways import Capability
from tests.conformance.load import Answer, Offered, offer, underway
from tests.conformance.ratelimit_fields import LIMIT, POLICY, read
from tests.conformance.reported import reported
from tests.conformance.site import Site, site
from tests.waiting import eventually

# By so many requests a gateway may be off: its workers read their clocks at different moments.
NEARLY = 2.0
BURST = 10
OFFERED_S = 2.5


def hundred_under_20(here: Site) -> tuple[Offered, int]:
    return _offered(here, limit=20, rps=100)


def hundred_under_50(here: Site) -> tuple[Offered, int]:
    return _offered(here, limit=50, rps=100)


def forty_under_50(here: Site) -> tuple[Offered, int]:
    return _offered(here, limit=50, rps=40)


def _offered(here: Site, limit: int, rps: int) -> tuple[Offered, int]:
    """Return what became of the load, and how many requests the origin served."""
    here.hand_out(limit, burst=BURST)
    before = here.origin.served
    offered = offer(here.url, rps, OFFERED_S)
    return offered, here.origin.served - before


@pytest.mark.parametrize(
    "limit",
    [
        pytest.param(20, marks=pytest.mark.measures(by=hundred_under_20), id="20 rps"),
        pytest.param(50, marks=pytest.mark.measures(by=hundred_under_50), id="50 rps"),
    ],
)
def test_it_admits_what_the_limit_says_within_3_percent(measured, limit):
    offered, reached = measured
    off = 0.03 * limit * OFFERED_S + 1

    assert excess(offered.answers, Bucket(limit, BURST)) <= off
    assert room(offered.answers, Bucket(limit, BURST)) <= off
    assert set(offered.statuses()) == {200, 429}
    assert reached == offered.count(200)  # only what is admitted reaches the origin


@pytest.mark.measures(by=forty_under_50)
def test_below_the_limit_nothing_is_rejected(measured):
    offered, _ = measured

    # Where the load itself was held up, and then came all at once, the bucket may have been full.
    assert room(offered.answers, Bucket(50, BURST)) < 0
    assert set(offered.statuses()) <= {200, 429}


def change_under_load(here: Site) -> tuple[list[Answer], list[Answer], int]:
    """Return what was answered before a change and once it was known, and how many share it."""
    with site(here.gateway, here.folder / "crew", options={"workers": 2}) as crew:
        crew.hand_out(1000.0, burst=500)
        with underway(crew.url, 80, fresh=True) as load:
            eventually(lambda: len(load.answers) >= 40)
            before = list(load.answers)
            crew.hand_out(4.0, burst=1)
            bucket = Bucket(4.0, crew.running.instances)
            # One worker that has not heard of it would admit 40 rps.
            eventually(lambda: excess(load.answers[-60:], bucket) <= NEARLY)
            known = time.monotonic()
            eventually(lambda: len(load.since(known)) >= 80)
        return before, load.since(known), crew.running.instances


@pytest.mark.measures(by=change_under_load)
def test_a_change_reaches_every_worker(measured):
    before, after, instances = measured

    assert {one.status for one in before} == {200}
    assert excess(after, Bucket(4.0, instances)) <= NEARLY


def report_of_load(here: Site) -> tuple[Offered, Sequence[ReportBody], int]:
    held = here.hand_out(20.0)
    _reports(here, 2)  # what was counted under another lease is reported by then
    before = len(here.endpoint.reports)
    offered = offer(here.url, 60, 1.5)
    _reports(here, 2)
    return offered, reported(here.endpoint, before), held


def _reports(here: Site, count: int) -> None:
    """Wait for so many more reports: all but the first tell of what was counted from now on."""
    before = len(here.endpoint.reports)
    eventually(lambda: len(here.endpoint.reports) >= before + count)


@pytest.mark.needs(Capability.REPORTS)
@pytest.mark.measures(by=report_of_load)
def test_it_reports_what_it_admitted_and_denied(measured):
    offered, told, held = measured

    assert sum(one.admitted or 0 for one in told) == pytest.approx(offered.count(200), abs=2)
    assert sum(one.denied or 0 for one in told) == pytest.approx(offered.count(429), abs=2)
    assert {(one.epoch, one.version, one.holds_rps) for one in told} >= {("c0ff", held, 20.0)}


def news_of_a_drained_bucket(here: Site) -> tuple[Offered, Offered]:
    _drained(here, burst=30)
    here.hand_out(5.0, burst=30)
    drained = offer(here.url, 60, 1)
    here.hand_out(6.0, burst=30)
    return drained, offer(here.url, 60, 1)


def _drained(here: Site, burst: int) -> None:
    """Have the bucket empty."""
    here.hand_out(1000.0, burst=burst)
    time.sleep(0.2)


@pytest.mark.needs(Capability.BURST_KEPT)
@pytest.mark.measures(by=news_of_a_drained_bucket)
def test_news_of_a_limit_do_not_refill_the_bucket(measured):
    drained, again = measured

    assert drained.count(200) >= 20
    # Another 30 would be a bucket that was filled anew.
    assert excess([*drained.answers, *again.answers], Bucket(6.0, 30)) <= NEARLY


def recommended(here: Site) -> Offered:
    here.hand_out(5.0, mode="recommend")
    return offer(here.url, 60, 1)


@pytest.mark.measures(by=recommended)
def test_a_recommended_limit_rejects_nobody(measured):
    assert measured.statuses() == {200: 60}


def dry_run(here: Site) -> Offered:
    with site(here.gateway, here.folder / "dry", options={"dry_run": True}) as dry:
        dry.hand_out(5.0)
        return offer(dry.url, 60, 1)


@pytest.mark.needs(Capability.DRY_RUN)
@pytest.mark.measures(by=dry_run)
def test_in_a_dry_run_of_its_own_it_rejects_nobody(measured):
    assert measured.statuses() == {200: 60}


def two_epochs(here: Site) -> tuple[Offered, Offered]:
    here.hand_out(40.0)
    held, here.version = here.version, 0
    here.hand_out(3.0, epoch="beef", burst=1)
    anew = offer(here.url, 40, 1)
    here.version = held  # of the epoch before, which comes back
    here.hand_out(40.0, burst=10)
    return anew, offer(here.url, 20, 0.4)


@pytest.mark.measures(by=two_epochs)
def test_another_epoch_counts_anew(measured):
    anew, back = measured

    assert excess(anew.answers, Bucket(3.0, 1)) <= NEARLY
    assert anew.count(429) > 0
    assert back.statuses() == {200: 8}


def refused(here: Site) -> Offered:
    here.hand_out(2.0, burst=1)
    return offer(here.url, 40, 0.5)


@pytest.mark.needs(Capability.RETRY_AFTER)
@pytest.mark.measures(by=refused)
def test_a_refused_request_is_told_when_to_come_back(measured):
    headers = measured.first(429).headers

    assert read(POLICY, headers[POLICY]) == {"default": {"q": 2, "w": 1}}
    assert read(LIMIT, headers[LIMIT])["default"]["r"] == 0
    assert int(headers["retry-after"]) >= read(LIMIT, headers[LIMIT])["default"]["t"] >= 1


def admitted(here: Site) -> Offered:
    _drained(here, burst=20)
    return offer(here.url, 20, 0.1)


@pytest.mark.needs(Capability.RATELIMIT_WHEN_ADMITTED)
@pytest.mark.measures(by=admitted)
def test_an_admitted_request_is_told_what_is_left(measured):
    told = read(LIMIT, measured.first(200).headers[LIMIT])["default"]

    # What HAProxy keeps for requests that do not ask is not left to others.
    assert 10 <= told["r"] <= 20
    assert told["t"] == 1
