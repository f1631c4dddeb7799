"""The tables of `scaler get`: plain columns, as kubectl prints them, and a line for each change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from forecaster.commands.terminal import figure

NONE, UNKNOWN = "<none>", "<unknown>"
SAVINGS = "savings"
GAP = "  "
_NAMES = {1: "s", 60: "m", 3600: "h", 86_400: "d"}
# An age below the first is told in the second unit, and what is left of it in the third.
_UNITS = (
    (120, 1, 0),
    (600, 60, 1),
    (3 * 3600, 60, 0),
    (8 * 3600, 3600, 60),
    (48 * 3600, 3600, 0),
    (8 * 86_400, 86_400, 3600),
)

Record = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class RecordColumn:
    """A column: its head, and its text for a record.

    Attributes:
        since: where it is an age, the moment in a record that it is counted from.
    """

    head: str
    text: Callable[[Record], object] = lambda _: None
    since: Callable[[Record], float | None] | None = None


class RecordTable:
    """Lays out records, and later those that have changed; columns keep their widths."""

    def __init__(self, columns: Sequence[RecordColumn]) -> None:
        self._columns = columns
        self._widths: list[int] = []
        self._shown: dict[str, list[str]] = {}

    def lines(self, records: Sequence[Record], now: float) -> Iterator[str]:
        """Yield the head if it is the first time, and each record that is not as it was shown.

        Args:
            records: of services.
            now: that ages are counted to; what has only grown older has not changed.
        """
        changed = []
        for record in records:
            facts = [_text(one.text(record)) for one in self._columns if one.since is None]
            if self._shown.get(record["service"]) != facts:
                self._shown[record["service"]] = facts
                changed.append([self._cell(one, record, now) for one in self._columns])
        if not self._widths and changed:
            heads = [one.head for one in self._columns]
            self._widths = [max(map(len, cells)) for cells in zip(heads, *changed, strict=True)]
            changed.insert(0, heads)
        for cells in changed:
            padded = map(str.ljust, cells, self._widths)
            yield GAP.join(padded).rstrip()

    def _cell(self, column: RecordColumn, record: Record, now: float) -> str:
        if column.since is None:
            return _text(column.text(record))
        since = column.since(record)
        return UNKNOWN if since is None else human_duration(now - since)


def human_duration(seconds: float) -> str:
    """Return an age as kubectl prints it.

    Source: k8s.io/apimachinery, pkg/util/duration, HumanDuration.

    >>> [human_duration(s) for s in (4, 119, 150, 600, 11_000, 90_000, 800_000)]
    ['4s', '119s', '2m30s', '10m', '3h3m', '25h', '9d']
    """
    whole = max(int(seconds), 0)
    unit, smaller = next(((u, rest) for below, u, rest in _UNITS if whole < below), (86_400, 0))
    left = whole % unit // smaller if smaller else 0
    return f"{whole // unit}{_NAMES[unit]}" + (f"{left}{_NAMES[smaller]}" if left else "")


def _text(value: object) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return str(value).lower()
    return figure(value) if isinstance(value, float) else str(value)


def _key(*path: str) -> Callable[[Record], object]:
    """Return what reads a value of a record; None where a part of the path is missing."""

    def read(record: Record) -> object:
        found: Any = record
        for key in path:
            found = found.get(key) if isinstance(found, Mapping) else None
        return found

    return read


def _rate(*path: str) -> Callable[[Record], object]:
    value = _key(*path)

    def read(record: Record) -> object:
        found = value(record)
        return float(found) if isinstance(found, int | float) else None

    return read


def _decided(record: Record) -> float | None:
    at: float | None = record.get("at")
    return at


def _created_or_decided(record: Record) -> float | None:
    created: float | None = record.get("created")
    return _decided(record) if created is None else created


def _origin(record: Record) -> float | None:
    fan = record.get("fan") or {}
    origin: float | None = fan.get("origin")
    return origin


def _standing(record: Record) -> object:
    """Return how far the forecast is trusted; None where there is none."""
    return _key("trust", "standing")(record) if record.get("fan") else None


def _covered(record: Record) -> str | None:
    covered = _key("trust", "coverage")(record) if record.get("fan") else None
    return f"{100 * covered:.0f}%" if isinstance(covered, float | int) else None


def _highest(level: float) -> Callable[[Record], object]:
    """Return what reads the highest value of a quantile over the whole forecast."""

    def read(record: Record) -> object:
        fan = record.get("fan") or {}
        if level not in fan.get("levels", ()):
            return None
        at = fan["levels"].index(level)
        values = [row[at] for row in fan["values"] if row[at] is not None]
        return float(max(values)) if values else None

    return read


def with_totals(records: Sequence[Record]) -> list[Record]:
    """Return records of savings, and after them what all have saved in each currency."""
    from scaler.control.saved import plain_money
    from scaler.decision.savings import SavedMoney, in_all

    parts = [
        SavedMoney(saved["currency"], saved["amount"], _half(saved))
        for one in records
        if (saved := one.get("saved") or {}).get("currency")
    ]
    return [*records, *({"service": "*/total", "saved": plain_money(one)} for one in in_all(parts))]


def _half(saved: Record) -> float | None:
    low, high = saved.get("low"), saved.get("high")
    return None if low is None or high is None else (high - low) / 2


_WHO = (
    RecordColumn("NAMESPACE", lambda record: record["service"].partition("/")[0]),
    RecordColumn("NAME", lambda record: record["service"].partition("/")[2]),
)
COLUMNS = {
    # As `kubectl get demandpolicies` prints them.
    "policies": (
        *_WHO,
        RecordColumn("MODE", _key("mode")),
        RecordColumn("FLOOR", _key("floor")),
        RecordColumn("PLAN", _key("plan")),
        RecordColumn("DEMAND", _rate("demand_qps")),
        RecordColumn("LIMIT", _rate("limit_qps")),
        RecordColumn("TRUSTED", _key("trusted")),
        RecordColumn("AGE", since=_created_or_decided),
    ),
    "limits": (
        *_WHO,
        RecordColumn("LIMIT", _rate("limit_qps")),
        RecordColumn("BOUND-BY", _key("binding")),
        RecordColumn("READY", _key("limit", "ready_replicas")),
        RecordColumn("PER-REPLICA", _rate("limit", "replica_qps")),
        RecordColumn("SAFE", _rate("limit", "safe_qps")),
        RecordColumn("AGE", since=_decided),
    ),
    SAVINGS: (
        *_WHO,
        RecordColumn("HOURS", _rate("saved", "replica_hours")),
        RecordColumn("SAVED", _rate("saved", "amount")),
        RecordColumn("LOW", _rate("saved", "low")),
        RecordColumn("HIGH", _rate("saved", "high")),
        RecordColumn("CURRENCY", _key("saved", "currency")),
        RecordColumn("DAYS", _key("saved", "days")),
        RecordColumn("AGE", since=_decided),
    ),
    "forecasts": (
        *_WHO,
        RecordColumn("MODEL", _key("fan", "source")),
        RecordColumn("TRUST", _standing),
        RecordColumn("COVERED", _covered),
        RecordColumn("P50", _highest(0.5)),
        RecordColumn("P90", _highest(0.9)),
        RecordColumn("AGE", since=_origin),
    ),
}
