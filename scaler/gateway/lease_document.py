"""The JSON document of a lease, as a gateway reads and checks it.

Only the fields that a gateway needs are read. Unknown fields are ignored, so that a newer server
may send more. Each field that is read must be present and valid, or the whole lease is refused.
What is valid is the same for all gateways: `deploy/gateways/lease.schema.json`, the rules that
`deploy/gateways/CONTRACT.md` adds, and the vectors beside them that all readers are held to.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NoReturn

from scaler.gateway.strict_json import read_json
from scaler.limits.header_match import HeaderMatch
from scaler.limits.lease import CLIENT_WINDOW_S, MAX_AGE_S, MAX_QPS, AfterSafe, Lease
from scaler.limits.schedule import LimitStep

SCHEMA = 1
MAX_BYTES = 1 << 20  # a larger response is refused
MAX_CLASSES = 64
MAX_CLASS_NAME = 63  # characters
MAX_WHOLE = 1e15  # a double counts to 9e15 without a gap
# A header's name (RFC 9110, 5.1), and a value that no reader reads in another encoding.
HEADER, HEADER_VALUE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"), re.compile("[ -~]*")


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
        ceiling_qps: upper bound of its own rate and what it uses of others' together.
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
        classes: the priority classes' parts.
        client_window_s: window over which the requests of each client are numbered.
    """

    lease: Lease
    burst: float
    enforce: bool
    refresh_s: float
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
        parsed = read_json(body)
    except ValueError as error:
        raise LeaseRefusedError(f"it is not JSON: {error}") from None
    return _document(_JsonFields(parsed, "the lease"), service)


def _document(fields: _JsonFields, service: str) -> LeaseDocument:
    if fields.number("schema") != SCHEMA:
        fields.refuse("schema", f"must be {SCHEMA}")
    if fields.text("service") != service:
        fields.refuse("service", f"{_shown(service)} was asked for")
    valid_for_s = fields.number("valid_for_s", MAX_AGE_S, above_0=True)
    share, expiry = fields.section("share"), fields.section("on_expiry")
    lease = Lease(
        version=fields.whole("version"),
        qps=share.number("rps"),
        valid_for_s=valid_for_s,
        schedule=_schedule(fields),
        safe_qps=expiry.number("safe_rps"),
        max_stale_s=expiry.number("max_stale_s", MAX_AGE_S),
        then=AfterSafe(expiry.one_of("then", *AfterSafe)),
        epoch=fields.text("epoch"),
    )
    return LeaseDocument(
        lease=lease,
        burst=share.number("burst"),
        enforce=fields.one_of("mode", "enforce", "recommend") == "enforce",
        refresh_s=fields.number("refresh_s", valid_for_s, above_0=True),
        classes=_classes(fields),
        client_window_s=_client_window_s(fields),
    )


def _schedule(fields: _JsonFields) -> tuple[LimitStep, ...]:
    steps, before_s = [], 0.0
    for step in fields.sections("schedule"):
        in_s = step.number("in_s", MAX_AGE_S)
        if in_s <= before_s:
            step.refuse("in_s", f"must be above {before_s:g}, for steps ascend")
        steps.append(LimitStep(in_s, step.number("rps")))
        before_s = in_s
    return tuple(steps)


def _classes(fields: _JsonFields) -> tuple[ClassTerms, ...]:
    sections, known = fields.sections("classes"), set[str]()
    if len(sections) > MAX_CLASSES:
        raise LeaseRefusedError(f"it has {len(sections)} classes, but {MAX_CLASSES} at most")
    classes = []
    for section in sections:
        one = _class(section)
        if one.name in known:
            section.refuse("name", "another class has it")
        known.add(one.name)
        classes.append(one)
    return tuple(classes)


def _class(fields: _JsonFields) -> ClassTerms:
    name = fields.text("name")
    if not 1 <= len(name) <= MAX_CLASS_NAME:
        fields.refuse("name", f"must have 1 to {MAX_CLASS_NAME} characters")
    return ClassTerms(
        name=name,
        match=_match(fields),
        priority=fields.whole("priority"),
        guaranteed_qps=fields.number("guaranteed_rps"),
        qps=fields.number("rps"),
        ceiling_qps=fields.number("ceiling_rps"),
        then=AfterSafe(fields.one_of("then", *AfterSafe)),
    )


def _match(fields: _JsonFields) -> HeaderMatch | None:
    if fields.get("match") is None:
        return None
    section = fields.section("match")
    header = section.text("header")
    if not HEADER.fullmatch(header):
        section.refuse("header", "must be the name of a header")
    value = None if section.get("value") is None else section.text("value")
    if value is not None and not HEADER_VALUE.fullmatch(value):
        section.refuse("value", "must be printable ASCII")
    return HeaderMatch(header.lower(), value)


def _client_window_s(fields: _JsonFields) -> float:
    window_s = fields.optional_number("client_window_s", MAX_AGE_S, above_0=True)
    # An endpoint of version 0.1 does not say.
    return CLIENT_WINDOW_S if window_s is None else window_s


@dataclass(frozen=True, slots=True)
class _JsonFields:
    """A JSON object, with a method to read a field of each type; ``name`` is for messages."""

    value: object
    name: str

    def get(self, field: str) -> object:
        return self._object().get(field)

    def number(self, field: str, most: float = MAX_QPS, *, above_0: bool = False) -> float:
        """Return a number in [0, most], or (0, most]."""
        value = self.get(field)
        if not isinstance(value, float):
            self.refuse(field, "must be a number")
        if not 0 <= value <= most or (above_0 and value == 0):
            self.refuse(field, f"must be in {'(' if above_0 else '['}0, {most:g}]")
        return value

    def optional_number(
        self, field: str, most: float = MAX_QPS, *, above_0: bool = False
    ) -> float | None:
        return None if self.get(field) is None else self.number(field, most, above_0=above_0)

    def whole(self, field: str) -> int:
        value = self.number(field, MAX_WHOLE)
        if not value.is_integer():
            self.refuse(field, "must be a whole number")
        return int(value)

    def text(self, field: str) -> str:
        value = self.get(field)
        if not isinstance(value, str):
            self.refuse(field, "must be a text")
        return value

    def one_of(self, field: str, *known: str) -> str:
        value = self.text(field)
        if value not in known:
            self.refuse(field, f"must be {' or '.join(known)}")
        return value

    def section(self, field: str) -> _JsonFields:
        if not isinstance(self.get(field), dict):
            self.refuse(field, "must be an object")
        return _JsonFields(self.get(field), f"{field} of {self.name}")

    def sections(self, field: str) -> list[_JsonFields]:
        value = self.get(field)
        if not isinstance(value, list):
            self.refuse(field, "must be a list")
        return [_JsonFields(one, f"{field}[{i}] of {self.name}") for i, one in enumerate(value)]

    def refuse(self, field: str, rule: str) -> NoReturn:
        found = self._object()
        shown = _shown(found[field]) if field in found else "missing"
        raise LeaseRefusedError(f"{field} of {self.name} is {shown}, but {rule}")

    def _object(self) -> dict[str, object]:
        if not isinstance(self.value, dict):
            raise LeaseRefusedError(f"{self.name} is {_shown(self.value)}, but must be an object")
        return self.value


def _shown(value: object) -> str:
    """Return a JSON value in few words."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    if isinstance(value, float):
        return f"{value:.15g}"
    return json.dumps(value, ensure_ascii=False)[:80]
