"""The JSON Schema of a lease says what readers accept, and every field of it has a vector."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator
from pydantic import BaseModel

from scaler.adapters.http.schemas import LEASE, LeaseBody
from tests.conformance.leases import SHOP, class_part, lease
from tests.gateways.test_vectors import FIELDS, LEASES, named
from tests.gateways.vectors import FOLDER, Json, changed
from tests.scaler.adapters.http.conftest import served

SCHEMA: Json = json.loads((FOLDER.parent / "lease.schema.json").read_text("utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
# What a schema cannot say; CONTRACT.md does.
RULES = {"service", "refresh", "names", "steps"}


def described(part: Json, path: str = "") -> Iterator[str]:
    """Yield the paths of all fields that the schema describes and that have no fields."""
    for name, field in part["properties"].items():
        inner = field.get("items", field)
        if "properties" in inner:
            yield from described(inner, f"{path}{name}.")
        else:
            yield f"{path}{name}"


def served_fields(model: type[BaseModel], path: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        here = f"{path}{field.alias or name}"
        found = [field.annotation, *get_args(field.annotation)]
        models = [one for one in found if isinstance(one, type) and issubclass(one, BaseModel)]
        yield from served_fields(models[0], f"{here}.") if models else (here,)


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


def test_every_field_that_changes_a_verdict_has_a_vector_and_every_other_is_named():
    acted_on = [one["field"] for one in FIELDS["fields"]]

    assert sorted([*acted_on, *FIELDS["for_people"]]) == sorted(described(SCHEMA))


@pytest.mark.parametrize("case", named(FIELDS["fields"], "field"))
def test_two_values_of_a_field_differ_in_a_verdict(case):
    verdicts = [one["verdicts"] for one in case["values"]]

    assert len(case["values"]) == 2
    assert verdicts[0] != verdicts[1]


def test_every_field_that_the_endpoint_serves_is_described():
    known, of_people = set(described(SCHEMA)), FIELDS["for_people"]

    for name in served_fields(LeaseBody):
        assert name in known or any(name.startswith(f"{one}.") for one in of_people)


@pytest.mark.parametrize("case", named(LEASES["accepted"]))
def test_what_readers_accept_is_valid(case):
    VALIDATOR.validate(json.loads(changed(LEASES["lease"], case)))


def values(cases: list[Json]) -> Iterator[tuple[Json, Any]]:
    for case in cases:
        if not case["because"].startswith("it is not JSON"):
            yield case, json.loads(changed(LEASES["lease"], case))


def test_what_readers_refuse_is_invalid_but_for_the_rules_that_no_schema_can_say():
    # The `$` of Python's patterns matches before a line break, too; that of JSON Schema does not.
    by_python = {"a header with a line break behind its name"}
    valid = {
        case["name"]: case.get("rule")
        for case, body in values(LEASES["refused"])
        if VALIDATOR.is_valid(body)
    }

    assert {rule for name, rule in valid.items() if name not in by_python} == RULES


def test_the_documented_lease_and_those_that_are_served_are_valid():
    VALIDATOR.validate(LEASE)
    VALIDATOR.validate(lease(1, 20, classes=[class_part("pay", 1, 2, match={"header": "x-pay"})]))
    with served() as endpoint:
        told = endpoint.client.get(f"/v1/limits/{SHOP}", params={"instance": "gw-1"})
        VALIDATOR.validate(told.json())


def test_the_contract_names_the_rules_and_the_schema():
    contract = (FOLDER.parent / "CONTRACT.md").read_text("utf-8")

    for words in ("lease.schema.json", "RFC 7493", "`refresh_s`", "ascend"):
        assert words in contract
