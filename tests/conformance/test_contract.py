"""How a gateway acts on the lease that it holds: limits, changes of them, what it answers."""

from __future__ import annotations

import time

import pytest

from tests.conformance.gateways import Capability
from tests.conformance.load import offer, offering
from tests.conformance.reported import reported
from tests.conformance.site import site


def test_it_admits_what_the_limit_says_within_3_percent(sites):
    limits, offers = (20, 50, 50), (100, 100, 40)
    for one, rps in zip(sites, limits, strict=True):
        # Half a second's burst: a core that is busy elsewhere for that long loses no admission.
        one.hand_out(rps, burst=rps // 2)
    before = [one.origin.served for one in sites]
    loads = [offering(one.url, rps, 5) for one, rps in zip(sites, offers, strict=True)]
    twenty, fifty, below = [load.result(30) for load in loads]

    # The burst is gone within the first second.
    assert twenty.count(200, 1) == pytest.approx(80, rel=0.03)  # 20 rps x 4 s
    assert fifty.count(200, 1) == pytest.approx(200, rel=0.03)  # 50 rps x 4 s
    assert below.statuses() == {200: 200}  # 40 rps x 5 s
    assert set(twenty.statuses() | fifty.statuses()) == {200, 429}
    # Only what is admitted reaches the origin.
    reached = [one.origin.served - past for one, past in zip(sites, before, strict=True)]
    assert reached == [load.count(200) for load in (twenty, fifty, below)]


def test_a_change_reaches_every_worker_within_a_second(gateway, start_folder):
    with site(gateway, start_folder, options={"workers": 2}) as crew:
        crew.hand_out(1000.0)
        load = offering(crew.url, 80, 3.5, fresh=True)
        time.sleep(1.0)
        changed_at = time.monotonic()
        crew.hand_out(4.0, burst=1)
        offered = load.result(30)

    changed = changed_at - offered.began_at
    lasted = 3.5 - (changed + 1.0)
    assert offered.statuses(0, changed) == {200: offered.count(200, 0, changed)}
    # One worker that has not heard of it would admit 40 rps.
    assert offered.count(200, changed + 1.0) <= 4.0 * lasted + 2 * crew.running.instances


@pytest.mark.needs(Capability.REPORTS)
def test_it_reports_what_it_admitted_and_denied(sites):
    here = sites[1]
    held = here.hand_out(20.0)
    before = len(here.endpoint.reports)
    offered = offer(here.url, 60, 1.5)
    time.sleep(1.0)
    told = reported(here.endpoint, before)

    assert sum(one.admitted or 0 for one in told) == pytest.approx(offered.count(200), abs=2)
    assert sum(one.denied or 0 for one in told) == pytest.approx(offered.count(429), abs=2)
    assert {(one.epoch, one.version, one.holds_rps) for one in told} >= {("c0ff", held, 20.0)}


@pytest.mark.needs(Capability.BURST_KEPT)
def test_news_of_a_limit_do_not_refill_the_bucket(sites):
    here = sites[0]
    here.hand_out(5.0, burst=30)
    time.sleep(0.5)
    drained = offer(here.url, 60, 1)
    here.hand_out(6.0, burst=30)
    again = offer(here.url, 60, 1)

    assert drained.count(200) >= 20
    # It drained for as long as the news took; another 30 would be a bucket that was filled anew.
    assert again.count(200) <= 18


def test_a_recommended_limit_rejects_nobody(sites):
    sites[0].hand_out(5.0, mode="recommend")

    assert offer(sites[0].url, 60, 1).statuses() == {200: 60}


def test_another_epoch_counts_anew(sites):
    here = sites[0]
    here.hand_out(40.0)
    held, here.version = here.version, 0
    here.hand_out(3.0, epoch="beef", burst=1)
    offered = offer(here.url, 40, 1)
    here.version = held  # of the epoch before, which comes back
    here.hand_out(40.0)

    assert offered.count(200) <= 6
    assert offer(here.url, 20, 0.5).statuses() == {200: 10}


@pytest.mark.needs(Capability.RETRY_AFTER)
def test_a_refused_request_is_told_when_to_come_back(sites):
    sites[0].hand_out(2.0, burst=1)
    refused = offer(sites[0].url, 40, 0.5).first(429).headers
    (policy, limit), (q, r) = zip(
        *(_field(refused[name]) for name in ("ratelimit-policy", "ratelimit")), strict=True
    )

    assert (policy, limit) == ('"default"', '"default"')
    assert (q["q"], q["w"]) == ("2", "1")
    assert r["r"] == "0"
    assert int(refused["retry-after"]) >= max(int(r["t"]), 1)


@pytest.mark.needs(Capability.RATELIMIT_WHEN_ADMITTED)
def test_an_admitted_request_is_told_what_is_left(sites):
    sites[0].hand_out(50.0, burst=20)
    time.sleep(0.5)
    admitted = offer(sites[0].url, 20, 0.1).first(200).headers

    assert 15 <= int(_field(admitted["ratelimit"])[1]["r"]) <= 20


@pytest.mark.needs(Capability.DRY_RUN)
def test_in_a_dry_run_of_its_own_it_rejects_nobody(gateway, start_folder):
    with site(gateway, start_folder, options={"dry_run": True}) as dry:
        dry.hand_out(5.0)

        assert offer(dry.url, 60, 1).statuses() == {200: 60}


def _field(value: str) -> tuple[str, dict[str, str]]:
    """Return the name of a policy, and its parameters (RFC 9651, an item with parameters)."""
    name, *parameters = value.split(";")
    return name, dict(one.strip().split("=") for one in parameters)
