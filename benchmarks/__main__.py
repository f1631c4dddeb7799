"""`python -m benchmarks [PART ...] --traces FOLDER`: measure and print."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

PARTS = ("one_minute", "coarse", "unseen", "speed")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)} (all)")
    parser.add_argument("--traces", type=Path, default=Path("../shared/traces"))
    args = parser.parse_args()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # noqa: TID251 - as the command does
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"no part {min(unknown)!r}; there are {', '.join(PARTS)}")
    for part in args.parts or PARTS:
        if part == "speed":
            from benchmarks.speed import speed

            speed()
        else:
            from benchmarks import accuracy

            getattr(accuracy, part)(args.traces)


if __name__ == "__main__":
    main()
