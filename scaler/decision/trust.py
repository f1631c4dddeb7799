"""Whether to believe the forecast, judged live by what it said of demand that has since happened.

At each forecast, the largest demand over the lead time was foreseen at the level ``1 - risk``. When
that time is over, an `ForecastOutcome` says what it was. Three things follow:

- the level is adapted so that the share of misses comes to be the risk, whatever the traffic does:
  adaptive conformal inference (Gibbs and Candes, 2021, arXiv:2106.00170);
- the forecast's pinball loss is compared with that of a rival that costs nothing, the last value
  plus a margin tracked online; where it is far worse, the model is broken and is benched, and comes
  back when it is not, both with hysteresis;
- the realised coverage is what an operator sees.

Averages forget: an outcome that is ``memory_s`` old weighs 1/e.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass, replace

from scaler.decision.quantiles import extremal_index

# The level moves between risks of a quarter and of four times the asked one, at most one half.
_RANGE = 4.0
# Of the rival's margin per outcome, in units of the typical change of demand.
_MARGIN_GAIN = 0.05
_SURPRISAL_MEMORY = 4.0  # times that of the other averages
# Surprisals of a right forecast are exponentially distributed with mean 1 to ``steps``: what is
# beyond this many times ``steps`` tells that it was wrong, not how alike its steps err.
_SURPRISAL_LIMIT = 5.0


class Standing(enum.Enum):
    """What the forecast is worth now."""

    TRUSTED = "trusted"
    WIDENED = "widened"  # it missed too often of late: a higher level is read
    BENCHED = "benched"  # it is far worse than the last value: reactive only


@dataclass(frozen=True, slots=True)
class TrustRules:
    """When the forecast is believed.

    Attributes:
        risk: accepted share of lead times whose largest demand exceeds what was foreseen.
        gain: of the adaptive level per outcome; 0 keeps the level.
        memory_s: time constant of the averages.
        probation_s: outcomes needed, in seconds of them, before the model can be benched, and
            between two changes of mind.
        bench_at: loss relative to the rival's above which the model is benched.
        return_at: the same, below which it returns.
    """

    risk: float = 0.05
    gain: float = 0.005
    memory_s: float = 6 * 3600.0
    probation_s: float = 2 * 3600.0
    bench_at: float = 2.0
    return_at: float = 1.3

    @property
    def judged_level(self) -> float:
        """The level at which the forecast is compared with its rival.

        A rarer one than 0.9 would take days to tell them apart.
        """
        return min(1 - self.risk, 0.9)

    def __post_init__(self) -> None:
        if not 0 < self.risk < 1:
            raise ValueError(f"risk is {self.risk}, but must be in (0, 1)")
        if not 0 < self.return_at <= self.bench_at:
            raise ValueError(
                f"return_at is {self.return_at} and bench_at {self.bench_at}, but "
                "0 < return_at <= bench_at must hold"
            )
        if not (self.memory_s > 0 and self.probation_s >= 0 and self.gain >= 0):
            raise ValueError("memory_s must be above 0, probation_s and gain at least 0")


@dataclass(frozen=True, slots=True)
class ForecastOutcome:
    """What was said of a lead time, and what it was; all QPS.

    Attributes:
        steps: of the forecast within the lead time.
        surprisal: how far out the largest demand was; see `quantiles.surprisals`.
        foreseen: the forecast's quantile of the largest demand, at the level that was read.
        judged: the same at the level ``TrustRules.judged_level``.
        last: the demand known when it was said.
        happened: the largest demand; NaN where it is not known.
    """

    steps: int
    surprisal: float
    foreseen: float
    judged: float
    last: float
    happened: float


@dataclass(frozen=True, slots=True)
class Trust:
    """What outcomes so far say; `updated_trust` makes the next one.

    Attributes:
        level: at which the quantile of the largest demand is to be read.
        theta: extremal index of the steps: how alike they err.
        coverage: share of lead times within what was foreseen.
        loss, rival_loss: mean pinball losses at the level judged, QPS.
        rival_margin: what the rival adds to the last value, QPS.
        margin: what to add to the last value so that the risk is kept without the forecast, QPS.
        change: typical change of demand over a lead time, QPS.
        seconds: of outcomes seen since the last change of mind.
        standing: what follows.
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
        """The forecast's loss relative to the rival's: below 1 is better; NaN before any."""
        return self.loss / self.rival_loss if self.rival_loss > 0 else math.nan


def initial_trust(rules: TrustRules, steps: int) -> Trust:
    """Return the trust in a model that passed its backtest and has not been tried live.

    Until outcomes say better, ``steps`` are taken to err half way between as one and independently.
    """
    theta = steps**-0.5
    return Trust(1 - rules.risk, coverage=1 - rules.risk, theta=theta, surprisal=1 / theta)


def updated_trust(
    trust: Trust, outcome: ForecastOutcome, rules: TrustRules, seconds: float
) -> Trust:
    """Return the trust after one more outcome, ``seconds`` after the one before."""
    said_and_seen = outcome.foreseen + outcome.judged + outcome.last + outcome.happened
    if math.isnan(outcome.surprisal + said_and_seen):
        return trust
    happened, risk = outcome.happened, rules.risk
    missed = happened > outcome.foreseen
    alpha = 1 - trust.level + rules.gain * (risk - missed)
    alpha = min(max(alpha, risk / _RANGE), risk * _RANGE, 0.5)
    weight = trust.weight + seconds
    share = min(seconds / min(weight, rules.memory_s), 1.0)
    # Surprisals are averaged over a longer time, for how alike steps err hardly changes.
    slow = min(seconds / (_SURPRISAL_MEMORY * rules.memory_s), 1.0)
    surprising = min(outcome.surprisal, _SURPRISAL_LIMIT * outcome.steps)
    surprisal = trust.surprisal + slow * (surprising - trust.surprisal)
    change = trust.change + share * (abs(happened - outcome.last) - trust.change)
    gain, judged_risk = _MARGIN_GAIN * change, 1 - rules.judged_level
    said = outcome.last + trust.rival_margin
    after = Trust(
        level=1 - alpha,
        theta=extremal_index(surprisal, outcome.steps),
        surprisal=surprisal,
        coverage=trust.coverage + share * ((not missed) - trust.coverage),
        loss=trust.loss + share * (_pinball(happened, outcome.judged, judged_risk) - trust.loss),
        rival_loss=trust.rival_loss
        + share * (_pinball(happened, said, judged_risk) - trust.rival_loss),
        rival_margin=trust.rival_margin + gain * ((happened > said) - judged_risk),
        margin=trust.margin + gain * ((happened > outcome.last + trust.margin) - risk),
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


def _pinball(happened: float, said: float, risk: float) -> float:
    over = happened - said
    return (1 - risk) * over if over > 0 else -risk * over


def _standing(trust: Trust, rules: TrustRules) -> Standing:
    if trust.seconds >= rules.probation_s and trust.rival_loss > 0:
        benched = trust.standing is Standing.BENCHED
        if trust.skill > (rules.return_at if benched else rules.bench_at):
            return Standing.BENCHED
    elif trust.standing is Standing.BENCHED:
        return Standing.BENCHED
    # Twice as careful as asked counts as widened; half of that way back ends it.
    bar = 1.4 if trust.standing is Standing.WIDENED else 2.0
    return Standing.WIDENED if (1 - trust.level) * bar < rules.risk else Standing.TRUSTED
