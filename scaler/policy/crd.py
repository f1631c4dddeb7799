"""The CustomResourceDefinition of DemandPolicy, generated from the model that reads policy files.

Rules of this file:

* The schema is structural: it has no references, each value has one type, and bounds are written as
  in OpenAPI 3.0.
* Defaults stay in the model, so that a new release may change them; descriptions state them.
* Rules that the schema cannot express are CEL rules if they concern one object only. Other faults
  are reported in a status condition.

Source: kubernetes.io, "Extend the Kubernetes API with CustomResourceDefinitions".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from scaler.policy.crd_rules import LISTS, RULES, duration_text
from scaler.policy.crd_status import COLUMNS, STATUS
from scaler.policy.schema import API_VERSION, KIND, DemandPolicy

Schema = dict[str, Any]
_KEPT = (
    *("type", "description", "enum", "format", "pattern", "minimum", "maximum"),
    *("minLength", "maxLength", "minItems", "maxItems", "allOf"),
)
_PLURAL, _SINGULAR, _SHORT = "demandpolicies", "demandpolicy", "dp"


def crd() -> Schema:
    """Return the definition as the API server accepts it."""
    group, _, version = API_VERSION.partition("/")
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{_PLURAL}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": _PLURAL,
                "singular": _SINGULAR,
                "shortNames": [_SHORT],
                "categories": ["tidegate"],
            },
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": COLUMNS,
                    "schema": {"openAPIV3Schema": _whole()},
                }
            ],
        },
    }


def crd_yaml() -> str:
    """Return the definition as a manifest."""
    text: str = yaml.safe_dump(crd(), sort_keys=False, width=100, allow_unicode=True)
    return f"# Printed by `scaler crd`; to change it, change the model and print it again.\n{text}"


def _whole() -> Schema:
    model = DemandPolicy.model_json_schema(by_alias=True)
    spec = _structural(model["properties"]["spec"], model["$defs"], ("spec",))
    return {
        "type": "object",
        "description": "Demand, replicas and limit of one service.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": spec,
            "status": STATUS,
        },
    }


def _structural(found: Mapping[str, Any], shared: Mapping[str, Any], at: tuple[str, ...]) -> Schema:
    """Return the part of pydantic's schema at one path, in the form that Kubernetes requires."""
    plain = _resolved(found, shared)
    schema = _value(plain)
    schema.update(_described(found, plain, at))
    if "items" in plain:
        schema["items"] = _structural(plain["items"], shared, (*at, "[]"))
    if "properties" in plain:
        schema["properties"] = {
            name: _structural(one, shared, (*at, name)) for name, one in plain["properties"].items()
        }
        if plain.get("required"):
            schema["required"] = plain["required"]
    elif plain.get("type") == "object":
        schema["x-kubernetes-preserve-unknown-fields"] = True
    schema.update(LISTS.get(at, {}))
    if rules := RULES.get(at):
        schema["x-kubernetes-validations"] = [
            {"rule": rule, "message": message} for rule, message in rules
        ]
    return schema


def _value(plain: Mapping[str, Any]) -> Schema:
    """Return the type and the bounds of a value."""
    schema = {key: plain[key] for key in _KEPT if key in plain}
    if {one.get("type") for one in plain.get("anyOf", ())} == {"integer", "string"}:
        schema["x-kubernetes-int-or-string"] = True
    if "const" in plain:
        schema["enum"] = [plain["const"]]
    for bound, end in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if bound in plain:  # a number in JSON Schema, a flag in OpenAPI 3.0
            schema[end], schema[bound] = plain[bound], True
    return schema


def _described(found: Mapping[str, Any], plain: Mapping[str, Any], at: tuple[str, ...]) -> Schema:
    """Return the description, which states the default.

    Only ``spec.mode`` has a default in the schema too, as `kubectl get` prints it.
    """
    default, words = found.get("default"), found.get("description", plain.get("description"))
    if at == ("spec", "mode"):
        return {"description": words, "default": default}
    if default is not None and not isinstance(default, list | dict):
        words = " ".join([*filter(None, [words]), f"{_written(plain, default)} if not given."])
    return {"description": words} if words else {}


def _resolved(found: Mapping[str, Any], shared: Mapping[str, Any]) -> Schema:
    """Return a schema without references, and without null, which means that a key is absent."""
    plain = dict(found)
    if "anyOf" in plain:
        kinds = [one for one in plain.pop("anyOf") if one.get("type") != "null"]
        plain = {**plain, **kinds[0]} if len(kinds) == 1 else {**plain, "anyOf": kinds}
    if "$ref" in plain:
        plain = {**shared[plain.pop("$ref").rpartition("/")[2]], **plain}
    return plain


def _written(plain: Mapping[str, Any], default: object) -> str:
    """Return a default as a policy file writes it; durations are seconds in the model.

    >>> _written({"type": "string"}, 90.0), _written({"type": "number"}, 1.0)
    ('1m30s', '1')
    """
    if isinstance(default, float) and plain.get("type") == "string":
        return duration_text(default)
    return f"{default:g}" if isinstance(default, float) else str(default)
