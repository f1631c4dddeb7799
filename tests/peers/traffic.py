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


def _counter(minute: int, *, reset: bool) -> float:
    """10 requests per second; a restart begins again at 0."""
    return 600.0 * (minute - RESET if reset and minute >= RESET else minute)


def samples() -> list[Samples]:
    return [
        Samples("demand_qps", SHOP, tuple((_at(k), 100.0 + k % 1440) for k in range(MINUTES))),
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
