"""`scaler run --grpc-listen`, and `scaler rls`: what they serve, and what they refuse."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys

import grpc
import pytest
from envoy.service.ratelimit.v3 import rls_pb2, rls_pb2_grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from scaler.adapters.http.report import INSTANCE
from scaler.cli import COMMAND_LINE, main
from scaler.commands.grpc_server import background_services, instance_name
from scaler.commands.run import _serve
from scaler.errors import ServingError
from tests.conformance.leases import SHOP, lease
from tests.conformance.scripted import ScriptedEndpoint
from tests.conformance.setup import ended, free_port
from tests.paths import ROOT
from tests.scaler.adapters.http.snapshots import snapshot
from tests.waiting import PATIENCE_S, eventually

RUN = ["run", "--prometheus", "http://127.0.0.1:9"]


def asked(channel: grpc.Channel):
    request = rls_pb2.RateLimitRequest(domain="tidegate")
    entry = request.descriptors.add().entries.add()
    entry.key, entry.value = "service", SHOP
    stub = rls_pb2_grpc.RateLimitServiceStub(channel)
    return stub.ShouldRateLimit(request, timeout=PATIENCE_S, wait_for_ready=True)


def test_grpc_is_served_beside_http_by_the_same_rules(tmp_path, capsys):
    tokens = tmp_path / "tokens"
    tokens.write_text("open-sesame\n")
    port = free_port()
    args = COMMAND_LINE.parser().parse_args(
        [
            *(*RUN, "--listen", "127.0.0.1:0", "--grpc-listen", f"127.0.0.1:{port}"),
            *("--token-file", str(tokens)),
        ]
    )
    with contextlib.ExitStack() as stack:
        publish = _serve(args, stack)
        publish(snapshot())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            with pytest.raises(grpc.RpcError) as caught:
                asked(channel)
            assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
            health = health_pb2_grpc.HealthStub(channel)
            for service in (
                "envoy.service.ratelimit.v3.RateLimitService",
                "envoy.service.rate_limit_quota.v3.RateLimitQuotaService",
                "externalscaler.ExternalScaler",
            ):
                # It is looked each half second whether services serve.
                eventually(
                    lambda service=service: (
                        health.Check(health_pb2.HealthCheckRequest(service=service)).status == 1
                    )
                )
    assert "serving http://" in capsys.readouterr().out


def test_without_grpc_installed_the_fix_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "grpc", None)
    needing = ("scaler.adapters.envoy", "scaler.adapters.grpc", "scaler.adapters.keda")
    for name in [one for one in sys.modules if one.startswith(needing)]:
        monkeypatch.delitem(sys.modules, name)
    code = main(
        [
            *(*RUN, "--policies", str(ROOT / "examples" / "policies"), "--no-cluster"),
            *("--listen", "127.0.0.1:0", "--grpc-listen", "127.0.0.1:0"),
        ]
    )

    assert code == 2
    assert "pip install 'tidegate[grpc]'" in capsys.readouterr().err


def test_an_address_that_is_open_to_all_is_refused():
    args = COMMAND_LINE.parser().parse_args(
        [*RUN, "--listen", "127.0.0.1:0", "--grpc-listen", "0.0.0.0:0"]
    )
    with (
        contextlib.ExitStack() as stack,
        pytest.raises(ServingError, match="neither a token file nor a client CA"),
    ):
        _serve(args, stack)


def test_a_line_of_the_token_file_that_is_wrong_is_named_and_its_token_is_not(tmp_path, capsys):
    tokens = tmp_path / "tokens"
    tokens.write_text("# gateways\nopen-sesame rol=gateway\n")
    policies = str(ROOT / "examples" / "policies")
    listen = ("--listen", "127.0.0.1:0", "--token-file", str(tokens))
    assert main([*RUN, "--policies", policies, "--no-cluster", *listen]) == 2
    told = capsys.readouterr().err
    assert f"{tokens}, line 2: word 2 must be one of role=" in told
    assert "open-sesame" not in told


@pytest.mark.parametrize("host", ["tidegate-0", "my host.local"])
def test_no_gateway_can_have_the_name_of_this_process(host):
    assert not INSTANCE.fullmatch(instance_name(host))


def test_an_address_that_is_none_is_named(capsys):
    policies = str(ROOT / "examples" / "policies")
    assert main([*RUN, "--policies", policies, "--no-cluster", "--grpc-listen", "nowhere"]) == 2
    assert "--grpc-listen is 'nowhere'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "word"),
    [
        pytest.param(["--endpoint", "tidegate:8080"], "must be http://", id="endpoint"),
        pytest.param(["--endpoint", "http://t", "--listen", "8081"], "--listen is", id="address"),
        pytest.param(
            ["--endpoint", "http://t", "--listen", "0.0.0.0:8081"], "anonymous", id="open to all"
        ),
    ],
)
def test_the_decider_beside_envoy_refuses_options_that_cannot_work(options, word, capsys):
    assert main(["rls", "--service", SHOP, *options]) == 2
    assert word in capsys.readouterr().err


def test_the_decider_beside_envoy_decides_by_its_lease_and_ends_on_a_signal():
    with ScriptedEndpoint() as endpoint:
        endpoint.set(lease(1, 1.0, burst=2))
        command = [
            *(sys.executable, "-m", "scaler.cli", "rls", "--endpoint", endpoint.url),
            *("--service", SHOP, "--listen", "127.0.0.1:0", "--instance", "gw 1"),
        ]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            port = re.search(r":(\d+)$", process.stdout.readline())[1]
            endpoint.held()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                codes = [asked(channel).overall_code for _ in range(20)]
            assert codes[:2] == [1, 1]
            assert 2 in codes
            assert {one.instance for one in endpoint.asked} == {"gw-1"}
        finally:
            process.send_signal(signal.SIGTERM)
            code = ended(process)
            process.stdout.close()
    assert code == 0


def test_without_grpc_installed_http_decides_all_the_same():
    script = (
        "import sys; sys.modules.update(grpc=None, envoy=None, httpx=None)\n"
        "import contextlib\n"
        "from scaler.cli import COMMAND_LINE\n"
        "from scaler.commands.run import _serve\n"
        f"args = COMMAND_LINE.parser().parse_args({RUN!r} + ['--listen', '127.0.0.1:0'])\n"
        "with contextlib.ExitStack() as stack: _serve(args, stack)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, check=False, capture_output=True, text=True,
        timeout=PATIENCE_S,
    )  # fmt: skip

    assert (done.returncode, done.stderr) == (0, "")


def test_without_an_address_there_is_no_grpc():
    from scaler.adapters.http.app import create_app
    from scaler.adapters.http.settings import ApiSettings
    from scaler.adapters.http.snapshot_holder import SnapshotHolder

    holder, settings = SnapshotHolder(), ApiSettings()
    app = create_app(holder, settings)

    assert len(background_services(app, holder, settings, None)) == 1
    assert "/json" in app.openapi()["paths"]
