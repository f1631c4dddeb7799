"""The routes of gateways: their lease, by asking or by reporting."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import parse_qsl

from starlette.requests import Request

from scaler.adapters.http.exchange import Exchange, LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.long_poll import LongPoll
from scaler.adapters.http.middleware import (
    JSON_TYPE,
    Headers,
    Message,
    PlainResponse,
    Receive,
    refusal,
)
from scaler.adapters.http.problems import RequestProblem, bad_field
from scaler.adapters.http.report import INSTANCE
from scaler.adapters.http.schemas import ReportBody

MOST_WAIT_S = 300.0
TEXT_TYPE = (b"content-type", b"text/plain; charset=utf-8")
NO_STORE = (b"cache-control", b"no-store")
VIEWS = ("json", "haproxy")


@dataclass(frozen=True, slots=True)
class LeaseQuery:
    """What a gateway asks for in its URL."""

    instance: str
    wait_s: float
    haproxy: bool


@lru_cache(maxsize=8192)  # a gateway always asks the same
def parsed(query_string: bytes, *, instance_needed: bool = True) -> LeaseQuery:
    """Return what the query string says.

    Raises:
        Refused: 422, naming the field.
    """
    try:
        pairs = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, max_num_fields=20)
    except ValueError:
        raise bad_field("query", "must be ASCII, and no more than 20 fields") from None
    fields = dict(pairs)
    instance = fields.get("instance", "")
    if (instance or instance_needed) and not INSTANCE.fullmatch(instance):
        raise bad_field("instance", "must be 1 to 128 letters, digits and . _ : - of the gateway")
    try:
        wait_s = float(fields.get("wait", "0"))
    except ValueError:
        wait_s = math.nan
    if not 0 <= wait_s <= MOST_WAIT_S:
        raise bad_field("wait", f"must be seconds from 0 to {MOST_WAIT_S:g}")
    view = fields.get("view", "json")
    if view not in VIEWS:
        raise bad_field("view", f"must be one of {', '.join(VIEWS)}")
    return LeaseQuery(instance, wait_s, view == "haproxy")


class LeaseRoutes:
    """Serves leases.

    Args:
        desk: that hands them out.
        lobby: where gateways wait for a change.
        longest_wait_s: a wait ends after that, whatever is asked for.
        clock: the desk's.
    """

    def __init__(
        self,
        lease_service: LeaseService,
        long_poll: LongPoll,
        longest_wait_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._lease_service, self._long_poll, self._clock = lease_service, long_poll, clock
        self._longest_wait_s = longest_wait_s

    async def get(self, service: str, scope: Message, receive: Receive) -> PlainResponse:
        try:
            query = parsed(scope["query_string"])
            asked = LeaseRequest(query.instance, _etag(scope["headers"]))
            if query.wait_s > 0 and self._lease_service.wait(service, asked, self._clock()):
                wait_s = min(query.wait_s, self._longest_wait_s)
                news = await self._long_poll.wait(service, asked, wait_s)
                if news is not None:
                    return _reply(news, haproxy=query.haproxy)
                if await Request(scope, receive).is_disconnected():
                    return _GONE
                # It is still there, so what it holds is prolonged.
                answer = self._lease_service.renew(service, asked, self._clock())
            else:
                answer = self._ask(service, asked)
        except RequestProblem as refused:
            return refusal(refused)
        return _reply(answer, haproxy=query.haproxy)

    async def post(self, request: Request, service: str, report: ReportBody) -> PlainResponse:
        try:
            query = parsed(request.scope["query_string"], instance_needed=False)
            answer = self._ask(service, report.to_request(self._lease_service.epoch))
        except RequestProblem as refused:
            return refusal(refused)
        return _reply(Exchange(answer.told, changed=True), haproxy=query.haproxy)

    def _ask(self, service: str, asked: LeaseRequest) -> Exchange:
        answer = self._lease_service.ask(service, asked, self._clock())
        if asked.said is not None or self._lease_service.stirred(service):
            self._long_poll.stir(service)
        return answer


def _reply(answer: Exchange, *, haproxy: bool) -> PlainResponse:
    told = answer.told
    etag = (b"etag", told.etag.encode())
    if not answer.changed:
        return PlainResponse(304, [etag, NO_STORE], b"")
    headers: Headers = [TEXT_TYPE if haproxy else JSON_TYPE, etag, NO_STORE]
    return PlainResponse(200, headers, told.lines if haproxy else told.body)


def _etag(headers: Headers) -> str:
    for name, value in headers:
        if name == b"if-none-match":
            return value.decode("latin-1").strip()
    return ""


_GONE = PlainResponse(499, [], b"")  # nobody reads it
