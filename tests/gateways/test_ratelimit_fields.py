"""What gateways tell clients is what drafts 10 and 11 of the RateLimit fields define."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaler.adapters.envoy.decider import RateLimitDecider
from scaler.gateway.lease_limiter import Admission, LeaseLimiter, LimiterSettings
from scaler.limits.descriptors import Descriptor, DescriptorCall
from tests.conformance.leases import SHOP
from tests.conformance.ratelimit_fields import LIMIT, POLICY, read
from tests.gateways.vectors import Sent, changed, players

SETTINGS = LimiterSettings(SHOP, "gw-1")


class Envoy:
    """What Envoy is answered, in virtual time."""

    def __init__(self, settings: LimiterSettings) -> None:
        self._limiter, self._now = LeaseLimiter(settings), 0.0
        self._decider = RateLimitDecider(self, lambda: self._now)

    def limiter(self, service: str) -> LeaseLimiter | None:
        return self._limiter if service == SHOP else None

    def receive(self, body: bytes, asked_at: float, now: float) -> str:
        return "held" if self._limiter.receive(body, asked_at, now) else "ask again"

    def ask(self, now: float) -> tuple[bool, Mapping[str, str]]:
        self._now = now
        reply = self._decider.decide(
            DescriptorCall("tidegate", (Descriptor((("service", SHOP),)),))
        )
        return not reply.over, {name.lower(): value for name, value in reply.headers}


class Played:
    """A limiter of the vectors, asked in the same way."""

    def __init__(self, player: Any) -> None:
        self._player = player
        self.receive = player.receive

    def ask(self, now: float) -> tuple[bool, Mapping[str, str]]:
        admission: Admission = self._player.request(Sent(), now)
        return admission.allowed, self._player.told(admission)


def asked(make: Callable[[LimiterSettings], Any]) -> Callable[[], Any]:
    return lambda: Played(make(SETTINGS))


GATEWAYS: dict[str, Callable[[], Any]] = {
    **{name: asked(make) for name, make in players().items()},
    "envoy": lambda: Envoy(SETTINGS),
}
each_gateway = pytest.mark.parametrize("gateway", GATEWAYS)


def passing(gateway: str, rps: float, burst: int, first: int, at: float) -> int:
    """Return how many requests pass at a time, after so many at 0."""
    answers = _answers(gateway, rps, burst, [0.0] * first + [at] * 20)
    return sum(allowed for allowed, _ in answers[first:])


def _answers(gateway: str, rps: float, burst: int, times: list[float]) -> list[tuple[bool, Any]]:
    made = GATEWAYS[gateway]()
    body = changed("plain.json", {"set": {"share.rps": rps, "share.burst": burst}})
    assert made.receive(body, 0.0, 0.0) == "held"
    return [made.ask(at) for at in times]


@each_gateway
@given(
    rps=st.sampled_from((0.0, 0.2, 0.25, 0.3, 0.7, 1.0, 1.5, 3.0, 20.0, 812.5)),
    burst=st.integers(1, 8),
    first=st.integers(1, 8),
)
def test_one_value_is_the_reset_of_draft_10_and_the_effective_window_of_draft_11(
    gateway, rps, burst, first
):
    allowed, told = _answers(gateway, rps, burst, [0.0] * first)[-1]
    policy, limit = read(POLICY, told[POLICY])["default"], read(LIMIT, told[LIMIT])["default"]
    left, window_s = limit["r"], limit["t"]

    assert policy["q"] / policy["w"] <= max(rps, 1)
    assert allowed == (first <= burst and rps > 0)
    assert left == (max(burst - first, 0) if rps else 0)
    assert passing(gateway, rps, burst, first, 0.0) == left
    if not allowed:
        assert int(told["retry-after"]) >= window_s
    if rps:
        # Up to a whole second, no more than r may pass within t, and more is available after it.
        assert passing(gateway, rps, burst, first, max(0.0, window_s - 1.01)) == left
        assert passing(gateway, rps, burst, first, window_s + 0.01) > left


@each_gateway
def test_where_more_is_on_its_way_the_window_is_shorter(gateway):
    times = [0.0, 0.0, 0.0, 6.0]  # at one in 4 s, half a request is there after the last

    assert _answers(gateway, 0.25, 3, times)[-1][1][LIMIT] == '"default";r=0;t=2'


@pytest.mark.parametrize(
    ("field", "text"),
    [
        (LIMIT, "default;r=1"),
        (LIMIT, '"default"'),
        (LIMIT, '"default";r=-1'),
        (LIMIT, '"default";r=1.5'),
        (LIMIT, '"default";r=1;t=now'),
        (LIMIT, '"default";r=1;pk="user"'),
        (LIMIT, '"default";r=1,'),
        (LIMIT, '"default";r=1 t=2'),
        (POLICY, '"default";w=1'),
        (POLICY, '"default";q=1;w=0'),
        (POLICY, '"default";q=1;qu="apples"'),
    ],
)
def test_what_the_drafts_do_not_allow_is_not_read(field, text):
    with pytest.raises(ValueError, match=field):
        read(field, text)
