"""What is kept of a service when this process ends, as plain values.

The leader keeps it in the policy's status, so that a new pod goes on where the old one stopped:
with the capacity that was learned, the trust that the forecast has earned or lost, how long pods
take to start, the demand that was usual before an announced event, since when demand has been
implausibly low, what gateways report beside what is measured, what a floor has saved, and in mode
Auto the evidence for and against it. Floors are not in it: they stand in the cluster.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from scaler.control.kept_review import REVIEW, plain_review, review_from_plain
from scaler.decision.capacity import Capacity, CapacityReason
from scaler.decision.earned_trust import AutoStanding, FloorEvidence, PairedDay
from scaler.decision.hold import LowSpell
from scaler.decision.review import Review
from scaler.decision.savings import NOTHING_SAVED, Savings
from scaler.decision.sequential_test import BettingTest
from scaler.decision.trust import Standing, Trust
from scaler.decision.wariness import Doubt, DoubtReason, KeptReports

DIGITS = 4  # of a number: what is less would be news at every tick
REPORTED = "reported"  # the key of what gateways report
AUTO = "auto"  # the key of the evidence in mode Auto
SAVED = "saved"  # the key of what a floor has saved
_UNREADABLE = (KeyError, TypeError, AttributeError, ValueError, OverflowError)
_NUMBERS = tuple(f.name for f in fields(Trust) if f.name != "standing")
_DAY_SUMS = tuple(f.name for f in fields(PairedDay) if f.name not in ("number", "hours"))


@dataclass(frozen=True, slots=True)
class ServiceCheckpoint:
    """What one service leaves behind.

    Attributes:
        capacity: that was learned; None: it is given, or not known yet.
        factor: by which overload has lowered it.
        usual: demand expected for the start of each event, by name.
        trust: in the forecast; None: it has not been tried.
        start_ups: seconds from creation to first readiness of the last pods, the latest last.
        low_spell: the time of implausibly low demand that it is.
        reports: what gateways report; None: nothing.
        evidence: for and against a floor; None: the mode is not Auto.
        savings: of the floor.
        event_ratios: how many times the demand before them events have brought, by name.
        review: of the settings; None: they are the policy's own.
    """

    capacity: Capacity | None = None
    factor: float = 1.0
    usual: Mapping[str, float] = field(default_factory=dict)
    trust: Trust | None = None
    start_ups: tuple[float, ...] = ()
    low_spell: LowSpell | None = None
    reports: KeptReports | None = None
    evidence: FloorEvidence | None = None
    savings: Savings = NOTHING_SAVED
    event_ratios: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    review: Review | None = None


EMPTY_CHECKPOINT = ServiceCheckpoint()


def to_plain(checkpoint: ServiceCheckpoint) -> dict[str, Any]:
    """Return a checkpoint as JSON values.

    >>> to_plain(ServiceCheckpoint(factor=0.81234567))
    {'factor': 0.8123, 'usual': {}}
    """
    plain: dict[str, Any] = {
        "factor": _rounded(checkpoint.factor),
        "usual": {name: _rounded(qps) for name, qps in checkpoint.usual.items()},
    }
    if checkpoint.capacity is not None:
        learned = checkpoint.capacity
        plain["capacity"] = {
            "qps": _rounded(learned.qps),
            "reason": learned.reason.value,
            # Rounding must not move the figure out of its span.
            "low": min(_rounded(learned.low), _rounded(learned.qps)),
            "high": max(_rounded(learned.high), _rounded(learned.qps)),
        }
    if checkpoint.trust is not None:
        numbers = {name: _rounded(getattr(checkpoint.trust, name)) for name in _NUMBERS}
        plain["trust"] = {**numbers, "standing": checkpoint.trust.standing.value}
    if checkpoint.start_ups:
        plain["startUps"] = [round(seconds, 1) for seconds in checkpoint.start_ups]
    if checkpoint.low_spell is not None:
        plain["lowSince"] = round(checkpoint.low_spell.since)
    if checkpoint.reports is not None:
        plain[REPORTED] = _plain_reports(checkpoint.reports)
    if checkpoint.evidence is not None:
        plain[AUTO] = _plain_evidence(checkpoint.evidence)
    if checkpoint.savings != NOTHING_SAVED:
        # To the last bit: sums that are rounded at each change of the leader would stand still.
        plain[SAVED] = asdict(checkpoint.savings)
    if checkpoint.event_ratios:
        # A list: the names that were taught last stand last.
        plain["events"] = [
            {"name": name, "ratios": [_rounded(one) for one in ratios]}
            for name, ratios in checkpoint.event_ratios.items()
        ]
    if checkpoint.review is not None:
        plain[REVIEW] = plain_review(checkpoint.review)
    return plain


def from_plain(plain: Mapping[str, Any] | None) -> ServiceCheckpoint:
    """Return what `to_plain` wrote.

    Raises:
        ValueError: it was written by another version, or by somebody else.
    """
    if plain is None:
        return EMPTY_CHECKPOINT
    try:
        capacity = plain.get("capacity")
        trust, low_since = plain.get("trust"), plain.get("lowSince")
        return ServiceCheckpoint(
            None if capacity is None else _capacity(capacity),
            float(plain["factor"]),
            {str(name): float(qps) for name, qps in plain["usual"].items()},
            None if trust is None else _trust(trust),
            tuple(float(seconds) for seconds in plain.get("startUps", ())),
            None if low_since is None else LowSpell(float(low_since)),
            _reports(plain.get(REPORTED)),
            _evidence(plain.get(AUTO)),
            _savings(plain.get(SAVED)),
            {str(one["name"]): _ratios(one["ratios"]) for one in plain.get("events", ())},
            review_from_plain(plain),
        )
    except _UNREADABLE as error:
        raise ValueError(f"the checkpoint in the status is not readable: {error!r}") from error


def reports_from_plain(plain: Mapping[str, Any] | None) -> KeptReports | None:
    """Return what gateways report by what `to_plain` wrote; None if that is not readable.

    A replica that follows reads it at each tick, and the rest of a checkpoint once.
    """
    try:
        return None if plain is None else _reports(plain.get(REPORTED))
    except _UNREADABLE:
        return None


def evidence_from_plain(plain: Mapping[str, Any] | None) -> FloorEvidence | None:
    """Return the evidence in what `to_plain` wrote; None if there is none.

    Raises:
        ValueError: it was written by another version, or by somebody else.
    """
    try:
        return None if plain is None else _evidence(plain.get(AUTO))
    except _UNREADABLE as error:
        raise ValueError(f"the evidence in the status is not readable: {error!r}") from error


def savings_from_plain(plain: Mapping[str, Any] | None) -> Savings | None:
    """Return what a floor has saved by what `to_plain` wrote; None if that is not readable."""
    try:
        return None if plain is None else _savings(plain.get(SAVED))
    except _UNREADABLE:
        return None


def _ratios(plain: Any) -> tuple[float, ...]:  # noqa: ANN401 - of a status
    ratios = tuple(float(one) for one in plain)
    if not all(0 < one < math.inf for one in ratios):
        raise ValueError(f"ratios of an event are {ratios}, but must be finite and > 0")
    return ratios


def _savings(plain: Mapping[str, Any] | None) -> Savings:
    if plain is None:
        return NOTHING_SAVED
    sums = {one.name: float(plain[one.name]) for one in fields(Savings)}
    if not all(map(math.isfinite, sums.values())):
        raise ValueError(f"what was saved is {sums}, but must be finite")
    counts = {name: int(sums[name]) for name in ("days", "number")}
    return Savings(**{**sums, **counts})  # type: ignore[arg-type]


def _plain_evidence(evidence: FloorEvidence) -> dict[str, Any]:
    """Return it to the last bit: what is shown must not hang on who has counted."""
    return {
        "standing": evidence.standing.value,
        "days": evidence.days,
        "cost": list(evidence.cost.wealths),
        "violations": list(evidence.violations.wealths),
        "day": asdict(evidence.day),
    }


def _evidence(plain: Mapping[str, Any] | None) -> FloorEvidence | None:
    if plain is None:
        return None
    cost, violations = (
        BettingTest(tuple(float(wealth) for wealth in plain[name]))
        for name in ("cost", "violations")
    )
    lived = plain["day"]
    sums = (float(lived[name]) for name in _DAY_SUMS)
    day = PairedDay(int(lived["number"]), int(lived["hours"]), *sums)
    return FloorEvidence(AutoStanding(plain["standing"]), int(plain["days"]), cost, violations, day)


def _capacity(plain: Mapping[str, Any]) -> Capacity:
    low, qps, high = (float(plain[name]) for name in ("low", "qps", "high"))
    return Capacity(qps, CapacityReason(plain["reason"]), low, high)


def _trust(plain: Mapping[str, Any]) -> Trust:
    numbers = {name: float(plain[name]) for name in _NUMBERS}
    return Trust(**numbers, standing=Standing(plain["standing"]))


def _plain_reports(reports: KeptReports) -> dict[str, Any]:
    plain: dict[str, Any] = {
        "ratio": _rounded(reports.ratio),
        "learnedSeconds": round(reports.learned_s),
        "qps": _rounded(reports.reported_qps),
        "at": math.floor(reports.reported_at),  # not later than it was: it is compared
    }
    if reports.doubt is not None:
        plain["doubt"] = {
            "reason": reports.doubt.reason.value,
            "since": round(reports.doubt.since),
            "usual": _rounded(reports.doubt.usual_qps),
        }
    return plain


def _reports(plain: Mapping[str, Any] | None) -> KeptReports | None:
    if plain is None:
        return None
    ratio, learned_s = float(plain["ratio"]), float(plain["learnedSeconds"])
    qps, at, doubt = float(plain["qps"]), float(plain["at"]), plain.get("doubt")
    if doubt is not None:
        reason = DoubtReason(doubt["reason"])
        doubt = Doubt(reason, float(doubt["since"]), float(doubt["usual"]))
    return KeptReports(ratio, learned_s, qps, at, doubt)


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
