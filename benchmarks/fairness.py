"""A limit that gateways share: a guarantee beside a flood, demand that moves, and starts."""

from __future__ import annotations

import numpy as np

from benchmarks.limiters.sharing import (
    LIMIT_QPS,
    Doorman,
    SharedLimit,
    guarantee_kept,
    moving,
    third_starts,
    two_start,
)
from benchmarks.tables import markdown

GATEWAYS, LIMITS = (2, 3, 8), (100.0, LIMIT_QPS)


def fairness() -> None:
    """Print the three tables."""
    print(f"\n## Fairness: {LIMIT_QPS:.0f} requests per second shared by gateways\n")
    print(
        "A class offers exactly its guarantee, 0.4 of the limit, through two of eight gateways;\n"
        "six times 0.4 of the limit flood the others.\n"
    )
    columns = ("requests come", "served of the class", "limit that is idle", "most booked")
    rows = [
        ("evenly", guarantee_kept()),
        ("by chance (Poisson)", guarantee_kept(np.random.default_rng(1))),
    ]
    print(markdown(columns, [(name, f.served, f.idle, f.most_booked) for name, f in rows]))
    print(
        "\nDemand of 0.7 of the limit, of which nine tenths move to the next gateway each 20 s;\n"
        "requests that are refused.\n"
    )
    columns = ("limit", "gateways", "tidegate", "most booked", "Doorman's fair share")
    print(markdown(columns, [_moving(n, limit) for limit in LIMITS for n in GATEWAYS]))
    print("\nGateways start: the least that one admits in any quarter of its first second.\n")
    columns = ("what", "offered to each", "least, requests/s", "refused in 3 s")
    starts = [
        ("two idle ones are loaded at once", 0.45 * LIMIT_QPS, two_start()),
        ("a third beside two that are loaded", 0.5 * LIMIT_QPS, third_starts()),
    ]
    print(markdown(columns, [(w, f"{q:.0f}", f.least_qps, f.refused) for w, q, f in starts]))


def _moving(gateways: int, limit_qps: float) -> tuple[object, ...]:
    with SharedLimit(gateways, limit_qps=limit_qps) as sharing:
        ours = moving(sharing, gateways, np.random.default_rng(1), limit_qps)
        booked = sharing.most_booked
    rival = Doorman(gateways, limit_qps)
    theirs = moving(rival, gateways, np.random.default_rng(1), limit_qps)
    return f"{limit_qps:.0f}", gateways, f"{ours:.1%}", booked, f"{theirs:.1%}"
