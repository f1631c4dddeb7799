"""The types of values in a policy file, each with its validation rule.

A validator's message is ``rule; fix``. The path is printed before it, and the value that was found
between the two; see `faults`.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import InitErrorDetails, PydanticCustomError

# Source: GEP-2257 of the Kubernetes Gateway API; units in descending order.
DURATION = re.compile(
    r"(?=.)(?:([0-9]{1,5})h)?(?:([0-9]{1,5})m)?(?:([0-9]{1,5})s)?(?:([0-9]{1,5})ms)?"
)
_UNIT_S = (3600.0, 60.0, 1.0, 0.001)

# Source: k8s.io/apimachinery/pkg/api/resource. A number and a binary or decimal suffix or exponent.
QUANTITY = re.compile(
    r"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))(?:([KMGTPE]i|[numkMGTPE]?)|[eE]([+-]?[0-9]{1,3}))"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


class Section(BaseModel):
    """A mapping of the file: keys in camelCase, no unknown keys, no type conversions."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        extra="forbid",
        strict=True,
        frozen=True,
        allow_inf_nan=False,
        use_attribute_docstrings=True,  # `kubectl explain` shows them
    )


def refuse(rules: Iterable[str], *, at: tuple[str, ...] = ()) -> None:
    """Raise a ValidationError for rules across keys, if there are any.

    Args:
        rules: messages of the rules that are broken.
        at: location below the value that is being validated.
    """
    faults = [
        InitErrorDetails(
            type=PydanticCustomError("rule", "{message}", {"message": rule}), loc=at, input=None
        )
        for rule in rules
    ]
    if faults:
        raise ValidationError.from_exception_data("policy", faults)


def duplicate_names(names: Iterable[str]) -> Iterator[str]:
    """Yield a message for each name that a list contains more than once."""
    for name, count in Counter(names).items():
        if count > 1:
            yield f"must have unique names, but {name} occurs {count} times; rename one"


def seconds(value: object) -> float:
    """Return a duration in seconds.

    >>> [seconds(text) for text in ("90s", "1h30m", "500ms")]
    [90.0, 5400.0, 0.5]
    """
    rule = "must be a duration such as 90s, 15m, 1h30m or 500ms"
    if isinstance(value, str) and (match := DURATION.fullmatch(value)):
        pairs = zip(match.groups(), _UNIT_S, strict=True)
        return sum(int(number) * unit for number, unit in pairs if number)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        rule += f"; write {value}s for seconds, {value}ms for milliseconds"
    raise ValueError(rule)


def _above_zero(value: float) -> float:
    if value <= 0:
        raise ValueError("must be longer than 0s")
    return value


def quantity(value: object) -> float:
    """Return the number that a Kubernetes quantity stands for.

    >>> [quantity(text) for text in ("55", "1500m", "1k", "2Ki", 30)]
    [55.0, 1.5, 1000.0, 2048.0, 30.0]
    """
    number = math.nan
    if isinstance(value, str) and (match := QUANTITY.fullmatch(value)):
        digits, suffix, exponent = match.groups()
        if suffix and suffix.endswith("i"):
            number = float(digits) * 1024.0 ** ("KMGTPE".index(suffix[0]) + 1)
        else:
            # A single conversion, so that 100m is the same float as 0.1.
            number = float(f"{digits}e{exponent or _DECIMAL[suffix]}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        number = float(value) if abs(value) < 1e300 else math.inf
    if not math.isfinite(number):
        raise ValueError('must be a Kubernetes quantity such as 55, "1500m" or "1k"')
    return number


def _positive_quantity(value: float) -> float:
    if not value >= 0.001:
        raise ValueError("must be at least 1m, which is 0.001")
    return value


def stamp(value: object) -> datetime:
    """Return the time of an ISO-8601 text, in the time zone in which it was written."""
    rule = "must be a time with its zone such as 2026-11-27T09:00:00Z"
    if not isinstance(value, str):
        raise ValueError(rule)
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(rule) from None
    if moment.tzinfo is None:
        at = moment.isoformat()
        raise ValueError(f"{rule}; write {at}Z for UTC, or its offset, e.g. {at}+02:00")
    return moment


def _open_share(value: float) -> float:
    if not 0 < value < 1:
        raise ValueError(f"must be above 0 and below 1{_per_cent(value)}")
    return value


def _share(value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"must be from 0 to 1{_per_cent(value)}")
    return value


def _positive_share(value: float) -> float:
    if not 0 < value <= 1:
        raise ValueError(f"must be above 0 and at most 1{_per_cent(value)}")
    return value


def _per_cent(value: float) -> str:
    return f"; {value:g} per cent is {value / 100:g}" if 1 < value <= 100 else ""


# White space and control characters. What else Unicode calls blank is a character like any other,
# as it is for the pattern that the API server checks.
_BLANKS = "".join(map(chr, range(0x21)))


def _text(value: str) -> str:
    stripped = value.strip(_BLANKS)
    if not stripped:
        raise ValueError("must not be empty; leave the key out instead")
    return stripped


def _label(most: int, pattern: str, rule: str) -> AfterValidator:
    def check(value: str) -> str:
        if len(value) > most or not re.fullmatch(pattern, value):
            raise ValueError(f"must be {rule}, {most} characters at most")
        return value

    return AfterValidator(check)


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            "must be a name of the IANA database, e.g. Europe/Berlin; there is no such zone"
        ) from None
    return value


