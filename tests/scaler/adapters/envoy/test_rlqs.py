"""Envoy's rate limit quota service over the wire, and the decisions of a stream."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import pytest
from envoy.service.rate_limit_quota.v3 import rlqs_pb2, rlqs_pb2_grpc

from scaler.adapters.envoy.quotas import Quota
from scaler.adapters.envoy.rlqs_stream import MAX_BUCKETS, Assignment, QuotaStream
from scaler.adapters.http.exchange import LeaseRequest
from scaler.adapters.http.grants import EVERYTHING, AccessGrant, AccessRole
from scaler.adapters.http.report import GatewayReport
from scaler.limits.priority_classes import PriorityClass
from scaler.policy.policy import Mode
from tests.scaler.adapters.envoy.lease_services import SHOP, Place, Serving, limited, serving
from tests.waiting import PATIENCE_S

BUCKET = (("service", SHOP),)
PAY_BUCKET = (("class", "pay"), ("service", SHOP))
PAY = PriorityClass("pay", 0, guaranteed_qps=30.0)


class Side:
    """One Envoy, with a manual clock."""

    def __init__(
        self, place: Place, name: str = "rlqs-1", *buckets, grant: AccessGrant = EVERYTHING
    ) -> None:
        self.place, self.stream = place, QuotaStream(place.lease_service, name, grant)
        self.buckets = buckets or (BUCKET,)
        self.assigned: dict[object, Assignment | None] = {}

    def offer(self, seconds: int, *qps: float) -> list:
        """Use each bucket at these rates and report every second; return all actions."""
        told = []
        for _ in range(seconds):
            self.place.wait(1.0)
            told += self.report(*qps)
        return told

    def report(self, *qps: float) -> list:
        """Report the usage of each bucket in the last second; return the actions."""
        for bucket, rate in zip(self.buckets, qps, strict=True):
            self.stream.record_usage(bucket, round(rate), self.place.clock.now)
        actions = self.stream.actions(self.place.clock.now)
        self.assigned.update(actions)
        return actions

    @property
    def qps(self) -> float:
        return sum(one.quota.qps for one in self.assigned.values() if one and one.quota)


def test_a_bucket_is_assigned_the_share_for_the_lifetime_of_a_lease():
    side = Side(Place(limited(50.0)))
    side.offer(1, 0)

    assert side.assigned == {BUCKET: Assignment(Quota(490, 10, 5), ttl_s=10)}  # 49/s; a burst of 5


def test_an_assignment_is_repeated_before_it_expires_and_not_sooner_than_needed():
    side = Side(Place(limited(50.0)))
    told = side.offer(30, 40)

    assert {action for _, action in told} == {Assignment(Quota(490, 10, 5), 10)}
    assert 4 <= len(told) <= 15


def test_streams_share_the_limit_by_usage_and_never_exceed_it():
    place = Place(limited(100.0))
    big, small = Side(place, "rlqs-1"), Side(place, "rlqs-2")
    for _ in range(40):
        place.wait(1.0)
        big.report(120)
        small.report(20)
        assert big.qps + small.qps <= 100.0

    # 98 without the reserve: the small one gets its demand, and its part of the rest.
    assert small.qps == pytest.approx(20, abs=3)
    assert big.qps == pytest.approx(78, abs=3)


def test_a_quota_that_is_still_valid_in_one_envoy_is_not_given_to_another():
    place = Place(limited(100.0))
    side = Side(place)
    side.offer(3, 100)
    other = LeaseRequest("gw-1", report=GatewayReport(300.0))

    def others_share() -> float:
        place.wait(0.5)
        return place.lease_service.reply(SHOP, other, place.clock.now).lease.tag.qps

    others_share()
    assert dict(side.stream.actions(place.clock.now))[BUCKET].quota.qps == 49.0
    side.stream.actions(place.clock.now)
    assert others_share() <= 2.0  # it was assigned 49, but may act on 98 until its next report
    side.report(100)
    assert others_share() == 49.0


def test_a_class_has_its_rate_and_all_together_no_more_than_the_share():
    side = Side(Place(limited(100.0, PAY)), "rlqs-1", BUCKET, PAY_BUCKET)
    side.offer(30, 200, 60)

    assert side.assigned[PAY_BUCKET].quota.qps >= 60
    assert side.qps <= 98.0


def test_a_lower_limit_is_assigned_without_a_report():
    side = Side(Place(limited(100.0)))
    side.offer(5, 90)
    side.place.holder.publish(limited(10.0))
    side.assigned.update(side.stream.actions(side.place.clock.now))

    assert side.qps <= 10.0


def test_in_recommend_mode_every_quota_is_unlimited():
    side = Side(Place(limited(50.0, mode=Mode.RECOMMEND)))
    side.offer(1, 10)

    assert side.assigned[BUCKET] == Assignment(None, 10)


@pytest.mark.parametrize(
    "bucket",
    [
        pytest.param((("service", "prod/none"),), id="an unknown service"),
        pytest.param((("class", "pay"),), id="no service"),
        pytest.param((), id="no entry"),
    ],
)
def test_a_bucket_without_a_limit_is_abandoned(bucket):
    side = Side(Place(limited(50.0)), "rlqs-1", bucket)

    assert side.offer(1, 5) == [(bucket, None)]


def test_a_bucket_of_another_namespace_is_abandoned_and_told_once(caplog):
    grant = AccessGrant("mesh", frozenset({AccessRole.GATEWAY}), frozenset({"prod"}))
    theirs = (("service", "pay/api"),)
    side = Side(Place(limited(50.0)), "rlqs-1", BUCKET, theirs, grant=grant)
    told = side.offer(3, 5, 5)

    assert told.count((theirs, None)) == 3
    assert side.assigned[BUCKET] is not None
    assert caplog.text.count("not its service gateway=rlqs-1 service='pay/api'") == 1


def test_the_streams_of_somebody_are_bounded_as_all_gateways_are():
    place = Place(limited(50.0))
    grant = AccessGrant("mesh", frozenset({AccessRole.GATEWAY}), None, 1)
    first, second = Side(place, "rlqs-1", grant=grant), Side(place, "rlqs-2", grant=grant)
    assert first.offer(1, 5)
    assert second.offer(1, 5) == []


def test_the_buckets_of_a_deleted_service_are_abandoned():
    side = Side(Place(limited(50.0)))
    side.offer(3, 20)
    side.place.holder.publish(limited(50.0, service="prod/other"))

    assert side.stream.actions(side.place.clock.now) == [(BUCKET, None)]


def test_buckets_beyond_the_maximum_are_abandoned():
    buckets = [(("client", str(i)), ("service", SHOP)) for i in range(MAX_BUCKETS + 3)]
    side = Side(Place(limited(1000.0)), "rlqs-1", *buckets)
    told = side.offer(1, *[1.0] * len(buckets))

    assert [bucket for bucket, action in told if action is None] == buckets[MAX_BUCKETS:]
    assert side.qps <= 1000.0


def test_without_a_lease_nothing_is_assigned():
    side = Side(Place(limited(50.0), learns_shares=True))

    assert side.offer(10, 20) == []
    side.offer(5, 20)
    assert side.qps > 0


# Over the wire.


@contextmanager
def stream(here: Serving) -> Iterator[tuple[queue.Queue, Iterator]]:
    """Open a stream that sends what is put into the queue; None ends it."""
    sent: queue.Queue = queue.Queue()
    stub = rlqs_pb2_grpc.RateLimitQuotaServiceStub(here.channel)
    call = stub.StreamRateLimitQuotas(iter(sent.get, None), timeout=PATIENCE_S)
    try:
        yield sent, call
    finally:
        sent.put(None)
        call.cancel()


def report(domain: str = "tidegate", **bucket: str):
    usage = rlqs_pb2.RateLimitQuotaUsageReports.BucketQuotaUsage(
        bucket_id=rlqs_pb2.BucketId(bucket=bucket or {"service": SHOP}), num_requests_allowed=1
    )
    return rlqs_pb2.RateLimitQuotaUsageReports(domain=domain, bucket_quota_usages=[usage])


def test_a_report_is_answered_by_an_assignment_and_a_change_is_pushed():
    with serving(limited(50.0)) as here, stream(here) as (sent, told):
        sent.put(report())
        (action,) = next(told).bucket_action
        assigned = action.quota_assignment_action
        bucket = assigned.rate_limit_strategy.token_bucket

        assert dict(action.bucket_id.bucket) == {"service": SHOP}
        assert assigned.assignment_time_to_live.seconds == 10
        assert (bucket.max_tokens, bucket.tokens_per_fill.value) == (5, 490)
        assert bucket.fill_interval.seconds == 10

        here.holder.publish(limited(20.0))
        # Nothing was reported since, and the assignment is good for ten seconds.
        (action,) = next(told).bucket_action
        assigned = action.quota_assignment_action.rate_limit_strategy
        assert assigned.token_bucket.tokens_per_fill.value == 190


def test_a_bucket_without_a_service_is_abandoned():
    with serving(limited(50.0)) as here, stream(here) as (sent, told):
        sent.put(report(service="prod/none"))
        assert next(told).bucket_action[0].HasField("abandon_action")


@pytest.mark.parametrize(
    "first", [pytest.param(report("other"), id="domain"), pytest.param(report(""), id="no domain")]
)
def test_another_domain_is_refused(first):
    with serving(limited(50.0)) as here, stream(here) as (sent, told):
        sent.put(first)
        with pytest.raises(grpc.RpcError) as caught:
            next(told)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_two_envoys_of_one_host_are_two_gateways():
    with serving(limited(50.0)) as here, stream(here) as (sent, told), stream(here) as (more, too):
        shares = []
        for reports, answers in ((sent, told), (more, too)):
            reports.put(report())
            given = next(answers).bucket_action[0].quota_assignment_action.rate_limit_strategy
            shares.append(given.token_bucket.tokens_per_fill.value / 10)

    assert shares == [49.0, 1.0]  # the new one gets its share from the reserve until there is room


def test_an_envoy_that_reconnects_gets_its_share_again():
    with serving(limited(50.0)) as here:
        for _ in range(3):
            with stream(here) as (sent, told):
                sent.put(report())
                strategy = next(told).bucket_action[0].quota_assignment_action.rate_limit_strategy
                assert strategy.token_bucket.tokens_per_fill.value == 490
            time.sleep(0.2)


def test_the_server_stops_in_time_with_open_streams(caplog):
    with serving(limited(50.0)) as here, stream(here) as (sent, told):
        sent.put(report())
        next(told)
        stopping = threading.Thread(target=here.http.stop)
        stopping.start()
        list(told)  # it ends by itself: to be cut off would be an error
        stopping.join(PATIENCE_S)
    assert "does not stop" not in caplog.text
