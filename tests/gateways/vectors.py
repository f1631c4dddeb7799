"""The golden vectors of deploy/gateways/vectors, and how they are played on a limiter."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

from scaler.gateway.lease_limiter import Admission, LeaseLimiter, LimiterSettings
from scaler.gateway.responses import limit_field, policy_field, refusal
from tests.conformance.leases import SHOP
from tests.gateways.lua_core import DIALECTS, LuaLimiter, module
from tests.paths import DEPLOY

FOLDER = DEPLOY / "gateways" / "vectors"
Json = dict[str, Any]


@cache
def read(name: str) -> str:
    return (FOLDER / name).read_text("utf-8")


def load(name: str) -> Json:
    found: Json = json.loads(read(name))
    return found


def changed(name: str, case: Mapping[str, Any]) -> bytes:
    """Return the body that a case makes of a lease, as deploy/gateways/vectors/README.md has it."""
    text = case.get("text", read(name))
    if "set" in case or "remove" in case:
        body = with_fields(json.loads(text), case.get("set", {}), case.get("remove", ()))
        text = json.dumps(body)
    if "edit" in case:
        old, new = case["edit"]
        assert text.count(old) == 1, f"{old!r} is not in {name} once"
        text = text.replace(old, new)
    return text[: case.get("cut", len(text))].encode(case.get("encoding", "utf-8"))


def with_fields(body: Json, new: Mapping[str, object], gone: Sequence[str] = ()) -> Json:
    """Return a lease with these fields, each named by its path."""
    for path, value in new.items():
        part, field = _at(body, path)
        part[field] = value
    for path in gone:
        part, field = _at(body, path)
        del part[field]
    return body


def _at(part: Any, path: str) -> tuple[Any, Any]:
    *parents, field = path.split(".")
    for parent in parents:
        part = part[int(parent)] if isinstance(part, list) else part[parent]
    return part, int(field) if isinstance(part, list) else field


@dataclass(frozen=True)
class Sent:
    """A request: its class by the gateway's own rules, its client, and its headers."""

    own_class: str | None = None
    client: str | None = None
    headers: Sequence[tuple[str, str]] = ()


class Player(Protocol):
    """A gateway in virtual time."""

    def receive(self, body: bytes, asked_at: float, now: float) -> str:
        """Return what becomes of a lease: held, refused or ask again."""
        ...

    def renew(self, asked_at: float) -> None: ...

    def request(self, sent: Sent, now: float) -> Admission: ...

    def told(self, admission: Admission) -> dict[str, str]:
        """Return the header fields that the client is told of its limit."""
        ...

    def standing(self, now: float) -> tuple[str | None, float]:
        """Return stage and limit."""
        ...

    def report(self, now: float) -> dict[str, Any]: ...

    def demand_moved(self, now: float) -> bool: ...

    def report_before_move(self, now: float) -> dict[str, Any] | None: ...


class LimiterPlayer:
    """What `PythonPlayer` and `LuaPlayer` have alike."""

    def __init__(self, limiter: LeaseLimiter | LuaLimiter) -> None:
        self._limiter = limiter

    def receive(self, body: bytes, asked_at: float, now: float) -> str:
        try:
            return "held" if self._limiter.receive(body, asked_at, now) else "ask again"
        except ValueError:
            return "refused"

    def renew(self, asked_at: float) -> None:
        self._limiter.renew(asked_at)

    def report(self, now: float) -> dict[str, Any]:
        return self._limiter.report(now)

    def demand_moved(self, now: float) -> bool:
        return self._limiter.demand_moved(now)

    def report_before_move(self, now: float) -> dict[str, Any] | None:
        return self._limiter.report_before_move(now)


class PythonPlayer(LimiterPlayer):
    _limiter: LeaseLimiter

    def __init__(self, settings: LimiterSettings) -> None:
        super().__init__(LeaseLimiter(settings))
        self._limiter.begin(0.0)

    def request(self, sent: Sent, now: float) -> Admission:
        found = self._limiter.class_by_headers(sent.headers) or sent.own_class
        return self._limiter.admit(found, sent.client, now)

    def told(self, admission: Admission) -> dict[str, str]:
        if admission.allowed:
            fields = [*policy_field(admission), *limit_field(admission)]
        else:
            fields, _ = refusal(admission)
        return {name.decode(): value.decode() for name, value in fields}

    def standing(self, now: float) -> tuple[str | None, float]:
        found = self._limiter.snapshot(now)
        return found.stage, found.limit_rps


