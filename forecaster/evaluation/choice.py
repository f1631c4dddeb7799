"""Who serves: one rule for the choice per item and for the champion gate."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from forecaster.data.series import Block, FloatArray
from forecaster.evaluation.metrics import is_peak, pinball_loss
from forecaster.evaluation.splits import Cases
from forecaster.models.candidates import BLEND
from forecaster.models.config import ModelConfig
from forecaster.models.lstm_ensemble import LSTM
from forecaster.models.naive import LAST_VALUE

# Standard errors by which another candidate must be better than the favourite: any other than the
# blend to serve an item, and than all that is served to keep a model from becoming champion; and by
# which nobody who serves may be worse than last value at peaks.
CONFIDENCE = 2.0
INCOMPARABLE = "the candidates cannot be compared"
# A smaller loss (one request in eleven days) is a rounding error; a ratio to it has no meaning.
NEGLIGIBLE_QPS = 1e-6

# Logarithms of ratios are clipped to this, so that an hour without error is not infinitely better.
LARGEST_LOG = 10.0


def relative(losses: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """Return each candidate's losses relative to last value's mean; NaN where that is about 0."""
    reference = np.array([_mean(row) for row in losses[LAST_VALUE]])
    unit = np.where(reference > NEGLIGIBLE_QPS, reference, np.nan)[:, None]
    return {name: loss / unit for name, loss in losses.items()}


def _mean(losses: FloatArray) -> float:
    """Return the mean of the known losses; NaN if there is none."""
    known = losses[np.isfinite(losses)]
    return float(known.mean()) if len(known) else math.nan


def hourly_losses(cases: Cases, predicted: Block, model: ModelConfig) -> FloatArray:
    """Return the mean pinball loss of the origins in each hour, ``(2, hours)``; NaN where unknown.

    The first row is of all moments, the second of the peaks, the top 5 % by actual demand.
    """
    target = cases.windows.target
    levels = model.served_levels[: predicted.shape[2]]
    loss = pinball_loss(target, predicted, levels).mean(axis=2)
    hour = cases.origins // model.timing.hour
    hour -= hour[0]
    rows = []
    for among in np.isfinite(loss), np.isfinite(loss) & is_peak(target):
        total = np.bincount(hour, np.where(among, loss, 0).sum(axis=1))
        count = np.bincount(hour, among.sum(axis=1))
        rows.append(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0))
    return np.stack(rows)


def choose(losses: Mapping[str, FloatArray], favourite: str | None = None) -> tuple[str, str]:
    """Return who is to serve and the reason: the favourite, unless another is clearly better.

    Another must be better by two standard errors of the hourly ratios. Otherwise chance would
    decide, as the time that they are compared on may be only a day or two. By the same rule nobody
    serves who is worse than last value at peaks: what is gained in quiet hours pays for no peak.

    Args:
        losses: by candidate, its mean loss in each hour, of all moments and of the peaks alone,
            ``(2, hours)``.
        favourite: of the names in ``losses``; None: the blend, or the LSTM where there is none.

    >>> last_value, lstm = np.array([[2.0, 3.0], [4.0, 5.0]]), np.array([[1.0, 1.5], [3.0, 5.0]])
    >>> choose({"last_value": last_value, "lstm": lstm})
    ('lstm', '50.0 % below last_value, the best of the others')
    """
    favourite = favourite or (BLEND if BLEND in losses else LSTM)
    overall = {name: row[0] for name, row in losses.items() if holds_at_peaks(losses, name)}
    if favourite in overall:
        return _best(overall, favourite)
    means = {name: _mean(row) for name, row in overall.items()}
    best = min(means, key=lambda name: means[name] if np.isfinite(means[name]) else math.inf)
    worse = 100 * (_mean(losses[favourite][1]) / _mean(losses[LAST_VALUE][1]) - 1)
    return best, (
        f"the best of those that hold at peaks: {favourite} loses {worse:.1f} % more there than "
        f"{LAST_VALUE}, by more than {CONFIDENCE:g} standard errors"
    )


def holds_at_peaks(losses: Mapping[str, FloatArray], name: str) -> bool:
    """Return whether last value is not clearly better in the top 5 % of moments."""
    own, reference = losses[name][1], losses[LAST_VALUE][1]
    return not (_mean(own) > _mean(reference) > NEGLIGIBLE_QPS and _leads(reference, own))


def _best(losses: Mapping[str, FloatArray], favourite: str) -> tuple[str, str]:
    means = {name: _mean(found) for name, found in losses.items()}
    rivals = [name for name in losses if name != favourite and np.isfinite(means[name])]
    best = min(rivals, key=lambda name: means[name], default=favourite)
    own = means[favourite]
    if best == favourite or not np.isfinite(own) or means[best] == 0 == own:
        return favourite, INCOMPARABLE
    if own <= means[best]:
        return (
            favourite,
            f"{100 * (1 - own / means[best]):.1f} % below {best}, the best of the others",
        )
    percent = f"{100 * (1 - means[best] / own):.1f} % below {favourite}"
    if _leads(losses[best], losses[favourite]):
        return best, f"{percent}, by more than {CONFIDENCE:g} standard errors"
    return favourite, f"{best} was {percent}, but within {CONFIDENCE:g} standard errors"


def _leads(rival: FloatArray, favourite: FloatArray) -> bool:
    """Return whether the rival's hourly losses are better by more than chance.

    Ratios are compared on a log scale, so that a single extreme hour does not dominate.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.clip(np.log(favourite / rival), -LARGEST_LOG, LARGEST_LOG)
    ratios = ratios[~np.isnan(ratios)]
    if len(ratios) < 2:
        return False
    return bool(ratios.mean() > CONFIDENCE * ratios.std(ddof=1) / math.sqrt(len(ratios)))
