"""The faults of one document of a policy file, as messages: path, rule, value, line, fix.

For example: ``spec.replicas.max: must be at least min, which is 5 (got 2, line 9); swap the two?``
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.alias_generators import to_camel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from scaler.policy.schema import KIND, DemandPolicy
from scaler.policy.yaml_documents import Document, Loc

_MAX_VALUE_LENGTH = 60  # characters of a value that a message repeats

# Our message for each pydantic error type; names in braces come from the error's context.
_RULES = {
    "dict_type": "must be a mapping",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "greater_than": "must be above {gt:g}",
    "greater_than_equal": "must be at least {ge:g}",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "invalid_key": "must be text; put the key in quotes",
    "less_than_equal": "must be at most {le:g}",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "model_type": "must be a mapping",
    "rule": "{message}",
    "string_type": "must be text; put it in quotes",
    "too_short": "must not be empty; leave the key out instead",
    "value_error": "{error}",
}


def validated(document: Document) -> tuple[DemandPolicy | None, list[str]]:
    """Return the policy, None if it is invalid, and its faults in order of lines."""
    faults = [
        (line, f"{_path(loc)}: is given twice (line {_lines(first, line)}); keep one")
        for loc, first, line in document.duplicates
    ]
    policy = None
    try:
        policy = DemandPolicy.model_validate(document.data)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        wrong_kind = [e for e in errors if e["loc"] == ("kind",) and e["type"] == "literal_error"]
        # In an object of another kind, every other key would be a fault too.
        faults += [_fault(error, document) for error in wrong_kind or errors]
    faults.sort(key=lambda fault: fault[0])
    return (None if faults else policy), [message for _, message in faults]


def without_effect(policy: DemandPolicy) -> tuple[str, ...]:
    """Return a message for each key that is given, and that nothing obeys, or not in all."""
    keys = tuple(
        f"spec.limit.perClient.{key} has no effect since 0.2; remove it"
        for key in policy.spec.limit.per_client.without_effect()
    )
    if policy.spec.hpa is None:
        return keys
    return *keys, *(f"spec.hpa.metrics: {said}" for said in policy.spec.hpa.warnings())


def without_unknown_keys(
    data: Mapping[str, Any],
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """Return a policy object without its unknown keys, and the paths of those keys."""
    try:
        DemandPolicy.model_validate(data)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)
        unknown = [one["loc"] for one in errors if one["type"] == "extra_forbidden"]
        return _without(data, unknown), tuple(map(_path, unknown))
    return data, ()


def _without(data: Any, locations: Sequence[Loc]) -> Any:  # noqa: ANN401 - any JSON value
    """Return a copy without the values at the given locations."""
    below: dict[object, list[Loc]] = {}
    for first, *rest in locations:
        below.setdefault(first, []).append(tuple(rest))
    if isinstance(data, Mapping):
        kept = {key: value for key, value in data.items() if () not in below.get(key, [])}
        return {key: _without(value, below.get(key, [])) for key, value in kept.items()}
    if isinstance(data, list):
        return [_without(value, below.get(index, [])) for index, value in enumerate(data)]
    return data


def _fault(error: ErrorDetails, document: Document) -> tuple[int, str]:
    loc: Loc = error["loc"]
    if error["type"] != "extra_forbidden" and loc and isinstance(loc[-1], str):
        # The location of a missing key has its name in the code.
        loc = loc if loc in document.lines else (*loc[:-1], to_camel(loc[-1]))
    rule, _, fix = _rule(error, loc).partition("; ")
    line = next(
        document.lines[loc[:n]] for n in range(len(loc), -1, -1) if loc[:n] in document.lines
    )
    found = _found(_at(document.data, loc)) if loc in document.lines else ""
    message = f"{_path(loc)}: {rule} ({found}line {line})"
    return line, f"{message}; {fix}" if fix else message


def _rule(error: ErrorDetails, loc: Loc) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        return f"is no key of {_path(loc[:-1])}; {_keys_nearby(loc)}"
    if kind == "missing":
        field = _field(loc)
        meaning = f": {field.description.rstrip('.')}" if field and field.description else ""
        return f"is missing; add it{meaning}"
    if kind == "literal_error" and loc == ("kind",):
        return f"must be {KIND}; keep other objects in other files"
    return _RULES.get(kind, error["msg"]).format(**error.get("ctx", {}))


def _lines(first: int, second: int) -> str:
    return str(first) if first == second else f"{first} and {second}"


def _at(data: object, loc: Loc) -> object:
    """Return the value at a location as it was written, before any conversion."""
    for part in loc:
        data = data[part]  # type: ignore[index]  # the location is in the document
    return data


def _found(value: object) -> str:
    if isinstance(value, dict | list):
        return ""
    text = json.dumps(value, ensure_ascii=False, default=str)
    shown = text if len(text) <= _MAX_VALUE_LENGTH else text[:_MAX_VALUE_LENGTH] + "..."
    return f"got {shown}, "


def _path(loc: Loc) -> str:
    """Return a location in the usual notation.

    >>> _path(("spec", "demand", "events", 1, "ends"))
    'spec.demand.events[1].ends'
    """
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc]
    return "".join(parts).removeprefix(".") or "the document"


def _keys_nearby(loc: Loc) -> str:
    section, key = _section(loc[:-1]), str(loc[-1])
    keys = _keys(section) if section else []
    near = get_close_matches(key, keys, n=1) or get_close_matches(to_camel(key), keys, n=1)
    if near:
        return f"did you mean {near[0]}?"
    elsewhere = [_path(loc) for loc in _key_locations(DemandPolicy, ()) if loc[-1] == key]
    if elsewhere:
        return f"did you mean {' or '.join(elsewhere)}?"
    return f"its keys are {', '.join(keys)}"


def _key_locations(section: type[BaseModel], loc: Loc) -> Iterator[Loc]:
    """Yield the location of every key that is not in a list."""
    for field in section.model_fields.values():
        key_loc = (*loc, field.alias or "")
        yield key_loc
        inner = _section_in(field.annotation)
        if inner is not None and "list" not in str(field.annotation):
            yield from _key_locations(inner, key_loc)


def _keys(section: type[BaseModel]) -> list[str]:
    return [field.alias or "" for field in section.model_fields.values()]


def _section(loc: Loc) -> type[BaseModel] | None:
    """Return the model of the mapping at a location; None where there is none."""
    section: type[BaseModel] | None = DemandPolicy
    for part in loc:
        if isinstance(part, str) and section is not None:
            fields = [one for one in section.model_fields.values() if one.alias == part]
            section = _section_in(fields[0].annotation) if fields else None
    return section


def _field(loc: Loc) -> FieldInfo | None:
    section = _section(loc[:-1])
    fields = section.model_fields.values() if section else ()
    return next((field for field in fields if field.alias == loc[-1]), None)


def _section_in(annotation: object) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next(filter(None, map(_section_in, get_args(annotation))), None)
