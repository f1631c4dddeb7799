"""Who may say what, all the way: a token file, the endpoint of `scaler run`, and attackers.

Three gateways are under load. Nothing that somebody else's token says takes their limit.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field

import httpx
import pytest

from scaler.adapters.http.server import Address
from scaler.adapters.http.settings import ApiSettings
from scaler.commands.endpoint import served
from scaler.gateway.lease_limiter import LeaseLimiter, LimiterSettings
from tests.scaler.adapters.envoy.lease_services import limited
from tests.scaler.adapters.http.snapshots import PATIENT
from tests.waiting import PATIENCE_S, eventually

SHOP, LIMIT_QPS = "prod/shop", 1240.0
OFFERED_QPS = 60.0
MADE_UP, ALLOWED = 3000, 10
FILE = f"""
real    role=gateway  namespaces=prod  name=prod-gateways
rival   role=gateway  namespaces=prod  name=rival  instances={ALLOWED}
pay     role=gateway  namespaces=pay
scrape  role=metrics
"""


@dataclass
class Asking:
    """Somebody with a token."""

    client: httpx.Client
    token: str

    def poll(self, instance: str, etag: str = "") -> httpx.Response:
        headers = {**self._bearer(), **({"if-none-match": etag} if etag else {})}
        params = {"instance": instance}
        return self.client.get(f"/v1/limits/{SHOP}", params=params, headers=headers)

    def report(self, body: dict) -> httpx.Response:
        return self.client.post(f"/v1/limits/{SHOP}/reports", json=body, headers=self._bearer())

    def _bearer(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}


@dataclass
class LoadedGateway:
    """The limiter of every gateway in Python, with requests coming at `OFFERED_QPS`."""

    asking: Asking
    name: str
    limiter: LeaseLimiter = field(init=False)
    now: float = 0.0

    def __post_init__(self) -> None:
        self.limiter = LeaseLimiter(LimiterSettings(SHOP, self.name))

    @property
    def limit_qps(self) -> float:
        return self.limiter.snapshot(self.now).limit_rps

    def serve(self, seconds: float) -> int:
        """Return how many of the requests of some seconds were refused; report them."""
        refused = 0
        for _ in range(round(seconds * OFFERED_QPS)):
            self.now += 1 / OFFERED_QPS
            refused += not self.limiter.admit(None, None, self.now).allowed
        answer = self.asking.report(self.limiter.report(self.now))
        assert answer.status_code == 200, answer.text
        self.limiter.receive(answer.content, self.now)
        return refused


@pytest.fixture
def client(tmp_path, capsys):
    (tmp_path / "tokens").write_text(FILE)
    settings = ApiSettings(learns_shares=False, tokens=tmp_path / "tokens", stale_after_s=3600.0)
    with contextlib.ExitStack() as stack:
        publish = served(settings, Address(port=0), stack)
        # No lease expires while a busy machine takes its time.
        publish(limited(LIMIT_QPS, service=SHOP, lease=PATIENT))
        url = capsys.readouterr().out.split()[-1]
        yield stack.enter_context(httpx.Client(base_url=url, timeout=PATIENCE_S, trust_env=False))


@pytest.fixture
def gateways(client):
    """Three gateways whose shares are more than what they are offered."""
    made = [LoadedGateway(Asking(client, "real"), f"gw-{number}") for number in range(3)]

    def settled() -> bool:
        for one in made:
            one.serve(2.0)
        return min(one.limit_qps for one in made) >= OFFERED_QPS

    eventually(settled)
    return made


def keep_their_limit(gateways: list[LoadedGateway]) -> bool:
    """Whether no request is refused while each gateway serves and reports, three times over."""
    return sum(one.serve(2.0) for _ in range(3) for one in gateways) == 0


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        pytest.param("scrape", "role", id="Prometheus's"),
        pytest.param("pay", "namespace", id="a gateway's of another namespace"),
    ],
)
def test_a_token_for_something_else_takes_no_share(client, gateways, token, reason):
    attacker = Asking(client, token)
    for answer in (
        attacker.poll("made-up"),
        attacker.report({"instance": "gw-1", "offered_rps": 0}),
        attacker.report({"instance": "made-up", "offered_rps": 1e6}),
    ):
        assert (answer.status_code, answer.json()["reason"]) == (403, reason)
    assert keep_their_limit(gateways)


def test_made_up_names_are_bounded_and_take_no_limit_that_is_used(client, gateways):
    rival = Asking(client, "rival")
    codes = [rival.poll(f"made-up-{number}").status_code for number in range(MADE_UP)]
    assert codes.count(200) == ALLOWED
    assert codes.count(429) == MADE_UP - ALLOWED
    greedy = {"admitted": 1e6, "interval_s": 1.0}
    for _ in range(3):
        for number in range(ALLOWED):
            rival.report({"instance": f"made-up-{number}", **greedy})
        assert keep_their_limit(gateways)
    lease = json.loads(gateways[0].asking.poll("gw-0").content)
    assert lease["share"]["instances"] == 3 + ALLOWED


def test_nobody_reports_in_another_s_name(client, gateways):
    rival = Asking(client, "rival")
    for one in gateways:
        nothing = rival.report({"instance": one.name, "offered_rps": 0})
        assert (nothing.status_code, nothing.json()["reason"]) == (409, "instance_taken")
        assert rival.poll(one.name).status_code == 409
    assert keep_their_limit(gateways)
