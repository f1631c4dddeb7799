"""Python, and the Lua of nginx and HAProxy, judge the golden vectors alike."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings
from tests.conformance.leases import SHOP
from tests.gateways.lua_core import module
from tests.gateways.vectors import (
    Json,
    Sent,
    changed,
    load,
    played,
    players,
    settings_of,
    with_fields,
)

LEASES, SCENARIOS, FIELDS = load("leases.json"), load("scenarios.json"), load("fields.json")
PLAYERS = players()
each_player = pytest.mark.parametrize("player", PLAYERS)


def named(cases: list[Json], key: str = "name") -> Any:
    return [pytest.param(one, id=one[key]) for one in cases]


def reason(player: str, body: bytes) -> str | None:
    """Return why a lease is refused; None: it is accepted."""
    if player == "python":
        try:
            LeaseLimiter(LimiterSettings(SHOP, "gw-1")).receive(body, 0.0)
        except ValueError as error:
            return str(error)
        return None
    found = module(player, "lease").read(body, SHOP)
    return found[1] if isinstance(found, tuple) else None


@each_player
@pytest.mark.parametrize("case", named(LEASES["accepted"]))
def test_an_odd_lease_that_can_be_meant_is_accepted(player, case):
    assert reason(player, changed(LEASES["lease"], case)) is None


@each_player
@pytest.mark.parametrize("case", named(LEASES["refused"]))
def test_a_lease_that_cannot_be_meant_is_refused_with_its_reason(player, case):
    assert case["because"] in (reason(player, changed(LEASES["lease"], case)) or "it is accepted")


@each_player
@pytest.mark.parametrize("scenario", named(SCENARIOS["scenarios"]))
def test_requests_over_time_are_judged_as_the_vectors_say(player, scenario):
    events = scenario["events"]
    outcomes = list(played(PLAYERS[player](settings_of(scenario)), SCENARIOS["lease"], events))

    expected = [event.get("admitted", event.get("verdict", "held")) for event in events]
    judged = ["lease" in event or "requests" in event for event in events]
    assert [one.verdict for one, is_judged in zip(outcomes, judged, strict=True) if is_judged] == [
        one for one, is_judged in zip(expected, judged, strict=True) if is_judged
    ]
    assert [one.mismatches for one in outcomes] == [()] * len(events)


def varied(case: Json, value: object) -> Iterator[Json]:
    """Return the events of a field's case, with a value of it in the lease that varies."""
    lease = with_fields(load(FIELDS["lease"]), case["set"])
    top, _, rest = case["field"].partition(".")
    path = f"{top}.0.{rest}" if isinstance(lease[top], list) else case["field"]
    for event in case["events"]:
        if "lease" in event:
            yield {**event, "lease": with_fields(lease, {path: value})}
        elif "lease_before" in event:
            yield {**event, "lease": event["lease_before"]}
        else:
            yield event


@each_player
@pytest.mark.parametrize("case", named(FIELDS["fields"], "field"))
def test_each_value_of_a_field_has_its_verdicts(player, case):
    for one in case["values"]:
        events = list(varied(case, one["value"]))
        made = PLAYERS[player](settings_of(case))
        outcomes = played(made, FIELDS["lease"], events)
        assert [outcome.verdict for outcome in outcomes] == one["verdicts"], one["value"]


@each_player
def test_a_hundred_thousand_clients_pass_where_there_is_room(player):
    """More than any gateway remembers: those that were there longest ago are forgotten."""
    made = PLAYERS[player](settings_of({}))
    lease = with_fields(load(SCENARIOS["lease"]), {"share.rps": 10**6, "share.burst": 10**6})
    made.receive(json.dumps(lease).encode(), 0.0, 0.0)
    sent = (made.request(Sent(client=f"client-{i}"), i / 100_000) for i in range(100_000))

    assert sum(one.allowed for one in sent) == 100_000
    assert made.report(2.0)["admitted"] == 100_000
