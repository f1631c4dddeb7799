"""What stands on top of a backtest's page: what was compared, what was found, what to do next."""

from __future__ import annotations

import math

from forecaster.evaluation.backtest import SERVED, Backtest
from forecaster.models.lstm_ensemble import LSTM
from forecaster.plots.labels import name_of
from forecaster.report.findings import (
    counted,
    high_levels,
    listed,
    number,
    percent,
    rivals_of,
    sentences,
    verdict,
)
from forecaster.report.page import Findings, Tile

INTRO = """\
From many moments, the origins, demand is forecast as quantiles from what was known then, and
compared with what came. Nothing of this part was used to fit, calibrate or choose. The loss of a
forecast is its pinball loss, divided by that of repeating the last known value: below 1 is better.
A model may become champion, the one that serves, only if no baseline (a forecast that is cheap to
have) beats what it serves by more than chance, and last value does not at peaks."""
PASSED = (
    "Replay your autoscaler beside it, to see what it is worth in replicas: "
    "`scaler replay --history FILE --policy FILE.yaml --model NAME --report FILE.html`"
)
LOST = (
    "Leave the champion as it is, and train on a longer history (four weeks show each weekday four "
    "times), or for longer: `forecaster train --time-budget`"
)
# Of coverage, below which a quantile is said to cover less than it promises.
SHORT = 0.02


def page_findings(backtest: Backtest) -> Findings:
    """Return what stands on top of the page."""
    passed, first = verdict(backtest)
    return Findings(passed, first, _tiles(backtest), sentences(backtest), next_steps(backtest))


def _tiles(backtest: Backtest) -> list[Tile]:
    summary, (place, level) = backtest.summary, high_levels(backtest)[0]
    served = summary[SERVED]
    rivals = rivals_of(summary) or {LSTM: math.nan}
    best = min(rivals, key=lambda name: rivals[name])
    peaks = summary[best].relative_peaks
    return [
        Tile("loss", number(served.relative), [f"{name_of(best)}: {number(rivals[best])}"]),
        Tile(
            "loss at peaks, the top 5 % of moments",
            number(served.relative_peaks),
            [f"{name_of(best)}: {number(peaks)}"],
        ),
        Tile(
            f"moments within quantile {level:g}",
            percent(served.coverage[place]),
            [f"promised: {percent(level)}"],
        ),
        Tile(
            "error of the median, of all demand (WAPE)",
            percent(served.wape),
            [f"{name_of(best)}: {percent(summary[best].wape)}"],
        ),
    ]


def next_steps(backtest: Backtest) -> list[str]:
    """Return what to do about what was found, the first thing first."""
    served = backtest.summary[SERVED]
    if not math.isfinite(served.relative):
        return ["Backtest on a part in which there is demand: `--from` chooses it"]
    if verdict(backtest)[0]:
        steps = [PASSED, "If another version is champion: `forecaster models promote`"]
    else:
        steps = [LOST]
    worse = {
        item.item_id: item.scores[SERVED].relative
        for item in backtest.items
        if item.scores[SERVED].relative > 1
    }
    if worse:
        hardest = max(worse, key=lambda item: worse[item])
        steps.append(
            f"Look at {counted(len(worse), 'item')} for which repeating the last value is better, "
            f"{hardest} first: `forecaster check` tells what is wrong with a history"
        )
    short = [level for i, level in high_levels(backtest) if served.coverage[i] < level - SHORT]
    if short:
        named = listed([f"{level:g}" for level in short])
        steps.append(
            f"Quantile {named} covered less than promised: the traffic has changed since "
            "calibration, or too little of it was seen. Train again with what has come since. "
            "While it serves, tidegate corrects the level that it reads by itself."
        )
    return steps
