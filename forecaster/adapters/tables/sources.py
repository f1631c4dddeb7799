"""Where a table comes from, what its user says of it, and what was found out about it.

Used by the modules beside this one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from forecaster.errors import HistoryError

# How many seconds one value of a unit covers. A count covers the spacing of its stamps; a counter
# only ever grows, and its increase per second is the traffic.
SECONDS = {"rps": 1, "rpm": 60, "rph": 3600}
UNITS = (*SECONDS, "count", "counter")
DATE_ORDERS = ("day-first", "month-first")
SHOWN = 80  # characters of a cell or a name that a message quotes


@dataclass(frozen=True)
class FileHints:
    """What a user says of a file where it does not say so itself.

    Attributes:
        value_columns: the columns (or metrics) that hold the traffic.
        item_column: the column that names the items, or several, whose cells are joined by ``/``.
        unit: of the values, one of `UNITS`.
        decimal: the decimal mark, ``"."`` or ``","``.
        dates: the order in dates such as 03/04/2026, one of `DATE_ORDERS`.
    """

    value_columns: tuple[str, ...] = ()
    item_column: str | tuple[str, ...] | None = None
    unit: str | None = None
    decimal: str | None = None
    dates: str | None = None

    @property
    def item_columns(self) -> tuple[str, ...]:
        """The columns that name the items; none where nothing is said."""
        found = self.item_column or ()
        return (found,) if isinstance(found, str) else found

    @property
    def given(self) -> bool:
        """Whether anything is said."""
        return self != FileHints()


@dataclass(frozen=True)
class TableSource:
    """Where a table comes from, for messages, and how to read it.

    Attributes:
        name: the file, or "the frame".
        default_item: the item of a table that names none.
        first_row: number of the first row of data, as an editor shows it.
        delimiter: between the cells of a text.
        timezone: zone of stamps without one; None refuses them.
        hints: what the user says of it.
        notes: how it was understood, where it could have been meant otherwise.
    """

    name: str
    default_item: str
    first_row: int = 0
    delimiter: str = ","
    timezone: str | None = None
    hints: FileHints = FileHints()
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Remember how something was understood; once, however many items it is about."""
        if text not in self.notes:
            self.notes.append(text)

    def refusal(self, rule: str) -> HistoryError:
        """Return the error that says what is wrong with the table."""
        return HistoryError(f"{self.name} {rule}")


def quoted(value: object) -> str:
    """Return a cell or a name for a message: a long one by its beginning and its length.

    >>> quoted("x" * 1000)[-21:]
    '... (1000 characters)'
    """
    text = str(value)
    if len(text) <= SHOWN:
        shown = repr(text)
        return shown if len(shown) <= 2 * SHOWN else f"{shown[: 2 * SHOWN]}..."
    return f"{ascii(text[:SHOWN])[: 2 * SHOWN]}... ({len(text)} characters)"


def listed(names: object) -> str:
    """Return column names for a message; of many, the first."""
    texts = [str(name) for name in names]  # type: ignore[attr-defined]
    shown: list[str] = []
    for text in texts:
        if len(shown) == 8 or sum(map(len, shown)) + len(text) > 150:
            break
        shown.append(repr(text))
    left = len(texts) - len(shown)
    if not shown:
        return quoted(texts[0]) if texts else "none"
    return ", ".join(shown) + (f" and {left} more" if left else "")
