"""Events as lines of a journal, and back. Each file can be read without those before it.

A line is one JSON object; ``k`` says of what kind. Nothing that lets somebody in is written: see
`without_secrets`.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from scaler.adapters.journal import events
from scaler.adapters.journal.deltas import DeltaReader, DeltaWriter
from scaler.adapters.journal.facts import facts_of
from scaler.adapters.journal.plain_values import Plain, from_plain_value, to_plain_value
from scaler.errors import JournalError

FORMAT = 1
KINDS: Mapping[str, type] = {
    "head": events.JournalHead,
    "loop": events.LoopRemembers,
    "leases": events.LeasesRemember,
    "lease": events.LeasesCalled,
    "gap": events.Dropped,
    "tick": events.TickBegan,
    "histories": events.HistoriesRead,
    "measure": events.Measured,
    "reports": events.Reported,
    "lows": events.LowsFound,
    "predict": events.Forecasted,
    "observe": events.Observed,
    "decide": events.Decided,
    "apply": events.Applied,
    "end": events.TickEnded,
}
# Lists by gateway, most of which say what they said before.
_REPEATED = {"asked", "told"}
_NAMES = {kind: name for name, kind in KINDS.items()}

_SECRETS = (
    # https://user:password@host
    (re.compile(r"(\w://)[^/\s\"'@]+@"), r"\1"),
    # Authorization: Bearer ...; what follows is a token.
    (re.compile(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{6,}"), r"\1\2***"),
    # ?token=..., password: ..., as messages of libraries quote them.
    (
        re.compile(
            r"(?i)\b(password|passwd|token|secret|api[_-]?key|authorization)"
            r"(\\*[\"']?\s*[=:]\s*\\*[\"']?)[^\s\"'\\&,;}]+"
        ),
        r"\1\2***",
    ),
    (re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL), "***"),
)
# A line that has none of these needs no closer look.
_SUSPECT = ("://", "-----begin", "bearer", "basic", "passw", "token", "secret", "authorization",
            "apikey", "api_key", "api-key")  # fmt: skip


def without_secrets(text: str) -> str:
    """Return a text without what lets somebody in.

    >>> without_secrets("no answer from https://me:hush@prom/api?token=abc")
    'no answer from https://prom/api?token=***'
    """
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text


def _line(plain: Plain) -> str:
    """Return values as a line of JSON without secrets."""
    line = json.dumps(plain, separators=(",", ":"), allow_nan=False)
    lower = line.lower()
    if any(one in lower for one in _SUSPECT):
        line = json.dumps(_cleaned(plain), separators=(",", ":"), allow_nan=False)
    return line


def _cleaned(plain: Plain) -> Plain:
    if isinstance(plain, str):
        return without_secrets(plain)
    if isinstance(plain, list):
        return [_cleaned(one) for one in plain]
    if isinstance(plain, dict):
        return {key: _cleaned(one) for key, one in plain.items()}
    return plain


class LineWriter:
    """Writes the events of one file, in order."""

    def __init__(self) -> None:
        self._deltas: dict[str, DeltaWriter] = {}
        self._items: dict[str, Mapping[str, object]] = {}  # as they were last
        self._last: dict[tuple[str, str, str], Plain] = {}
        self._seen: Plain = None  # the tick that gateways were answered by last

    def line(self, event: object) -> bytes:
        """Return an event with the line's end."""
        if isinstance(event, events.PlansHanded):
            event = events.Decided({view.item_id: facts_of(view) for view in event.views})
        name = _NAMES[type(event)]
        plain = to_plain_value(event, but="items")
        if hasattr(event, "items"):
            plain["items"] = self._change(name, event.items)
        for key in _REPEATED & plain.keys():
            plain[key] = [self._named(key, plain["service"], one) for one in plain[key]]
        if plain.get("seen") == self._seen:
            plain.pop("seen", None)
        else:
            self._seen = plain.get("seen", self._seen)
        return _line({"k": name, **plain}).encode("ascii") + b"\n"

    def _change(self, name: str, items: Mapping[str, object]) -> Plain:
        """Return what has changed; what is equal to what it was is not looked into."""
        deltas = self._deltas.setdefault(name, DeltaWriter())
        before = self._items.get(name, {})
        self._items[name] = items
        return deltas.change(
            {
                item: deltas.told[item]
                if item in before and (one is before[item] or one == before[item])
                else to_plain_value(one)
                for item, one in items.items()
            }
        )

    def _named(self, key: str, service: str, one: Plain) -> Plain:
        """Return the name alone of a gateway that is told of as it was last."""
        place = key, service, one["instance"]
        if self._last.get(place) == one:
            return one["instance"]
        self._last[place] = one
        return one


class LineReader:
    """Reads the events of one file, in order."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str, str], Plain] = {}
        self._seen: Plain = None
        self._deltas: dict[str, DeltaReader] = {}
        self._items: dict[str, dict[str, Any]] = {}  # what was read last, to be the same objects

    def event(self, line: bytes) -> Any:  # noqa: ANN401 - of any of KINDS
        """Return the event of a line.

        Raises:
            JournalError: the line is torn, or of a kind that this version does not know.
        """
        try:
            plain = json.loads(line)
            name = plain.pop("k")
            kind = KINDS[name]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise JournalError(f"a line of the journal cannot be read: {error!r}") from error
        for key in _REPEATED & plain.keys():
            plain[key] = [self._spelled_out(key, plain["service"], one) for one in plain[key]]
        if name == "lease":
            self._seen = plain.setdefault("seen", self._seen)
        if "items" not in plain:
            return from_plain_value(kind, plain)
        items = self._whole(name, kind, plain.pop("items"))
        values = {
            one.name: from_plain_value(hint, plain[one.name])
            for one in fields(kind)
            if one.name in plain and (hint := typing.get_type_hints(kind)[one.name])
        }
        return kind(**values, items=items)

    def _spelled_out(self, key: str, service: str, one: Plain) -> Plain:
        if isinstance(one, str):
            return self._last[key, service, one]
        self._last[key, service, one["instance"]] = one
        return one

    def _whole(self, name: str, kind: type, change: Plain) -> dict[str, Any]:
        of = typing.get_args(typing.get_type_hints(kind)["items"])[1]
        whole, changed = self._deltas.setdefault(name, DeltaReader()).whole(change)
        before = self._items.get(name, {})
        self._items[name] = {
            item: from_plain_value(of, plain) if item in changed else before[item]
            for item, plain in whole.items()
        }
        return self._items[name]
