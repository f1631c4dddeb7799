"""A backtest with known results: a daily wave, and a forecast that is right except for noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forecaster.evaluation.backtest import SERVED, Backtest, ItemResult
from forecaster.evaluation.scores import Score
from forecaster.models.candidates import CANDIDATES
from forecaster.models.lstm_ensemble import LSTM
from forecaster.models.naive import LAST_VALUE, SEASONAL_DAY

LEVELS = (0.1, 0.5, 0.9, 0.95, 0.99)
HOSTILE = "</script><script>document.title='owned'</script><img src=x onerror=alert(1)>&\"'"
FIRST_ORIGIN = 1_767_571_200  # 2026-01-05T00:00:00Z
NAN = float("nan")


def score(relative: float, *, horizon: int = 4, covered: float = 0.0) -> Score:
    """Return a score whose coverage is off by ``covered`` at every level."""
    coverage = tuple(min(level + covered, 1.0) for level in LEVELS)
    return Score(
        pinball=relative * 10,
        relative=relative,
        relative_peaks=relative * 0.9,
        by_level=(relative,) * len(LEVELS),
        by_horizon=tuple(relative * (1 + 0.1 * h) for h in range(horizon)),
        coverage=coverage,
        peak_coverage=tuple(max(share - 0.05, 0.0) for share in coverage),
        top_coverage=tuple(max(share - 0.1, 0.0) for share in coverage),
        minute_coverage=(coverage[3],) * 60,
        minute_hours=(24,) * 60,
        wape=relative / 4,
        crps=relative * 15,
    )


def unknown_score(horizon: int = 4) -> Score:
    """Return the score of an item without any demand."""
    levels = (NAN,) * len(LEVELS)
    shares = (NAN,) * 60, (0,) * 60
    ahead = (NAN,) * horizon
    return Score(NAN, NAN, NAN, levels, ahead, levels, levels, levels, *shares, NAN, NAN)


def item(
    item_id: str, served: float = 0.6, *, source: str = LSTM, n_origins: int = 96
) -> ItemResult:
    rng = np.random.default_rng(len(item_id))
    origins = FIRST_ORIGIN + 900 * np.arange(n_origins)
    ahead = origins[:, None] + 60 * np.arange(1, 5)
    wave = 100 + 60 * np.sin(2 * np.pi * ahead / 86_400)
    actual = (wave + rng.normal(0, 5, wave.shape)).astype(np.float32)
    spread = np.array([-6.4, 0.0, 6.4, 8.2, 11.6])
    predicted = (wave[:, :, None] + spread).astype(np.float32)
    scores = {name: score(1.0 + 0.1 * i) for i, name in enumerate(CANDIDATES)}
    scores[LAST_VALUE], scores[SEASONAL_DAY] = score(1.0), score(1.8)
    scores[source] = scores[SERVED] = score(served)
    losses = {name: np.full((2, 24), found.relative) for name, found in scores.items()}
    return ItemResult(
        item_id, source, f"{source} was best", scores, losses, origins, actual, predicted
    )


def silent_item(item_id: str) -> ItemResult:
    """Return an item of which nothing is known in the backtest."""
    sample = item(item_id)
    scores = {name: unknown_score() for name in sample.scores}
    losses = {name: np.full((2, 24), NAN) for name in scores}
    return replace(sample, scores=scores, losses=losses, actual=np.full_like(sample.actual, NAN))


def backtest_of(*items: ItemResult) -> Backtest:
    return Backtest(LEVELS, 60, items, dict.fromkeys(CANDIDATES, 0.25))
