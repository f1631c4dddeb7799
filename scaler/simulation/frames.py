"""What replays came to, as data frames."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from forecaster.adapters.tables.frames import frame_of

if TYPE_CHECKING:
    import pandas as pd

    from scaler.simulation.contest import Contest
    from scaler.simulation.what_if import Sweep


def contest_to_frame(contest: Contest) -> pd.DataFrame:
    """Return a row per contender: `ReplayOutcome` as columns."""
    return frame_of([asdict(found) for found in contest.table], ["name"])


def sweep_to_frame(sweep: Sweep) -> pd.DataFrame:
    """Return a row per value and contender: `ReplayOutcome` as columns."""
    rows = [
        {"case": case, **asdict(found)}
        for case, contest in sweep.contests.items()
        for found in contest.table
    ]
    return frame_of(rows, ["case", "name"])
