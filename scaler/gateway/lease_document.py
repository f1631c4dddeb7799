"""What a lease's JSON says to a gateway, checked once where it comes in.

Only what is acted on is read; fields that are not known are left alone, so that a newer server may
say more. Everything that is read must be there and make sense, or the whole lease is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NoReturn

from scaler.limits.lease import MAX_QPS, AfterSafe, Lease
from scaler.limits.schedule import LimitStep

SCHEMA = 1
# A lease of so many bytes is no lease.
MOST_BYTES = 1 << 20
MOST_CLASSES = 64


class LeaseRefusedError(ValueError):
    """An answer that is no lease to act on; the one before serves on."""


@dataclass(frozen=True, slots=True)
class ClassTerms:
    """One class's part of the share.

    Attributes:
        header: a request that carries it is of this class; None: the gateway knows by itself.
        qps: its own, guaranteed_qps of it whatever others want.
        ceiling_qps: as far as it may rise on the common spare.
    """

    name: str
    header: str | None
    priority: int
    guaranteed_qps: float
    qps: float
    ceiling_qps: float
    then: AfterSafe


@dataclass(frozen=True, slots=True)
class ClientTerms:
    """What one client is admitted; None: it is not limited so.

    Attributes:
        abusive_above_qps: a client that offers more is held to ``abusive_qps``.
    """

    qps: float | None
    burst: float
    abusive_above_qps: float | None
    abusive_qps: float | None


@dataclass(frozen=True, slots=True)
class LeaseDocument:
    """All that a gateway acts on.

    Attributes:
        lease: of its share.
        burst: requests that may pass at once.
        enforce: whether requests are refused, not only counted.
        refresh_s: how often it asks.
        spare_qps: what no class owns.
    """

    lease: Lease
    burst: float
    enforce: bool
    refresh_s: float
    spare_qps: float
    classes: tuple[ClassTerms, ...]
    clients: ClientTerms | None


def read_lease(body: bytes, service: str) -> LeaseDocument:
    """Return what a lease on ``service`` says.

    Raises:
        LeaseRefusedError: it is cut off, of another schema or service, or says what cannot be.
    """
    if len(body) > MOST_BYTES:
        raise LeaseRefusedError(f"{len(body)} bytes are no lease; it has {MOST_BYTES} at most")
    try:
        said = json.loads(body, parse_constant=_not_a_number)
    except (ValueError, RecursionError) as error:
        raise LeaseRefusedError(f"it is not JSON: {error}") from None
    try:
        return _terms(_JsonFields(said, "the lease"), service)
    except LeaseRefusedError:
        raise
    except ValueError as error:  # of a value that is checked where it is made
        raise LeaseRefusedError(str(error)) from None


def _terms(said: _JsonFields, service: str) -> LeaseDocument:
    if said.whole("schema") != SCHEMA:
        raise LeaseRefusedError(f"schema is {said.get('schema')}, but {SCHEMA} is understood")
    if said.text("service") != service:
        raise LeaseRefusedError(f"it is of {said.text('service')!r}, but {service!r} was asked for")
    if said.text("mode") not in ("enforce", "recommend"):
        raise LeaseRefusedError(f"mode is {said.get('mode')!r}, not enforce or recommend")
    share, expiry = said.part("share"), said.part("on_expiry")
    lease = Lease(
        version=said.whole("version"),
        qps=share.number("rps"),
        valid_for_s=said.number("valid_for_s"),
        schedule=tuple(LimitStep(s.number("in_s"), s.number("rps")) for s in said.all("schedule")),
        safe_qps=expiry.number("safe_rps"),
        max_stale_s=expiry.number("max_stale_s"),
        then=AfterSafe(expiry.text("then")),
        epoch=said.text("epoch"),
    )
    classes = tuple(_class(one) for one in said.all("classes"))
    if len({one.name for one in classes}) != len(classes) or len(classes) > MOST_CLASSES:
        names = [one.name for one in classes]
        raise LeaseRefusedError(f"classes are {names}, but must be unique, {MOST_CLASSES} at most")
    if not 0 < said.number("refresh_s") <= lease.valid_for_s:
        raise LeaseRefusedError(f"refresh_s is {said.get('refresh_s')}, not in (0, valid_for_s]")
    return LeaseDocument(
        lease=lease,
        burst=share.number("burst"),
        enforce=said.text("mode") == "enforce",
        refresh_s=said.number("refresh_s"),
        spare_qps=said.number("spare_rps"),
        classes=classes,
        clients=_clients(said),
    )


def _class(said: _JsonFields) -> ClassTerms:
    match = None if said.get("match") is None else said.part("match").text("header").lower()
    return ClassTerms(
        name=said.text("name"),
        header=match,
        priority=said.whole("priority"),
        guaranteed_qps=said.number("guaranteed_rps"),
        qps=said.number("rps"),
        ceiling_qps=said.number("ceiling_rps"),
        then=AfterSafe(said.text("then")),
    )


def _clients(said: _JsonFields) -> ClientTerms | None:
    if said.get("per_client") is None:
        return None
    part = said.part("per_client")
    return ClientTerms(
        qps=part.perhaps("rps"),
        burst=part.number("burst"),
        abusive_above_qps=part.perhaps("abusive_above_rps"),
        abusive_qps=part.perhaps("abusive_rps"),
    )


def _not_a_number(name: str) -> NoReturn:
    raise LeaseRefusedError(f"it has {name} for a number")


@dataclass(frozen=True, slots=True)
class _JsonFields:
    """A JSON object whose fields are asked for by what they must be."""

    said: object
    name: str

    def get(self, field: str) -> object:
        if not isinstance(self.said, dict):
            raise LeaseRefusedError(f"{self.name} is {_shown(self.said)}, but must be an object")
        return self.said.get(field)

    def number(self, field: str) -> float:
        """Return a number in [0, `MAX_QPS`]: nothing that a lease counts is beyond it."""
        value = self.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise LeaseRefusedError(self._wrong(field, "a number"))
        if not 0 <= value <= MAX_QPS:
            raise LeaseRefusedError(self._wrong(field, f"in [0, {MAX_QPS:g}]"))
        return float(value)

    def perhaps(self, field: str) -> float | None:
        return None if self.get(field) is None else self.number(field)

    def whole(self, field: str) -> int:
        value = self.get(field)
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise LeaseRefusedError(self._wrong(field, "a whole number >= 0"))
        return value

    def text(self, field: str) -> str:
        value = self.get(field)
        if not isinstance(value, str):
            raise LeaseRefusedError(self._wrong(field, "a text"))
        return value

    def part(self, field: str) -> _JsonFields:
        return _JsonFields(self.get(field), f"{field} of {self.name}")

    def all(self, field: str) -> list[_JsonFields]:
        value = self.get(field)
        if not isinstance(value, list):
            raise LeaseRefusedError(self._wrong(field, "a list"))
        return [_JsonFields(one, f"{field}[{i}] of {self.name}") for i, one in enumerate(value)]

    def _wrong(self, field: str, rule: str) -> str:
        return f"{field} of {self.name} is {_shown(self.get(field))}, but must be {rule}"


def _shown(value: object) -> str:
    return repr(value)[:80]
