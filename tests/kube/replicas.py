"""Two replicas of a scaler on a clock of the test's: their elections, and the limits they hand out.

The elections speak to the API server in memory over HTTP; the leases are those of `scaler run`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.lease_service import LeaseService
from scaler.adapters.http.problems import RequestProblem
from scaler.adapters.http.report import GatewayReport
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.kube.leader_election import Election, ElectionSettings
from scaler.control.reign import Tenure
from tests.kube.conftest import QUICK, connect
from tests.scaler.adapters.envoy.lease_services import SHOP, limited
from tests.scaler.adapters.http.snapshots import Clock

STEP_S, RETRY_S, TICK_S = 0.5, 2.0, 15.0
VALID_S = 10.0  # of a lease, as a gateway counts it
ONCE = replace(QUICK, attempts=1)


class Replica:
    """One scaler.

    Args:
        server: the API server.
        folder: for its kubeconfig.
        name: of the replica, and its token.
        clock: of both replicas: what they may differ by is in `TRANSIT_S`.
        offset_s: when it looks at the Lease first.
    """

    def __init__(self, server, folder, name: str, clock: Clock, offset_s: float = 0.0) -> None:
        self.name, self.clock = name, clock
        api = connect(server, folder, name, ONCE)
        settings = ElectionSettings("prod", "tidegate", name)
        self.election = Election(api, settings, lambda: 1.8e9 + clock.now, clock)
        self.holder = SnapshotHolder(clock, self.election.reign)
        self.leases = LeaseService(self.holder, ApiSettings(), f"{name}0")
        self._step_at = clock.now + offset_s

    @property
    def tenure(self) -> Tenure:
        return self.election.reign().tenure

    def run(self) -> None:
        """Do what is due now."""
        now = self.clock.now
        if now >= self._step_at:
            self._step_at = now + RETRY_S
            self.election.step()
        self.leases.drop_empty(now)


@dataclass
class AskingGateway:
    """A gateway, and the share that it acts on: from when it asked for it until it is stale."""

    name: str
    clock: Clock
    etag: str = ""
    qps: float = 0.0
    asked_at: float = -1e9
    refusals: list[str] = field(default_factory=list)

    @property
    def acts_on_qps(self) -> float:
        return self.qps if self.clock.now < self.asked_at + VALID_S else 0.0

    def ask(self, replica: Replica, wants: float | None = None) -> bool:
        """Ask for a lease, with a report of what it wants; return whether there was one."""
        report = None if wants is None else GatewayReport(wants)
        request = LeaseRequest(self.name, self.etag, report)
        try:
            reply = replica.leases.reply(SHOP, request, self.clock.now)
        except RequestProblem as problem:
            self.refusals.append(f"{problem.status} {problem}")
            return False
        self.asked_at = self.clock.now
        if reply.changed:
            self.etag, self.qps = reply.lease.etag, reply.lease.tag.qps
        return True


class Site:
    """Two replicas, one limit, and gateways."""

    def __init__(self, server, folder, gateways: int, limit_qps: float) -> None:
        self.server, self.clock, self.limit_qps = server, Clock(), limit_qps
        self.one = Replica(server, folder, "one", self.clock)
        self.two = Replica(server, folder, "two", self.clock, offset_s=1.0)
        self.gateways = [AskingGateway(f"gw-{i}", self.clock) for i in range(gateways)]
        self._tick_at = self.clock.now

    def run(self, seconds: float, each_step=lambda: None) -> None:
        """Let time pass; after each step of it, the caller's own."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.now += STEP_S
            if self.clock.now >= self._tick_at:
                self._tick_at = self.clock.now + TICK_S
                self.publish(self.limit_qps)
            for replica in (self.one, self.two):
                replica.run()
            each_step()

    def publish(self, limit_qps: float) -> None:
        self.limit_qps = limit_qps
        for replica in (self.one, self.two):
            replica.holder.publish(limited(limit_qps, service=SHOP))

    def all_ask(self, replica: Replica, wants: float | None = None) -> bool:
        """Have every gateway ask; return whether each was given a lease."""
        given = [one.ask(replica, wants) for one in self.gateways]
        return all(given)

    def settle(self) -> None:
        """Have replica one lead, and every gateway hold its fair share."""
        self.run(16.0)  # what it learns as a new leader is over then
        self.run(4.0, lambda: self.all_ask(self.one, 100.0))
        assert (self.one.tenure, self.two.tenure) == (Tenure.LEADS, Tenure.FOLLOWS)
        assert self.acted_on > 0.9 * self.limit_qps

    @property
    def acted_on(self) -> float:
        """QPS that all gateways together act on."""
        return sum(one.acts_on_qps for one in self.gateways)
