"""The four calls as KEDA makes them, over gRPC."""

from __future__ import annotations

import grpc
import pytest

from scaler.adapters.http.grants import AccessGrant, AccessRole
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.adapters.keda import externalscaler_pb2 as pb
from scaler.adapters.keda.service import ExternalScaler
from scaler.control.snapshot import Snapshot
from tests.scaler.adapters.http.snapshots import AT, Clock, snapshot, view
from tests.scaler.adapters.keda.caller import PATH, Keda, Poll, asking, served
from tests.scaler.adapters.keda.views import SHOP, demanding, holding, planned, unknown_for
from tests.waiting import PATIENCE_S


@pytest.mark.parametrize(
    ("metadata", "index", "polled"),
    [
        pytest.param(
            {}, 0, Poll({"s0-tidegate-replicas": 1000}, {"s0-tidegate-replicas": [12_000]}, True),
            id="the plan",
        ),
        pytest.param(
            {"metric": "qps"}, 2,
            Poll({"s2-tidegate-qps": 124_000}, {"s2-tidegate-qps": [1_364_000]}, True),
            id="the demand, as the third trigger",
        ),
        pytest.param(
            {"metric": "qps", "targetQps": "62"}, 0,
            Poll({"s0-tidegate-qps": 62_000}, {"s0-tidegate-qps": [682_000]}, True),
            id="the demand at a target of its own",
        ),
    ],
)  # fmt: skip
def test_a_poll(metadata, index, polled):
    demand = 1364.0  # 11 x 155 x 0.8
    holder = holding(planned(12, 4) if "metric" not in metadata else demanding(demand))
    with asking(holder, metadata, index=index) as keda:
        assert keda.poll() == polled


def refusal(keda: Keda, call: str) -> tuple[grpc.StatusCode, str]:
    request = {
        "spec": keda.specs,
        "values": lambda: keda.values(f"s{keda.index}-tidegate-replicas"),
        "active": keda.is_active,
        "stream": lambda: next(keda.stream()),
    }[call]
    with pytest.raises(grpc.RpcError) as error:
        request()
    return error.value.code(), error.value.details()


CALLS = ("spec", "values", "active", "stream")


def test_the_target_of_a_missing_policy_is_returned_so_that_a_fallback_can_come():
    with asking(holding(view("prod/shop")), name="shup") as keda:
        assert keda.specs() == {"s0-tidegate-replicas": 1000}
    with asking(
        holding(view("prod/shop")), {"metric": "qps", "targetQps": "40"}, name="shup"
    ) as keda:
        assert keda.specs() == {"s0-tidegate-qps": 40_000}
    with asking(holding(view("prod/shop")), {"metric": "qps"}, name="shup") as keda:
        assert refusal(keda, "spec")[0] is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize("call", [one for one in CALLS if one != "spec"])
def test_a_missing_policy_is_not_found_and_similar_names_are_listed(call):
    with asking(holding(view("prod/shop"), view("prod/shop-eu")), name="shup") as keda:
        code, message = refusal(keda, call)
    assert code is grpc.StatusCode.NOT_FOUND
    assert message.startswith("no service 'prod/shup'; there is prod/shop")


@pytest.mark.parametrize("call", CALLS)
def test_a_service_of_another_namespace_is_denied_and_none_of_it_is_listed(call):
    grant = AccessGrant("keda", frozenset({AccessRole.READ}), frozenset({"prod"}))
    here = holding(view("prod/shop"), view("pay/shop"))
    with asking(here, grant=grant, namespace="pay") as keda:
        assert refusal(keda, call)[0] is grpc.StatusCode.PERMISSION_DENIED
    with asking(here, grant=grant, name="shup") as keda:
        if call != "spec":  # its target does not depend on the policy
            assert refusal(keda, call)[1] == "no service 'prod/shup'; there is prod/shop"


@pytest.mark.parametrize("call", CALLS)
def test_invalid_metadata_are_an_invalid_argument(call):
    with asking(holding(SHOP), {"Tolerance": "0"}) as keda:
        code, message = refusal(keda, call)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert message == "'Tolerance' is '0', but there is no such key; did you mean tolerance?"


def test_a_metric_of_another_name_is_an_invalid_argument():
    with asking(holding(SHOP)) as keda, pytest.raises(grpc.RpcError) as error:
        keda.values("s0-tidegate-qps")
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "metricName is 'tidegate-qps', but must be tidegate-replicas" in error.value.details()


def test_before_the_first_tick_only_the_target_is_returned():
    with asking(SnapshotHolder()) as keda:
        assert keda.specs() == {"s0-tidegate-replicas": 1000}
        for call in ("values", "active"):
            assert refusal(keda, call) == (
                grpc.StatusCode.UNAVAILABLE, "there has been no tick yet",
            )  # fmt: skip