def _schema(kind: str, **more: object) -> WithJsonSchema:
    return WithJsonSchema({"type": kind, **more})


def _like(most: int, pattern: str) -> WithJsonSchema:
    return _schema("string", maxLength=most, pattern=f"^{pattern}$")


def _quantity(least: int, pattern: str, **more: object) -> WithJsonSchema:
    """Return the schema of a whole number of at least ``least``, or a text like ``pattern``.

    A CRD takes no fraction there that is not in quotes; a policy file does.
    """
    kinds = [{"type": "integer"}, {"type": "string"}]
    return WithJsonSchema({"anyOf": kinds, "minimum": least, "pattern": f"^{pattern}$", **more})


# As `seconds` reads them. The empty text is too short.
_LENGTH = "^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,5}s)?([0-9]{1,5}ms)?$"
_DURATION = _schema("string", pattern=_LENGTH, minLength=2)
_WHOLE = _schema("number", minimum=0, maximum=1)
# At least 1m, and from 0 to 1, in the ways in which the API server writes them.
_MILLI = (
    r"\+?(([0-9]*[1-9][0-9]*(\.[0-9]*)?|0*\.0{0,2}[1-9][0-9]*)"
    r"([kMGTPE]|[KMGTPE]i|[eE]\+?[0-9]{1,2})?|0*[1-9][0-9]*(\.[0-9]*)?m"
    r"|0*[1-9][0-9]{3,}u|0*[1-9][0-9]{6,}n)"
)
_UP_TO_ONE = r"\+?(0*1(\.0*)?|0+(\.[0-9]*)?|\.[0-9]+|[0-9]{1,3}m|1000m|[0-9]{1,6}u|[0-9]{1,9}n)"
# RFC 3339, which is what the API server reads as a time.
_STAMP = (
    "^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]{1,9})?"
    "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])$"
)

Duration = Annotated[float, BeforeValidator(seconds), _DURATION]
PositiveDuration = Annotated[
    float,
    BeforeValidator(seconds),
    AfterValidator(_above_zero),
    _schema("string", pattern=_LENGTH, minLength=2, allOf=[{"pattern": "[1-9]"}]),
]
Quantity = Annotated[
    float, BeforeValidator(quantity), AfterValidator(_positive_quantity), _quantity(1, _MILLI)
]
Tolerance = Annotated[
    float, BeforeValidator(quantity), AfterValidator(_share), _quantity(0, _UP_TO_ONE, maximum=1)
]
Stamp = Annotated[
    datetime, BeforeValidator(stamp), _schema("string", format="date-time", pattern=_STAMP)
]
OpenShare = Annotated[
    float,
    AfterValidator(_open_share),
    _schema("number", exclusiveMinimum=0, exclusiveMaximum=1),
]
Share = Annotated[float, AfterValidator(_share), _WHOLE]
PositiveShare = Annotated[
    float, AfterValidator(_positive_share), _schema("number", exclusiveMinimum=0, maximum=1)
]
Text = Annotated[str, AfterValidator(_text), _schema("string", pattern=r"[^\x00-\x20]")]
# RFC 1123: valid names of namespaces, and of most other Kubernetes objects.
_PART = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
_NAME = rf"{_PART}(\.{_PART})*"
Label = Annotated[str, _label(63, _PART, "lower-case letters, digits and '-'"), _like(63, _PART)]
ObjectName = Annotated[
    str, _label(253, _NAME, "lower-case letters, digits, '-' and '.'"), _like(253, _NAME)
]
# Valid names of models in the registry.
_MODEL = "[A-Za-z0-9][A-Za-z0-9._-]*"
ModelName = Annotated[
    str,
    _label(100, _MODEL, "letters, digits, '.', '_' and '-', not one of these first"),
    _like(100, _MODEL),
]
# Names of the IANA database; which there are, no pattern says.
_ZONE = "[A-Za-z][A-Za-z0-9_+/-]*"
TimeZone = Annotated[
    str,
    _label(64, _ZONE, "a name of the IANA database, e.g. Europe/Berlin"),
    AfterValidator(_known_zone),
    _like(64, _ZONE),
]
# RFC 9110, 5.1 and 5.5, allows more in a name, and in a value; proxies drop or change that.
_HEADER, _PRINTABLE = "[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?", "[!-~]([ -~]*[!-~])?"
HeaderName = Annotated[str, _label(128, _HEADER, "letters, digits and '-'"), _like(128, _HEADER)]
HeaderValue = Annotated[
    str,
    _label(256, _PRINTABLE, "printable ASCII, without blanks before or after it"),
    _like(256, _PRINTABLE),
]
Above = Annotated[float, Field(gt=0)]
AtLeastZero = Annotated[float, Field(ge=0)]
AtLeastOne = Annotated[int, Field(ge=1)]


def without_null(data: Any) -> Any:  # noqa: ANN401 - YAML
    """Return values without the keys that are null, as the API server reads them."""
    if isinstance(data, dict):
        return {key: without_null(one) for key, one in data.items() if one is not None}
    return [without_null(one) for one in data] if isinstance(data, list) else data


def one_of(*allowed: str) -> WithJsonSchema:
    """Return the schema of a text that a validator of its own holds to a few values."""
    return _schema("string", enum=list(allowed))
