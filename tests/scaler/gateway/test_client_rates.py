"""The rates of clients, as they are counted and reported."""

from __future__ import annotations

import numpy as np
import pytest

from scaler.adapters.http.schemas import ReportBody
from scaler.gateway.client_rates import ClientRates, report_fields


def _rate(offers: dict[str, float], until: float, window_s: float = 60.0) -> dict[str, float]:
    """Return the rates at ``until`` of clients that send evenly, by name."""
    client_rates = ClientRates(1000, window_s)
    events = sorted(
        (i / rps, name) for name, rps in offers.items() for i in range(int(rps * until))
    )
    for now, name in events:
        client_rates.count(name, now, 1)
    return {name: client_rates.rate(client_rates.count(name, until, 1), until) for name in offers}


@pytest.mark.parametrize("until", [60.0, 61.0, 90.0, 170.0])
def test_a_steady_client_has_the_same_rate_at_any_moment(until):
    assert _rate({"a": 4.0}, until) == {"a": pytest.approx(4.0, rel=0.05)}


def test_during_the_first_window_all_rates_are_too_low_by_the_same_factor():
    assert _rate({"a": 4.0, "b": 1.0}, 15.0) == {
        "a": pytest.approx(1.0, rel=0.05),  # 60 requests in 15 s, of a window of 60 s
        "b": pytest.approx(0.25, rel=0.1),
    }


def test_a_client_without_requests_for_two_windows_has_rate_zero():
    client_rates = ClientRates(10, 1.0)
    client_rate = client_rates.count("a", 0.0, 5)
    client_rates.count("b", 1.5, 1)

    assert (
        client_rates.rate(client_rate, 1.5) == 2.5
    )  # half of the window before is still within one
    assert client_rates.rate(client_rate, 2.0) == 0.0
    assert client_rates.rates(2.0) == [1.0]


def test_the_client_seen_longest_ago_is_forgotten_first():
    client_rates = ClientRates(2, 10.0)
    for client in ("busy", "a", "busy", "b", "busy", "c", "busy"):
        client_rates.count(client, 5.0, 1)

    assert sorted(client_rates.rates(5.0)) == [0.1, 0.4]


def test_many_clients_are_reported_as_a_histogram_with_the_same_quantiles():
    rng = np.random.default_rng(7)
    rates = rng.lognormal(0.0, 1.0, 5000)
    report = ReportBody.model_validate(
        {"instance": "gw-1", **report_fields(rates.tolist())}, strict=True
    ).to_report()

    assert report.clients == 5000
    for level in (0.1, 0.5, 0.9, 0.99):
        assert np.quantile(report.client_rates, level) == pytest.approx(
            np.quantile(rates, level), rel=0.15
        )


def test_few_clients_are_reported_one_by_one_and_none_not_at_all():
    assert report_fields([0.5, 2.0]) == {"client_rates": [0.5, 2.0]}
    assert report_fields([]) == {}
