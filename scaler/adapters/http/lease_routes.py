"""The handlers of the gateways' routes: read the lease, wait for a change, report demand."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from urllib.parse import parse_qsl

from starlette.requests import Request

from scaler.adapters.http.access import grant_of
from scaler.adapters.http.exchange import LeaseReply, LeaseRequest
from scaler.adapters.http.long_poll import LongPoll
from scaler.adapters.http.middleware import (
    JSON_TYPE,
    Headers,
    Message,
    PlainResponse,
    Receive,
    refused,
)
from scaler.adapters.http.problems import RequestProblem, bad_field
from scaler.adapters.http.report import INSTANCE
from scaler.adapters.http.schemas import ReportBody

MAX_WAIT_S = 300.0
TEXT_TYPE = (b"content-type", b"text/plain; charset=utf-8")
NO_STORE = (b"cache-control", b"no-store")
VIEWS = ("json", "haproxy")


@dataclass(frozen=True, slots=True)
class LeaseQuery:
    """The query string of a gateway's request."""

    instance: str
    wait_s: float
    haproxy: bool


@lru_cache(maxsize=8192)  # a gateway sends the same query each time
def parse_query(query_string: bytes, *, instance_needed: bool = True) -> LeaseQuery:
    """Return the query string, checked.

    Raises:
        RequestProblem: 422, naming the field.
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
    if not 0 <= wait_s <= MAX_WAIT_S:
        raise bad_field("wait", f"must be seconds from 0 to {MAX_WAIT_S:g}")
    view = fields.get("view", "json")
    if view not in VIEWS:
        raise bad_field("view", f"must be one of {', '.join(VIEWS)}")
    return LeaseQuery(instance, wait_s, view == "haproxy")


class LeaseRoutes:
    """Serves leases to gateways.

    Args:
        long_poll: answers the gateways.
        epoch: of the leases that it issues.
    """

    def __init__(self, long_poll: LongPoll, epoch: str) -> None:
        self._long_poll, self._epoch = long_poll, epoch

    async def get(self, service: str, scope: Message, receive: Receive) -> PlainResponse:
        try:
            query = parse_query(scope["query_string"])
            grant = grant_of(scope)
            lease_request = LeaseRequest(
                query.instance,
                _etag(scope["headers"]),
                owner=grant.owner,
                owner_instances=grant.instances,
            )
            is_gone = Request(scope, receive).is_disconnected
            reply = await self._long_poll.reply(service, lease_request, query.wait_s, is_gone)
        except RequestProblem as problem:
            return refused(scope, problem)
        if reply is None:
            return _CLIENT_CLOSED
        return _response(reply, haproxy=query.haproxy)

    async def post(self, request: Request, service: str, report: ReportBody) -> PlainResponse:
        try:
            query = parse_query(request.scope["query_string"], instance_needed=False)
            grant = grant_of(request.scope)
            lease_request = replace(
                report.to_request(self._epoch),
                owner=grant.owner,
                owner_instances=grant.instances,
            )
            reply = self._long_poll.reply_at_once(service, lease_request)
        except RequestProblem as problem:
            return refused(request.scope, problem)
        return _response(LeaseReply(reply.lease, changed=True), haproxy=query.haproxy)


def _response(reply: LeaseReply, *, haproxy: bool) -> PlainResponse:
    lease = reply.lease
    etag = (b"etag", lease.etag.encode())
    if not reply.changed:
        return PlainResponse(304, [etag, NO_STORE], b"")
    headers: Headers = [TEXT_TYPE if haproxy else JSON_TYPE, etag, NO_STORE]
    return PlainResponse(200, headers, lease.haproxy_body if haproxy else lease.json_body)


def _etag(headers: Headers) -> str:
    for name, value in headers:
        if name == b"if-none-match":
            return value.decode("latin-1").strip()
    return ""


# The client has closed the connection, so nothing of this is read.
_CLIENT_CLOSED = PlainResponse(499, [], b"")
