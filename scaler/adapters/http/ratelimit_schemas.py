"""Envoy's rate limit messages as JSON, as envoyproxy/ratelimit reads and writes them.

As in all JSON of protobuf messages, names may be in camelCase or in snake_case.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from scaler.limits.descriptors import (
    MAX_DESCRIPTORS,
    MAX_HITS,
    Descriptor,
    DescriptorCall,
    DescriptorReply,
    DescriptorStatus,
    requests_per_unit,
)

Code = Literal["OK", "OVER_LIMIT"]
UnitName = Literal["SECOND", "MINUTE", "HOUR"]

REQUEST: dict[str, JsonValue] = {
    "domain": "tidegate",
    "descriptors": [
        {
            "entries": [
                {"key": "service", "value": "prod/shop"},
                {"key": "class", "value": "pay"},
                {"key": "client", "value": "10.0.0.7"},
            ]
        }
    ],
}
ANSWER: dict[str, JsonValue] = {
    "overallCode": "OVER_LIMIT",
    "statuses": [
        {
            "code": "OVER_LIMIT",
            "currentLimit": {"requestsPerUnit": 335, "unit": "SECOND"},
            "durationUntilReset": "0.104s",
        }
    ],
    "responseHeadersToAdd": [
        {"key": "RateLimit-Policy", "value": '"default";q=335;w=1'},
        {"key": "RateLimit", "value": '"default";r=0;t=1'},
        {"key": "Retry-After", "value": "1"},
    ],
}


def _int_of_text(value: object) -> object:
    """Return the number in a string: protobuf writes 64-bit numbers as strings in JSON."""
    return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value


Hits = Annotated[int, Field(ge=0, le=MAX_HITS)]
Text = Annotated[str, Field(max_length=1024)]


class _Message(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, alias_generator=to_camel, populate_by_name=True
    )


class EntryBody(_Message):
    key: Text = ""
    value: Text = ""


class DescriptorBody(_Message):
    entries: Annotated[list[EntryBody], Field(max_length=64)] = []
    limit: dict[str, JsonValue] | None = None
    """An override of the limit; accepted and ignored, for tidegate publishes the limit."""
    hits_addend: Annotated[Hits, BeforeValidator(_int_of_text)] | None = None


class RateLimitRequestBody(_Message):
    """The request of a decision: `envoy.service.ratelimit.v3.RateLimitRequest` as JSON."""

    model_config = ConfigDict(json_schema_extra={"example": REQUEST})

    domain: Text
    descriptors: Annotated[list[DescriptorBody], Field(min_length=1, max_length=MAX_DESCRIPTORS)]
    hits_addend: Hits = 0

    def to_call(self) -> DescriptorCall:
        return DescriptorCall(
            self.domain,
            tuple(
                Descriptor(tuple((e.key, e.value) for e in one.entries), one.hits_addend)
                for one in self.descriptors
            ),
            self.hits_addend,
        )


class CurrentLimit(_Message):
    requests_per_unit: int = 0
    unit: UnitName


class StatusBody(_Message):
    code: Code
    current_limit: CurrentLimit | None = None
    limit_remaining: int | None = None
    duration_until_reset: str | None = None


class HeaderBody(_Message):
    key: str
    value: str


class RateLimitResponseBody(_Message):
    """`envoy.service.ratelimit.v3.RateLimitResponse` as JSON; zeros are left out."""

    model_config = ConfigDict(json_schema_extra={"example": ANSWER})

    overall_code: Code
    statuses: list[StatusBody]
    response_headers_to_add: list[HeaderBody] | None = None

    @classmethod
    def of(cls, reply: DescriptorReply) -> RateLimitResponseBody:
        headers = [HeaderBody(key=key, value=value) for key, value in reply.headers]
        return cls(
            overall_code=_code(reply.over),
            statuses=[_status(status) for status in reply.statuses],
            response_headers_to_add=headers or None,
        )


def _status(status: DescriptorStatus) -> StatusBody:
    if status.limit_qps is None:
        return StatusBody(code=_code(status.over))
    requests, unit = requests_per_unit(status.limit_qps)
    return StatusBody(
        code=_code(status.over),
        current_limit=CurrentLimit(requests_per_unit=requests, unit=unit.name),  # type: ignore[arg-type]
        limit_remaining=status.remaining or None,
        duration_until_reset=f"{status.reset_s:.3f}s",
    )


def _code(over: bool) -> Code:
    return "OVER_LIMIT" if over else "OK"
