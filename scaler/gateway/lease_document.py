"""The JSON document of a lease, as a gateway reads and checks it.

Only the fields that a gateway needs are read. Unknown fields are ignored, so that a newer server
may send more. Each field that is read must be present and valid, or the whole lease is refused.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import NoReturn

from scaler.limits.header_match import HeaderMatch
from scaler.limits.lease import CLIENT_WINDOW_S, MAX_AGE_S, MAX_QPS, AfterSafe, Lease
from scaler.limits.schedule import LimitStep

SCHEMA = 1
MAX_BYTES = 1 << 20  # a larger response is refused
MAX_CLASSES = 64


class LeaseRefusedError(ValueError):
    """A response that is not a valid lease; the gateway keeps the lease that it holds."""


@dataclass(frozen=True, slots=True)
class ClassTerms:
    """One priority class's part of the gateway's share.

    Attributes:
        match: by which header a request is of this class; None: the gateway classifies requests
            itself.
        guaranteed_qps: the part of ``qps`` that does not depend on other classes.
        qps: the class's own rate.
        ceiling_qps: upper bound of own rate and common spare together.
        then: what applies to the class when the lease has expired.
    """

    name: str
    match: HeaderMatch | None
    priority: int
    guaranteed_qps: float
    qps: float
    ceiling_qps: float
    then: AfterSafe


@dataclass(frozen=True, slots=True)
class LeaseDocument:
    """All of a lease that a gateway needs.

    Attributes:
        lease: the gateway's share, and the limits that follow it.
        burst: requests that may pass at once.
        enforce: whether requests over the limit are refused, not only counted.
        refresh_s: interval at which the gateway reports.
        spare_qps: the rate that any class may use.
        classes: the priority classes' parts.
        client_window_s: window over which the rate of a client is counted.
    """

    lease: Lease
    burst: float
    enforce: bool
    refresh_s: float
    spare_qps: float
    classes: tuple[ClassTerms, ...]
    client_window_s: float


def read_lease(body: bytes, service: str) -> LeaseDocument:
    """Return the lease on ``service`` that a response body holds.

    Raises:
        LeaseRefusedError: the body is truncated, of another schema or service, or has an invalid
            value.
    """
    if len(body) > MAX_BYTES:
        raise LeaseRefusedError(f"it has {len(body)} bytes, but a lease has {MAX_BYTES} at most")
    try:
        parsed = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise LeaseRefusedError(f"it is not JSON: {error}") from None
    try:
        return _document(_JsonFields(parsed, "the lease"), service)
    except LeaseRefusedError:
        raise
    except ValueError as error:  # raised by the dataclasses, which check their own values
        raise LeaseRefusedError(str(error)) from None


def _document(fields: _JsonFields, service: str) -> LeaseDocument:
    if fields.whole("schema") != SCHEMA:
        raise LeaseRefusedError(f"schema is {fields.get('schema')}, but must be {SCHEMA}")
    if fields.text("service") != service:
        found = fields.text("service")
        raise LeaseRefusedError(f"service is {found!r}, but {service!r} was asked for")
    if fields.text("mode") not in ("enforce", "recommend"):
        raise LeaseRefusedError(f"mode is {fields.get('mode')!r}, not enforce or recommend")
    share, expiry = fields.section("share"), fields.section("on_expiry")
    steps = fields.sections("schedule")
    lease = Lease(
        version=fields.whole("version"),
        qps=share.number("rps"),
        valid_for_s=fields.number("valid_for_s"),
        schedule=tuple(LimitStep(step.number("in_s"), step.number("rps")) for step in steps),
        safe_qps=expiry.number("safe_rps"),
        max_stale_s=expiry.number("max_stale_s"),
        then=AfterSafe(expiry.text("then")),
        epoch=fields.text("epoch"),
    )
    classes = tuple(_class(one) for one in fields.sections("classes"))
    if len({one.name for one in classes}) != len(classes) or len(classes) > MAX_CLASSES:
        names = [one.name for one in classes]
        raise LeaseRefusedError(f"classes are {names}, but must be unique, {MAX_CLASSES} at most")
    if not 0 < fields.number("refresh_s") <= lease.valid_for_s:
        raise LeaseRefusedError(f"refresh_s is {fields.get('refresh_s')}, not in (0, valid_for_s]")
    return LeaseDocument(
        lease=lease,
        burst=share.number("burst"),
        enforce=fields.text("mode") == "enforce",
        refresh_s=fields.number("refresh_s"),
        spare_qps=fields.number("spare_rps"),
        classes=classes,
        client_window_s=_client_window_s(fields),
    )


def _class(fields: _JsonFields) -> ClassTerms:
    return ClassTerms(
        name=fields.text("name"),
        match=_match(fields),
        priority=fields.whole("priority"),
        guaranteed_qps=fields.number("guaranteed_rps"),
        qps=fields.number("rps"),
        ceiling_qps=fields.number("ceiling_rps"),
        then=AfterSafe(fields.text("then")),
    )


def _match(fields: _JsonFields) -> HeaderMatch | None:
    if fields.get("match") is None:
        return None
    section = fields.section("match")
    value = None if section.get("value") is None else section.text("value")
    return HeaderMatch(section.text("header").lower(), value)


def _client_window_s(fields: _JsonFields) -> float:
    window_s = fields.optional_number("client_window_s")
    if window_s is None:  # as of an endpoint of version 0.1
        return CLIENT_WINDOW_S
    if not 0 < window_s <= MAX_AGE_S:
        raise LeaseRefusedError(f"client_window_s is {window_s}, not in (0, {MAX_AGE_S}]")
    return window_s


def _refuse_constant(name: str) -> NoReturn:
    raise LeaseRefusedError(f"it has {name} for a number")


@dataclass(frozen=True, slots=True)
class _JsonFields:
    """A JSON object, with a method to read a field of each type; ``name`` is for messages."""

    value: object
    name: str

    def get(self, field: str) -> object:
        if not isinstance(self.value, dict):
            raise LeaseRefusedError(f"{self.name} is {_shown(self.value)}, but must be an object")
        return self.value.get(field)

    def number(self, field: str) -> float:
        """Return a number in [0, `MAX_QPS`], which bounds everything that a lease counts."""
        value = self.get(field)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise LeaseRefusedError(self._wrong(field, "a number"))
        if not 0 <= value <= MAX_QPS:
            raise LeaseRefusedError(self._wrong(field, f"in [0, {MAX_QPS:g}]"))
        return float(value)

    def optional_number(self, field: str) -> float | None:
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

    def section(self, field: str) -> _JsonFields:
        return _JsonFields(self.get(field), f"{field} of {self.name}")

    def sections(self, field: str) -> list[_JsonFields]:
        value = self.get(field)
        if not isinstance(value, list):
            raise LeaseRefusedError(self._wrong(field, "a list"))
        return [_JsonFields(one, f"{field}[{i}] of {self.name}") for i, one in enumerate(value)]

    def _wrong(self, field: str, rule: str) -> str:
        return f"{field} of {self.name} is {_shown(self.get(field))}, but must be {rule}"


def _shown(value: object) -> str:
    return repr(value)[:80]
