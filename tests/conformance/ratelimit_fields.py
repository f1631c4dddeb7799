"""The RateLimit fields, read by the rules of draft-ietf-httpapi-ratelimit-headers-10 and -11.

Both drafts have the same syntax: a list of strings (RFC 9651), each the name of a policy, with
parameters. The rules below are in sections 3.1 and 4.1 of either. Other parameters are comments.
"""

from __future__ import annotations

import re

POLICY, LIMIT = "ratelimit-policy", "ratelimit"
Parameters = dict[str, int | str]

_NAME = r'"(?:[ !#-\[\]-~]|\\["\\])*"'
_KEY = r"[a-z*][a-z0-9_.*-]*"
_INTEGER, _BYTES, _TOKEN = r"-?\d{1,15}", r":[A-Za-z0-9+/=]*:", r"[A-Za-z*][\w!#$%&'*+.^`|~:/-]*"
_VALUE = rf"-?\d{{1,12}}\.\d{{1,3}}|{_INTEGER}|{_NAME}|{_BYTES}|{_TOKEN}|\?[01]"
_PARAMETER = re.compile(rf"; *({_KEY})(?:=({_VALUE}))?")
_ITEM = re.compile(rf"({_NAME})((?:{_PARAMETER.pattern})*)")
_COMMA = re.compile(r"[ \t]*,[ \t]*")

_NOT_NEGATIVE, _POSITIVE = r"\d{1,15}", r"0*[1-9]\d{0,14}"
_UNIT = r'"(?:requests|content-bytes|concurrent-requests)"'
_REQUIRED = {POLICY: "q", LIMIT: "r"}
_RULES = {
    POLICY: {"q": _NOT_NEGATIVE, "qu": _UNIT, "w": _POSITIVE, "pk": _BYTES},
    LIMIT: {"r": _NOT_NEGATIVE, "t": _NOT_NEGATIVE, "pk": _BYTES},
}


def read(field: str, text: str) -> dict[str, Parameters]:
    """Return the parameters by the name of the policy that they are about.

    >>> read(POLICY, '"burst";q=100;w=60, "daily";q=1000;qu="requests"')
    {'burst': {'q': 100, 'w': 60}, 'daily': {'q': 1000, 'qu': '"requests"'}}

    Raises:
        ValueError: a client that keeps to the drafts ignores the field.
    """
    found: dict[str, Parameters] = {}
    at = 0
    while True:
        item = _ITEM.match(text, at)
        if item is None:
            raise ValueError(f"{field}: no string at {at} of {text!r}")
        found[item[1][1:-1]] = _parameters(field, item[2])
        at = item.end()
        comma = _COMMA.match(text, at)
        if comma is None:
            break
        at = comma.end()
    if at < len(text):
        raise ValueError(f"{field}: cannot be read from {at} on: {text!r}")
    return found


def _parameters(field: str, text: str) -> Parameters:
    written = {name: value or "?1" for name, value in _PARAMETER.findall(text)}
    for name, rule in _RULES[field].items():
        if name in written and not re.fullmatch(rule, written[name]):
            raise ValueError(f"{field}: {name} is {written[name]}")
    if _REQUIRED[field] not in written:
        raise ValueError(f"{field}: no {_REQUIRED[field]}")
    return {
        name: int(value) if re.fullmatch(_INTEGER, value) else value
        for name, value in written.items()
    }
