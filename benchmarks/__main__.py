"""`python -m benchmarks [PART ...] --traces FOLDER`: measure and print."""

from __future__ import annotations

import argparse
import importlib
import os
from pathlib import Path

# The module in which each part is a function of that name.
PARTS = {
    "accuracy": "every_minute",
    "unseen": "unseen",
    "jobs": "memory",
    "tail": "tail",
    "speed": "speed",
    "carrying": "carrying",
    "outages": "outages",
    "replay": "replay",
    "objective": "objective",
    "agreement": "agreement",
    "trust": "trust",
    "promotion": "promotion",
    "replay_speed": "promotion",
    "shedding": "shedding",
    "hostile": "hostile",
    "fairness": "fairness",
    "endpoint": "endpoint",
    "attack": "attack",
    "haproxy": "haproxy",
    "gateways": "gateways",
    "journal": "journal",
    "soak": "soak",
    "churn": "soak",
    "thousand": "soak",
}
WITH_TRACES = {
    "accuracy", "agreement", "every_minute", "memory", "objective", "outages", "replay",
    "tail", "trust", "unseen",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (all)")
    parser.add_argument("--traces", type=Path, default=Path("../shared/traces"))
    parser.add_argument(
        "--minutes", type=float, default=30.0, help="of soak and churn (%(default)g)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="of accuracy and tail: one network, fitted shortly"
    )
    args = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # noqa: TID251 - as the command does
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {min(unknown)!r}; there are {', '.join(PARTS)}")
    for part in args.parts or PARTS:
        measure = getattr(importlib.import_module(f"benchmarks.{PARTS[part]}"), part)
        given = [args.minutes] if part in {"soak", "churn"} else []
        given += [args.traces] if PARTS[part] in WITH_TRACES else []
        given += [args.quick] if part in {"accuracy", "tail"} else []
        measure(*given)


if __name__ == "__main__":
    main()