def test_a_stale_snapshot_has_no_values_but_the_service_stays_active():
    clock = Clock()
    with asking(holding(demanding(0.0), clock=clock), {"activationQps": "1"}) as keda:
        assert not keda.poll().active
        clock.now += 60.0
        code, message = refusal(keda, "values")
        assert code is grpc.StatusCode.UNAVAILABLE
        assert message.startswith("the last tick was 60 s ago, but after 45 s")
        assert keda.is_active()
        assert keda.specs() == {"s0-tidegate-replicas": 1000}


def test_an_unknown_value_is_unavailable_and_not_0():
    with asking(holding(unknown_for(0.0, known_before=False))) as keda:
        assert refusal(keda, "values")[0] is grpc.StatusCode.UNAVAILABLE
        assert keda.is_active()


def test_each_tick_is_visible_at_once():
    holder = holding(planned(3, 3))
    with asking(holder) as keda:
        for plan in (8, 30, 4):
            holder.publish(snapshot(planned(plan, 1)))
            assert keda.values("s0-tidegate-replicas") == [plan * 1000]


def test_both_fields_of_a_number_are_set():
    """The integer field is never less than the float."""
    with served(holding(demanding(620.4))) as place, grpc.insecure_channel(place) as channel:
        request = pb.GetMetricsRequest(
            scaledObjectRef=Keda(channel, {"metric": "qps"}).reference, metricName="tidegate-qps"
        )
        call = channel.unary_unary(
            PATH + "GetMetrics", pb.GetMetricsRequest.SerializeToString,
            pb.GetMetricsResponse.FromString,
        )  # fmt: skip
        (value,) = call(request, timeout=PATIENCE_S).metricValues
    assert (value.metricValue, value.metricValueFloat) == (621, pytest.approx(620.4))


def test_an_unknown_call_is_unimplemented():
    """KEDA then uses the polled calls only."""
    with served(holding(SHOP)) as place, grpc.insecure_channel(place) as channel:
        call = channel.unary_stream(PATH + "StreamMetricSpec")
        with pytest.raises(grpc.RpcError) as error:
            next(call(b"", timeout=PATIENCE_S))
    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_garbage_on_the_wire_does_no_harm():
    with asking(holding(SHOP)) as keda:
        raw = keda.channel.unary_unary(PATH + "GetMetrics")
        for nonsense in (b"", b"\xff" * 50, b"\x0a\xff\xff\xff\xff\x0f", bytes(1000)):
            with pytest.raises(grpc.RpcError):
                raw(nonsense, timeout=PATIENCE_S)
        assert keda.poll().active


def test_without_any_policy_there_are_no_similar_names():
    holder = SnapshotHolder()
    holder.publish(Snapshot(1, AT, {}))
    with asking(holder) as keda:
        assert refusal(keda, "values") == (
            grpc.StatusCode.NOT_FOUND, "no service 'prod/shop'",
        )  # fmt: skip


def credentials(certificates, *, client_ca: bool) -> grpc.ServerCredentials:
    pair = ((certificates / "server.key").read_bytes(), (certificates / "server.pem").read_bytes())
    ca = (certificates / "ca.pem").read_bytes() if client_ca else None
    return grpc.ssl_server_credentials([pair], ca, require_client_auth=client_ca)


def shown(certificates, name: str | None) -> grpc.ChannelCredentials:
    """Return KEDA's credentials: caCert, and tlsClientCert with tlsClientKey if there is a name."""
    ca = (certificates / "ca.pem").read_bytes()
    if name is None:
        return grpc.ssl_channel_credentials(ca)
    files = [(certificates / f"{name}.{ending}").read_bytes() for ending in ("key", "pem")]
    return grpc.ssl_channel_credentials(ca, *files)


@pytest.mark.parametrize(
    ("client_ca", "name", "served_it"),
    [
        pytest.param(False, None, True, id="caCert alone"),
        pytest.param(True, "client", True, id="a certificate that the server's CA has signed"),
        pytest.param(True, None, False, id="no certificate where one is required"),
        pytest.param(True, "stranger", False, id="a certificate of another CA"),
    ],
)
def test_tls_works_as_keda_uses_it(certificates, client_ca, name, served_it):
    with (
        served(holding(planned(12, 4)), credentials(certificates, client_ca=client_ca)) as place,
        grpc.secure_channel(place, shown(certificates, name)) as channel,
    ):
        keda = Keda(channel)
        if served_it:
            assert keda.poll().values == {"s0-tidegate-replicas": [12_000]}
        else:
            assert refusal(keda, "values")[0] is grpc.StatusCode.UNAVAILABLE


def test_the_name_is_that_of_the_service():
    class Server:
        def add_generic_rpc_handlers(self, handlers):
            (self.handlers,) = handlers

    server = Server()
    assert ExternalScaler(SnapshotHolder()).add(server) == "externalscaler.ExternalScaler"
    assert (
        server.handlers.service_name() == pb.DESCRIPTOR.services_by_name["ExternalScaler"].full_name
    )
