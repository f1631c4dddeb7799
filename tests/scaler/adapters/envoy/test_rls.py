"""Envoy's rate limit service over the wire."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from envoy.extensions.common.ratelimit.v3 import ratelimit_pb2
from envoy.service.ratelimit.v3 import rls_pb2, rls_pb2_grpc
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from scaler.adapters.envoy.rls import CHECKED, NAME
from scaler.adapters.http.settings import ApiSettings
from scaler.policy.policy import Mode
from tests.scaler.adapters.envoy.lease_services import SHOP, Serving, limited, serving
from tests.waiting import PATIENCE_S

OK, OVER = rls_pb2.RateLimitResponse.OK, rls_pb2.RateLimitResponse.OVER_LIMIT
Descriptor = ratelimit_pb2.RateLimitDescriptor


@pytest.fixture(scope="module")
def endpoint():
    with serving(limited(50.0)) as here:
        yield here


def descriptor(*entries: tuple[str, str], **more: object):
    made = [Descriptor.Entry(key=key, value=value) for key, value in entries]
    return Descriptor(entries=made, **more)


def request(*descriptors, domain: str = "tidegate", hits: int = 0):
    shop = descriptors or (descriptor(("service", SHOP)),)
    return rls_pb2.RateLimitRequest(domain=domain, descriptors=shop, hits_addend=hits)


def should_rate_limit(here: Serving, what=None, token: str = ""):
    stub = rls_pb2_grpc.RateLimitServiceStub(here.channel)
    metadata = [("authorization", f"Bearer {token}")] if token else []
    asked = request() if what is None else what
    return stub.ShouldRateLimit(asked, timeout=PATIENCE_S, metadata=metadata)


def exhausted(here: Serving):
    """Send calls until the limit is used up."""
    for _ in range(200):
        answer = should_rate_limit(here)
        if answer.overall_code == OVER:
            return answer
    raise AssertionError("200 requests at once passed a limit of 50 a second")


def fields(answer) -> dict[str, str]:
    return {one.key: one.value for one in answer.response_headers_to_add}


def code(called) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        called()
    return caught.value.code()


def test_an_admitted_request_gets_the_limit_and_the_remaining_requests(endpoint):
    time.sleep(0.2)  # five of 49 a second
    answer = should_rate_limit(endpoint)
    (status,) = answer.statuses

    assert (answer.overall_code, status.code) == (OK, OK)
    assert status.current_limit.requests_per_unit == 49  # 50 less the reserve for new gateways
    assert status.current_limit.unit == rls_pb2.RateLimitResponse.RateLimit.SECOND
    assert status.limit_remaining == 4  # a burst of a tenth of a second, less this one
    assert fields(answer) == {
        "RateLimit-Policy": '"default";q=49;w=1',
        "RateLimit": '"default";r=4;t=1',
    }
    assert [(one.key, one.value) for one in answer.request_headers_to_add] == [CHECKED]


def test_a_rejected_request_gets_retry_after(endpoint):
    answer = exhausted(endpoint)
    (status,) = answer.statuses

    assert status.code == OVER
    assert status.limit_remaining == 0
    assert 0 < status.duration_until_reset.ToSeconds() + status.duration_until_reset.nanos < 1e9
    assert fields(answer)["Retry-After"] == "1"


def test_there_is_one_status_per_descriptor_and_one_over_the_limit_rejects(endpoint):
    exhausted(endpoint)
    answer = should_rate_limit(
        endpoint, request(descriptor(("service", "prod/none")), descriptor(("service", SHOP)))
    )

    assert [status.code for status in answer.statuses] == [OK, OVER]
    assert answer.overall_code == OVER


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(request(descriptor(("service", "prod/none"))), id="an unknown service"),
        pytest.param(request(descriptor(("class", "pay"))), id="no service"),
        pytest.param(request(domain="other"), id="another domain"),
        pytest.param(request(descriptor()), id="no entry"),
    ],
)
def test_a_request_without_a_known_service_passes_without_the_checked_header(endpoint, what):
    answer = should_rate_limit(endpoint, what)

    assert answer.overall_code == OK
    assert [status.code for status in answer.statuses] == [OK]
    assert not answer.statuses[0].HasField("current_limit")
    assert not answer.response_headers_to_add
    assert not answer.request_headers_to_add


@pytest.mark.parametrize(
    "what",
    [
        pytest.param(rls_pb2.RateLimitRequest(), id="empty"),
        pytest.param(request(domain=""), id="no domain"),
        pytest.param(rls_pb2.RateLimitRequest(domain="tidegate"), id="no descriptor"),
        pytest.param(request(*[descriptor(("service", SHOP))] * 65), id="too many"),
        pytest.param(request(hits=2**32 - 1), id="absurd hits"),
    ],
)
def test_an_invalid_call_is_refused(endpoint, what):
    assert code(lambda: should_rate_limit(endpoint, what)) is grpc.StatusCode.INVALID_ARGUMENT


def test_a_call_about_another_namespace_is_denied(tmp_path):
    (tmp_path / "tokens").write_text("gw role=gateway namespaces=prod\n")
    access = ApiSettings(learns_shares=False, tokens=tmp_path / "tokens")
    with serving(limited(50.0), access) as here:
        assert should_rate_limit(here, token="gw").overall_code == OK
        both = request(descriptor(("service", SHOP)), descriptor(("service", "pay/api")))
        denied = code(lambda: should_rate_limit(here, both, token="gw"))
        assert denied is grpc.StatusCode.PERMISSION_DENIED
        none = request(descriptor(("class", "pay")))
        assert should_rate_limit(here, none, token="gw").overall_code == OK


def test_garbage_is_refused_and_nothing_else_happens(endpoint):
    call = endpoint.channel.unary_unary(f"/{NAME}/ShouldRateLimit")
    for garbage in (b"\xff", b"\x0a\xff\xff\xff\xff\x0f", b"\x00" * 100):
        assert code(lambda garbage=garbage: call(garbage, timeout=PATIENCE_S)) in (
            grpc.StatusCode.INVALID_ARGUMENT,
            grpc.StatusCode.INTERNAL,
        )
    assert should_rate_limit(endpoint).overall_code in (OK, OVER)


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200))
def test_no_message_causes_a_server_error(endpoint, data):
    call = endpoint.channel.unary_unary(f"/{NAME}/ShouldRateLimit")
    try:
        rls_pb2.RateLimitResponse.FromString(call(data, timeout=PATIENCE_S))
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.INVALID_ARGUMENT:
            raise


def test_in_recommend_mode_no_call_is_rejected():
    with serving(limited(5.0, mode=Mode.RECOMMEND)) as here:
        assert {should_rate_limit(here).overall_code for _ in range(60)} == {OK}


def test_a_follower_is_unavailable():
    with serving(limited(50.0)) as here:
        object.__setattr__(here.holder.latest().snapshot, "leader", False)

        assert code(lambda: should_rate_limit(here)) is grpc.StatusCode.UNAVAILABLE


def test_many_concurrent_calls_stay_within_the_limit():
    with serving(limited(50.0)) as here, ThreadPoolExecutor(8) as pool:
        should_rate_limit(here)
        began = time.monotonic()
        answers = list(pool.map(lambda _: should_rate_limit(here), range(200)))
        took = time.monotonic() - began

    passed = sum(answer.overall_code == OK for answer in answers)
    assert 1 <= passed <= 50 * took + 5 + 1
