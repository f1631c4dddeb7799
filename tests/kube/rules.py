"""Validation and defaulting of each kind, as far as tidegate depends on them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import jsonschema

from tests.kube.cel import broken

_MICRO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)$")
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")


class InvalidError(Exception):
    """422, with the fields and their errors."""

    def __init__(self, *causes):
        super().__init__("; ".join(f"{field}: {message_text}" for field, message_text in causes))
        self.causes = causes


class UnreadableError(Exception):
    """400: the object cannot be decoded."""


@dataclass(frozen=True)
class Kind:
    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    status: bool = False
    scale: bool = False
    unconditional: bool = True  # may be replaced without a resource version
    schema: dict | None = None

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version


BUILT_IN = (
    Kind("", "v1", "pods", "Pod", status=True),
    Kind("apps", "v1", "deployments", "Deployment", status=True, scale=True),
    Kind("apps", "v1", "replicasets", "ReplicaSet", status=True, scale=True),
    Kind("apps", "v1", "statefulsets", "StatefulSet", status=True, scale=True),
    Kind("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", status=True),
    Kind("coordination.k8s.io", "v1", "leases", "Lease", unconditional=False),
    Kind("events.k8s.io", "v1", "events", "Event"),
    Kind(
        *("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition"),
        namespaced=False,
        status=True,
        unconditional=False,
    ),
)


def defined(crd) -> Kind:
    """Return the kind that a CustomResourceDefinition defines."""
    spec = crd["spec"]
    version = spec["versions"][0]
    sub = version.get("subresources", {})
    return Kind(
        *(spec["group"], version["name"], spec["names"]["plural"], spec["names"]["kind"]),
        status="status" in sub,
        scale="scale" in sub,
        unconditional=False,
        schema=version["schema"]["openAPIV3Schema"],
    )


def prepared(kind: Kind, found, before=None):
    """Add defaults and validate; ``before`` is the object before the change.

    Raises:
        InvalidError: a rule is violated.
        UnreadableError: the object cannot be decoded.
    """
    if not _NAME.match(found["metadata"]["name"]) or len(found["metadata"]["name"]) > 253:
        raise InvalidError(
            ("metadata.name", "Invalid value: must be a lowercase RFC 1123 subdomain")
        )
    gone = before is not None and "deletionTimestamp" in before["metadata"]
    fresh = set(found["metadata"].get("finalizers") or ()) - set(
        (before or found)["metadata"].get("finalizers") or ()
    )
    if gone and fresh:
        message_text = "Forbidden: no new finalizers can be added if the object is being deleted"
        raise InvalidError(("metadata.finalizers", message_text))
    if kind.schema is not None:
        found = _custom(kind.schema, found)
    elif kind.kind in _RULES:
        _RULES[kind.kind](found, before)
    return found


def _autoscaler(found, before) -> None:
    spec = found.setdefault("spec", {})
    if spec.get("minReplicas") is None:
        spec["minReplicas"] = 1
    least, most, wrong = spec["minReplicas"], spec.get("maxReplicas", 0), []
    if not spec.get("scaleTargetRef", {}).get("kind"):
        wrong.append(("spec.scaleTargetRef.kind", "Required value"))
    if not spec.get("scaleTargetRef", {}).get("name"):
        wrong.append(("spec.scaleTargetRef.name", "Required value"))
    if least < 0:
        wrong.append(
            ("spec.minReplicas", f"Invalid value: {least}: must be greater than or equal to 0")
        )
    kinds = {one.get("type") for one in spec.get("metrics") or ()}
    if least == 0 and not kinds & {"Object", "External"}:
        message_text = (
            "Forbidden: must specify at least one Object or External metric to support scaling to "
            "zero replicas"
        )
        wrong.append(("spec.metrics", message_text))
    if most < 1:
        wrong.append(("spec.maxReplicas", f"Invalid value: {most}: must be greater than 0"))
    if most < least:
        message_text = f"Invalid value: {most}: must be greater than or equal to `minReplicas`"
        wrong.append(("spec.maxReplicas", message_text))
    if wrong:
        raise InvalidError(*wrong)


def _lease(found, before) -> None:
    spec = found.get("spec", {})
    for name in ("acquireTime", "renewTime"):
        _micro(spec, name)
    if spec.get("leaseDurationSeconds") is not None and spec["leaseDurationSeconds"] <= 0:
        raise InvalidError(("spec.leaseDurationSeconds", "Invalid value: must be greater than 0"))
    if (spec.get("leaseTransitions") or 0) < 0:
        raise InvalidError(("spec.leaseTransitions", "Invalid value: must be at least 0"))


def _micro(spec, name: str) -> None:
    value = spec.get(name)
    if value is not None and not _MICRO.match(value):
        raise UnreadableError(
            f'parsing time "{value}" as "2006-01-02T15:04:05.000000Z07:00": cannot parse'
        )


def _event(found, before) -> None:
    _micro(found, "eventTime")
    if before is not None:
        changed = {
            key
            for key in {*found, *before} - {"series", "metadata"}
            if found.get(key) != before.get(key)
        }
        if changed:
            raise InvalidError(*((key, "Invalid value: field is immutable") for key in changed))
    wrong = [
        (field, "Required value")
        for field in ("eventTime", "reportingController", "reportingInstance", "action", "reason")
        if not found.get(field)
    ]
    if found.get("type") not in ("Normal", "Warning"):
        wrong.append(("type", "Invalid value: has invalid value"))
    if len(found.get("note", "")) > 1024:
        wrong.append(("note", "Invalid value: can have at most 1024 characters"))
    if found.get("regarding", {}).get("namespace") != found["metadata"]["namespace"]:
        wrong.append(("regarding.namespace", "Invalid value: does not match event.namespace"))
    if found.get("series") is not None:
        _micro(found["series"], "lastObservedTime")
        if found["series"].get("count", 0) < 2:
            wrong.append(("series.count", "Invalid value: should be at least 2"))
    if wrong:
        raise InvalidError(*wrong)


def _definition(found, before) -> None:
    schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    wrong = list(_not_structural(schema, "spec.versions[0].schema.openAPIV3Schema"))
    if wrong:
        raise InvalidError(*wrong)


def _not_structural(schema, at: str):
    for key in ("$ref", "$defs", "definitions", "title", "const", "anyOf", "additionalItems"):
        if key in schema:
            yield f"{at}.{key}", "Forbidden"
    if "type" not in schema and not schema.get("x-kubernetes-int-or-string"):
        yield f"{at}.type", "Required value: must not be empty for specified object fields"
    for bound in ("exclusiveMinimum", "exclusiveMaximum"):
        if not isinstance(schema.get(bound, False), bool):
            yield f"{at}.{bound}", "Invalid value: must be boolean"
    if "properties" in schema and "additionalProperties" in schema:
        yield f"{at}.additionalProperties", "Forbidden: mutually exclusive with properties"
    for name, below in schema.get("properties", {}).items():
        yield from _not_structural(below, f"{at}.properties[{name}]")
    if schema.get("type") == "array":
        if "items" not in schema:
            yield f"{at}.items", "Required value"
        else:
            yield from _not_structural(schema["items"], f"{at}.items")


def _matches(validator, pattern, value, schema):
    # Go's $ is the end of the text; Python's is before a line's end too.
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield jsonschema.ValidationError(f"should match {pattern}")


def _int_or_string(validator, wanted, value, schema):
    if isinstance(value, bool) or not isinstance(value, int | str):
        yield jsonschema.ValidationError("must be of type integer or string")


_FORMATS = jsonschema.FormatChecker(formats=())
_FORMATS.checks("date-time", raises=ValueError)(
    lambda value: not isinstance(value, str) or bool(datetime.fromisoformat(value))
)
# Draft 4, as OpenAPI 3.0 is.
_OPENAPI = jsonschema.validators.extend(
    jsonschema.Draft4Validator,
    {"pattern": _matches, "x-kubernetes-int-or-string": _int_or_string},
)


def _custom(schema, found):
    found = _pruned(schema, found) | {"metadata": found["metadata"]}
    found |= {"apiVersion": found.get("apiVersion"), "kind": found.get("kind")}
    errors = _OPENAPI(schema, format_checker=_FORMATS).iter_errors(found)
    wrong = [(".".join(map(str, e.path)), f"Invalid value: {e.message}") for e in errors]
    wrong += [(at, f"Duplicate value: {name}") for at, name in _twice(schema, found, "")]
    # Rules are evaluated only if the types are valid.
    wrong = wrong or [
        (at, f"Invalid value: {message_text}") for at, message_text in broken(schema, found)
    ]
    if wrong:
        raise InvalidError(*wrong)
    return found


def _pruned(schema, value):
    if isinstance(value, dict) and not schema.get("x-kubernetes-preserve-unknown-fields"):
        below = schema.get("properties", {})
        # Null is no value of any key here, as none is nullable.
        given = {key: one for key, one in value.items() if key in below and one is not None}
        kept = {key: _pruned(below[key], one) for key, one in given.items()}
        lacking = {k: s["default"] for k, s in below.items() if "default" in s and k not in kept}
        return kept | lacking
    if isinstance(value, list) and "items" in schema:
        return [_pruned(schema["items"], one) for one in value]
    return value


def _twice(schema, value, at: str):
    if isinstance(value, dict):
        for key, below in schema.get("properties", {}).items():
            if key in value:
                yield from _twice(below, value[key], f"{at}.{key}".lstrip("."))
    elif schema.get("x-kubernetes-list-type") == "map":
        keys = [tuple(one.get(k) for k in schema["x-kubernetes-list-map-keys"]) for one in value]
        yield from ((f"{at}[{n}]", key) for n, key in enumerate(keys) if key in keys[:n])


_RULES = {
    "HorizontalPodAutoscaler": _autoscaler,
    "Lease": _lease,
    "Event": _event,
    "CustomResourceDefinition": _definition,
}


def stamp(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
