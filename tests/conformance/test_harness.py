"""What the suite itself is made of does what a gateway's tests rely on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.conformance.leases import SHOP, lease
from tests.conformance.load import offer, offering, underway
from tests.conformance.origin import Origin
from tests.conformance.scripted import ScriptedEndpoint
from tests.waiting import PATIENCE_S, eventually

PATH = f"/v1/limits/{SHOP}"


@pytest.fixture
def endpoint() -> Iterator[ScriptedEndpoint]:
    with ScriptedEndpoint() as endpoint:
        endpoint.set(lease(1, 50))
        yield endpoint


@pytest.fixture
def client(endpoint) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=endpoint.url, trust_env=False) as client:
        yield client


def test_a_load_goes_on_until_it_is_ended():
    with Origin() as origin, underway(origin.url, 100) as load:
        eventually(lambda: len(load.answers) >= 20)
    sent = len(load.answers)

    assert origin.served == sent
    assert {one.status for one in load.answers} == {200}


def test_load_is_offered_as_asked_on_a_busy_core():
    with Origin() as origin:
        loads = [offering(origin.url, 150, 1, clients=3), offering(origin.url, 150, 1, fresh=True)]
        offered = [load.result(PATIENCE_S) for load in loads]

    assert [load.count(200) for load in offered] == [150, 150]
    assert origin.served == 300
    assert origin.clients == {"client-0": 50, "client-1": 50, "client-2": 50, "": 150}


def test_the_origin_counts_classes():
    with Origin() as origin:
        offer(origin.url, 100, 0.2, headers={"x-tidegate-class": "pay"})

    assert origin.classes == {"pay": 20}


def test_a_load_on_nobody_has_no_answers():
    assert offer("http://127.0.0.1:9", 20, 0.5).statuses() == {0: 10}


def test_a_lease_is_renewed_by_its_etag(endpoint, client):
    whole = client.get(PATH, params={"instance": "gw"})
    held = {"if-none-match": whole.headers["etag"]}

    assert whole.json()["version"] == 1
    assert client.get(PATH, params={"instance": "gw"}, headers=held).status_code == 304
    assert [one.status for one in endpoint.asked] == [200, 304]


def test_who_waits_is_told_of_a_change_at_once(endpoint, client):
    endpoint.set(lease(1, 50, valid_for_s=3600))
    held = {"if-none-match": client.get(PATH).headers["etag"]}
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(
            client.get, f"{PATH}?wait=3000&instance=gw", headers=held, timeout=PATIENCE_S
        )
        endpoint.held()
        endpoint.set(lease(2, 20))

        assert waiting.result(PATIENCE_S).json()["version"] == 2


def test_who_holds_a_lease_is_known_by_the_next_question_or_a_report(endpoint, client):
    etag = client.get(PATH, params={"instance": "asks"}).headers["etag"]
    client.get(PATH, params={"instance": "asks"}, headers={"if-none-match": etag})
    endpoint.held()
    held = {"instance": "reports", "epoch": "c0ff", "version": 1}
    client.post(f"{PATH}/reports", json=held)
    endpoint.held(2)
    endpoint.set(lease(2, 20))

    with pytest.raises(AssertionError):
        endpoint.held(within_s=0.1)


def test_reports_are_answered_by_the_lease(endpoint, client):
    answer = client.post(f"{PATH}/reports", json={"instance": "gw", "admitted": 3})

    assert answer.json()["version"] == 1
    assert endpoint.reports[0]["admitted"] == 3


def test_it_goes_down_and_comes_back_on_the_same_port(endpoint, client):
    endpoint.down()
    with pytest.raises(httpx.TransportError):
        client.get(PATH)
    endpoint.up()

    assert client.get(PATH).status_code == 200


def test_it_says_garbage_where_it_is_told_to(endpoint, client):
    endpoint.raw(json.dumps(lease(2, 20)).encode()[:-30])

    assert client.get(PATH).content.endswith(b"per_replica") is False
    assert client.get(PATH).status_code == 200


def test_without_the_token_nothing_is_said():
    with ScriptedEndpoint(token="secret") as endpoint:
        endpoint.set(lease(1, 50))
        bare = httpx.get(endpoint.url + PATH, trust_env=False)
        told = httpx.get(
            endpoint.url + PATH, headers={"authorization": "Bearer secret"}, trust_env=False
        )

    assert (bare.status_code, told.status_code) == (401, 200)
