"""The gRPC server beside HTTP: access, health, and stopping."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scaler.adapters.grpc.access import CallAccess, CallRule
from scaler.adapters.grpc.server import Hosted, RpcServer
from scaler.adapters.http.app import create_app
from scaler.adapters.http.auth import Tokens
from scaler.adapters.http.problems import RefusalReason
from scaler.adapters.http.server import Address, ApiServer, Tls
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.errors import ServingError
from tests.scaler.adapters.http.conftest import CA, LEAF, certificates, issue  # noqa: F401 - a fixture
from tests.scaler.adapters.http.snapshots import Clock, snapshot
from tests.waiting import PATIENCE_S, eventually

ECHO = "test.Echo"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


def add_echo(server) -> str:
    """Add a service of two methods: one echoes its request, one never ends."""

    async def say(request, context):
        if request == b"boom":
            raise RuntimeError("a fault of ours")
        return request

    async def stay(requests, context):
        async for one in requests:
            yield one

    methods = {
        "Say": grpc.unary_unary_rpc_method_handler(say),
        "Stay": grpc.stream_stream_rpc_method_handler(stay),
    }
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(ECHO, methods)])
    return ECHO


@dataclass
class Hosting:
    holder: SnapshotHolder
    clock: Clock
    http: ApiServer
    rpc: RpcServer
    channel: grpc.Channel
    refused: list[RefusalReason]

    def say(self, what: bytes = b"hello", *metadata: tuple[str, str]) -> bytes:
        call = self.channel.unary_unary(f"/{ECHO}/Say")
        return call(what, timeout=PATIENCE_S, metadata=metadata)

    def health(self, service: str = "") -> int:
        stub = health_pb2_grpc.HealthStub(self.channel)
        return stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE_S).status


@contextmanager
def hosting(
    *,
    tls: Tls | None = None,
    tokens=None,
    credentials=None,
    ticked: bool = True,
    by_certificate: bool = False,
) -> Iterator[Hosting]:
    clock = Clock(time.monotonic())
    holder = SnapshotHolder(clock)
    if ticked:
        holder.publish(snapshot())
    address = Address(port=0, tls=tls)
    verified = tls is not None and tls.client_ca is not None
    rule = CallRule(by_certificate=by_certificate)
    refused: list[RefusalReason] = []
    rpc = RpcServer(
        address,
        [Hosted(add_echo, lambda: holder.hands_out_limits(45.0), rule=rule)],
        lambda: holder.is_fresh(45.0),
        CallAccess(
            Tokens(tokens, peers_verified=verified) if tokens else None,
            verified=verified,
            count_refusal=refused.append,
        ),
    )
    app = create_app(holder, ApiSettings(learns_shares=False), trusted_peers=True)
    with ApiServer(app, address, [rpc]) as http:
        place = f"127.0.0.1:{rpc.port}"
        channel = (
            grpc.secure_channel(place, credentials) if credentials else grpc.insecure_channel(place)
        )
        with channel:
            yield Hosting(holder, clock, http, rpc, channel, refused)


def code(called) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as caught:
        called()
    return caught.value.code()


def test_a_service_is_hosted_beside_http():
    with hosting() as here:
        assert here.say() == b"hello"
        assert here.rpc.services == [ECHO]


def test_an_error_in_a_service_ends_only_that_call():
    with hosting() as here:
        assert code(lambda: here.say(b"boom")) is grpc.StatusCode.UNKNOWN
        nothing = here.channel.unary_unary("/no.Such/Thing")
        assert code(lambda: nothing(b"", timeout=PATIENCE_S)) is grpc.StatusCode.UNIMPLEMENTED
        assert here.say() == b"hello"


def test_only_a_valid_token_is_accepted_and_probes_need_none(tmp_path):
    path = tmp_path / "tokens"
    path.write_text("open-sesame\n")
    with hosting(tokens=path) as here:
        assert here.say(b"hello", ("authorization", "Bearer open-sesame")) == b"hello"
        for metadata in ((), (("authorization", "Bearer other"),), (("authorization", "open"),)):
            refused = code(lambda metadata=metadata: here.say(b"hello", *metadata))
            assert refused is grpc.StatusCode.UNAUTHENTICATED
        stream = here.channel.stream_stream(f"/{ECHO}/Stay")
        assert (
            code(lambda: next(stream(iter(()), timeout=PATIENCE_S)))
            is grpc.StatusCode.UNAUTHENTICATED
        )
        assert here.health() == SERVING


def showing(folder, name):
    pair = [(folder / f"{name}.{end}").read_bytes() for end in ("key", "pem")]
    return grpc.ssl_channel_credentials((folder / "ca.pem").read_bytes(), *pair)


def test_mutual_tls_accepts_only_certificates_of_the_ca(certificates):  # noqa: F811
    tls = Tls(certificates / "server.pem", certificates / "server.key", certificates / "ca.pem")
    bare = grpc.ssl_channel_credentials((certificates / "ca.pem").read_bytes())
    with hosting(tls=tls, credentials=showing(certificates, "client")) as here:
        assert here.say() == b"hello"
        for other in (bare, showing(certificates, "stranger")):
            with grpc.secure_channel(f"127.0.0.1:{here.rpc.port}", other) as channel:
                call = channel.unary_unary(f"/{ECHO}/Say")
                refused = code(lambda call=call: call(b"hello", timeout=PATIENCE_S))
                assert refused is grpc.StatusCode.UNAVAILABLE


def test_a_new_pair_is_shown_at_once_and_channels_that_are_open_live_on(tmp_path, caplog):
    for name in ("old", "new"):
        issue(tmp_path, f"{name}-ca", CA)
        issue(tmp_path, name, LEAF, f"{name}-ca")

    def put(name: str, *ends: str) -> None:
        for end in ends:
            (tmp_path / f"tls.{end}").write_bytes((tmp_path / f"{name}.{end}").read_bytes())

    def says(name: str) -> bool:
        """Whether a new channel that trusts this CA alone is served."""
        trusted = grpc.ssl_channel_credentials((tmp_path / f"{name}-ca.pem").read_bytes())
        # Channels with the same options would share a connection.
        options = [("grpc.use_local_subchannel_pool", 1)]
        place = f"127.0.0.1:{here.rpc.port}"
        with grpc.secure_channel(place, trusted, options) as channel:
            call = channel.unary_unary(f"/{ECHO}/Say")
            try:
                return call(b"hello", timeout=PATIENCE_S) == b"hello"
            except grpc.RpcError:
                return False

    put("old", "pem", "key")
    tls = Tls(tmp_path / "tls.pem", tmp_path / "tls.key")
    trusted = grpc.ssl_channel_credentials((tmp_path / "old-ca.pem").read_bytes())
    with hosting(tls=tls, credentials=trusted) as here:
        assert here.say() == b"hello"
        assert (says("old"), says("new")) == (True, False)
        put("new", "pem")  # its key is still to come
        assert (says("old"), says("new")) == (True, False)
        put("new", "key")
        assert (says("old"), says("new")) == (False, True)
        assert here.say() == b"hello"
    assert caplog.text.count("certificate kept as it was") == 1


@pytest.mark.parametrize(
    ("by_certificate", "verifies", "served"),
    [
        pytest.param(True, True, True, id="its clients cannot send tokens"),
        pytest.param(False, True, False, id="other services need a token and the certificate"),
        pytest.param(True, False, False, id="an unverified certificate does not suffice"),
    ],
)
def test_a_certificate_replaces_the_token_for_services_that_allow_it(
    certificates,  # noqa: F811
    tmp_path,
    by_certificate,
    verifies,
    served,
):
    (tmp_path / "tokens").write_text("open-sesame\n")
    ca = certificates / "ca.pem" if verifies else None
    tls = Tls(certificates / "server.pem", certificates / "server.key", ca)
    credentials, tokens = showing(certificates, "client"), tmp_path / "tokens"
    with hosting(
        tls=tls, tokens=tokens, credentials=credentials, by_certificate=by_certificate
    ) as here:
        if served:
            assert here.say() == b"hello"
        else:
            assert code(here.say) is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("line", "code_of_call"),
    [
        pytest.param("cert:client role=gateway", None, id="the name of its subject"),
        pytest.param("cert:127.0.0.1 role=gateway", None, id="an alternative name"),
        pytest.param("cert:client role=read", grpc.StatusCode.PERMISSION_DENIED, id="another role"),
        pytest.param("cert:else role=gateway", grpc.StatusCode.UNAUTHENTICATED, id="another name"),
    ],
)
@pytest.mark.parametrize("streams", [False, True], ids=["one message", "a stream"])
def test_a_certificate_may_do_what_a_line_says_of_it(
    certificates,  # noqa: F811
    tmp_path,
    line,
    code_of_call,
    streams,
):
    (tmp_path / "tokens").write_text(f"{line}\n")
    tls = Tls(certificates / "server.pem", certificates / "server.key", certificates / "ca.pem")
    credentials = showing(certificates, "client")
    with hosting(tls=tls, tokens=tmp_path / "tokens", credentials=credentials) as here:

        def call():
            if not streams:
                return here.say()
            stay = here.channel.stream_stream(f"/{ECHO}/Stay")
            return next(stay(iter([b"hello"]), timeout=PATIENCE_S))

        if code_of_call is None:
            assert call() == b"hello"
        else:
            assert code(call) is code_of_call


def test_a_token_is_refused_what_it_is_not_for_and_that_is_counted(tmp_path):
    (tmp_path / "tokens").write_text("scrape role=metrics\ngw role=gateway\n")
    with hosting(tokens=tmp_path / "tokens") as here:
        assert here.say(b"hello", ("authorization", "Bearer gw")) == b"hello"
        denied = code(lambda: here.say(b"hello", ("authorization", "Bearer scrape")))
        assert denied is grpc.StatusCode.PERMISSION_DENIED
        assert code(here.say) is grpc.StatusCode.UNAUTHENTICATED
        assert here.refused == [RefusalReason.ROLE, RefusalReason.TOKEN]


def test_an_invalid_certificate_file_is_named(tmp_path):
    (tmp_path / "no.pem").write_text("nothing")
    rpc = RpcServer(
        Address(port=0, tls=Tls(tmp_path / "no.pem", tmp_path / "no.pem")), [], lambda: True
    )
    app = create_app(SnapshotHolder(), ApiSettings())
    with pytest.raises(ServingError, match=r"no\.pem"):
        ApiServer(app, Address(port=0), [rpc]).start()


def test_health_follows_the_snapshot_and_a_follower_serves_no_limits():
    with hosting() as here:
        assert (here.health(), here.health(ECHO)) == (SERVING, SERVING)
        here.holder.publish(replace(snapshot(), leader=False))
        eventually(lambda: here.health(ECHO) == NOT_SERVING)
        assert here.health() == SERVING
        here.clock.now += 60.0
        eventually(lambda: here.health() == NOT_SERVING)
        here.holder.publish(snapshot())
        eventually(lambda: here.health(ECHO) == SERVING)


def test_health_that_could_not_be_told_once_is_told_again(caplog):
    with hosting() as here:
        now, here.clock.now = here.clock.now, None  # what nobody has thought of
        eventually(lambda: "could not be updated" in caplog.text)
        here.clock.now = now
        here.holder.publish(replace(snapshot(), leader=False))
        eventually(lambda: here.health(ECHO) == NOT_SERVING)


def test_before_the_first_tick_it_does_not_serve():
    with hosting(ticked=False) as here:
        assert (here.health(), here.health(ECHO)) == (NOT_SERVING, NOT_SERVING)


def test_an_unknown_service_has_no_health():
    with hosting() as here:
        assert code(lambda: here.health("no.Such")) is grpc.StatusCode.NOT_FOUND


def test_it_stops_in_time_although_a_stream_is_open(caplog):
    over = threading.Event()

    def one_and_wait():
        yield b"first"
        over.wait()

    with hosting() as here:
        stream = here.channel.stream_stream(f"/{ECHO}/Stay")
        answers = stream(one_and_wait())
        assert next(answers) == b"first"
        here.http.stop()
        over.set()
        with pytest.raises(grpc.RpcError):
            list(answers)
    assert "does not stop" not in caplog.text


def test_an_address_that_is_in_use_is_named_by_grpc():
    with hosting() as here:
        app = create_app(SnapshotHolder(), ApiSettings())
        second = RpcServer(Address(port=here.rpc.port), [], lambda: True)
        with pytest.raises(ServingError, match=str(here.rpc.port)):
            ApiServer(app, Address(port=0), [second]).start()
