"""The recorded traffic that both the fake and the real Prometheus serve in the contract suite."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.peers.prometheus import Samples

START = datetime(2026, 1, 5, tzinfo=UTC)
STEP = timedelta(minutes=1)
MINUTES = 12_000  # 8 days and 8 hours: more than one request may ask for
END = START + MINUTES * STEP
BORN, GONE = 3_000, 9_000  # prod/search exists only between these minutes
RESET = 6_000  # minute at which the counter of pod a restarts from 0

SHOP = {"namespace": "prod", "service": "shop"}
SEARCH = {"namespace": "prod", "service": "search"}


def _at(minute: int) -> int:
    return int((START + minute * STEP).timestamp())


def demand(minute: int) -> float:
    """QPS of prod/shop: jumps up and down, and grows slowly."""
    return 200.0 + 37 * minute % 101 + minute // 144


def requests_until(minute: int) -> int:
    """Requests that each pod has served before this minute: 600 to 700 per minute."""
    rounds, rest = divmod(minute, 101)
    return 600 * minute + rounds * sum(range(101)) + sum(37 * k % 101 for k in range(rest))


def _counter(minute: int, *, reset: bool) -> float:
    """A restarted counter begins again at 0."""
    before = requests_until(RESET) if reset and minute >= RESET else 0
    return float(requests_until(minute) - before)


def samples() -> list[Samples]:
    return [
        Samples("demand_qps", SHOP, tuple((_at(k), demand(k)) for k in range(MINUTES))),
        Samples("demand_qps", SEARCH, tuple((_at(k), 5.0 + k % 7) for k in range(BORN, GONE))),
        *(
            Samples(
                "http_requests_total",
                {**SHOP, "pod": pod},
                tuple((_at(k), _counter(k, reset=pod == "a")) for k in range(MINUTES)),
                kind="counter",
            )
            for pod in ("a", "b")
        ),
    ]
