"""The ASGI middleware in front of applications, as services use it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from scaler import TidegateLimit
from scaler.gateway.middleware import by_address
from tests.conformance.leases import SHOP, class_part, lease
from tests.conformance.scripted import ScriptedEndpoint
from tests.test_packaging import FRAMEWORKS, loaded_after
from tests.waiting import PATIENCE_S


@contextmanager
def limited(app, endpoint: ScriptedEndpoint, rps: float = 2.0, **changes) -> Iterator[httpx.Client]:
    endpoint.set(lease(1, rps, **changes))
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        endpoint.held()  # before any request: it begins with the server
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(PATIENCE_S)


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as endpoint:
        yield endpoint


def fastapi_app(endpoint: ScriptedEndpoint, **how) -> FastAPI:
    app = FastAPI()
    app.add_middleware(TidegateLimit, endpoint=endpoint.url, service=SHOP, **how)

    @app.get("/")
    def read() -> dict[str, str]:
        return {"hello": "there"}

    return app


def starlette_app(endpoint: ScriptedEndpoint, **how) -> TidegateLimit:
    def hello(request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    inner = Starlette(routes=[Route("/", hello)])
    return TidegateLimit(inner, endpoint=endpoint.url, service=SHOP, **how)


@pytest.mark.parametrize("made", [fastapi_app, starlette_app])
def test_a_request_over_the_limit_is_answered_with_problem_details(made, endpoint):
    with limited(made(endpoint), endpoint) as client:
        first = client.get("/")
        last = next(one for _ in range(1000) if (one := client.get("/")).status_code != 200)

    assert (first.status_code, last.status_code) == (200, 429)
    assert first.headers["ratelimit"] == '"default";r=0;t=1'
    assert last.headers["content-type"] == "application/problem+json"
    assert last.headers["retry-after"] == "1"
    assert last.headers["ratelimit-policy"] == '"default";q=2;w=1'
    assert last.json()["type"].endswith("#quota-exceeded")
    assert last.json()["violated-policies"] == ["default"]


def test_the_header_that_the_lease_names_takes_precedence_over_classify(endpoint):
    stress = class_part("stress", 0, 0, match={"header": "x-stress-test"})
    app = starlette_app(endpoint, classify=lambda scope: "pay")
    with limited(app, endpoint, 50.0, classes=[class_part("pay", 50, 50), stress]) as client:
        answers = [client.get("/"), client.get("/", headers={"X-Stress-Test": "yes"})]

    assert [one.status_code for one in answers] == [200, 429]
    assert app.stats().counts.denied == {"stress": 1}


def test_without_a_lease_all_are_refused_if_so_configured(endpoint):
    endpoint.failing()
    app = starlette_app(endpoint, fail_open=False)

    async def scenario() -> httpx.Response:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            return await client.get("/")

    answer = asyncio.run(scenario())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert answer.headers["ratelimit-policy"] == '"default";q=0;w=1'


def test_without_lifespan_events_polling_starts_with_the_first_request(endpoint):
    endpoint.set(lease(1, 2.0))
    app = starlette_app(endpoint)

    async def scenario() -> set[int]:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            first = (await client.get("/")).status_code
            await asyncio.to_thread(endpoint.held)
            later = {(await client.get("/")).status_code for _ in range(30)}
            assert first == 200
            return later

    assert 429 in asyncio.run(scenario())


def test_on_another_event_loop_it_polls_anew(endpoint):
    endpoint.set(lease(1, 50.0))
    app = starlette_app(endpoint)

    async def asked() -> None:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            await client.get("/")
            await asyncio.to_thread(endpoint.held)

    # As where a server for functions or for WSGI runs a loop for each request.
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    first.run_until_complete(asked())
    endpoint.set(lease(2, 20.0))
    second.run_until_complete(asked())

    assert app.stats().limit_rps == 20
    for loop in (first, second):
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.1))
        loop.close()


def test_each_process_has_its_own_valid_instance_name(endpoint):
    with limited(starlette_app(endpoint, instance="shop/web 1" + "x" * 200), endpoint):
        pass
    name = endpoint.asked[0].instance

    assert name.startswith("shop-web-1xx")
    assert len(name) == 128


@pytest.mark.parametrize("wrong", ["tidegate:8080", ""])
def test_an_endpoint_that_is_no_url_is_refused_at_once(wrong):
    with pytest.raises(ValueError, match="must be http"):
        TidegateLimit(Starlette(), endpoint=wrong, service=SHOP)


def test_by_address_is_the_address_of_the_peer():
    assert by_address({"client": ("203.0.113.7", 4711)}) == "203.0.113.7"
    assert by_address({"client": None}) is None


def test_the_core_loads_nothing_but_the_standard_library():
    loaded = loaded_after("import scaler.gateway.lease_limiter, scaler.gateway.responses")

    assert loaded & (FRAMEWORKS | {"numpy", "httpx", "starlette"}) == set()


def test_the_middleware_loads_neither_numpy_nor_a_framework():
    loaded = loaded_after("from scaler import TidegateLimit")

    # httpx loads rich for its own command line, where it is installed.
    assert loaded & (FRAMEWORKS - {"rich"} | {"numpy", "starlette"}) == set()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param("import scaler.gateway.lease_limiter", set(), id="the core"),
        pytest.param(
            "from scaler import TidegateLimit",
            {"forecaster.adapters", "forecaster.adapters.backoff"},
            id="the middleware",
        ),
    ],
)
def test_of_the_forecaster_it_loads_the_back_off_alone(code, expected):
    """Besides the old import paths, which `import scaler` itself installs."""
    loaded_after(
        f"import sys; {code}\n"
        "loaded = {name for name in sys.modules if name.startswith('forecaster.')}\n"
        f"assert loaded - {{'forecaster.moved'}} == {expected}, loaded"
    )
