"""What becomes of a lease while the endpoint is away, and when it is back."""

from __future__ import annotations

import time

import pytest

from tests.conformance.gateways import Capability
from tests.conformance.load import Offered, offer, offering
from tests.conformance.site import Site, site

# A fall while it is fresh, a rise after it; SAFE from 1.5 + 2.5 = 4.0 s on, for 2 s.
AGING = {
    "valid_for_s": 1.5,
    "refresh_s": 0.3,
    "schedule": [{"in_s": 1.0, "rps": 20}, {"in_s": 2.5, "rps": 60}],
    "safe_rps": 10.0,
    "max_stale_s": 2.0,
    "burst": 4,
}
OFFERED = 90
# A gateway may look at the age of its lease every now and then, and a core be busy.
SLACK_S = 0.4


def test_without_the_endpoint_it_follows_schedule_then_safe_limit_then_opens_or_closes(sites):
    opening, closing = sites[0], sites[1]
    opening.hand_out(40.0, **AGING, then="open")
    closing.hand_out(40.0, **AGING, then="closed")
    loads = [(one, offering(one.url, OFFERED, 8.5)) for one in (opening, closing)]
    time.sleep(1.0)
    for one in (opening, closing):
        one.endpoint.down()
    (opened, since), (closed, since_closing) = [
        (load.result(30), one.endpoint.heard_at() - load.result(30).began_at) for one, load in loads
    ]
    _are_back([opening, closing])

    for load, age_0 in ((opened, since), (closed, since_closing)):
        assert _rate(load, age_0, 1.0, 2.5) == pytest.approx(20, rel=0.1, abs=2)
        assert _rate(load, age_0, 2.5, 4.0) == pytest.approx(60, rel=0.1, abs=2)
        assert _rate(load, age_0, 4.0, 6.0) == pytest.approx(10, rel=0.1, abs=2)
    assert _rate(opened, since, 6.0, 7.0) == pytest.approx(OFFERED, rel=0.05)
    assert _rate(closed, since_closing, 6.0, 7.0) == 0


def _rate(load: Offered, age_0: float, since: float, until: float) -> float:
    return load.rate(200, age_0 + since + SLACK_S, age_0 + until - 0.1)


def _are_back(sites: list[Site]) -> None:
    """Assert that the endpoint's return is no occasion for a burst."""
    loads = []
    for one in sites:
        one.version += 1
        loads.append(offering(one.url, OFFERED, 5))
    for one in sites:
        one.endpoint.up()
        one.hand_out(20.0, burst=2)
    for one, load in zip(sites, loads, strict=True):
        told = one.endpoint.told(one.version)
        offered = load.result(30)
        taken = told - offered.began_at + SLACK_S
        assert taken < 3.5, "an endpoint that is back is asked again within 3 s"
        assert offered.count(200, taken, taken + 1) <= 20 + 2 + 2


def test_no_request_waits_for_an_endpoint_that_hangs(sites):
    here = sites[2]
    here.hand_out(200.0, valid_for_s=2.0)
    here.endpoint.hang()
    offered = offer(here.url, 40, 3)
    here.endpoint.hang(hanging=False)

    assert offered.statuses() == {200: 120}
    assert offered.latency_s(0.99) < 0.5


@pytest.mark.needs(Capability.TOKEN)
def test_it_admits_until_it_has_had_a_lease_and_then_obeys(gateway, start_folder):
    with site(gateway, start_folder, token="c3cret", is_up=False) as here:
        unlimited = offer(here.url, 60, 1)
        here.endpoint.up()
        here.hand_out(5.0, burst=1)
        limited = offer(here.url, 60, 1)

    assert unlimited.statuses() == {200: 60}
    assert limited.count(200) <= 9
