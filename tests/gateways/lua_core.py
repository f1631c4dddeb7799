"""The Lua core of nginx and HAProxy, in this process and on a clock of its own."""

from __future__ import annotations

import importlib
import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from scaler.gateway.lease_limiter import Admission, LimiterSettings
from scaler.limits.lease import LeaseStage
from tests.missing import missing
from tests.paths import DEPLOY

CORE = DEPLOY / "gateways" / "lua"
# nginx's is LuaJIT; HAProxy's is 5.3 in Debian 12 and 5.4 after it. Their numbers differ.
DIALECTS = ("luajit21", "lua53", "lua54")

_MAKE = """
local json = require "tidegate.core.json"
local Limiter = require "tidegate.core.limiter"
local Lru = require "tidegate.core.lru"
local Store = require "tidegate.core.store"

return function(service, without_lease, dry_run, is_private)
    local now = 0
    local function clock() return now end
    local store = Store.new(clock)
    store.is_private = is_private
    local limiter = Limiter.new {
        service = service, store = store, curves = store, clock = clock,
        without_lease = without_lease, dry_run = dry_run,
        clients = Lru.new(40000), newcomers = Lru.new(40000),
    }
    limiter:begin()
    return {
        at = function(moment) now = moment end,
        receive = function(body, etag, sent)
            local held, why = limiter:receive(body, etag, sent)
            return held, why
        end,
        renew = function(sent) limiter:renew(sent) end,
        decide = function(class, client, headers)
            local function values_of(name) return headers[name] end
            return limiter:decide(class, client, headers and values_of)
        end,
        standing = function() return limiter:standing() end,
        is_dry = function() return limiter:is_dry() end,
        report = function(instance)
            return json.encode(limiter:report(instance))
        end,
        report_before_move = function(instance)
            local fields = limiter:report_before_move(instance)
            return fields and json.encode(fields)
        end,
        demand_moved = function() return limiter:demand_moved() end,
    }
end
"""


@cache
def runtime(dialect: str) -> Any:
    """Return an interpreter that finds the core."""
    try:
        lupa = importlib.import_module(f"lupa.{dialect}")
    except ImportError as reason:
        missing(f"no {dialect} here; the Python package lupa brings it: {reason}")
    made = lupa.LuaRuntime(unpack_returned_tuples=True)
    made.execute(f'package.path = "{CORE}/?.lua;" .. package.path')
    return made


@cache
def module(dialect: str, name: str) -> Any:
    return runtime(dialect).eval(f'(require "tidegate.core.{name}")')


@cache
def _maker(dialect: str) -> Callable[..., Any]:
    return runtime(dialect).execute(_MAKE)


class LuaLimiter:
    """A limiter with the methods of `scaler.gateway.lease_limiter.LeaseLimiter`."""

    def __init__(self, dialect: str, settings: LimiterSettings) -> None:
        self._lua, self._settings = runtime(dialect), settings
        without_lease = math.inf if settings.fail_open else 0
        # The workers of nginx share a store, as if others could add to it at any time.
        is_private = dialect != "luajit21"
        make = _maker(dialect)
        self._limiter = make(settings.service, without_lease, settings.dry_run, is_private)

    def receive(self, body: bytes, sent_at: float, now: float | None = None) -> bool:
        """Take over a lease; raise ValueError if it is refused."""
        self._limiter.at(sent_at if now is None else now)
        held, why = self._limiter.receive(body, '"etag"', sent_at)
        if why is not None:
            raise ValueError(why)
        return bool(held)

    def renew(self, sent_at: float) -> None:
        self._limiter.renew(sent_at)

    def admit(
        self,
        request_class: str | None,
        client: str | None,
        headers: Mapping[str, list[str]],
        now: float,
    ) -> Admission:
        self._limiter.at(now)
        lists = {name: self._lua.table(*values) for name, values in headers.items()}
        table = self._lua.table_from(lists) if headers else None
        wait, left, limit, reset, beyond = self._limiter.decide(request_class, client, table)
        stage, _ = self.standing(now)
        allowed = wait == 0 or bool(self._limiter.is_dry())
        return Admission(
            allowed, wait > 0, wait, limit, left, reset, LeaseStage(stage) if stage else None,
            bool(beyond),
        )  # fmt: skip

    def standing(self, now: float) -> tuple[str | None, float]:
        """Return stage and limit."""
        self._limiter.at(now)
        stage, limit, _ = self._limiter.standing() or (None, math.inf, 0.0)
        return stage, limit

    def report(self, now: float) -> dict[str, Any]:
        self._limiter.at(now)
        return json.loads(self._limiter.report(self._settings.instance))

    def demand_moved(self, now: float) -> bool:
        self._limiter.at(now)
        return bool(self._limiter.demand_moved())

    def report_before_move(self, now: float) -> dict[str, Any] | None:
        self._limiter.at(now)
        found = self._limiter.report_before_move(self._settings.instance)
        return None if found is None else json.loads(found)