class LuaPlayer(LimiterPlayer):
    _limiter: LuaLimiter

    def __init__(self, dialect: str, settings: LimiterSettings) -> None:
        super().__init__(LuaLimiter(dialect, settings))
        self._answers = module(dialect, "answers")

    def request(self, sent: Sent, now: float) -> Admission:
        values: dict[str, list[str]] = {}
        for name, value in sent.headers:
            values.setdefault(name, []).append(value)
        return self._limiter.admit(sent.own_class, sent.client, values, now)

    def told(self, admission: Admission) -> dict[str, str]:
        limit = admission.limit_rps
        fields = {
            "ratelimit-policy": self._answers.policy(limit),
            "ratelimit": self._answers.limit(limit, admission.remaining, admission.retry_after_s),
            "retry-after": f"{self._answers.retry_after(admission.retry_after_s):.0f}",
        }
        return {name: value for name, value in fields.items() if value is not None}

    def standing(self, now: float) -> tuple[str | None, float]:
        return self._limiter.standing(now)


def players() -> dict[str, Callable[[LimiterSettings], Player]]:
    """Return the readers of leases that have one law, by name."""

    def lua(dialect: str) -> Callable[[LimiterSettings], Player]:
        return lambda settings: LuaPlayer(dialect, settings)

    return {"python": PythonPlayer, **{dialect: lua(dialect) for dialect in DIALECTS}}


def settings_of(scenario: Mapping[str, Any]) -> LimiterSettings:
    told = scenario.get("settings", {})
    return LimiterSettings(
        SHOP, "gw-1", fail_open=told.get("without_lease", "open") == "open",
        dry_run=told.get("dry_run", False),
    )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What became of an event: of a lease what `Player.receive` says, of requests how many passed.

    Attributes:
        mismatches: what else was expected of it, and is not so.
    """

    verdict: str | int | None
    mismatches: tuple[str, ...] = ()


def played(player: Player, name: str, events: Sequence[Json]) -> Iterator[Outcome]:
    """Play events on a lease of that name; yield the outcome of each."""
    for event in events:
        now = float(event["at"])
        if "requests" in event:
            yield _requests(player, event, now)
        elif "renewal" in event:
            player.renew(float(event["renewal"]["asked_at"]))
            yield Outcome(None)
        elif "report" in event:
            yield Outcome(None, tuple(_differing(event["report"], player.report(now))))
        elif "look" in event:
            yield Outcome(
                None, tuple(_differing(event["look"], {"moved": player.demand_moved(now)}))
            )
        elif "report_before" in event:
            yield Outcome(None, tuple(_before(event["report_before"], player, now)))
        else:
            body = changed(name, {"set": event["lease"]})
            yield Outcome(player.receive(body, float(event.get("asked_at", now)), now))


def _requests(player: Player, event: Json, now: float) -> Outcome:
    headers = [(name, value) for name, value in event.get("headers", ())]
    answers = []
    for number in range(event["requests"]):
        # With `clients` each request is of another one.
        client = f"{event['clients']}-{number}" if "clients" in event else event.get("client")
        answers.append(player.request(Sent(event.get("class"), client, headers), now))
    stage, limit = player.standing(now)
    found = {"stage": stage, "limit": limit, **player.told(answers[-1])}
    wanted = {name: event[name] for name in ("stage", "limit") if name in event}
    mismatches = _differing({**wanted, **event.get("told", {})}, found)
    return Outcome(sum(one.allowed for one in answers), tuple(mismatches))


def _before(wanted: Json | None, player: Player, now: float) -> Iterator[str]:
    found = player.report_before_move(now)
    if wanted is None or found is None:
        yield from () if wanted is found else (f"it is {found}, but {wanted} is expected",)
    else:
        yield from _differing(wanted, found)


def _differing(wanted: Mapping[str, object], found: Mapping[str, object]) -> Iterator[str]:
    for name, value in wanted.items():
        if found.get(name) != value:
            yield f"{name} is {found.get(name)!r}, but {value!r} is expected"
