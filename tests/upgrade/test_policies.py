"""Policies, manifests and command lines of 0.1.0 mean what they meant."""

from __future__ import annotations

import copy
import json
import math
import re
from dataclasses import asdict
from enum import Enum
from importlib import import_module

import pytest
import yaml

from scaler.cli import main
from scaler.decision import trust
from scaler.hpa.rules import DEFAULT_SCALE_DOWN, DEFAULT_SCALE_UP
from scaler.policy.crd import crd
from scaler.policy.files import read_policies
from tests.upgrade.old_cluster import old_crd
from tests.upgrade.v0_1_0 import FIXTURES, read

READ = read("policies.json")
# What a policy carried, though no key set it, and a constant says now.
CONSTANTS = {
    "gain": trust.GAIN, "memory_s": trust.MEMORY_S, "probation_s": trust.PROBATION_S,
    "bench_at": trust.BENCH_AT, "return_at": trust.RETURN_AT,
}  # fmt: skip
# Of which clients count as abusive: none do any more, whatever a policy says.
NO_LONGER_OBEYED = {"abusive_share", "deviations", "least_clients", "least_ratio"}


def test_every_policy_of_before_is_accepted_and_confirmed_in_the_same_words(capsys, monkeypatch):
    monkeypatch.chdir(FIXTURES)
    assert main(["check-config", "policies"]) == 0
    assert capsys.readouterr().out == (FIXTURES / "check-config.txt").read_text()


def values(found) -> list[object]:
    """Return the leaves of what a policy was read as; what an enum is called is not promised."""
    if isinstance(found, dict):
        return [leaf for value in found.values() for leaf in values(value)]
    if isinstance(found, list | tuple):
        return [leaf for value in found for leaf in values(value)]
    if isinstance(found, Enum) or (
        isinstance(found, str) and re.fullmatch(r"[A-Z]\w+\.\w+", found)
    ):
        return []
    return [found]


@pytest.mark.parametrize("item_id", sorted(READ))
def test_every_value_of_a_policy_is_read_as_it_was(item_id):
    """Defaults too: a policy that does not say how means what it meant."""
    (found,) = [
        one
        for one in read_policies(FIXTURES / "policies")
        if one.policy.item_id == item_id
    ]  # fmt: skip
    old = copy.deepcopy(READ[item_id])
    assert {name: old["policy"]["trust"].pop(name) for name in CONSTANTS} == CONSTANTS
    assert old["policy"].pop("clients").keys() == {"window_s", *NO_LONGER_OBEYED}
    hpa = found.replay.hpa
    if hpa is not None and not hpa.has_behavior:  # a constant says what applies without it
        for way, rules in (("scale_up", DEFAULT_SCALE_UP), ("scale_down", DEFAULT_SCALE_DOWN)):
            assert values(old["replay"]["hpa"].pop(way)) == values(asdict(rules))
    for part, new in (("policy", asdict(found.policy)), ("replay", asdict(found.replay))):
        left = values(json.loads(json.dumps(new, default=lambda one: str(one.value))))
        for value in values(old[part]):
            assert value in left, (part, value)
            left.remove(value)


def test_infinity_is_what_json_says_of_it():
    assert math.inf in values(READ["shop/checkout"]["policy"])


def lacking(old: dict, new: dict, path: str = "spec") -> list[str]:
    """Return what a schema of before allowed, and the new one does not."""
    found = []
    if old.get("type") != new.get("type"):
        found.append(f"{path}: {old.get('type')} became {new.get('type')}")
    found += [f"{path}: {key} is needed now" for key in _needed(new) - _needed(old)]
    gone = set(old.get("enum", [])) - set(new.get("enum", old.get("enum", [])))
    found += [f"{path}: {value} is no value any more" for value in gone]
    bounds = {"minimum": 1, "maximum": -1, "maxItems": -1, "maxLength": -1}
    if old.get("x-kubernetes-int-or-string"):
        bounds = {}  # what a quantity's bounds refuse now, the scaler refused before
    for bound, is_tighter in bounds.items():
        if bound in new and is_tighter * new[bound] > is_tighter * old.get(
            bound, -is_tighter * 1e99
        ):
            found.append(f"{path}: {bound} is tighter")
    for key, below in old.get("properties", {}).items():
        if key not in new.get("properties", {}):
            found.append(f"{path}.{key} is gone")
        else:
            found += lacking(below, new["properties"][key], f"{path}.{key}")
    if "items" in old:
        found += lacking(old["items"], new["items"], f"{path}[]")
    return found


def _needed(schema: dict) -> set[str]:
    return set(schema.get("required", []))


@pytest.mark.parametrize("part", ["spec", "status"])
def test_the_new_crd_takes_all_that_the_old_one_took(part):
    """So the CRD may be applied first, with the old scaler still running."""
    old, new = (
        one["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"][part]
        for one in (old_crd(), crd())
    )
    assert lacking(old, new, part) == []


def test_the_crd_defines_the_same_kind_and_columns():
    old, new = old_crd()["spec"], crd()["spec"]
    assert {**new, "versions": None} == {**old, "versions": None}
    (before,), (now,) = old["versions"], new["versions"]
    assert (now["name"], now["served"], now["storage"]) == ("v1alpha1", True, True)
    assert now["subresources"] == before["subresources"]
    columns = [one["jsonPath"] for one in now["additionalPrinterColumns"]]
    assert {one["jsonPath"] for one in before["additionalPrinterColumns"]} <= set(columns)


@pytest.mark.parametrize("name", ["deployment", "cronjob-retrain"])
def test_the_command_line_of_a_shipped_manifest_is_understood(name, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for document in yaml.safe_load_all((FIXTURES / "deploy" / f"{name}.yaml").read_text()):
        for container in containers(document):
            (program,) = container.get("command", ["scaler"])  # the image's entry point
            args = [re.sub(r"\$\((\w+)\)", r"\1", one) for one in container["args"]]
            # ACCESS is an option of its own, given by a setting.
            args = ["--allow-anonymous" if one == "ACCESS" else one for one in args]
            import_module(f"{program}.cli").COMMAND_LINE.parser().parse_args(args)


def containers(document: dict | None) -> list[dict]:
    spec = (document or {}).get("spec", {})
    template = spec.get("jobTemplate", {}).get("spec", spec).get("template", {})
    return template.get("spec", {}).get("containers", [])


def test_both_manifests_hold_a_command_line():
    found = [
        container["name"]
        for name in ("deployment", "cronjob-retrain")
        for document in yaml.safe_load_all((FIXTURES / "deploy" / f"{name}.yaml").read_text())
        for container in containers(document)
    ]
    assert found == ["scaler", "retrain"]
