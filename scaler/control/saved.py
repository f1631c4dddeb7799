"""What a service's floor has saved, for whoever shows it: replica-hours, and money at its price."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from scaler.control.snapshot import ServiceView
from scaler.decision.savings import (
    LEAST_DAYS,
    NOTHING_SAVED,
    SavedMoney,
    Savings,
    in_all,
    saved_money,
)


@dataclass(frozen=True, slots=True)
class Saved:
    """What was saved, as it is shown.

    Attributes:
        savings: in replica-hours.
        money: the same at the policy's price; None: it names none.
    """

    savings: Savings
    money: SavedMoney | None

    def plain(self) -> dict[str, object]:
        """Return JSON values; what is not known is None."""
        half, money = self.savings.half_width, self.money
        return {
            "replica_hours": self.savings.hours,
            "replica_hours_half": half,
            "seconds": self.savings.seconds,
            "days": self.savings.days,
            **(plain_money(money) if money else {}),
        }


def plain_money(money: SavedMoney) -> dict[str, object]:
    """Return JSON values: the amount, and the ends of its 95 % interval."""
    half = money.half
    return {
        "currency": money.currency,
        "amount": money.amount,
        "low": None if half is None else money.amount - half,
        "high": None if half is None else money.amount + half,
    }


def saved_by(view: ServiceView) -> Saved | None:
    """Return what a service's floor has saved; None: no floor of ours has stood yet."""
    savings = view.checkpoint.savings if view.checkpoint else NOTHING_SAVED
    if not savings.seconds:
        return None
    price = view.policy.price
    return Saved(savings, saved_money(savings, price) if price else None)


def saved_in_all(views: Iterable[ServiceView]) -> list[SavedMoney]:
    """Return what all services have saved, for each currency."""
    saved = [saved_by(view) for view in views]
    return in_all([one.money for one in saved if one is not None and one.money is not None])


def saved_sentence(plain: dict[str, object] | None) -> str | None:
    """Return in words what `Saved.plain` holds, losses as plainly; None: there is nothing to say.

    >>> saved_sentence({"replica_hours": -3.0, "seconds": 86400.0, "days": 1, "currency": "EUR",
    ...                 "amount": -0.144, "low": None, "high": None})
    'Against the autoscaler alone, the floor cost 3.0 replica-hours more, 0.14 EUR, in 1.0 days; \
for an interval it takes 7 whole days, and there are 1.'
    """
    if plain is None:
        return None
    hours, days = _float(plain["replica_hours"]), _float(plain["seconds"]) / 86400
    verb, more = ("saved", "") if hours >= 0 else ("cost", " more")
    text = f"Against the autoscaler alone, the floor {verb} {abs(hours):.1f} replica-hours{more}"
    currency = plain.get("currency")
    if currency is not None:
        text += f", {abs(_float(plain['amount'])):,.2f} {currency}"
    text += f", in {days:.1f} days"
    half = plain.get("replica_hours_half")
    if half is None:
        return (
            f"{text}; for an interval it takes {LEAST_DAYS} whole days, and there are "
            f"{plain['days']}."
        )
    if currency is not None:
        low, high = _float(plain["low"]), _float(plain["high"])
        return f"{text}; saved with 95 % confidence: {low:,.2f} to {high:,.2f} {currency}."
    low, high = hours - _float(half), hours + _float(half)
    return f"{text}; saved with 95 % confidence: {low:.1f} to {high:.1f} replica-hours."


def _float(value: object) -> float:
    assert isinstance(value, int | float)
    return float(value)
