"""Fairness among clients: nine hostile scenes, and the same where all fits."""

from __future__ import annotations

import math

from benchmarks.limiters.hostile import HostileScene, fairness, hostile_scenes
from benchmarks.tables import markdown

COLUMNS = (
    "scene", "normal served", "others served", "normal refused within their share",
    "others' part of their share", "refused where all fits",
)  # fmt: skip


def hostile() -> None:
    """Print a row per scene."""
    print("\n## Nine scenes with hostile clients, at 1.5 times the limit and at 0.9\n")
    print(markdown(COLUMNS, map(_row, hostile_scenes())))


def _row(scene: HostileScene) -> tuple[object, ...]:
    found, fits = fairness(scene), fairness(scene.fitting())
    kinds = [group.name for group in scene.groups]
    others = [f"{found.served(kind):.1%} ({kind})" for kind in kinds[1:]]
    greed = "-" if math.isnan(found.greed) else f"{found.greed:.2f}"
    return (
        scene.name, f"{found.served(kinds[0]):.1%}", ", ".join(others), f"{found.beyond:.2%}",
        greed, found.calm_refused + fits.refused.total() + fits.calm_refused,
    )  # fmt: skip
