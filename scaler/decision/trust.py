"""Trust: whether to act on the forecast, judged online by past forecasts and what came of them.

Each forecast predicts the peak demand over the lead time at the quantile level ``1 - risk``. When
the lead time is over, a `ForecastOutcome` compares that with the actual peak. From the outcomes:

- the level is adapted so that the share of misses converges to ``risk``, whatever the traffic:
  adaptive conformal inference (Gibbs and Candes, 2021, arXiv:2106.00170);
- the forecast's pinball loss is compared with that of a naive rival, the last value plus a margin
  that is tracked online. A model that is far worse is benched: it is not acted on until its loss
  has come down again. Both changes have hysteresis;
- the realised coverage is reported to the operator.

The averages are exponential: an outcome that is `MEMORY_S` old weighs 1/e.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace

from scaler.decision.quantiles import extremal_index

# Step of the adaptive level per outcome: that of all experiments of Gibbs and Candes, 2021.
GAIN = 0.005
# Time constant of the averages. Chosen, not measured: a quarter of a day, so that the peak of a day
# is judged by itself.
MEMORY_S = 6 * 3600.0
# Seconds of outcomes before a model can be benched, and between two changes to or from BENCHED.
# Chosen, not measured: by then the averages no longer hang on a few outcomes.
PROBATION_S = 2 * 3600.0
# A model is benched above the first loss relative to its rival's, and returns at the second. Chosen
# so far apart that a model of about twice the loss does not flap; test_trust.py holds them to it.
BENCH_AT = 2.0
RETURN_AT = 1.3
# The adapted risk stays within a quarter and four times the risk asked for, and below one half.
_RANGE = 4.0
# Gain of the margins per outcome, in units of the typical change of demand.
_MARGIN_GAIN = 0.05
_SURPRISAL_MEMORY = 4.0  # memory of the mean surprisal, in units of that of the other averages
# Surprisals of a calibrated forecast are exponentially distributed with a mean of 1 to ``steps``. A
# value beyond this many times ``steps`` shows a wrong forecast, not how its errors are correlated.
_SURPRISAL_LIMIT = 5.0


class Standing(enum.Enum):
    """How far the forecast is acted on now."""

    TRUSTED = "trusted"
    WIDENED = "widened"  # it missed too often recently, so a higher quantile is used
    BENCHED = "benched"  # it is far worse than the naive rival, so it is not used


@dataclass(frozen=True, slots=True)
class TrustRules:
    """When the forecast is acted on.

    Attributes:
        risk: accepted share of lead times whose peak demand exceeds the prediction.
    """

    risk: float = 0.05

    @property
    def judged_level(self) -> float:
        """Quantile level at which the forecast is compared with its rival; at most 0.9.

        At a higher level misses are so rare that a comparison would take days.
        """
        return min(1 - self.risk, 0.9)

    def __post_init__(self) -> None:
        if not 0 < self.risk < 1:
            raise ValueError(f"risk is {self.risk}, but must be in (0, 1)")


@dataclass(frozen=True, slots=True)
class ForecastOutcome:
    """The prediction of the peak demand over one lead time, and the actual peak; all in QPS.

    Attributes:
        steps: number of forecast steps within the lead time.
        surprisal: how improbable the actual peak was; see `quantiles.surprisals`.
        predicted: quantile of the peak at the level that the decision used.
        judged: quantile of the peak at the level ``TrustRules.judged_level``.
        last: the last demand observed when the forecast was made.
        actual: the actual peak; NaN where it is not known.
    """

    steps: int
    surprisal: float
    predicted: float
    judged: float
    last: float
    actual: float


@dataclass(frozen=True, slots=True)
class Trust:
    """What the outcomes so far amount to; `updated_trust` adds one more.

    Attributes:
        level: quantile level of the peak demand that the decision uses.
        coverage: share of lead times whose peak was at most the prediction.
        theta: extremal index of the forecast steps: how strongly their errors are correlated.
        surprisal: mean surprisal, from which ``theta`` is estimated.
        loss, rival_loss: mean pinball losses of forecast and rival at ``judged_level``, QPS.
        rival_margin: what the rival adds to the last value, QPS.
        margin: what to add to the last value to keep the risk without a forecast, QPS.
        change: typical change of demand over a lead time, QPS.
        weight: seconds of outcomes seen in all.
        seconds: seconds of outcomes seen since the last change to or from BENCHED.
        standing: how far the forecast is acted on.
    """

    level: float
    coverage: float
    theta: float
    surprisal: float
    loss: float = 0.0
    rival_loss: float = 0.0
    rival_margin: float = 0.0
    margin: float = 0.0
    change: float = 0.0
    weight: float = 0.0
    seconds: float = 0.0
    standing: Standing = Standing.TRUSTED

    @property
    def skill(self) -> float:
        """The forecast's loss relative to the rival's: below 1 is better; NaN without outcomes."""
        return self.loss / self.rival_loss if self.rival_loss > 0 else math.nan


def initial_trust(rules: TrustRules, steps: int) -> Trust:
    """Return the trust in a model that has passed its backtest and has no outcomes yet.

    The errors of its ``steps`` are assumed to lie half way (geometrically) between identical and
    independent ones.
    """
    theta = steps**-0.5
    return Trust(1 - rules.risk, coverage=1 - rules.risk, theta=theta, surprisal=1 / theta)


def updated_trust(
    trust: Trust, outcome: ForecastOutcome, rules: TrustRules, seconds: float
) -> Trust:
    """Return the trust after one more outcome, ``seconds`` after the one before.

    An outcome with an unknown value changes nothing.
    """
    values = outcome.predicted + outcome.judged + outcome.last + outcome.actual
    if math.isnan(outcome.surprisal + values):
        return trust
    actual = outcome.actual
    missed = actual > outcome.predicted
    weight = trust.weight + seconds
    share = min(seconds / min(weight, MEMORY_S), 1.0)
    # The correlation of errors changes slowly, so surprisals are averaged over a longer time.
    slow_share = min(seconds / (_SURPRISAL_MEMORY * MEMORY_S), 1.0)
    capped = min(outcome.surprisal, _SURPRISAL_LIMIT * outcome.steps)
    surprisal = trust.surprisal + slow_share * (capped - trust.surprisal)
    change = trust.change + share * (abs(actual - outcome.last) - trust.change)
    gain, judged_risk = _MARGIN_GAIN * change, 1 - rules.judged_level
    rival = outcome.last + trust.rival_margin
    loss = _pinball_loss(actual, outcome.judged, judged_risk)
    rival_loss = _pinball_loss(actual, rival, judged_risk)
    after = Trust(
        level=_adapted_level(trust.level, rules, missed=missed),
        theta=extremal_index(surprisal, outcome.steps),
        surprisal=surprisal,
        coverage=trust.coverage + share * ((not missed) - trust.coverage),
        loss=trust.loss + share * (loss - trust.loss),
        rival_loss=trust.rival_loss + share * (rival_loss - trust.rival_loss),
        rival_margin=trust.rival_margin + gain * ((actual > rival) - judged_risk),
        margin=trust.margin + gain * ((actual > outcome.last + trust.margin) - rules.risk),
        change=change,
        weight=weight,
        seconds=trust.seconds + seconds,
        standing=trust.standing,
    )
    standing = _standing(after, rules)
    if standing is trust.standing:
        return after
    benched = Standing.BENCHED in (standing, trust.standing)
    return replace(after, standing=standing, seconds=0.0 if benched else after.seconds)


def _adapted_level(level: float, rules: TrustRules, *, missed: bool) -> float:
    """Return the level after an outcome, by adaptive conformal inference."""
    risk = rules.risk
    alpha = 1 - level + GAIN * (risk - missed)
    return 1 - min(max(alpha, risk / _RANGE), risk * _RANGE, 0.5)


def _pinball_loss(actual: float, predicted: float, risk: float) -> float:
    over = actual - predicted
    return (1 - risk) * over if over > 0 else -risk * over


def _standing(trust: Trust, rules: TrustRules) -> Standing:
    if trust.seconds >= PROBATION_S and trust.rival_loss > 0:
        benched = trust.standing is Standing.BENCHED
        if trust.skill > (RETURN_AT if benched else BENCH_AT):
            return Standing.BENCHED
    elif trust.standing is Standing.BENCHED:
        return Standing.BENCHED
    # An adapted risk below half of the risk asked for counts as widened, until it is back at 0.7.
    bar = 1.4 if trust.standing is Standing.WIDENED else 2.0
    return Standing.WIDENED if (1 - trust.level) * bar < rules.risk else Standing.TRUSTED
